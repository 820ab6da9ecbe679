"""Label maps as tiled, compressed TIFF with overviews, written from bands of rows."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from segscape.bigimage.windowed import Georeference
from segscape.files import atomic_write
from segscape.labels import LabelSet
from segscape.render import palette_of

TILE = 512
_LEVEL = 6
_BIG = 2**32 - 2**26  # from this many bytes on offsets may not fit into 32 bits


def write_label_tiff(
    path: str | os.PathLike[str],
    bands: Iterable[np.ndarray],
    size: tuple[int, int],
    dtype: np.dtype[Any],
    label_set: LabelSet,
    georeference: Georeference | None = None,
) -> None:
    """Write a label map that comes in bands: 512² tiles, deflated, with overviews of 1/2, 1/4, … down to one tile.

    uint8 maps are palette pictures in the label set's colours, uint16 and uint32 ones grey. A pixel of an overview has
    the class that most of its 2 × 2 pixels have, the first of them in case of a tie. Only a row of tiles of each level
    is in memory. The same bands in other portions give the same bytes.

    Args:
        path: written whole or not at all.
        bands: (rows, W) each, from the top, of any heights.
        size: (height, width) of the whole.
        dtype: of the bands, uint8, uint16 or uint32.
        label_set: what the ids mean.
        georeference: kept in the file.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    import tifffile

    sizes = [size]
    while max(sizes[-1]) > TILE:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    raw = size[0] * size[1] * np.dtype(dtype).itemsize
    target = Path(path)
    common: dict[str, Any] = {
        "dtype": dtype,
        "tile": (TILE, TILE),
        "compression": "zlib",
        "compressionargs": {"level": _LEVEL},
        "photometric": "minisblack",
        "metadata": None,
        "maxworkers": 1,
    }
    if dtype == np.uint8:
        colors = palette_of(np.arange(256, dtype=np.uint8)[None], label_set).astype(np.uint16) * 257
        common |= {"photometric": "palette", "colormap": np.ascontiguousarray(colors.T)}
    with atomic_write(target) as temporary:
        spills = [_Spill(temporary.with_name(f"{temporary.name}.{level}"), dtype) for level in range(1, len(sizes))]
        try:
            with tifffile.TiffWriter(temporary, bigtiff=raw * 4 // 3 > _BIG) as writer:
                for level, (height, width) in enumerate(sizes):
                    source = bands if level == 0 else spills[level - 1].read(width)
                    below = spills[level] if level < len(spills) else None
                    extra = georeference.tags if georeference and not level else ()
                    tiles = _tiles(_tile_rows(source, height), width, below)
                    options = {**common, "subfiletype": int(level > 0), "extratags": extra}
                    writer.write(tiles, shape=(height, width), **options)
                    if level:
                        spills[level - 1].remove()
        finally:
            for spill in spills:
                spill.remove()


class _Spill:
    """Rows of an overview on disk until their turn comes."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._file: IO[bytes] | None = None

    def append(self, rows: np.ndarray) -> None:
        if self._file is None:
            self._file = self._path.open("wb")
        data = zlib.compress(rows.tobytes(), 1)
        self._file.write(len(data).to_bytes(8, "little") + data)

    def read(self, width: int) -> Iterator[np.ndarray]:
        assert self._file is not None
        self._file.close()
        with self._path.open("rb") as file:
            while length := file.read(8):
                data = zlib.decompress(file.read(int.from_bytes(length, "little")))
                yield np.frombuffer(data, self._dtype).reshape(-1, width)

    def remove(self) -> None:
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


def _tile_rows(bands: Iterable[np.ndarray], height: int) -> Iterator[np.ndarray]:
    """The rows of bands in portions of `TILE`."""
    held: list[np.ndarray] = []
    count = done = 0
    for band in bands:
        while len(band):
            part = band[: TILE - count]
            held.append(part)
            count, band = count + len(part), band[len(part) :]
            if count == TILE or done + count == height:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                done, count, held = done + count, 0, []
    assert done == height, (done, height)


def _tiles(rows: Iterable[np.ndarray], width: int, below: _Spill | None) -> Iterator[np.ndarray]:
    """Tiles (TILE, TILE) from left to right and from top to bottom; half of them at every turn goes to ``below``."""
    for row in rows:
        if below is not None:
            below.append(_halved(row))
        padded = np.zeros((TILE, -(-width // TILE) * TILE), row.dtype)
        padded[: len(row), :width] = row
        for x in range(0, padded.shape[1], TILE):
            yield np.ascontiguousarray(padded[:, x : x + TILE])


def _halved(labels: np.ndarray) -> np.ndarray:
    """The most frequent of each 2 × 2 ids; at an odd end, of those there are."""
    height, width = labels.shape
    whole = np.pad(labels, ((0, height % 2), (0, width % 2)), mode="edge")
    a, b, c, d = whole[::2, ::2], whole[::2, 1::2], whole[1::2, ::2], whole[1::2, 1::2]
    first = (a == b) | (a == c) | (a == d)
    return np.where(first, a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))

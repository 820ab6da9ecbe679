"""TIFF and BigTIFF, GeoTIFF and COG among them, by their tiles or strips."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.windowed import (
    Georeference,
    LastPieces,
    check_window,
    checked_type,
    rgb_of,
    window_of_pieces,
)
from segscape.errors import ImageError, ResourceError

_MAX_SEGMENT_BYTES = 2**29
# Compressions that tifffile undoes with the standard library and numpy alone: none, deflate (two codes), PackBits.
_PLAIN = {1, 8, 32773, 32946}
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE = 0, 1, 2, 3
_COPIED = (33550, 33922, 34264, 34735, 34736, 34737)  # what places a GeoTIFF on the ground
_GEOGRAPHIC_KEY, _PROJECTED_KEY, _RASTER_KEY, _PIXEL_IS_POINT = 2048, 3072, 1025, 2


class NeedsGdal(Exception):
    """This TIFF is of a kind that `segscape.bigimage.raster` reads; the message says which."""


class TiffImage:
    """The first page of a TIFF; see `segscape.bigimage.windowed.WindowedImage`.

    Raises:
        NeedsGdal: its compression or layout is not read here.
        ImageError: no TIFF, damaged, or its pixels are not 8- or 16-bit.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import tifffile

        self.source = os.fspath(path)
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # of a damaged directory tifffile throws many things, here and below
            raise ImageError(f"{self.source!r}: is no TIFF that can be read ({error})") from error
        with contextlib.ExitStack() as undo:
            undo.callback(self._file.close)
            try:
                self._open_page()
            except (NeedsGdal, ImageError):
                raise
            except Exception as error:
                raise ImageError(f"{self.source!r}: this TIFF is damaged ({error}); copy or export it again") from error
            undo.pop_all()

    def _open_page(self) -> None:
        page: Any = self._file.pages[0]
        tags, dtype, bits = page.tags, page.dtype, page.bitspersample
        size = (int(page.imagelength), int(page.imagewidth))
        compression, planar, samples = int(page.compression), int(page.planarconfig), int(page.samplesperpixel)
        photometric = int(page.photometric)
        if compression not in _PLAIN or (planar != 1 and samples > 1):
            raise NeedsGdal(f"compression {compression}, planar configuration {planar}")
        if photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE):
            raise NeedsGdal(f"photometric interpretation {photometric}")
        if dtype is None or min(size) < 1 or samples < 1:
            raise ImageError(f"{self.source!r}: this TIFF declares no pixels; copy or export it again")
        checked_type(dtype, self.source)
        if (turned := tags.valueof(274, 1)) != 1:
            raise ImageError(f"{self.source!r}: is stored turned (orientation {turned}); save it upright to read it")
        if isinstance(bits, int) and bits not in (1, 8, 16):  # others tifffile only unpacks with imagecodecs
            raise NeedsGdal(f"{bits}-bit pixels")
        self._page, self.size, self._photometric = page, size, photometric
        rows = page.tilelength if page.is_tiled else min(int(page.rowsperstrip), size[0])
        self._segment = (int(rows), int(page.tilewidth if page.is_tiled else size[1]))
        if min(self._segment) < 1:
            raise ImageError(f"{self.source!r}: this TIFF declares strips or tiles of no size; copy or export it again")
        self.wide = self._segment[1] >= size[1] and size[0] > self._segment[0]
        self.piece_bytes = self._segment[0] * self._segment[1] * max(samples * dtype.itemsize, 3)
        if self._segment[0] * self._segment[1] * samples * dtype.itemsize > _MAX_SEGMENT_BYTES:
            if compression != 1:
                raise ImageError(
                    f"{self.source!r}: is stored in pieces of {self._segment[1]} × {self._segment[0]} pixels, too "
                    "large to be decoded by windows; convert it to tiles (gdal_translate -co TILED=YES)"
                )
            raise NeedsGdal("one uncompressed strip")
        across = -(-size[1] // self._segment[1])
        if min(len(page.dataoffsets), len(page.databytecounts)) < across * -(-size[0] // self._segment[0]):
            raise ImageError(f"{self.source!r}: this TIFF lacks some of its pieces; copy or export it again")
        self._across = across
        extra = page.extrasamples
        self._alpha = samples > 3 and bool(extra) and int(extra[0]) in (1, 2)
        self._colors = None
        if photometric == _PALETTE:
            if page.colormap is None or len(page.colormap[0]) < 2**bits:
                raise ImageError(f"{self.source!r}: this TIFF lacks its palette; copy or export it again")
            self._colors = (np.asarray(page.colormap).T // 257).astype(np.uint8)
        self.georeference = _georeference(tags)
        self._pieces = LastPieces()

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        check_window(self, y0, x0, height, width)
        return window_of_pieces(
            (y0, x0, height, width), self._segment, lambda down, across: self._pieces.get((down, across), self._rgb)
        )

    def close(self) -> None:
        self._file.close()
        self._pieces.clear()

    def _rgb(self, place: tuple[int, int]) -> np.ndarray:
        """The tile or strip at a place in their grid."""
        page, index = self._page, place[0] * self._across + place[1]
        rows = min(self._segment[0], self.size[0] - place[0] * self._segment[0])
        start, count = page.dataoffsets[index], page.databytecounts[index]
        if not count:  # GDAL leaves out tiles that hold nothing
            level = 255 if self._photometric == _MIN_IS_WHITE else int(page.nodata or 0)
            stored = np.full((rows, self._segment[1], page.samplesperpixel), level, page.dtype)
        else:
            try:
                handle = self._file.filehandle
                handle.seek(start)
                data = handle.read(count)
                if len(data) < count:
                    raise EOFError("the file ends before it")
                decoded = page.decode(data, index)[0]
                if decoded is None or decoded.shape[1] < rows:
                    raise EOFError("it is too short")
                stored = decoded[0]
            except MemoryError as error:
                raise ResourceError(f"out of memory while reading {self.source!r}") from error
            except Exception as error:  # as on opening: what decoding throws has no common base
                raise ImageError(
                    f"{self.source!r}: piece {index} of this TIFF is damaged ({error}); copy or export it again"
                ) from error
        if self._colors is not None:
            return self._colors[stored[..., 0].astype(np.uint16)]  # 1-bit pixels are bools, which would be a mask
        pixels = rgb_of(stored, alpha=self._alpha)
        return 255 - pixels if self._photometric == _MIN_IS_WHITE else pixels


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF or BigTIFF do."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _georeference(tags: Any) -> Georeference | None:
    """From GeoTIFF's tags (OGC 19-008r4, sections 7 and 8)."""
    matrix, scale, points = tags.valueof(34264), tags.valueof(33550), tags.valueof(33922)
    if matrix is not None and len(matrix) == 16:
        transform = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif scale is not None and points is not None and len(scale) >= 2 and len(points) >= 6:
        across, down = float(scale[0]), float(scale[1])
        transform = (across, 0.0, points[3] - points[0] * across, 0.0, -down, points[4] + points[1] * down)
    else:
        return None
    keys = _geo_keys(tags.valueof(34735))
    a, b, c, d, e, f = (float(v) for v in transform)
    if not all(map(math.isfinite, (a, b, c, d, e, f))):  # it says no place, and no file of results would take it
        return None
    if keys.get(_RASTER_KEY) == _PIXEL_IS_POINT:  # then a tie point names a pixel's centre
        c, f = c - (a + b) / 2, f - (d + e) / 2
    code = keys.get(_PROJECTED_KEY) or keys.get(_GEOGRAPHIC_KEY)
    copied = tuple((t.code, int(t.dtype), t.count, t.value) for t in tags if t.code in _COPIED)
    return Georeference((a, b, c, d, e, f), code if code and code < 32767 else None, copied)


def _geo_keys(directory: Any) -> dict[int, int]:
    """The keys of a GeoKeyDirectory whose value stands in the directory itself."""
    if directory is None or len(directory) < 4:
        return {}
    entries = [directory[i : i + 4] for i in range(4, 4 + 4 * int(directory[3]), 4)]
    return {int(e[0]): int(e[3]) for e in entries if len(e) == 4 and e[1] == 0}

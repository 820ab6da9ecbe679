"""What a picture larger than memory is: something that gives windows of itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from segscape.errors import ImageError
from segscape.pixels import grey_or_color, to_uint8

# GeoTIFF 1.1 (OGC 19-008r4), section 7: the tags that place a raster on the ground, and its key directory.
_MODEL_TRANSFORMATION, _GEO_KEYS = 34264, 34735
_DOUBLE, _SHORT = 12, 3
_KEPT_BYTES = 24 * 2**20


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where on the ground a picture lies.

    Attributes:
        transform: (a, b, c, d, e, f): the corner at column x and row y of the pixel grid lies at
            (a·x + b·y + c, d·x + e·y + f).
        epsg: code of the coordinate system, or None if it is none of EPSG's, or not said.
        tags: the GeoTIFF tags that say so: (code, TIFF data type, count, value), as `tifffile` writes extra tags.
    """

    transform: tuple[float, float, float, float, float, float]
    epsg: int | None
    tags: tuple[tuple[int, int, int, Any], ...]

    @classmethod
    def of(
        cls, transform: tuple[float, float, float, float, float, float], epsg: int | None, *, geographic: bool
    ) -> Georeference:
        """From a transform and a coordinate system, whose tags are made here.

        Args:
            transform, epsg: see the attributes.
            geographic: whether coordinates are degrees of longitude and latitude, not lengths on a map.
        """
        a, b, c, d, e, f = transform
        matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        tags: list[tuple[int, int, int, Any]] = [(_MODEL_TRANSFORMATION, _DOUBLE, 16, matrix)]
        if epsg is not None and 0 < epsg < 32767:  # the key directory holds 16-bit numbers, of which EPSG's end there
            model, code_key = (2, 2048) if geographic else (1, 3072)
            keys = (1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, code_key, 0, 1, epsg)
            tags.append((_GEO_KEYS, _SHORT, len(keys), keys))
        return cls(transform, epsg, tuple(tags))


class WindowedImage(Protocol):
    """A picture that is read window by window. Each kind of file has one class in this folder.

    Attributes:
        source: the path as it was given.
        size: (height, width) in pixels.
        wide: whether a window costs as much as the whole rows it lies in (strips): whoever needs several windows of
            the same rows should read the rows once.
        georeference: where it lies, or None.
        piece_bytes: of the largest piece that is decoded whole for a window (strip, tile, chunk); 0 of arrays.
    """

    source: str
    size: tuple[int, int]
    wide: bool
    piece_bytes: int
    georeference: Georeference | None

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The window (height, width, 3) uint8 RGB whose upper left pixel is (y0, x0), all of it within the picture.

        Raises:
            ImageError: the file is damaged there.
        """
        ...

    def close(self) -> None:
        """Close the file; nothing can be read any more."""
        ...


class ArrayImage:
    """A picture that is in memory as an array (H, W, 3) uint8 RGB; see `WindowedImage`."""

    wide: bool = False
    georeference: Georeference | None = None
    piece_bytes: int = 0

    def __init__(self, pixels: np.ndarray, source: str = "<array>") -> None:
        self.source = source
        self.size = (pixels.shape[0], pixels.shape[1])
        self._pixels = pixels

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        return self._pixels[y0 : y0 + height, x0 : x0 + width]

    def close(self) -> None:
        pass


class LastPieces:
    """The decoded pieces that were used last, up to 24 MB of them, at least one: windows overlap."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, place: tuple[int, int], decoded: Callable[[tuple[int, int]], np.ndarray]) -> np.ndarray:
        """The piece at (row, column) of the grid, as it was kept or ``decoded``."""
        if (piece := self._kept.get(place)) is not None:
            self._kept.move_to_end(place)
            return piece
        if self._bytes > _KEPT_BYTES:  # a single piece, as large as that: not two at once
            self.clear()
        piece = self._kept[place] = decoded(place)
        self._bytes += piece.nbytes
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return piece

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


def checked_type(dtype: np.dtype[Any], source: str) -> None:
    """Refuse pixels whose levels only the whole picture would tell (their range is not that of the type).

    Raises:
        ImageError: not 8- or 16-bit unsigned integers or bool.
    """
    if dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_):
        raise ImageError(
            f"{source!r}: holds {dtype} pixels; pictures read by windows must be 8- or 16-bit unsigned integers, so "
            "convert it (gdal_translate -ot Byte -scale)"
        )


def rgb_of(window: np.ndarray, *, alpha: bool) -> np.ndarray:
    """A window (h, w) or (h, w, S) of 8 or 16 bits as (h, w, 3) uint8 RGB, with the levels of `segscape.image`.

    One or two samples are grey, of more the first three are red, green and blue; what others hold (infrared, say) is
    left out.

    Args:
        window: what a file holds.
        alpha: whether the fourth sample is opacity, so that the picture is composited on white.
    """
    levels = to_uint8(window if window.ndim == 3 else window[..., None])
    samples = levels.shape[2]
    return grey_or_color(levels[..., : 1 if samples < 3 else 4 if alpha and samples > 3 else 3])


def check_window(image: WindowedImage, y0: int, x0: int, height: int, width: int) -> None:
    """For programmers: windows lie within their picture."""
    assert 0 <= y0 < y0 + height <= image.size[0], (y0, height, image.size)
    assert 0 <= x0 < x0 + width <= image.size[1], (x0, width, image.size)


def window_of_pieces(
    window: tuple[int, int, int, int], piece_size: tuple[int, int], piece_at: Callable[[int, int], np.ndarray]
) -> np.ndarray:
    """A window (height, width, 3) uint8 of a picture that is kept in pieces of one size, the last ones cut off.

    Args:
        window: (y0, x0, height, width), within the picture.
        piece_size: (rows, columns) of a piece.
        piece_at: the piece (h, w, 3) uint8 at a place in the grid: which from the top, which from the left.
    """
    y0, x0, height, width = window
    rows, columns = piece_size
    out = np.empty((height, width, 3), np.uint8)
    for down in range(y0 // rows, -(-(y0 + height) // rows)):
        for across in range(x0 // columns, -(-(x0 + width) // columns)):
            piece = piece_at(down, across)
            top, left = down * rows, across * columns
            ya, yb = max(y0, top), min(y0 + height, top + rows)
            xa, xb = max(x0, left), min(x0 + width, left + columns)
            out[ya - y0 : yb - y0, xa - x0 : xb - x0] = piece[ya - top : yb - top, xa - left : xb - left]
    return out

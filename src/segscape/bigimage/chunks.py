"""Pictures kept in many small files: Zarr arrays, and folders of tiles."""

from __future__ import annotations

import math
import os
import re
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
from segscape.errors import ImageError

_ZARR_PIECE_BYTES = 4 * 2**20  # of chunks read at once, where one is less: each call of zarr takes a millisecond
_ZARR_KEPT_BYTES = 8 * 2**20  # larger chunks are not kept: what zarr has of one at once is several times that
_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((folder / name).is_file() for name in _ZARR_FILES)


class ZarrImage:
    """A Zarr array, (H, W), (H, W, S) or (S, H, W) with S ≤ 4; of a group (OME-Zarr), the array "0", the largest.

    Where "0" is a group itself, as bioformats2raw writes each series, it is "0/0". See
    `segscape.bigimage.windowed.WindowedImage`.

    Raises:
        ImageError: zarr is not installed, or there is no such array.
    """

    wide: bool = False
    georeference: Georeference | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.source = os.fspath(path)
        try:
            import zarr
        except ImportError:
            raise ImageError(
                f"{self.source!r}: is Zarr, which needs zarr to be read; install it with: pip install 'segscape[geo]'"
            ) from None
        try:
            array: Any = zarr.open(self.source, mode="r")
            while not isinstance(array, zarr.Array):
                array = array["0"]
        except Exception as error:  # zarr's errors have no common base
            raise ImageError(f"{self.source!r}: holds no Zarr array that can be read ({error})") from error
        self._array: Any = array
        shape: list[int] = list(array.shape)
        first = len(shape) > 3 or (len(shape) == 3 and shape[0] <= 4 < shape[2])
        too_deep = len(shape) == 3 and not first and shape[2] > 4
        if len(shape) not in (2, 3, 4, 5) or min(shape) < 1 or too_deep:
            raise ImageError(f"{self.source!r}: is an array of shape {shape}; it must be a picture, as (H, W, 3)")
        checked_type(np.dtype(array.dtype), self.source)
        # OME-Zarr's axes are time, channel, depth, row and column: the first moment and the first layer are read.
        self._lead: tuple[Any, ...] = (
            {3: (slice(4),), 4: (0, slice(4)), 5: (0, slice(4), 0)}[len(shape)] if first else ()
        )
        self.size = (shape[-2], shape[-1]) if first or len(shape) == 2 else (shape[0], shape[1])
        self._piece, self.piece_bytes = self._pieces_of(array, len(shape) - 2 if first else 0)
        self._pieces = LastPieces()

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        check_window(self, y0, x0, height, width)
        if self.piece_bytes <= _ZARR_KEPT_BYTES:
            return window_of_pieces(
                (y0, x0, height, width),
                self._piece,
                lambda down, across: self._pieces.get((down, across), self._decoded),
            )
        # Of large chunks, one after another, what is wanted alone: zarr itself would decode several at once.
        out, (rows, columns) = np.empty((height, width, 3), np.uint8), self._piece
        for top in range(y0 // rows * rows, y0 + height, rows):
            for left in range(x0 // columns * columns, x0 + width, columns):
                (ya, yb), (xa, xb) = (
                    (max(y0, top), min(y0 + height, top + rows)),
                    (max(x0, left), min(x0 + width, left + columns)),
                )
                out[ya - y0 : yb - y0, xa - x0 : xb - x0] = self._window(ya, yb, xa, xb)
        return out

    def close(self) -> None:
        self._pieces.clear()

    def _decoded(self, place: tuple[int, int]) -> np.ndarray:
        (y0, x0), (rows, columns) = (place[0] * self._piece[0], place[1] * self._piece[1]), self._piece
        return self._window(y0, y0 + rows, x0, x0 + columns)

    def _window(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        try:
            window = np.asarray(self._array[(*self._lead, slice(y0, y1), slice(x0, x1))])
        except Exception as error:
            raise ImageError(f"{self.source!r}: is damaged near row {y0}, column {x0} ({error})") from error
        if self._lead:
            window = window.transpose(1, 2, 0)
        return rgb_of(window, alpha=window.ndim == 3 and window.shape[2] == 4)

    def _pieces_of(self, array: Any, axis: int) -> tuple[tuple[int, int], int]:
        """(rows, columns) of the pieces that are read, of whole chunks, and their bytes when decoded.

        Args:
            array: zarr's.
            axis: of rows; that of columns follows.
        """
        chunk = [int(side) for side in array.chunks]
        # Of the axes of rows and columns one chunk; of those before them what is read, of that after them all.
        read = [part.stop if isinstance(part, slice) else 1 for part in self._lead] + [1, 1, *array.shape[axis + 2 :]]
        at_once = [-(-min(n, length) // side) for n, length, side in zip(read, array.shape, chunk, strict=True)]
        num_bytes = math.prod(chunk) * math.prod(at_once) * np.dtype(array.dtype).itemsize
        rows, columns = chunk[axis], chunk[axis + 1]
        while 2 * num_bytes <= _ZARR_PIECE_BYTES and (rows < self.size[0] or columns < self.size[1]):
            if columns >= self.size[1] or (rows <= columns and rows < self.size[0]):
                rows *= 2
            else:
                columns *= 2
            num_bytes *= 2
        return (rows, columns), num_bytes


class TileFolder:
    """A folder of equal tiles whose names end in row and column, as in "map_3_17.png"; those at the end may be smaller.

    Row and column count from 0 or 1. See `segscape.bigimage.windowed.WindowedImage`.

    Raises:
        ImageError: the names say no grid, some tile is missing, two have one place, or the last is larger than the
            first.
    """

    wide: bool = False
    georeference: Georeference | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from segscape.image import IMAGE_SUFFIXES, read_image

        self.source = os.fspath(path)
        self._read_image = read_image
        at: dict[tuple[int, int], Path] = {}
        for file in sorted(Path(path).iterdir()):
            found = re.search(r"(\d+)\D+(\d+)\D*$", file.stem)
            if file.suffix.lower() not in IMAGE_SUFFIXES or found is None or file.name.startswith("."):
                continue
            place = (int(found[1]), int(found[2]))
            if place in at:
                raise ImageError(f"{self.source!r}: {at[place].name!r} and {file.name!r} have one place, {place}")
            at[place] = file
        if not at:
            raise ImageError(
                f"{self.source!r}: holds no tiles; their names must end in row and column, as in map_3_17.png"
            )
        top, left = min(y for y, _ in at), min(x for _, x in at)
        self._files = {(y - top, x - left): file for (y, x), file in at.items()}
        self._grid = (1 + max(y for y, _ in self._files), 1 + max(x for _, x in self._files))
        for y in range(self._grid[0]):
            for x in range(self._grid[1]):
                if (y, x) not in self._files:
                    raise ImageError(f"{self.source!r}: lacks the tile of row {y + top} and column {x + left}")
        self._kept = LastPieces()
        first = self._pixels(0, 0)
        self._tile, self.piece_bytes = first.shape[:2], first.nbytes
        last = self._pixels(self._grid[0] - 1, self._grid[1] - 1).shape
        if last[0] > self._tile[0] or last[1] > self._tile[1]:  # the size below would reach past the grid
            raise ImageError(
                f"{str(self._files[self._grid[0] - 1, self._grid[1] - 1])!r}: is {last[1]} × {last[0]}, but the tiles "
                f"before it are {self._tile[1]} × {self._tile[0]}, and the last may only be smaller; cut it anew"
            )
        self.size = (
            (self._grid[0] - 1) * self._tile[0] + last[0],
            (self._grid[1] - 1) * self._tile[1] + last[1],
        )

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        check_window(self, y0, x0, height, width)
        return window_of_pieces((y0, x0, height, width), self._tile, self._checked)

    def close(self) -> None:
        self._kept.clear()

    def _checked(self, down: int, across: int) -> np.ndarray:
        tile = self._pixels(down, across)
        rows, columns = self._tile
        wanted = (min(rows, self.size[0] - down * rows), min(columns, self.size[1] - across * columns))
        if tile.shape[:2] != wanted:
            raise ImageError(
                f"{str(self._files[down, across])!r}: is {tile.shape[1]} × {tile.shape[0]}, but its place in the grid "
                f"needs {wanted[1]} × {wanted[0]}"
            )
        return tile

    def _pixels(self, down: int, across: int) -> np.ndarray:
        return self._kept.get((down, across), lambda place: self._read_image(self._files[place]).pixels)

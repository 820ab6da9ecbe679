"""Tiles of a picture, read ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from segscape.bigimage import WindowedImage
from segscape.predict.tiling_plan import TilePlan
from segscape.preprocess import resized

_PORTION = 64  # rows of a strip read at once


class TileSource:
    """Reads tiles as the network sees them.

    Args:
        image: the picture.
        plan: its tiles.
        shrink: pixels of the picture to one of the network's, on each axis; colours are means.
    """

    def __init__(self, image: WindowedImage, plan: TilePlan, shrink: int = 1) -> None:
        self._image, self._plan, self._shrink = image, plan, shrink
        self._band: np.ndarray | None = None
        self._band_rows = (0, 0)

    def row(self, row: int, order: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Column and pixels (h, w, 3) uint8 of each tile of a row, in the given order of columns.

        The next tile is read while the one before is worked on.
        """
        y0, y1 = self._plan.rows[row]
        if self._image.wide:
            self._hold(*self._own(y0, y1, self._image.size[0]))
        columns = self._plan.columns
        with ThreadPoolExecutor(1, "read") as pool:
            waiting: deque[tuple[int, Future[np.ndarray]]] = deque()
            for column in order:
                waiting.append((column, pool.submit(self._tile, y0, y1, *columns[column])))
                if len(waiting) > 1:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()

    def _tile(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        (ya, yb), (xa, xb) = self._own(y0, y1, self._image.size[0]), self._own(x0, x1, self._image.size[1])
        if self._band is None:
            pixels = self._image.read(ya, xa, yb - ya, xb - xa)
        else:
            top = self._band_rows[0]
            pixels = self._band[ya - top : yb - top, xa:xb]
        if self._shrink == 1:
            return pixels
        missing = ((y1 - y0) * self._shrink - (yb - ya), (x1 - x0) * self._shrink - (xb - xa))
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return resized(np.ascontiguousarray(pixels), y1 - y0, x1 - x0)

    def _own(self, first: int, end: int, length: int) -> tuple[int, int]:
        """From the network's pixels to the picture's."""
        return first * self._shrink, min(end * self._shrink, length)

    def _hold(self, y0: int, y1: int) -> None:
        """Have the rows y0 … y1 − 1 in memory; those that were there before are not read again."""
        height, width = self._plan.tile[0] * self._shrink, self._image.size[1]
        if self._band is None:
            self._band = np.empty((min(height, self._image.size[0]), width, 3), np.uint8)
        top, end = self._band_rows
        kept = max(0, end - y0) if top <= y0 else 0
        if kept:
            self._band[:kept] = self._band[y0 - top : end - top]
        for y in range(y0 + kept, y1, _PORTION):
            count = min(_PORTION, y1 - y)
            self._band[y - y0 : y - y0 + count] = self._image.read(y, 0, count, width)
        self._band_rows = (y0, y1)

"""Tiles of a picture, read ahead of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from segscape.bigimage import WindowedImage
from segscape.predict.tiling.plan import TilePlan
from segscape.preprocess import resized

_PORTION = 64  # rows of a strip read at once


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile as the network sees it.

    Attributes:
        row, column: of tiles, from 0.
        pixels: (h, w, 3) uint8 RGB.
    """

    row: int
    column: int
    pixels: np.ndarray


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

    def tiles(
        self, first_row: int, order: Callable[[int], Sequence[int]], done: Container[tuple[int, int]] = ()
    ) -> Generator[Tile, None, None]:
        """The tiles from a row of tiles on, each row in the order given for so many columns, without those done.

        The next tile is read while the one before is worked on. Who stops early must close this.
        """
        spans, columns = self._plan.rows, self._plan.columns
        with ThreadPoolExecutor(1, "read") as pool:
            waiting: deque[Future[Tile]] = deque()
            try:
                for row in range(first_row, len(spans)):
                    for column in order(len(columns)):
                        if (row, column) in done:
                            continue
                        waiting.append(pool.submit(self._tile, row, column, spans[row], columns[column]))
                        if len(waiting) > 1:
                            yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _tile(self, row: int, column: int, rows: tuple[int, int], columns: tuple[int, int]) -> Tile:
        return Tile(row, column, self._pixels(*rows, *columns))

    def _pixels(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        (ya, yb), (xa, xb) = self._own(y0, y1, self._image.size[0]), self._own(x0, x1, self._image.size[1])
        if self._image.wide:
            self._hold(ya, yb)
            assert self._band is not None
            # A copy, because the rows are moved up while the tile may still wait for the network.
            pixels = self._band[ya - self._band_rows[0] : yb - self._band_rows[0], xa:xb].copy()
        else:
            pixels = self._image.read(ya, xa, yb - ya, xb - xa)
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
        if self._band_rows == (y0, y1):
            return
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

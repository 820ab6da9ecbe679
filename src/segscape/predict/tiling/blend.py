"""Scores of overlapping tiles become those of the whole picture, and those its label map, tile by tile.

Tiles are weighted by Gaussians about their centres, σ an eighth of their side (nnU-Net, Isensee et al. 2021, section
"inference"). Weights are separable, so tiles are joined across first and down after. Where two tiles of
step d overlap, the second one's share of the sum is the logistic function of d · (x − x₀) / σ², x₀ being the middle of
the overlap. A tile's scores within the margin at its inner edges have no weight: there the network saw the edge.

Two tiles that agree give what they agree on, to the bit: the mean is a + (b − a) · share. So a network whose scores see
no further than the margin gives the same for tiles as for the whole picture, and no seam can be found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from segscape.predict.tiling.plan import ALIGN, EMIT_ROWS, TilePlan
from segscape.runtime.upsample import classify_band


def shares(blend: int, step: int, tile: int) -> np.ndarray:
    """(blend,) float32: the share of the later of two tiles in each score that both have, all lengths in scores."""
    place = np.arange(blend) - (blend - 1) / 2
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-step * place / (tile / 8) ** 2))).astype(np.float32)


class Blender:
    """Joins the scores of a plan's tiles and classifies the pixels that no later tile changes.

    Tiles that come from left to right leave behind no more than their last columns and rows; one that comes before its
    left neighbour is kept until that one is there.

    Args:
        plan: of the tiles.
        num_classes, stride: of the scores.
        size: (height, width) of the picture in its own pixels.
        shrink: pixels of the picture to one of the network's.
        rows_done: rows of the picture that are classified already.
    """

    def __init__(
        self,
        plan: TilePlan,
        num_classes: int,
        stride: int,
        size: tuple[int, int],
        *,
        shrink: int = 1,
        rows_done: int = 0,
    ) -> None:
        self._size, self._step, self._num_classes = size, stride * shrink, num_classes
        self._margin, self._blend = plan.margin // stride, ALIGN // stride
        down, across = ((side - plan.overlap, side) for side in plan.tile)
        self._down = shares(self._blend, down[0] // stride, down[1] // stride)[:, None]
        self._across = shares(self._blend, across[0] // stride, across[1] // stride)
        # One score beyond the last pixel's, because networks pad: see `_fill`.
        self._extent = tuple(-(-length // stride) + 1 for length in plan.size)
        self._rows = _kept(plan.rows, plan.margin, stride, self._extent[0])
        self._columns = _kept(plan.columns, plan.margin, stride, self._extent[1])
        # Of the row of tiles above: its last rows of scores, and the one before them, needed to interpolate.
        self._carried = np.empty((num_classes, self._blend, self._extent[1]), np.float32)
        self._above = np.empty((num_classes, self._extent[1]), np.float32)
        self._row_above: int | None = None
        self._early: dict[int, np.ndarray] = {}
        self._next_column = self._columns_done = 0
        self._right = self._before = np.zeros((0, 0, 0), np.float32)
        self._labels = np.zeros((0, 0), np.uint8)
        self.rows_done = rows_done

    @property
    def first_row(self) -> int:
        """The row of tiles to begin with: the first that has a share in rows not yet done."""
        needed = max(0, self._low(self.rows_done))
        return next((k for k, (_, end) in enumerate(self._rows) if end > needed), len(self._rows) - 1)

    def begin(self, row: int) -> None:
        """Make room for the labels of a row of tiles."""
        assert not self._early, self._early.keys()
        dtype = np.uint8 if self._num_classes <= 256 else np.uint16
        self._labels = np.empty((max(0, self._rows_end(row) - self.rows_done), self._size[1]), dtype)
        self._next_column = self._columns_done = 0

    def add(self, row: int, column: int, logits: np.ndarray) -> bool:
        """Put in the scores (C, h, w) of a tile, which are the blender's from then on.

        Returns:
            whether the row of tiles is complete.
        """
        self._early[column] = logits
        while (logits_next := self._early.pop(self._next_column, None)) is not None:
            self._join(row, self._next_column, logits_next)
            self._next_column += 1
        return self._next_column == len(self._columns)

    def finish(self, row: int) -> Iterator[np.ndarray]:
        """Label maps (rows, W) of the rows that are done with this row of tiles, from `rows_done` on."""
        assert self._next_column == len(self._columns), self._next_column
        self._row_above = row
        labels, self._labels = self._labels, np.zeros((0, 0), np.uint8)
        for y0 in range(0, len(labels), EMIT_ROWS):
            band = labels[y0 : y0 + EMIT_ROWS]
            yield band
            self.rows_done += len(band)

    def _join(self, row: int, column: int, logits: np.ndarray) -> None:
        """Classify what the tile and those to its left and above settle, and keep what those to come share with it."""
        (y0, y1), (x0, x1) = self._rows[row], self._columns[column]
        top, left = self._margin if row else 0, self._margin if column else 0
        tile = _fill(logits[:, top : top + y1 - y0, left : left + x1 - x0], y1 - y0, x1 - x0)
        last = column == len(self._columns) - 1
        end = x1 if last else x1 - self._blend
        # The scores that are settled, with the column to their left and the row above: both needed to interpolate.
        block = np.empty((self._num_classes, 1 + y1 - y0, 1 + end - x0), np.float32)
        block[:, 1:, 1:] = tile[:, :, : end - x0]
        if column:
            zone = block[:, 1:, 1 : 1 + self._blend]
            _join(self._right, zone, self._across, zone)
            block[:, :, 0] = self._before
        if not last:
            self._right = tile[:, :, end - x0 :].copy()
        if self._row_above is not None:
            zone = block[:, 1 : 1 + self._blend, 1:]
            _join(self._carried[:, :, x0:end], zone, self._down, zone)
            block[:, 0, 1:] = self._above[:, x0:end]
        self._classify(row, block, (y0, x0), self._size[1] if last else self._settled(end))
        self._before = block[:, :, -1].copy()
        if row < len(self._rows) - 1:
            final = 1 + self._rows[row + 1][0] - y0
            self._above[:, x0:end] = block[:, final - 1, 1:]
            self._carried[:, :, x0:end] = block[:, final:, 1:]

    def _classify(self, row: int, block: np.ndarray, place: tuple[int, int], columns_end: int) -> None:
        """Label the pixels up to a column from scores that begin one row above and one column left of ``place``."""
        rows, columns = (self.rows_done, self._rows_end(row)), (self._columns_done, columns_end)
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return
        above, left = int(self._row_above is not None), int(place[1] > 0)
        self._labels[:, columns[0] : columns[1]] = classify_band(
            block[:, 1 - above :, 1 - left :],
            (self._step, self._step),
            rows,
            columns[1] - columns[0],
            top=place[0] - above,
            first=columns[0],
            left=place[1] - left,
            confidence=False,
        )[0]
        self._columns_done = columns_end

    def _rows_end(self, row: int) -> int:
        """Where the picture's rows that are settled with this row of tiles end."""
        return self._size[0] if row == len(self._rows) - 1 else self._settled(self._rows[row + 1][0])

    def _settled(self, scores: int) -> int:
        """How many of the picture's rows, or columns, follow from so many scores."""
        return max(0, int(np.ceil((scores - 0.5) * self._step - 0.5)))

    def _low(self, y: int) -> int:
        """The score row at or above row ``y`` of the picture."""
        return int(np.floor((y + 0.5) / self._step - 0.5))


def _join(first: np.ndarray, second: np.ndarray, share: np.ndarray, out: np.ndarray) -> None:
    """first + (second − first) · share, into ``out`` (which may be one of them)."""
    for a, b, into in zip(first, second, out, strict=True):
        into[...] = a + (b - a) * share


def _kept(spans: list[tuple[int, int]], margin: int, stride: int, extent: int) -> list[tuple[int, int]]:
    """Of each tile, the scores without those in its margins at inner edges: (first, end)."""
    last = len(spans) - 1
    return [
        ((first + (margin if i else 0)) // stride, (end - margin) // stride if i < last else extent)
        for i, (first, end) in enumerate(spans)
    ]


def _fill(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scores cut to a size, or with their last row and column repeated, which is what upsampling does beyond them."""
    logits = logits[:, :height, :width]
    missing = (height - logits.shape[1], width - logits.shape[2])
    if not any(missing):
        return logits
    return np.pad(logits, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")

"""Scores of overlapping tiles become those of the whole picture, a row of tiles at a time.

Tiles are weighted by Gaussians about their centres, σ an eighth of their side (nnU-Net, Isensee et al. 2021, section
"inference"). Weights are separable, so tiles are joined across first and rows of tiles down after. Where two tiles of
step d overlap, the second one's share of the sum is the logistic function of d · (x − x₀) / σ², x₀ being the middle of
the overlap. A tile's scores within the margin at its inner edges have no weight: there the network saw the edge.

Two tiles that agree give what they agree on, to the bit: the mean is a + (b − a) · share. So a network whose scores see
no further than the margin gives the same for tiles as for the whole picture, and no seam can be found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from segscape.predict.tiling_plan import EMIT_ROWS, TilePlan
from segscape.runtime.inference import Scores, classify


def shares(blend: int, step: int, tile: int) -> np.ndarray:
    """(blend,) float32: the share of the later of two tiles in each score that both have, all lengths in scores."""
    place = np.arange(blend) - (blend - 1) / 2
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-step * place / (tile / 8) ** 2))).astype(np.float32)


class Blender:
    """Joins the scores of a plan's tiles and classifies the rows that no later tile changes.

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
        self._margin, self._blend = plan.margin // stride, plan.blend // stride
        down, across = ((side - plan.overlap, side) for side in plan.tile)
        self._down = shares(self._blend, down[0] // stride, down[1] // stride)[:, None]
        self._across = shares(self._blend, across[0] // stride, across[1] // stride)
        # One score beyond the last pixel's, because networks pad: see `_fill`.
        self._extent = tuple(-(-length // stride) + 1 for length in plan.size)
        self._rows = _kept(plan.rows, plan.margin, stride, self._extent[0])
        self._columns = _kept(plan.columns, plan.margin, stride, self._extent[1])
        self._carried: np.ndarray | None = None
        self._above: np.ndarray | None = None
        self._strip = np.zeros((0, 0, 0), np.float32)
        self._filled: set[int] = set()
        self.rows_done = rows_done

    @property
    def first_row(self) -> int:
        """The row of tiles to begin with: the first that has a share in rows not yet done."""
        needed = max(0, self._low(self.rows_done))
        return next((k for k, (_, end) in enumerate(self._rows) if end > needed), len(self._rows) - 1)

    def begin(self, row: int) -> None:
        """Make room for the scores of a row of tiles."""
        first, end = self._rows[row]
        # The score row above is needed to interpolate; it comes first.
        shape = (self._num_classes, 1 + end - first, self._extent[1])
        if self._strip.shape != shape:
            self._strip = np.zeros((0, 0, 0), np.float32)  # two of them would be too much
            self._strip = np.empty(shape, np.float32)
        self._filled.clear()

    def add(self, row: int, column: int, logits: np.ndarray) -> None:
        """Put in the scores (C, h, w) of a tile; the order within a row of tiles does not matter."""
        (y0, y1), (x0, x1) = self._rows[row], self._columns[column]
        top, left = self._margin if row else 0, self._margin if column else 0
        tile = _fill(logits[:, top : top + y1 - y0, left : left + x1 - x0], y1 - y0, x1 - x0)
        strip = self._strip[:, 1:]
        a, b = x0, x1
        if column - 1 in self._filled:
            a = x0 + self._blend
            zone = strip[:, :, x0:a]
            _join(zone, tile[:, :, : self._blend], self._across, zone)
        if column + 1 in self._filled:
            b = x1 - self._blend
            zone = strip[:, :, b:x1]
            _join(tile[:, :, -self._blend :], zone, self._across, zone)
        strip[:, :, a:b] = tile[:, :, a - x0 : b - x0]
        self._filled.add(column)

    def finish(self, row: int) -> Iterator[np.ndarray]:
        """Label maps (rows, W) of the rows that are done with this row of tiles, from `rows_done` on."""
        assert len(self._filled) == len(self._columns), self._filled
        first, end = self._rows[row]
        strip = self._strip[:, 1:]
        if self._carried is not None:
            top = strip[:, : self._blend]
            _join(self._carried, top, self._down, top)
        if self._above is not None:
            self._strip[:, :1] = self._above
        last = row == len(self._rows) - 1
        final = end if last else self._rows[row + 1][0]
        rows_end = self._size[0] if last else max(0, int(np.ceil((final - 0.5) * self._step - 0.5)))
        for y0 in range(self.rows_done, rows_end, EMIT_ROWS):
            y1 = min(y0 + EMIT_ROWS, rows_end)
            low, high = max(0, self._low(y0)), min(self._low(y1 - 1) + 2, self._extent[0])
            part = self._strip[:, low - first + 1 : high - first + 1]
            scores = Scores(part, (self._step, self._step), (y1 - low * self._step, self._size[1]))
            labels, _ = classify(scores, confidence=False)
            yield labels[y0 - low * self._step :]
            self.rows_done = y1
        if not last:
            self._above = self._strip[:, final - first : final - first + 1].copy()
            self._carried = strip[:, final - first :].copy()

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

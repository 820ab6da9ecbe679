"""Sliding windows: a network on more pixels than it should be given at once."""

from __future__ import annotations

import functools

import numpy as np

from segscape.predict.tiling.plan import ALIGN, TilePlan
from segscape.runtime.engine import Engine

_SIDE = 1024  # of a window without its margins, in pixels


class WindowedEngine:
    """An engine that gives another one large inputs window by window; see `segscape.runtime.engine.Engine`.

    Windows overlap. Where one ends, as many pixels of it as the network sees (`measured_margin`) play no part, and over
    the next `ALIGN` pixels its scores fade into its neighbour's, so there are no seams. Of a network that sees no
    further than that, the scores are those of the whole, but for rounding.

    Args:
        engine: runs the network.
        most_pixels: inputs of no more are given to it as they are.
        side: of windows without margins, a multiple of `ALIGN`, at least twice it.
    """

    def __init__(self, engine: Engine, most_pixels: int, *, side: int = _SIDE) -> None:
        self.name, self.stride, self.concurrency = engine.name, engine.stride, engine.concurrency
        self._engine, self._most_pixels, self._side = engine, most_pixels, side

    @functools.cached_property
    def _margin(self) -> int:
        from segscape.predict.tiling.reach import measured_margin

        return measured_margin(self._engine)

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine` says."""
        height, width = batch.shape[2:]
        if height * width <= self._most_pixels or ALIGN % self.stride:
            return self._engine.low_logits(batch)
        side = self._side + 2 * self._margin
        plan = TilePlan((height, width), (side, side), self._margin)
        rows = [(span, _weights(span, height, plan, self.stride)) for span in plan.rows]
        columns = [(span, _weights(span, width, plan, self.stride)) for span in plan.columns]
        total: np.ndarray | None = None
        for (y0, y1), down in rows:
            for (x0, x1), across in columns:
                scores = self._engine.low_logits(np.ascontiguousarray(batch[..., y0:y1, x0:x1]))
                scores = scores[..., : len(down), : len(across)]
                if total is None:
                    size = (-(-height // self.stride), -(-width // self.stride))
                    total = np.zeros((*scores.shape[:2], *size), np.float32)
                top, left = y0 // self.stride, x0 // self.stride
                scores = scores * down[:, None] * across
                total[..., top : top + len(down), left : left + len(across)] += scores
        assert total is not None
        return total


def _weights(span: tuple[int, int], length: int, plan: TilePlan, stride: int) -> np.ndarray:
    """What the scores of a window count along one axis, (n,) float32 in 0…1; those of all windows add up to 1."""
    first, end = span
    places = (np.arange(-(-(end - first) // stride)) + 0.5) * stride + first
    weights = np.ones(len(places))
    if first > 0:
        weights *= np.clip((places - first - plan.margin) / ALIGN, 0, 1)
    if end < length:
        weights *= np.clip((end - plan.margin - places) / ALIGN, 0, 1)
    return weights.astype(np.float32)

"""RoIAlign over a feature pyramid (He et al. 2017, section 3; Lin et al. 2017, eq. 1), compiled by numba.

It gives what `torchvision.ops.MultiScaleRoIAlign` gives with ``sampling_ratio=2`` (and its ``aligned=False``), from
features whose channels lie together: each of the 4 × 4 reads behind a value is then one of neighbouring memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segscape.compiled import compiled
from segscape.threads import over

_CANONICAL_SIDE, _CANONICAL_LEVEL, _EPSILON = np.float32(224), np.float32(4), np.float32(1e-6)
_BOXES_A_THREAD = 8


def roi_align(features: Sequence[np.ndarray], boxes: np.ndarray, side: int, padded: tuple[int, int]) -> np.ndarray:
    """Features of each box at ``side`` × ``side`` places, each the mean of 2 × 2 bilinear samples.

    Args:
        features: (h, w, C) float32 of each level that is pooled from, fine to coarse, each half the one before.
        boxes: (N, 4) float32 x0 y0 x1 y1 in pixels of the network's input.
        side: 7 for the box head, 14 for the mask head.
        padded: (height, width) of the network's input, from which the levels' strides follow.

    Returns:
        (N, side, side, C) float32.
    """
    scales = [2.0 ** round(math.log2(level.shape[0] / padded[0])) for level in features]
    levels = box_levels(boxes, -round(math.log2(scales[0])), len(features))
    out = np.empty((len(boxes), side, side, features[0].shape[2]), np.float32)
    boxes = np.ascontiguousarray(boxes, np.float32)
    for number, (level, scale) in enumerate(zip(features, scales, strict=True)):
        level, where = np.ascontiguousarray(level), np.flatnonzero(levels == number)

        def some(start: int, stop: int, level=level, where=where, scale=scale) -> None:
            _pool(level, boxes, where[start:stop], np.float32(scale), side, out)

        if len(where):
            over(len(where), some, least=_BOXES_A_THREAD)
    return out


def box_levels(boxes: np.ndarray, finest: int, num_levels: int) -> np.ndarray:
    """(N,) int64: which of the levels each box is pooled from, 0 the finest, whose stride is 2^``finest``.

    Lin et al. 2017, eq. 1: a box of 224 × 224 belongs to the level of stride 16, one twice as large one level higher.
    """
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    with np.errstate(divide="ignore"):  # a box without area belongs to the finest
        level = np.floor(_CANONICAL_LEVEL + np.log2(sides / _CANONICAL_SIDE) + _EPSILON)
    return np.clip(level, finest, finest + num_levels - 1).astype(np.int64) - finest


@compiled
def _pool(level, boxes, where, scale, side, out):  # type: ignore[no-untyped-def]
    one, quarter = np.float32(1), np.float32(0.25)
    rows, columns = np.empty((2 * side, 2), np.int64), np.empty((2 * side, 2), np.int64)
    down, across = np.empty((2 * side, 2), np.float32), np.empty((2 * side, 2), np.float32)
    for i in where:
        x0, y0 = boxes[i, 0] * scale, boxes[i, 1] * scale
        width = max(boxes[i, 2] * scale - x0, one) / np.float32(side)
        height = max(boxes[i, 3] * scale - y0, one) / np.float32(side)
        _samples(y0, height, level.shape[0], rows, down)
        _samples(x0, width, level.shape[1], columns, across)
        for v in range(side):
            for u in range(side):
                to = out[i, v, u]
                to[:] = np.float32(0)
                for y in range(2 * v, 2 * v + 2):
                    for n in range(2):
                        weight = down[y, n] * quarter
                        _add(to, level[rows[y, n]], columns[2 * u : 2 * u + 2], across[2 * u : 2 * u + 2], weight)


@compiled
def _add(to, row, columns, across, weight):  # type: ignore[no-untyped-def]
    """Both samples of a bin in one row of features, four places, added to (C,)."""
    p, q, r, s = row[columns[0, 0]], row[columns[0, 1]], row[columns[1, 0]], row[columns[1, 1]]
    a, b, c, d = across[0, 0] * weight, across[0, 1] * weight, across[1, 0] * weight, across[1, 1] * weight
    for k in range(to.size):
        to[k] += a * p[k] + b * q[k] + c * r[k] + d * s[k]


@compiled
def _samples(start, step, length, places, weights):  # type: ignore[no-untyped-def]
    """Two samples a bin along one side: the features before and after each, and the weights of both."""
    for n in range(len(places)):
        at = start + np.float32(n // 2) * step + (np.float32(n % 2) + np.float32(0.5)) * step / np.float32(2)
        places[n] = 0
        weights[n] = 0
        if -1 <= at <= length:  # samples farther outside are zero
            at = max(at, np.float32(0))
            first = min(int(at), length - 1)
            places[n] = first, min(first + 1, length - 1)
            weights[n, 1] = at - np.float32(first) if first < length - 1 else 0
            weights[n, 0] = 1 - weights[n, 1]

"""The loop of `segscape.refine.watershed`, compiled by numba."""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled

NUM_LEVELS = 256


@compiled
def _join(p, queue, head, tail, behind):  # type: ignore[no-untyped-def]
    behind[p] = -1
    if head[queue] < 0:
        head[queue] = p
    else:
        behind[tail[queue]] = p
    tail[queue] = p


@compiled
def flood(levels, labels):  # type: ignore[no-untyped-def]
    """Watershed by flooding with hierarchical queues (Meyer 1991; Beucher & Meyer 1993), without lines; in place.

    The lowest labelled pixel gives its label to its free neighbours next, of equally low ones that which was reached
    first; a pixel below the flood counts as high as the flood. One queue a level makes that linear in the pixels.

    Args:
        levels: (H, W) uint8, heights.
        labels: (H, W) int32, C-contiguous: above 0 seeds, 0 where to flood, below 0 what stays dry.
    """
    width = labels.shape[1]
    level, label = levels.ravel(), labels.ravel()
    head, tail = np.full(NUM_LEVELS, -1), np.full(NUM_LEVELS, -1)
    behind = np.empty(label.size, np.int32)  # the next one in the same queue
    for p in range(label.size):
        if label[p] > 0:
            _join(p, level[p], head, tail, behind)
    for current in range(NUM_LEVELS):
        while head[current] >= 0:
            p = head[current]
            head[current] = behind[p]
            x = p % width
            for side in range(4):
                if side == 0:
                    q, exists = p - width, p >= width
                elif side == 1:
                    q, exists = p - 1, x > 0
                elif side == 2:
                    q, exists = p + 1, x < width - 1
                else:
                    q, exists = p + width, p < label.size - width
                if exists and label[q] == 0:
                    label[q] = label[p]
                    _join(q, max(current, level[q]), head, tail, behind)

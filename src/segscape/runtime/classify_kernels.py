"""The loops of `segscape.runtime.upsample`, compiled by numba.

Multiplications and additions are rounded one by one, in the order of the twin in numpy, so that both give the same
bits: nothing here may be compiled with ``fastmath``.
"""

from __future__ import annotations

import numpy as np

from segscape.compiled import bits_to_float, compiled, float_to_bits

_BLOCK = 512  # pixels of a row worked on at once: what is held of them for every class stays in the cache
_F = np.float32
_LOG2_E, _LN2_HIGH, _LN2_LOW = _F(1.4426950408889634), _F(0.693359375), _F(-2.12194440e-4)
_P0, _P1, _P2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_P3, _P4, _P5 = _F(4.1665795894e-2), _F(1.6666665459e-1), _F(5.0000001201e-1)
_LOWEST, _ONE = _F(-87), _F(1)
_ROUNDER, _ROUNDER_BITS = _F(12582912), np.int32(0x4B400000)  # 1.5 · 2²³: a float that large has no fraction


@compiled
def _across(row, left, across, first, last, out):  # type: ignore[no-untyped-def]
    """One row of scores (C, w) at the image's columns first…last, (C, last − first)."""
    rightmost = row.shape[1] - 1
    for c in range(row.shape[0]):
        line, to = row[c], out[c]
        for x in range(first, last):
            a = left[x]
            to[x - first] = line[a] * (_ONE - across[x]) + line[min(a + 1, rightmost)] * across[x]


@compiled
def _highest(upper, lower, down, width, best, which):  # type: ignore[no-untyped-def]
    """The highest score of each pixel of a row and its class, the lowest class of equal ones."""
    up = _ONE - down
    a, b = upper[0], lower[0]
    for x in range(width):
        best[x] = a[x] * up + b[x] * down
        which[x] = 0
    for c in range(1, upper.shape[0]):
        a, b, k = upper[c], lower[c], np.int32(c)
        for x in range(width):
            value = a[x] * up + b[x] * down
            which[x] = k if value > best[x] else which[x]
            best[x] = value if value > best[x] else best[x]


@compiled
def _exponential(x):  # type: ignore[no-untyped-def]
    """exp(x) for x ≤ 0, within 2 units in the last place (Cephes' expf); below −87 it is exp(−87)."""
    x = x if x > _LOWEST else _LOWEST
    shifted = x * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    power = bits_to_float((float_to_bits(shifted) - _ROUNDER_BITS + np.int32(127)) << np.int32(23))
    return (p * (r * r) + r + _ONE) * power


@compiled
def _share(upper, lower, down, width, best, total):  # type: ignore[no-untyped-def]
    """Σ exp(score − best) over the classes, for each pixel of a row."""
    up = _ONE - down
    for x in range(width):
        total[x] = _F(0)
    for c in range(upper.shape[0]):
        a, b = upper[c], lower[c]
        for x in range(width):
            total[x] += _exponential(a[x] * up + b[x] * down - best[x])


@compiled
def classify(logits, upper, down, left, across, labels, confidence):  # type: ignore[no-untyped-def]
    """Labels and confidences of some rows of the image.

    Args:
        logits: (C, h, w) float32.
        upper, down: (rows,) int64 and float32: the score row at or above each image row, and the next one's weight.
        left, across: (W,) int64 and float32: likewise for columns.
        labels: (rows, W) uint8 or uint16, written.
        confidence: (rows, W) float32, written; of no columns if it is not wanted.
    """
    num_classes, lowest = logits.shape[0], logits.shape[1] - 1
    a, b = np.empty((num_classes, _BLOCK), np.float32), np.empty((num_classes, _BLOCK), np.float32)
    best, total, which = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.int32)
    for first in range(0, left.size, _BLOCK):
        last = min(first + _BLOCK, left.size)
        width = last - first
        held = -1
        for y in range(upper.size):
            if upper[y] != held:
                held = upper[y]
                _across(logits[:, held], left, across, first, last, a)
                _across(logits[:, min(held + 1, lowest)], left, across, first, last, b)
            _highest(a, b, down[y], width, best, which)
            for x in range(width):
                labels[y, first + x] = which[x]
            if confidence.shape[1]:
                _share(a, b, down[y], width, best, total)
                for x in range(width):
                    confidence[y, first + x] = _ONE / total[x]


@compiled
def probabilities(logits, upper, down, left, across, out):  # type: ignore[no-untyped-def]
    """Probabilities of every class, (C, rows, W) float32 written to ``out``; the rest as in `classify`."""
    num_classes, lowest = logits.shape[0], logits.shape[1] - 1
    a, b = np.empty((num_classes, _BLOCK), np.float32), np.empty((num_classes, _BLOCK), np.float32)
    best, total, which = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.int32)
    for first in range(0, left.size, _BLOCK):
        last = min(first + _BLOCK, left.size)
        width = last - first
        held = -1
        for y in range(upper.size):
            if upper[y] != held:
                held = upper[y]
                _across(logits[:, held], left, across, first, last, a)
                _across(logits[:, min(held + 1, lowest)], left, across, first, last, b)
            _highest(a, b, down[y], width, best, which)
            up = _ONE - down[y]
            total[:width] = _F(0)
            for c in range(num_classes):
                row, above, below, weight = out[c, y, first:last], a[c], b[c], down[y]
                for x in range(width):
                    row[x] = _exponential(above[x] * up + below[x] * weight - best[x])
                for x in range(width):
                    total[x] += row[x]
            for c in range(num_classes):
                row = out[c, y, first:last]
                for x in range(width):
                    row[x] /= total[x]

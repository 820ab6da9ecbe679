"""The twin of `segscape.runtime.classify_kernels` in numpy: same arguments, same bits, and no wait for numba."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_STRIP_VALUES = 100_000  # upsampled scores held at once: with what is made of them, what fits in a core's cache
_F = np.float32
_LOG2_E, _LN2_HIGH, _LN2_LOW = _F(1.4426950408889634), _F(0.693359375), _F(-2.12194440e-4)
_TERMS = (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_ROUNDER, _ROUNDER_BITS = _F(12582912), np.int32(0x4B400000)


def classify(
    logits: np.ndarray,
    upper: np.ndarray,
    down: np.ndarray,
    left: np.ndarray,
    across: np.ndarray,
    labels: np.ndarray,
    confidence: np.ndarray,
) -> None:
    """See `segscape.runtime.classify_kernels.classify`."""
    for rows, strip in upsampled(logits, upper, down, left, across):
        best, here = strip[0].copy(), labels[rows]
        higher, number = np.empty(best.shape, np.uint8), np.empty(best.shape, labels.dtype)
        here[...] = 0
        for c in range(1, len(strip)):
            # Classes come in rising order, so the last that was higher than all before has the largest number.
            np.greater(strip[c], best, out=higher.view(bool))
            np.multiply(higher, labels.dtype.type(c), out=number)
            np.maximum(here, number, out=here)
            np.maximum(best, strip[c], out=best)
        if confidence.size:
            strip -= best
            np.divide(_F(1), _total(exponential(strip)), out=confidence[rows])


def probabilities(
    logits: np.ndarray, upper: np.ndarray, down: np.ndarray, left: np.ndarray, across: np.ndarray, out: np.ndarray
) -> None:
    """See `segscape.runtime.classify_kernels.probabilities`."""
    for rows, strip in upsampled(logits, upper, down, left, across):
        strip -= strip.max(axis=0)
        e = exponential(strip)
        np.divide(e, _total(e), out=out[:, rows])


def upsampled(
    logits: np.ndarray, upper: np.ndarray, down: np.ndarray, left: np.ndarray, across: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Strips of rows and their scores (C, rows, W) float32: first across, then down, as torch interpolates."""
    per_strip = max(1, _STRIP_VALUES // (len(logits) * len(left)))
    right = np.minimum(left + 1, logits.shape[2] - 1)
    for start in range(0, len(upper), per_strip):
        rows = slice(start, min(start + per_strip, len(upper)))
        top, bottom = upper[start], min(upper[rows.stop - 1] + 1, logits.shape[1] - 1)
        wide = logits[:, top : bottom + 1]
        wide = wide.take(left, 2) * (1 - across) + wide.take(right, 2) * across
        above = upper[rows] - top
        below, weight = np.minimum(above + 1, bottom - top), down[rows, None]
        strip = wide.take(above, 1)
        strip *= 1 - weight
        wide = wide.take(below, 1)
        wide *= weight
        strip += wide
        yield rows, strip


def exponential(x: np.ndarray) -> np.ndarray:
    """exp(x) of float32 x ≤ 0, within 2 units in the last place (Cephes' expf); below −87 it is exp(−87).

    numpy's own differs in its last bits from machine to machine.
    """
    x = np.maximum(x, _F(-87))
    shifted = x * _LOG2_E
    shifted += _ROUNDER
    n = shifted - _ROUNDER
    x -= n * _LN2_HIGH
    n *= _LN2_LOW
    x -= n
    p = x * _F(1.9875691500e-4)
    for term in _TERMS[:-1]:
        p += _F(term)
        p *= x
    p += _F(_TERMS[-1])
    p *= x * x
    p += x
    p += _F(1)
    power = shifted.view(np.int32)
    power -= _ROUNDER_BITS - 127
    power <<= 23
    p *= power.view(np.float32)
    return p


def _total(e: np.ndarray) -> np.ndarray:
    """Σ over the first axis, one after another: how numpy adds is its own affair."""
    total = e[0].copy()
    for part in e[1:]:
        total += part
    return total

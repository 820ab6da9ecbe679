"""The twin of `segscape.runtime.classify_kernels` in numpy: same arguments, same bits, and no wait for numba."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_CELL_PIXELS = 16  # of the image for a score, from which on it pays to look at the scores first
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
    if not confidence.size and cells_pay(logits, labels):
        _classify_cells(logits, upper, down, left, across, labels)
        return
    for rows, strip in upsampled(logits, upper, down, left, across):
        best, labels[rows] = _highest(strip, labels.dtype)
        if confidence.size:
            confidence[rows] = _shares(strip, best)


def cells_pay(logits: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the image is so much larger than the scores that labels without confidences are made cell by cell.

    Then numpy is quicker than loops compiled for every pixel.
    """
    return labels.size >= _CELL_PIXELS * logits.shape[1] * logits.shape[2]


def confidence_at(
    logits: np.ndarray, upper: np.ndarray, down: np.ndarray, left: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """The confidences that `classify` gives, (N,) float32, of N pixels anywhere: all arguments but the first (N,)."""
    lower, right = np.minimum(upper + 1, logits.shape[1] - 1), np.minimum(left + 1, logits.shape[2] - 1)
    out = np.empty(len(upper), np.float32)
    per_strip = max(1, _STRIP_VALUES // len(logits))
    for start in range(0, len(upper), per_strip):
        some = slice(start, start + per_strip)
        weight, x0, x1 = across[some], left[some], right[some]
        above = logits[:, upper[some], x0] * (1 - weight) + logits[:, upper[some], x1] * weight
        below = logits[:, lower[some], x0] * (1 - weight) + logits[:, lower[some], x1] * weight
        strip = above * (1 - down[some]) + below * down[some]
        out[some] = _shares(strip, strip.max(axis=0))
    return out


def _classify_cells(
    logits: np.ndarray, upper: np.ndarray, down: np.ndarray, left: np.ndarray, across: np.ndarray, labels: np.ndarray
) -> None:
    """The labels of `classify`, interpolating only where they are not plain from the scores around.

    Between four scores of which one class leads in all, it leads everywhere: what is interpolated is a convex
    combination of the four, and of each other class with the same weights.
    """
    held = logits[:, upper[0] : upper[-1] + 2]
    leading, plain = _plain_cells(held, labels.dtype)
    starts = np.flatnonzero(np.diff(upper, prepend=-1))
    for y0, y1 in zip(starts, [*starts[1:], len(upper)], strict=True):
        row = upper[y0] - upper[0]
        labels[y0:y1] = leading[row].take(left)
        columns = np.flatnonzero(~plain[row].take(left))
        if len(columns):
            among = upsampled(logits, upper[y0:y1], down[y0:y1], left[columns], across[columns])
            labels[y0:y1, columns] = np.concatenate([_highest(strip, labels.dtype)[1] for _, strip in among])


def _plain_cells(logits: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """For each score the class that leads there, and whether it leads at the next ones right and below too, (h, w).

    It leads if it is higher than each other class by more than interpolating both may round away: products of weights
    and scores are rounded at most six times on the way, by 2⁻²⁴ of the highest score each, or to zero.
    """
    best, second = logits[0].copy(), np.full(logits.shape[1:], -np.inf, np.float32)
    for scores in logits[1:]:
        np.maximum(second, np.minimum(best, scores), out=second)
        np.maximum(best, scores, out=best)
    leading = logits.argmax(axis=0).astype(dtype)
    plain = best - second > 2.0**-19 * np.abs(logits).max() + 1e-30
    for axis in (0, 1):
        after = np.minimum(np.arange(leading.shape[axis]) + 1, leading.shape[axis] - 1)
        same = leading == leading.take(after, axis)
        plain = plain & plain.take(after, axis) & same
    return leading, plain


def _highest(strip: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The highest score of each pixel and its class, of equal ones the lowest, from scores (C, rows, W)."""
    best, label = strip[0].copy(), np.zeros(strip.shape[1:], dtype)
    higher, number = np.empty(best.shape, np.uint8), np.empty(best.shape, dtype)
    for c in range(1, len(strip)):
        # Classes come in rising order, so the last that was higher than all before has the largest number.
        np.greater(strip[c], best, out=higher.view(bool))
        np.multiply(higher, dtype.type(c), out=number)
        np.maximum(label, number, out=label)
        np.maximum(best, strip[c], out=best)
    return best, label


def _shares(strip: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The probability of the highest class of each pixel; scores (C, …) are written over."""
    strip -= best
    return _F(1) / _total(exponential(strip))


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

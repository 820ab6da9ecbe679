"""From coarse scores to what the pixels of an image are, without ever holding every class at every pixel.

Scores are interpolated bilinearly (pixel centres, ``align_corners=False``; beyond the outermost ones they are
constant). Each image row needs two rows of scores only, so any band of rows can be asked for by itself, and gives the
same values as it does within the whole.
"""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np

from segscape.runtime import classify_numpy
from segscape.threads import over

_NUMPY_VALUES = 250_000_000  # scores that numpy upsamples in less time than numba takes to start and load its loops
_values_by_numpy = 0
_BAND_VALUES = 1_000_000  # at least so many for a thread


def classify_band(
    logits: np.ndarray,
    step: tuple[float, float],
    rows: tuple[int, int],
    width: int,
    *,
    top: int = 0,
    first: int = 0,
    left: int = 0,
    confidence: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The most probable class of each pixel in some rows of an image; of equally probable ones the lowest.

    Args:
        logits: (C, h, w) float32, finite.
        step: (vertical, horizontal) pixels of the image between neighbouring scores; score (i, j) lies at image pixel
            coordinates ((i + ½)·step − ½, …).
        rows: (first, end) of the image, half open.
        width: of the image, or of the part of it that begins at column ``first``.
        top, left: the score row and column that ``logits`` begins with, for those who hold only some: rows and columns
            must lie between those held, or beyond the image's outermost ones.
        first: see ``width``.
        confidence: whether to give the second array.

    Returns:
        labels (rows, W) uint8 (uint16 above 256 classes), and the probability (softmax) of that class (rows, W)
        float32 in 0…1, or None if not asked for.
    """
    logits = np.ascontiguousarray(logits)
    upper, down, before, across = _places(logits, step, rows, (first, first + width), (top, left))
    size = (rows[1] - rows[0], width)
    labels = np.empty(size, np.uint8 if len(logits) <= 256 else np.uint16)
    probability = np.empty(size if confidence else (size[0], 0), np.float32)
    by_cells = not confidence and classify_numpy.cells_pay(logits, labels)
    kernels = classify_numpy if by_cells else _kernels(len(logits) * labels.size)

    def some(y0: int, y1: int) -> None:
        part = slice(y0, y1)
        kernels.classify(logits, upper[part], down[part], before, across, labels[part], probability[part])

    if by_cells:  # many small steps, which threads would hinder each other in
        some(0, size[0])
    else:
        over(size[0], some, least=1 + _BAND_VALUES // (len(logits) * width))
    return labels, probability if confidence else None


def confidence_lattice(logits: np.ndarray, step: tuple[float, float], size: tuple[int, int], every: int) -> np.ndarray:
    """The confidences of `classify_band` at each ``every``-th pixel of an image of ``size`` (H, W), both ways.

    Returns:
        (⌈(H − every // 2) / every⌉, …) float32; the first is that of pixel (every // 2, every // 2).
    """
    logits = np.ascontiguousarray(logits)
    upper, down, left, across = (
        part[every // 2 :: every] for part in _places(logits, step, (0, size[0]), (0, size[1]))
    )
    shape = (len(upper), len(left))
    labels, out = np.empty(shape, np.uint8 if len(logits) <= 256 else np.uint16), np.empty(shape, np.float32)
    _kernels(len(logits) * out.size).classify(logits, upper, down, left, across, labels, out)
    return out


def confidence_at(
    logits: np.ndarray, step: tuple[float, float], size: tuple[int, int], y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """The confidences of `classify_band` at some pixels of an image of ``size`` (H, W), (N,) float32; y, x: (N,)."""
    upper, down, left, across = _places(logits, step, (0, size[0]), (0, size[1]))
    return classify_numpy.confidence_at(logits, upper[y], down[y], left[x], across[x])


def probabilities_band(
    logits: np.ndarray, step: tuple[float, float], rows: tuple[int, int], width: int, *, top: int = 0
) -> np.ndarray:
    """The probability of each class at each pixel in some rows of an image, (C, rows, W) float32; see `classify_band`.

    Raises:
        MemoryError: it does not fit.
    """
    logits = np.ascontiguousarray(logits)
    upper, down, left, across = _places(logits, step, rows, (0, width), (top, 0))
    out = np.empty((len(logits), rows[1] - rows[0], width), np.float32)
    kernels = _kernels(out.size)

    def some(y0: int, y1: int) -> None:
        kernels.probabilities(logits, upper[y0:y1], down[y0:y1], left, across, out[:, y0:y1])

    over(out.shape[1], some, least=1 + _BAND_VALUES // (len(logits) * width))
    return out


def _kernels(num_values: int) -> ModuleType:
    """Compiled loops; the twin in numpy, whose results are the same, while that is quicker than importing numba."""
    global _values_by_numpy
    if "numba" not in sys.modules and _values_by_numpy + num_values <= _NUMPY_VALUES:
        _values_by_numpy += num_values
        return classify_numpy
    from segscape.runtime import classify_kernels

    return classify_kernels


def _places(
    logits: np.ndarray,
    step: tuple[float, float],
    rows: tuple[int, int],
    columns: tuple[int, int],
    held: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For rows and columns of the image: the score before each, and the weight of the one after it."""
    upper, down = _neighbours(np.arange(*rows), step[0], held[0] + logits.shape[1])
    left, across = _neighbours(np.arange(*columns), step[1], held[1] + logits.shape[2])
    for what, part, needed, begin in (("row", rows, upper, held[0]), ("column", columns, left, held[1])):
        if len(needed) and needed[0] < begin:
            raise ValueError(
                f"image {what}s from {part[0]} on need score {what} {needed[0]}, but those held begin with {begin}"
            )
    return upper - held[0], down, left - held[1], across


def _neighbours(places: np.ndarray, step: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    at = np.clip((places + 0.5) / step - 0.5, 0, length - 1)
    first = at.astype(np.int64)
    return first, (at - first).astype(np.float32)

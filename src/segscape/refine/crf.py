"""The fully connected CRF of Krähenbühl & Koltun (2011), as DeepLab uses it (Chen et al. 2017, section 3.3).

Every pixel is tied to every other one. With f = (position p, colour I) the energy of labels x is (their eqs. 1–3)::

    E(x) = Σ_i −log P_i(x_i) + Σ_{i<j} [x_i ≠ x_j] · ( bilateral_weight · k̂₁(i, j) + gaussian_weight · k̂₂(i, j) )
    k₁ = exp( −|p_i − p_j|² / 2 bilateral_sxy² − |I_i − I_j|² / 2 bilateral_srgb² )        (appearance)
    k₂ = exp( −|p_i − p_j|² / 2 gaussian_sxy² )                                            (smoothness)
    k̂(i, j) = k(i, j) / √(n_i n_j),   n_i = Σ_j k(i, j)                                     (symmetric normalisation)

and mean field (their eq. 4 and Algorithm 1) starts at Q = P and repeats ::

    Q_i(l) ← P_i(l) · exp( Σ_m weight_m · Σ_j k̂_m(i, j) · Q_j(l) ),   scaled so that Σ_l Q_i(l) = 1.

The sums take j = i along, as the authors' code does; Algorithm 1 as printed leaves it out.

What is exact: the smoothness kernel always (cut where it is below 4e-6), the appearance kernel of images of up to
`EXACT_PIXELS` pixels, which is summed pair by pair. In larger images the appearance kernel is that of the permutohedral
lattice, an approximation; docs/crf.md says how good it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from segscape.errors import InputError, ResourceError
from segscape.refine.parameters import Parameters, Ranges
from segscape.threads import over

EXACT_PIXELS = 4096
MAX_VALUES = 2**27  # pixels × classes: 12 megapixels of 11 classes, about 6 GB
_BYTES_PER_VALUE = 45
_CHANNELS = 16  # classes filtered at once, so that many classes do not need much more memory than a few
_LEAST = 1e-8  # a class of probability 0 can still be won back

# Least and largest value of each parameter.
RANGES: Ranges = {
    "gaussian_weight": (0.0, 100.0),
    "gaussian_sxy": (0.5, 100.0),
    "bilateral_weight": (0.0, 100.0),
    "bilateral_sxy": (1.0, 1000.0),
    "bilateral_srgb": (1.0, 255.0),
    "iterations": (1, 100),
}


@dataclass(frozen=True, slots=True)
class CrfParameters(Parameters):
    """Parameters of the dense CRF; the defaults lie in the middle of the ranges DeepLab searched for PASCAL VOC.

    Attributes:
        gaussian_weight: of the smoothness kernel, 0…100.
        gaussian_sxy: its standard deviation in pixels, 0.5…100.
        bilateral_weight: of the appearance kernel, 0…100.
        bilateral_sxy: its standard deviation over positions in pixels, 1…1000.
        bilateral_srgb: its standard deviation over colours in levels of 0…255, 1…255.
        iterations: of mean field, 1…100.

    Raises:
        ConfigError: a value is no number or out of its range.
    """

    what: ClassVar[str] = "CRF"
    ranges: ClassVar[Ranges] = RANGES

    gaussian_weight: float = 3.0
    gaussian_sxy: float = 3.0
    bilateral_weight: float = 4.0
    bilateral_sxy: float = 65.0
    bilateral_srgb: float = 4.5
    iterations: int = 5


class _Kernel(Protocol):
    def filter(self, values: np.ndarray) -> np.ndarray:
        """(C, N) float32 to Σ_j k(i, j) · values_j, (C, N) float32."""
        ...


def refine(probabilities: np.ndarray, pixels: np.ndarray, parameters: CrfParameters) -> np.ndarray:
    """Mean-field marginals of the dense CRF (see the module's docstring).

    Takes about 45 bytes a pixel and class; the same input gives the same result, with any number of threads.

    Args:
        probabilities: (C, H, W) float32 in 0…1, of each class at each pixel, summing to 1 over the classes.
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        (C, H, W) float32 in 0…1, summing to 1 over the classes.

    Raises:
        InputError: the arrays are not of these shapes and types, or not probabilities.
        ResourceError: the image is too large (`MAX_VALUES`).
        MemoryError: out of memory.
    """
    _check(probabilities, pixels)
    check_size(pixels.shape[:2], len(probabilities))
    unary = np.maximum(probabilities.reshape(len(probabilities), -1), _LEAST)
    np.log(unary, out=unary)
    q = _softmax(unary.copy())
    terms = _terms(pixels, parameters)
    total, scaled = np.empty_like(q), np.empty_like(q[:_CHANNELS])
    for _ in range(parameters.iterations):
        total[:] = unary
        for scale, kernel in terms:
            for first in range(0, len(q), _CHANNELS):
                block = slice(first, first + _CHANNELS)
                message = kernel.filter(np.multiply(q[block], scale, out=scaled[: len(q[block])]))
                message *= scale
                total[block] += message
        q, total = _softmax(total), q
    return q.reshape(probabilities.shape)


def check_size(size: tuple[int, ...], num_classes: int) -> None:
    """Raise `ResourceError` if an image of (height, width) pixels is too large to be refined (`MAX_VALUES`)."""
    if (values := math.prod(size) * num_classes) > MAX_VALUES:
        raise ResourceError(
            f"the dense CRF of {size[1]} × {size[0]} pixels and {num_classes} classes would need about "
            f"{values * _BYTES_PER_VALUE / 1e9:.0f} GB; give --refine none or a smaller --size"
        )


def _terms(pixels: np.ndarray, p: CrfParameters) -> list[tuple[np.ndarray, _Kernel]]:
    """Each kernel of a weight above 0, and √(weight / n) for each pixel, (N,) float32, to scale with on both sides."""
    height, width = size = pixels.shape[:2]
    kernels: list[tuple[float, _Kernel]] = []
    if p.gaussian_weight > 0:
        kernels.append((p.gaussian_weight, _Smoothness(size, p.gaussian_sxy)))
    if p.bilateral_weight > 0:
        y, x = (places.ravel() / p.bilateral_sxy for places in np.indices(size, np.float32))
        features = np.column_stack([x, y, pixels.reshape(-1, 3).astype(np.float32) / p.bilateral_srgb])
        features = features.astype(np.float32, copy=False)
        if height * width <= EXACT_PIXELS:
            kernels.append((p.bilateral_weight, _AllPairs(features)))
        else:
            from segscape.refine.permutohedral import PermutohedralLattice  # numba takes a while to import

            kernels.append((p.bilateral_weight, PermutohedralLattice(features)))
    ones = np.ones((1, height * width), np.float32)
    return [(np.sqrt(np.float32(weight) / kernel.filter(ones)[0]), kernel) for weight, kernel in kernels]


class _Smoothness:
    """The Gaussian over positions: separable, so a row and a column filter do."""

    def __init__(self, size: tuple[int, int], sxy: float) -> None:
        self._size = size
        self._taps = []
        for length in (size[1], size[0]):
            reach = min(math.ceil(5 * sxy), length - 1)
            self._taps.append(np.exp(-0.5 * (np.arange(-reach, reach + 1) / sxy) ** 2).astype(np.float32))

    def filter(self, values: np.ndarray) -> np.ndarray:
        import cv2

        out = np.empty_like(values)
        across, down = self._taps

        def planes(start: int, stop: int) -> None:
            for plane, target in zip(values[start:stop], out[start:stop], strict=True):
                source, place = plane.reshape(self._size), target.reshape(self._size)
                cv2.sepFilter2D(source, cv2.CV_32F, across, down, dst=place, borderType=cv2.BORDER_CONSTANT)

        over(len(values), planes, least=1)
        return out


class _AllPairs:
    """The Gaussian over (N, d) features, summed pair by pair: N² values in memory."""

    def __init__(self, features: np.ndarray) -> None:
        squared = np.zeros((len(features), len(features)), np.float32)
        for feature in features.T:  # not |a|² + |b|² − 2ab, which cancels digits away
            difference = feature[:, None] - feature
            difference *= difference
            squared += difference
        squared *= -0.5
        self._kernel = np.exp(squared, out=squared)

    def filter(self, values: np.ndarray) -> np.ndarray:
        return values @ self._kernel  # the kernel is symmetric


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Of (C, N) over the first axis, in place."""

    def columns(start: int, stop: int) -> None:
        part = scores[:, start:stop]
        part -= part.max(axis=0)
        np.exp(part, out=part)
        part /= part.sum(axis=0)

    over(scores.shape[1], columns)
    return scores


def _check(probabilities: np.ndarray, pixels: np.ndarray) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise InputError(f"pixels must be uint8 of shape (H, W, 3), got {pixels.dtype} {pixels.shape}")
    if probabilities.ndim != 3 or probabilities.shape[1:] != pixels.shape[:2] or probabilities.dtype != np.float32:
        raise InputError(
            f"probabilities must be float32 of shape (C, {pixels.shape[0]}, {pixels.shape[1]}) to fit the pixels, got "
            f"{probabilities.dtype} {probabilities.shape}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
        raise InputError("probabilities must lie in 0…1")

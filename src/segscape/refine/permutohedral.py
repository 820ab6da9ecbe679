"""High-dimensional Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis 2010), compiled by numba.

Points in d dimensions lie in simplices of the lattice A*_d. Their values are spread to the d + 1 corners of the simplex
with barycentric weights (splat), the corners are blurred along the d + 1 lattice directions with [½, 1, ½] (blur), and
each point collects from its corners again (slice). Time and memory are linear in the number of points.

Every sum is taken in a fixed order and each output is written by one thread, so a result depends neither on the number
of threads nor on their timing.
"""

from __future__ import annotations

import math

import numpy as np

from segscape.errors import ResourceError
from segscape.refine import lattice_kernels as kernels
from segscape.threads import over

_CHANNELS = 16  # filtered at once, so that many classes do not take more memory than a few
_LANES = 4  # channels are padded to whole SIMD registers


class PermutohedralLattice:
    """The lattice under a set of points, ready to filter any values at them, by one thread at a time.

    Keeps 96 bytes a point in five dimensions and 52 bytes a lattice vertex; there are at most d + 1 vertices a
    point, and in photos far fewer.

    Args:
        features: (N, d) float32, the points in units of the Gaussian's standard deviation, N ≥ 1, d ≥ 1, finite.

    Raises:
        ResourceError: the points lie so far apart that lattice coordinates do not fit into 64 bits.

    Attributes:
        num_vertices: of the lattice that the points touch.
    """

    def __init__(self, features: np.ndarray) -> None:
        num_points, d = features.shape
        self._scratch: dict[int, tuple[np.ndarray, ...]] = {}
        self._corners = np.empty((num_points, d + 1), np.int32)
        self._weights = np.empty((num_points, d + 1), np.float32)
        # Adams et al., section 3.1: the columns of the embedding, scaled so that the whole filter has variance 1.
        i = np.arange(d)
        scale = math.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1) * (i + 2))
        low, strides = _packing(features, scale)
        vertex_keys, table = self._place(features, scale, low, strides)
        self.num_vertices = len(vertex_keys)
        self._starts, self._members, self._shares = kernels.group(self._corners, self._weights, self.num_vertices)
        self._neighbours = np.full((d + 1, 2, self.num_vertices), self.num_vertices, np.int32)
        steps = strides[1:].sum() - (d + 1) * strides
        over(self.num_vertices, lambda a, b: kernels.connect(a, b, vertex_keys, table, steps, self._neighbours))

    def _place(
        self, features: np.ndarray, scale: np.ndarray, low: np.ndarray, strides: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fill in corners and weights of every point; the vertices' keys, and the hash table that finds them."""
        keys = np.empty(self._corners.shape, np.int64)
        over(len(features), lambda a, b: kernels.embed(a, b, features, scale, low, strides, keys, self._weights))
        return kernels.number(keys.ravel(), self._corners.ravel())

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Σ_j k(i, j) · values_j for every point i, j = i included, where k approximates a Gaussian up to a factor.

        Args:
            values: (C, N) float32.

        Returns:
            (C, N) float32. The factor is the same everywhere for points whose neighbouring lattice vertices all exist;
            dividing by the filtered ones removes it (`segscape.refine.crf` does).
        """
        out = np.empty_like(values)
        for first in range(0, len(values), _CHANNELS):
            block = slice(first, first + _CHANNELS)
            self._filter_block(values[block], out[block])
        return out

    def _filter_block(self, values: np.ndarray, out: np.ndarray) -> None:
        channels, num_points = values.shape
        width = -(-channels // _LANES) * _LANES
        if width not in self._scratch:  # kept, because new memory is slow where it is first touched
            # One row more than vertices: zeros, which stand for the neighbours that do not exist.
            rows = (num_points, self.num_vertices + 1, self.num_vertices + 1)
            self._scratch = {width: tuple(np.zeros((n, width), np.float32) for n in rows)}
        points, lattice, blurred = self._scratch[width]
        points[:, :channels] = values.T
        over(
            self.num_vertices,
            lambda a, b: kernels.splat(a, b, self._starts, self._members, self._shares, points, lattice),
        )
        for neighbours in self._neighbours:
            source, target = lattice, blurred
            over(self.num_vertices, lambda a, b, n=neighbours, s=source, t=target: kernels.blur(a, b, n, s, t))
            lattice, blurred = blurred, lattice
        over(num_points, lambda a, b: kernels.collect(a, b, self._corners, self._weights, lattice, out))


def _packing(features: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How coordinates 1…d of a vertex (the 0th follows: they sum to 0) become one int64: Σ (x_j − low_j) · stride_j.

    Returns:
        low, strides: (d + 1,) int64, 0 for the 0th.
    """
    d = len(scale)
    ends = np.stack([features.min(axis=0), features.max(axis=0)]).astype(np.float64) * scale
    low, strides = np.zeros(d + 1, np.int64), np.zeros(d + 1, np.int64)
    margin, product = 3 * (d + 1), 1  # a corner lies within d + 1 of its point, a neighbour within d of a corner
    for j in range(d, 0, -1):
        least = ends[0, j:].sum() - j * ends[1, j - 1]
        most = ends[1, j:].sum() - j * ends[0, j - 1]
        low[j] = math.floor(least) - margin
        strides[j] = product
        product *= math.ceil(most) + margin - int(low[j]) + 1
        if product >= 2**63:
            raise ResourceError(
                "points too far apart for the lattice: give larger deviations (sxy, srgb) or a smaller image"
            )
    return low, strides

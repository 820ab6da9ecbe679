import itertools
import math

import numpy as np
import pytest

from segscape.errors import ResourceError
from segscape.refine import permutohedral
from segscape.refine.permutohedral import PermutohedralLattice


def points(num: int, d: int, spread: float = 3.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(num, d)) * spread).astype(np.float32)


def simplex(point: np.ndarray) -> dict[tuple[int, ...], float]:
    """Corners and barycentric weights of a point, as Adams et al. (2010) describe it in section 3, word by word."""
    d = len(point)
    basis = np.array([[1.0] * (i + 1) + [-(i + 1.0)] + [0.0] * (d - i - 1) for i in range(d)])
    basis /= np.sqrt((np.arange(d) + 1) * (np.arange(d) + 2))[:, None]
    place = math.sqrt(2 / 3) * (d + 1) * (point @ basis)
    # The nearest remainder-0 point: round coordinates to multiples of d + 1, then mend those that lie furthest off.
    nearest = np.round(place / (d + 1)) * (d + 1)
    excess = round(nearest.sum() / (d + 1))
    off = place - nearest
    order = np.argsort(-off, kind="stable")
    if excess > 0:
        nearest[order[len(order) - excess :]] -= d + 1
    elif excess < 0:
        nearest[order[:-excess]] += d + 1
    off = place - nearest
    order = np.argsort(-off, kind="stable")
    sorted_off = off[order]
    corners = {}
    for k in range(d + 1):
        # The canonical simplex's corner k is (k, …, k, k − d − 1, …): k times the latter, at the smallest offsets.
        corner = nearest + k
        corner[order[d + 1 - k :]] -= d + 1
        weight = (
            (sorted_off[d - k] - sorted_off[d + 1 - k]) / (d + 1)
            if k
            else 1 - (sorted_off[0] - sorted_off[d]) / (d + 1)
        )
        corners[tuple(corner.astype(int))] = weight
    return corners


def implied_kernel(features: np.ndarray) -> np.ndarray:
    """Slice · blur · splat as one (N, N) matrix, with dictionaries for the lattice."""
    num, d = features.shape
    simplices = [simplex(point.astype(np.float64)) for point in features]
    lattice: dict[tuple[int, ...], np.ndarray] = {}
    for n, corners in enumerate(simplices):
        for corner, weight in corners.items():
            lattice.setdefault(corner, np.zeros(num))[n] += weight
    for axis in range(d + 1):
        step = np.ones(d + 1, int)
        step[axis] = -d
        nothing = np.zeros(num)
        lattice = {
            corner: value
            + lattice.get(tuple(corner + step), nothing) / 2
            + lattice.get(tuple(np.array(corner) - step), nothing) / 2
            for corner, value in lattice.items()
        }
    return np.stack([sum(weight * lattice[c] for c, weight in corners.items()) for corners in simplices])


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.3, 2.0, 20.0])
def test_it_is_the_lattice_of_the_paper(d, spread):
    features = points(60, d, spread)
    found = PermutohedralLattice(features).filter(np.eye(60, dtype=np.float32))
    np.testing.assert_allclose(found.T, implied_kernel(features), atol=2e-5)


@pytest.mark.parametrize(("d", "worst"), [(1, 0.07), (2, 0.13), (5, 0.22)])
def test_the_kernel_is_about_gaussian(d, worst):
    """Points so dense that no vertex near is missing: the response to one point in the middle, by distance."""
    features = points(40_000, d, 1.2, seed=1)
    features[0] = np.random.default_rng(2).random(d)
    impulse = np.zeros((1, len(features)), np.float32)
    impulse[0, 0] = 1
    found = PermutohedralLattice(features).filter(impulse)[0]
    expected = np.exp(-0.5 * ((features - features[0]) ** 2).sum(axis=1))
    factor = (found @ expected) / (expected @ expected)
    assert abs(found / factor - expected).max() < worst


def test_points_far_apart_keep_their_values_to_themselves():
    """10 000 simplices with no corner in common: also makes the hash table grow several times."""
    places = np.array(list(itertools.product(range(10), repeat=4)), np.float32)
    features = np.column_stack([places, places[:, 0]]) * 40
    lattice = PermutohedralLattice(features)
    assert lattice.num_vertices == 6 * len(features)
    values = np.random.default_rng(0).random((2, len(features))).astype(np.float32)
    own = lattice.filter(np.ones((1, len(features)), np.float32))
    assert (own > 0.3).all()
    np.testing.assert_allclose(lattice.filter(values), values * own, rtol=1e-5)


def test_equal_points_share_their_values():
    features = np.repeat(points(1, 5), 50, axis=0)
    lattice = PermutohedralLattice(features)
    assert lattice.num_vertices == 6
    out = lattice.filter(np.arange(50, dtype=np.float32)[None])
    assert out.std() < 1e-3
    np.testing.assert_allclose(out.mean() / lattice.filter(np.ones((1, 50), np.float32)).mean(), 24.5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4, 16, 17, 40])
def test_any_number_of_channels(channels):
    features = points(300, 5)
    values = np.random.default_rng(1).random((channels, 300)).astype(np.float32)
    kernel = PermutohedralLattice(features).filter(np.eye(300, dtype=np.float32))
    np.testing.assert_allclose(PermutohedralLattice(features).filter(values), values @ kernel, rtol=1e-4, atol=1e-5)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    features = points(20_000, 5)
    values = np.random.default_rng(2).random((5, 20_000)).astype(np.float32)
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results += [PermutohedralLattice(features).filter(values) for _ in range(2)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_where_the_origin_lies_changes_little():
    features = points(2000, 5)
    values = np.random.default_rng(3).random((1, 2000)).astype(np.float32)

    def mean(shift: float) -> np.ndarray:
        lattice = PermutohedralLattice(features + np.float32(shift))
        return lattice.filter(values) / lattice.filter(np.ones_like(values))

    assert abs(mean(0) - mean(1000.25)).mean() < 0.02


def test_points_too_far_apart_are_refused():
    with pytest.raises(ResourceError, match="too far apart"):
        PermutohedralLattice(np.array([[0.0] * 5, [1e6] * 5], np.float32))


def test_lanes_are_those_of_the_loops():
    assert permutohedral._LANES == 4  # the inner loops of lattice_kernels run over range(4)

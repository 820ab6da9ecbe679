"""The dense CRF against sums over all pairs of pixels, written here anew from the paper."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.errors import ConfigError, InputError, ResourceError
from segscape.refine import crf
from segscape.refine.crf import RANGES, CrfParameters, check_size, refine
from segscape.refine.permutohedral import PermutohedralLattice

SMOOTH = CrfParameters(bilateral_weight=0)
APPEARANCE = CrfParameters(gaussian_weight=0)
CASES = [
    CrfParameters(),
    SMOOTH,
    APPEARANCE,
    CrfParameters(1.5, 1.0, 8.0, 20.0, 12.0, 1),
    CrfParameters(0.7, 5.5, 10.0, 6.0, 40.0, 10),
    CrfParameters(20, 30, 30, 300, 120, 3),
]


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Areas of different colours with shading and noise, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    areas = cv2.resize(rng.integers(0, 4, (4, 4), np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    colours = rng.integers(30, 220, (4, 3))[areas] + 20 * np.indices((height, width)).sum(0)[..., None] / (
        height + width
    )
    return np.clip(colours + rng.normal(size=colours.shape) * 4, 0, 255).astype(np.uint8)


def scores(num_classes: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Probabilities that vary smoothly, as those of a network, (C, H, W) float32."""
    logits = np.random.default_rng(seed).normal(size=(num_classes, 5, 5)).astype(np.float32) * 2
    e = np.exp([cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in logits])
    return (e / e.sum(axis=0)).astype(np.float32)


def all_pairs(pixels: np.ndarray, p: CrfParameters) -> tuple[np.ndarray, np.ndarray]:
    """k₁ and k₂ of every pair of pixels, (N, N) float64 each."""
    y, x = np.indices(pixels.shape[:2], float).reshape(2, -1)
    colours = pixels.reshape(-1, 3).astype(float)
    appearance, smoothness = (np.empty((len(y), len(y))) for _ in range(2))
    for i in range(len(y)):
        apart = (y - y[i]) ** 2 + (x - x[i]) ** 2
        unlike = ((colours - colours[i]) ** 2).sum(axis=1)
        appearance[i] = np.exp(-apart / (2 * p.bilateral_sxy**2) - unlike / (2 * p.bilateral_srgb**2))
        smoothness[i] = np.exp(-apart / (2 * p.gaussian_sxy**2))
    return appearance, smoothness


def mean_field(
    probabilities: np.ndarray, appearance: np.ndarray, smoothness: np.ndarray, p: CrfParameters
) -> np.ndarray:
    """Algorithm 1 with the sums over all pixels."""
    prior = np.maximum(probabilities.reshape(len(probabilities), -1).astype(np.float64), 1e-8)
    kernel = sum(
        weight * k / np.sqrt(np.outer(k.sum(1), k.sum(1)))
        for weight, k in ((p.bilateral_weight, appearance), (p.gaussian_weight, smoothness))
    )
    q = prior / prior.sum(0)
    for _ in range(p.iterations):
        q = prior * np.exp(q @ kernel.T)
        q /= q.sum(0)
    return q.reshape(probabilities.shape)


@pytest.mark.parametrize("p", CASES)
def test_a_small_image_equals_the_sums_over_all_pairs(p):
    pixels, probabilities = photo(24, 24), scores(5, 24, 24)
    expected = mean_field(probabilities, *all_pairs(pixels, p), p)
    assert abs(expected - probabilities).max() > 0.05
    np.testing.assert_allclose(refine(probabilities, pixels, p), expected, atol=1e-4)


@pytest.mark.parametrize("p", CASES)
def test_the_lattice_gives_mean_field_with_its_own_kernel(p, monkeypatch):
    pixels, probabilities = photo(24, 24), scores(5, 24, 24)
    y, x = np.indices((24, 24)).reshape(2, -1) / p.bilateral_sxy
    features = np.column_stack([x, y, pixels.reshape(-1, 3) / p.bilateral_srgb]).astype(np.float32)
    kernel = PermutohedralLattice(features).filter(np.eye(576, dtype=np.float32)).T
    # n is what each pixel collects: the sums of the kernel's rows (not quite symmetric where vertices are missing).
    expected = mean_field(probabilities, kernel.astype(np.float64), all_pairs(pixels, p)[1], p)
    monkeypatch.setattr(crf, "EXACT_PIXELS", 0)
    np.testing.assert_allclose(refine(probabilities, pixels, p), expected, atol=1e-4)


@pytest.mark.parametrize(("size", "apart", "other"), [(24, 0.09, 0.045), (64, 0.04, 0.022)])
@pytest.mark.parametrize("seed", range(3))
def test_the_lattice_comes_close_to_the_exact_result(size, apart, other, seed, monkeypatch):
    """Noisy colours and unsure scores, so that the CRF changes 20…38 % of the labels; up to 3.5 % come out other."""
    pixels, probabilities = photo(size, size, seed), scores(5, size, size, seed)
    exact = refine(probabilities, pixels, CrfParameters())
    assert (exact.argmax(0) != probabilities.argmax(0)).mean() > 0.15
    monkeypatch.setattr(crf, "EXACT_PIXELS", 0)
    found = refine(probabilities, pixels, CrfParameters())
    assert 1e-4 < abs(found - exact).sum(axis=0).mean() < apart
    assert (found.argmax(0) != exact.argmax(0)).mean() < other


@pytest.mark.parametrize("exact", [True, False])
def test_borders_move_to_the_edges_of_the_photo(exact, monkeypatch):
    monkeypatch.setattr(crf, "EXACT_PIXELS", 10**6 if exact else 0)
    y, x = np.indices((48, 48))
    truth = (y - 22) ** 2 + (x - 25) ** 2 < 15**2
    pixels = (
        np.where(truth[..., None], (180, 60, 50), (70, 90, 140)) + np.random.default_rng(0).normal(size=(48, 48, 3)) * 3
    )
    blurred = cv2.GaussianBlur(np.roll(truth, 3, axis=1).astype(np.float32), (0, 0), 5)
    probabilities = np.stack([1 - blurred, blurred]) * 0.8 + 0.1
    assert (probabilities.argmax(0) != truth).mean() > 0.05
    found = refine(probabilities.astype(np.float32), pixels.astype(np.uint8), CrfParameters(bilateral_srgb=10))
    assert (found.argmax(0) != truth).sum() <= 2


def test_neither_the_number_of_threads_nor_another_run_changes_a_bit(monkeypatch):
    pixels, probabilities = photo(90, 130), scores(11, 90, 130)
    assert pixels.size // 3 > crf.EXACT_PIXELS
    results = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results += [refine(probabilities, pixels, CrfParameters()) for _ in range(2)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


@settings(deadline=None, max_examples=30)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.sampled_from([(1, 5000), (5000, 1), (70, 60)]),
    num_classes=st.sampled_from([1, 2, 3, 16, 17]),
    certain=st.booleans(),
    seed=st.integers(0, 5),
)
def test_it_gives_probabilities_and_leaves_its_input_alone(size, num_classes, certain, seed):
    pixels, probabilities = photo(*size, seed), scores(num_classes, *size, seed)
    if certain:
        probabilities = (probabilities == probabilities.max(axis=0)).astype(np.float32)
    before = probabilities.copy(), pixels.copy()
    found = refine(probabilities, pixels, CrfParameters())
    assert (found.shape, found.dtype) == (probabilities.shape, np.float32)
    assert ((found >= 0) & (found <= 1.000001)).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(probabilities, before[0])
    assert np.array_equal(pixels, before[1])


@pytest.mark.parametrize("size", [(20, 30), (70, 80)])
def test_the_order_of_the_classes_does_not_matter(size):
    pixels, probabilities = photo(*size), scores(20, *size)
    order = np.random.default_rng(0).permutation(20)
    found = refine(np.ascontiguousarray(probabilities[order]), pixels, CrfParameters())
    np.testing.assert_allclose(found, refine(probabilities, pixels, CrfParameters())[order], atol=1e-5)


@pytest.mark.parametrize("turn", [lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a.swapaxes(0, 1)])
def test_a_turned_image_gives_the_turned_result(turn):
    pixels, probabilities = photo(24, 30), scores(3, 24, 30)
    turned = np.ascontiguousarray(turn(probabilities.transpose(1, 2, 0)).transpose(2, 0, 1))
    found = refine(turned, np.ascontiguousarray(turn(pixels)), CrfParameters())
    expected = refine(probabilities, pixels, CrfParameters())
    np.testing.assert_allclose(found, turn(expected.transpose(1, 2, 0)).transpose(2, 0, 1), atol=1e-5)


def test_without_weights_nothing_changes():
    probabilities = scores(4, 20, 20)
    p = CrfParameters(gaussian_weight=0, bilateral_weight=0)
    np.testing.assert_allclose(refine(probabilities, photo(20, 20), p), probabilities, atol=1e-6)


def test_a_class_that_was_ruled_out_can_be_won_back():
    probabilities = np.zeros((2, 9, 9), np.float32)
    probabilities[0] = 1
    probabilities[:, 4, 4] = 0, 1
    found = refine(probabilities, np.full((9, 9, 3), 100, np.uint8), CrfParameters(gaussian_weight=30))
    assert found[0, 4, 4] > 0.99


# --- what is refused


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "3", None, True, 10**400])
def test_parameters_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"{name} must be .* number in "):
        CrfParameters(**{name: value})


@pytest.mark.parametrize(("name", "ends"), RANGES.items())
def test_the_ends_of_the_ranges_are_allowed(name, ends):
    for end in ends:
        p = CrfParameters(**{name: end})
        assert CrfParameters.from_dict(p.to_dict()) == p
        found = refine(scores(3, 80, 60), photo(80, 60), replace(p, iterations=1))
        assert np.isfinite(found).all()
    with pytest.raises(ConfigError):
        CrfParameters(iterations=2.0)


@pytest.mark.parametrize("change", [{"extra": 1}, {"iterations": None}, {}])
def test_parameters_that_are_not_complete_are_refused(change):
    values = {**CrfParameters().to_dict(), **change} if change else {}
    with pytest.raises(ConfigError, match="CRF parameter"):
        CrfParameters.from_dict(values)


@pytest.mark.parametrize(
    ("probabilities", "pixels", "says"),
    [
        (np.ones((1, 4, 5), np.float64), np.zeros((4, 5, 3), np.uint8), "float32"),
        (np.ones((1, 5, 4), np.float32), np.zeros((4, 5, 3), np.uint8), r"shape \(C, 4, 5\)"),
        (np.ones((4, 5), np.float32), np.zeros((4, 5, 3), np.uint8), "shape"),
        (np.ones((1, 4, 5), np.float32), np.zeros((4, 5), np.uint8), "pixels must be uint8"),
        (np.ones((1, 4, 5), np.float32), np.zeros((4, 5, 3), np.float32), "pixels must be uint8"),
        (np.ones((1, 0, 5), np.float32), np.zeros((0, 5, 3), np.uint8), "pixels must be uint8"),
        (np.full((2, 4, 5), np.nan, np.float32), np.zeros((4, 5, 3), np.uint8), "in 0…1"),
        (np.full((2, 4, 5), -1, np.float32), np.zeros((4, 5, 3), np.uint8), "in 0…1"),
        (np.full((2, 4, 5), 2, np.float32), np.zeros((4, 5, 3), np.uint8), "in 0…1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(probabilities, pixels, says):
    with pytest.raises(InputError, match=says):
        refine(probabilities, pixels, CrfParameters())


def test_an_image_that_is_too_large_is_refused_with_advice(monkeypatch):
    check_size((3000, 4000), 11)
    with pytest.raises(ResourceError, match=r"6000 × 4000 pixels and 11 classes .* \d+ GB; give --refine none"):
        check_size((4000, 6000), 11)
    monkeypatch.setattr(crf, "MAX_VALUES", 100)
    with pytest.raises(ResourceError, match="10 × 8"):
        refine(scores(2, 8, 10), photo(8, 10), CrfParameters())

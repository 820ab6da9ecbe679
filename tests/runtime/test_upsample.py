"""Compiled and numpy kernels give the same bits, whole or in bands, and torch's interpolation."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.runtime import classify_kernels, classify_numpy, upsample
from segscape.runtime.upsample import classify_band, confidence_at, confidence_lattice, probabilities_band


def random_logits(num_classes, grid, seed=0, spread=4.0):
    return (np.random.default_rng(seed).normal(size=(num_classes, *grid)) * spread).astype(np.float32)


def with_kernels(kernels, function, *arguments, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upsample, "_kernels", lambda num_values: kernels)
        return function(*arguments, **options)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 40), st.sampled_from([1, 7, 33, 511, 513, 1100])),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 9)),
    num_classes=st.sampled_from([1, 2, 5, 11]),
    spread=st.sampled_from([0.0, 1.0, 60.0]),
    strip_values=st.sampled_from([1, 3000, 500_000]),
    seed=st.integers(0, 99),
)
def test_compiled_and_numpy_give_the_same_bits(size, grid, num_classes, spread, strip_values, seed):
    logits = np.round(random_logits(num_classes, grid, seed, spread))  # many are equal
    arguments = (logits, (size[0] / grid[0], size[1] / grid[1]), (0, size[0]), size[1])
    before = logits.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classify_numpy, "_STRIP_VALUES", strip_values)
        labels, confidence = with_kernels(classify_numpy, classify_band, *arguments)
        full = with_kernels(classify_numpy, probabilities_band, *arguments)
    compiled = with_kernels(classify_kernels, classify_band, *arguments)
    np.testing.assert_array_equal(compiled[0], labels)
    np.testing.assert_array_equal(compiled[1], confidence)
    np.testing.assert_array_equal(with_kernels(classify_kernels, probabilities_band, *arguments), full)
    unsure = with_kernels(classify_kernels, classify_band, *arguments, confidence=False)
    np.testing.assert_array_equal(unsure[0], labels)
    assert unsure[1] is None
    np.testing.assert_array_equal(logits, before)


@settings(deadline=None, max_examples=60)
@given(
    grid=st.tuples(st.integers(1, 7), st.integers(1, 8)),
    step=st.tuples(st.floats(0.4, 9), st.floats(0.4, 9)),
    num_classes=st.sampled_from([1, 2, 5, 300]),
    spread=st.sampled_from([0.0, 1e-6, 1.0, 60.0]),
    whole_numbers=st.booleans(),
    seed=st.integers(0, 99),
)
def test_labels_without_confidence_are_the_same_bits(grid, step, num_classes, spread, whole_numbers, seed):
    coarse = random_logits(num_classes, (2, 2), seed, spread) + random_logits(num_classes, (1, 1), seed)
    logits = coarse.repeat(4, 1).repeat(4, 2)[:, : grid[0], : grid[1]]  # some cells hold one class, others more
    if whole_numbers:
        logits = np.round(logits)
    logits += random_logits(num_classes, logits.shape[1:], seed, 1e-6)
    size = [max(1, round(n * s)) for n, s in zip(logits.shape[1:], step, strict=True)]
    for rows in ((0, size[0]), (size[0] // 3, size[0] // 3 + 1)):
        expected = with_kernels(classify_numpy, classify_band, logits, step, rows, size[1])[0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(classify_numpy, "_CELL_PIXELS", 0)
            patch.setattr(classify_numpy, "_STRIP_VALUES", 40)
            labels, _ = with_kernels(classify_numpy, classify_band, logits, step, rows, size[1], confidence=False)
        np.testing.assert_array_equal(labels, expected)


def test_only_cells_of_more_than_one_class_are_interpolated():
    logits = np.zeros((3, 4, 5), np.float32)
    logits[1, :, 3:] = 8
    logits[2, :, 1:3] = 4
    logits[0, 3, 0] = 1
    leading, plain = classify_numpy._plain_cells(logits, np.dtype(np.uint8))
    assert leading.tolist() == [[0, 2, 2, 1, 1]] * 4
    assert plain.tolist() == [[False, True, False, True, True]] * 4  # of two equal classes none leads
    logits[0, :, 0] = 1
    assert classify_numpy._plain_cells(logits, np.dtype(np.uint8))[1][:, 0].tolist() == [False] * 4
    assert classify_numpy._plain_cells(logits[:, :, :1], np.dtype(np.uint8))[1].all()
    for low, high in [(0, 1e-40), (5, 5 + 2e-6), (-5 - 2e-6, -5)]:
        near = np.float32([low, high, low]).reshape(3, 1, 1)
        assert not classify_numpy._plain_cells(near, np.dtype(np.uint8))[1].any()


@pytest.mark.parametrize("kernels", [classify_kernels, classify_numpy])
@pytest.mark.parametrize("scale", [1, 2, 4, 8, 3])
def test_labels_and_probabilities_are_those_of_torch(kernels, scale):
    logits = random_logits(7, (13, 171))
    size = (13 * scale, 171 * scale)
    wide = torch.nn.functional.interpolate(torch.from_numpy(logits)[None].double(), size, mode="bilinear")[0]
    expected = wide.softmax(0).numpy()
    labels, confidence = with_kernels(kernels, classify_band, logits, (scale, scale), (0, size[0]), size[1])
    full = with_kernels(kernels, probabilities_band, logits, (scale, scale), (0, size[0]), size[1])
    np.testing.assert_allclose(full, expected, atol=3e-6)
    np.testing.assert_allclose(confidence, expected.max(0), atol=3e-6)
    second, first = np.sort(expected, axis=0)[-2:]
    clear = first - second > 1e-5
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(labels[clear], expected.argmax(0)[clear])


@pytest.mark.parametrize("kernels", [classify_kernels, classify_numpy])
@pytest.mark.parametrize("num_classes", [3, 300])
def test_of_equal_classes_the_lowest(kernels, num_classes):
    logits = np.zeros((num_classes, 2, 2), np.float32)
    logits[1:] = 5
    labels, confidence = with_kernels(kernels, classify_band, logits, (2.0, 2.0), (0, 4), 4)
    assert labels.dtype == (np.uint8 if num_classes <= 256 else np.uint16)
    assert (labels == 1).all()
    np.testing.assert_allclose(confidence, 1 / (num_classes - 1 + np.exp(-5)), rtol=1e-6)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("step", [(4.0, 4.0), (0.7, 1.3), (17.3, 5.1)])
def test_bands_are_cut_from_the_whole(monkeypatch, threads, step):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(upsample, "_BAND_VALUES", 1)
    logits = random_logits(5, (9, 8))
    height, width = round(9 * step[0]), round(8 * step[1])
    labels, confidence = classify_band(logits, step, (0, height), width)
    full = probabilities_band(logits, step, (0, height), width)
    for y0, y1 in [(0, 1), (0, height), (height // 3, height // 3 + 2), (height - 1, height), (3, 3)]:
        band = classify_band(logits, step, (y0, y1), width)
        np.testing.assert_array_equal(band[0], labels[y0:y1])
        np.testing.assert_array_equal(band[1], confidence[y0:y1])
        np.testing.assert_array_equal(probabilities_band(logits, step, (y0, y1), width), full[:, y0:y1])


@pytest.mark.parametrize("kernels", [classify_kernels, classify_numpy])
@pytest.mark.parametrize(("step", "every"), [((4.0, 4.0), 1), ((17.3, 5.1), 4), ((17.3, 5.1), 5)])
def test_confidences_of_some_pixels_are_cut_from_the_whole(monkeypatch, kernels, step, every):
    monkeypatch.setattr(classify_numpy, "_STRIP_VALUES", 999)
    logits = random_logits(5, (9, 8))
    size = (round(9 * step[0]), round(8 * step[1]))
    _, whole = classify_band(logits, step, (0, size[0]), size[1])
    lattice = with_kernels(kernels, confidence_lattice, logits, step, size, every)
    np.testing.assert_array_equal(lattice, whole[every // 2 :: every, every // 2 :: every])
    y, x = np.random.default_rng(0).integers(0, size, (1500, 2)).T
    np.testing.assert_array_equal(confidence_at(logits, step, size, y, x), whole[y, x])
    assert confidence_at(logits, step, size, y[:0], x[:0]).shape == (0,)


def test_some_score_rows_are_enough_for_some_image_rows():
    logits = random_logits(5, (9, 8))
    labels, confidence = classify_band(logits, (4.0, 4.0), (0, 36), 32)
    held = classify_band(logits[:, 2:6], (4.0, 4.0), (10, 22), 32, top=2)  # score rows 2 and 5 lie at 9.5 and 21.5
    np.testing.assert_array_equal(held[0], labels[10:22])
    np.testing.assert_array_equal(held[1], confidence[10:22])
    end = classify_band(logits[:, 6:], (4.0, 4.0), (30, 36), 32, top=6)
    np.testing.assert_array_equal(end[0], labels[30:])
    with pytest.raises(ValueError, match="rows from 9 on need score row 1, but those held begin with 2"):
        classify_band(logits[:, 2:6], (4.0, 4.0), (9, 22), 32, top=2)
    part = classify_band(logits[:, :, 2:6], (4.0, 4.0), (0, 36), 12, first=10, left=2)
    np.testing.assert_array_equal(part[0], labels[:, 10:22])
    np.testing.assert_array_equal(part[1], confidence[:, 10:22])
    with pytest.raises(ValueError, match="columns from 9 on need score column 1, but those held begin with 2"):
        classify_band(logits[:, :, 2:6], (4.0, 4.0), (0, 36), 13, first=9, left=2)


def test_any_memory_order():
    logits = random_logits(5, (9, 8))
    other = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert not other.flags.c_contiguous
    np.testing.assert_array_equal(
        classify_band(other, (4.0, 4.0), (0, 36), 32)[0], classify_band(logits, (4.0, 4.0), (0, 36), 32)[0]
    )


def test_the_exponential_is_exact_to_two_units_in_the_last_place():
    x = np.linspace(-87, 0, 100_001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(classify_numpy.exponential(x) - exact) / np.spacing(exact.astype(np.float32))).max() < 2
    assert classify_numpy.exponential(np.float32([0]))[0] == 1
    assert classify_numpy.exponential(np.float32([-1e30]))[0] < 1e-37


def test_numba_is_imported_only_when_there_is_much_to_do():
    code = (
        "import sys, numpy as np; from segscape.runtime import upsample; z = np.zeros((2, 4, 4), np.float32)\n"
        "for _ in range(3):\n"
        "    upsample.classify_band(z, (100, 100), (0, 400), 400); print('numba' in sys.modules)\n"
        "    upsample._NUMPY_VALUES = 700_000"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False", "True"]

import math

import numpy as np
import pytest
import torch
from torch import nn

from segscape.errors import ConfigError, ModelError
from segscape.models.network import Network
from segscape.preprocess import Preprocess
from segscape.runtime.inference import Scores, classify, probabilities, run_network
from segscape.runtime.torch_engine import TorchEngine

PLAIN = Preprocess((0, 0, 0), (1, 1, 1))


class RandomNet(Network):
    """Scores at some stride from one convolution, so that neighbours differ much."""

    def __init__(self, stride: int, num_classes: int = 5) -> None:
        super().__init__(num_classes=num_classes, multiple=2 * stride, stride=stride)
        self.conv = nn.Conv2d(3, num_classes, stride if stride > 1 else 3, stride=stride, padding=int(stride == 1))
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(stride)
            self.conv.weight.normal_(std=8 / stride)

    def score(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class PixelEngine:
    """Its scores are the mean colours of blocks: class 0 where red, 1 where green, 2 where blue."""

    name = "pixels"

    def __init__(self, stride: int = 1) -> None:
        self.stride = stride

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        s = self.stride
        x = np.pad(batch, ((0, 0), (0, 0), (0, -batch.shape[2] % s), (0, -batch.shape[3] % s)), mode="edge")
        n, c, height, width = x.shape
        return 20 * x.reshape(n, c, height // s, s, width // s, s).mean((3, 5))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def brute_force(logits: np.ndarray, step: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Bilinear with pixel centres, pixel by pixel: score i lies at (i + ½)·step − ½; beyond the ends it is constant."""
    c, h, w = logits.shape
    out = np.empty((c, *size))
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) / step[0] - 0.5, 0), h - 1)
            u = min(max((x + 0.5) / step[1] - 0.5, 0), w - 1)
            top, left = math.floor(v), math.floor(u)
            low, right = min(top + 1, h - 1), min(left + 1, w - 1)
            upper = logits[:, top, left] * (1 - u + left) + logits[:, top, right] * (u - left)
            lower = logits[:, low, left] * (1 - u + left) + logits[:, low, right] * (u - left)
            out[:, y, x] = upper * (1 - v + top) + lower * (v - top)
    return out


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


def assert_classifies(found: tuple[np.ndarray, np.ndarray | None], probability: np.ndarray) -> None:
    """Labels are the arg-max (where two classes are not level within rounding) and confidences its probability."""
    labels, confidence = found
    assert confidence is not None
    assert confidence.dtype == np.float32
    np.testing.assert_allclose(confidence, probability.max(axis=0), atol=1e-5)
    second, first = np.sort(probability, axis=0)[-2:]
    clear = first - second > 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(labels[clear], probability.argmax(axis=0)[clear])


@pytest.mark.parametrize("stride", [1, 4, 8, 16])
@pytest.mark.parametrize("size", [(33, 65), (1, 1), (1, 70), (64, 48)])
def test_labels_and_confidences_are_those_of_forward(stride, size):
    model, pixels = RandomNet(stride), noise(*size)
    labels, confidence = classify(run_network(TorchEngine(model, "cpu"), PLAIN, pixels))
    with torch.inference_mode():
        expected = model(torch.from_numpy(PLAIN.batch(pixels)))[0].numpy()
    assert labels.dtype == np.uint8
    assert labels.shape == size
    assert_classifies((labels, confidence), softmax(expected))


@pytest.mark.parametrize("step", [(1.0, 1.0), (4.0, 4.0), (2.7, 3.1), (0.6, 1.9), (16.5, 16.5)])
@pytest.mark.parametrize("grid", [(3, 4), (1, 1), (5, 1)])
def test_upsampling_is_bilinear_at_any_step(step, grid):
    logits = np.random.default_rng(1).normal(size=(4, *grid)).astype(np.float32) * 3
    size = (max(1, round(grid[0] * step[0]) - 1), max(1, round(grid[1] * step[1]) - 1))
    assert_classifies(classify(Scores(logits, step, size)), softmax(brute_force(logits, step, size)))


@pytest.mark.parametrize(("num_classes", "dtype"), [(1, np.uint8), (256, np.uint8), (257, np.uint16), (300, np.uint16)])
def test_more_than_256_classes_need_16_bits(num_classes, dtype):
    logits = np.zeros((num_classes, 2, 2), np.float32)
    logits[-1, 0, 1] = logits[0, 1] = 30
    labels, confidence = classify(Scores(logits, (1.0, 1.0), (2, 2)))
    assert labels.dtype == dtype
    expected = [[0, num_classes - 1], [0, 0]]
    assert labels.tolist() == expected
    np.testing.assert_allclose(confidence, [[1 / num_classes, 1], [1, 1]], atol=1e-6)


@pytest.mark.parametrize("num_classes", [1, 5, 256, 257])
def test_full_size_probabilities_are_those_of_the_labels(num_classes):
    logits = np.random.default_rng(2).normal(size=(num_classes, 5, 6)).astype(np.float32) * 3
    scores = Scores(logits, (3.3, 2.7), (16, 15))
    full = probabilities(scores)
    assert (full.shape, full.dtype) == ((num_classes, 16, 15), np.float32)
    np.testing.assert_allclose(full, softmax(brute_force(logits, (3.3, 2.7), (16, 15))), atol=1e-5)
    labels, confidence = classify(scores)
    np.testing.assert_array_equal(labels, full.argmax(axis=0))
    np.testing.assert_allclose(confidence, full.max(axis=0), atol=1e-6)


@pytest.mark.parametrize("long_side", [None, 16, 40, 64, 100, 333])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("tta", [(), ("flip",), ("scale",), ("flip", "scale")])
def test_at_any_network_size_the_picture_stays_in_place(long_side, stride, tta):
    # A red half beside a green one, below it a blue strip.
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:40, :24, 0] = pixels[:40, 24:, 1] = pixels[40:, :, 2] = 255
    preprocess = Preprocess((0, 0, 0), (1, 1, 1), long_side)
    labels, _ = classify(run_network(PixelEngine(stride), preprocess, pixels, tta))
    truth = np.where(pixels[..., 0], 0, np.where(pixels[..., 1], 1, 2))
    blur = round(2 * stride * max(1, 64 / (long_side or 64)))  # a border is known to about a score's reach
    assert labels.shape == (48, 64)
    wrong = np.argwhere(labels != truth)
    distance = np.minimum(abs(wrong[:, 1] - 23.5), abs(wrong[:, 0] - 39.5))
    assert (distance <= blur).all()
    # Nor does it lean to one side: about as many pixels are lost as won.
    assert abs(int((labels[:32] == 0).sum()) / 32 - 24) <= 1.5 * stride * max(1, 64 / (long_side or 64)) / 2


@pytest.mark.parametrize("tta", [("flip",), ("flip", "scale")])
@pytest.mark.parametrize("stride", [1, 4])
def test_with_flips_a_mirrored_image_gives_the_mirrored_result(tta, stride):
    engine, pixels = TorchEngine(RandomNet(stride), "cpu"), noise(24, 41, seed=3)
    plain = run_network(engine, PLAIN, pixels, tta)
    mirrored = run_network(engine, PLAIN, np.ascontiguousarray(pixels[:, ::-1]), tta)
    # Resizing for other scales rounds to whole levels, not quite alike from both sides.
    tolerance = 1e-5 if tta == ("flip",) else 0.05
    np.testing.assert_allclose(np.exp(mirrored.logits), np.exp(plain.logits[..., ::-1]), atol=tolerance)
    without = run_network(engine, PLAIN, np.ascontiguousarray(pixels[:, ::-1]))
    assert not np.allclose(without.logits, run_network(engine, PLAIN, pixels).logits[..., ::-1], atol=0.1)


@pytest.mark.parametrize("tta", [("flip",), ("scale",), ("scale", "flip")])
@pytest.mark.parametrize("long_side", [None, 20])
def test_augmentation_averages_probabilities_over_views(tta, long_side):
    engine, pixels = TorchEngine(RandomNet(4), "cpu"), noise(16, 28, seed=5)
    preprocess = Preprocess((0, 0, 0), (1, 1, 1), long_side)
    target = preprocess.network_size((16, 28))
    views = []
    for zoom in (0.75, 1.0, 1.25) if "scale" in tta else (1.0,):
        for flip in (False, True) if "flip" in tta else (False,):
            batch = preprocess.batch(pixels, zoom=zoom, flip=flip)
            step = (4 * target[0] / batch.shape[2], 4 * target[1] / batch.shape[3])
            view = softmax(brute_force(engine.low_logits(batch)[0], step, target))
            views.append(view[:, :, ::-1] if flip else view)
    scores = run_network(engine, preprocess, pixels, tta)
    assert scores.size == (16, 28)
    assert scores.step == pytest.approx((16 / target[0], 28 / target[1]))
    np.testing.assert_allclose(np.exp(scores.logits), np.mean(views, axis=0), atol=1e-5)


@pytest.mark.parametrize("tta", [("flips",), ("flip", "rotate"), ("",), ("FLIP",)])
def test_unknown_augmentations_are_refused(tta):
    with pytest.raises(ConfigError, match="knows flip, scale"):
        run_network(PixelEngine(), PLAIN, noise(4, 4), tta)


def test_no_scores_are_an_error():
    engine = PixelEngine()
    engine.low_logits = lambda batch: np.zeros((1, 3, 0, 4), np.float32)
    with pytest.raises(ModelError, match="no scores for 4 × 5 pixels"):
        run_network(engine, PLAIN, noise(5, 4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tta", [(), ("flip",)])
def test_scores_that_are_not_finite_are_an_error(value, tta):
    engine = PixelEngine()
    engine.low_logits = lambda batch: np.full((1, 3, 4, 4), value, np.float32)
    with pytest.raises(ModelError, match="not finite"):
        run_network(engine, PLAIN, noise(4, 4), tta)

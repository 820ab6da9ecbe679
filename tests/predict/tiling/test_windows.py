import numpy as np
import pytest

from segscape.predict import predictor as module
from segscape.predict.predictor import Predictor
from segscape.predict.tiling.windows import WindowedEngine
from segscape.runtime.choose import open_engine


def noise(height: int, width: int, n: int = 1) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3, height, width)).astype(np.float32)


class Recorder:
    """What the engine behind windows is given."""

    def __init__(self, engine):
        self.name, self.stride, self.concurrency, self.low = engine.name, engine.stride, 1, engine.low_logits
        self.seen: list[tuple[int, int]] = []

    def low_logits(self, batch):
        self.seen.append(batch.shape[2:])
        return self.low(batch)


@pytest.fixture
def recorder(tiny_predictor):
    return Recorder(tiny_predictor.engine)


@pytest.mark.parametrize("size", [(200, 300), (64, 520), (331, 131), (193, 193)])
def test_windows_give_the_scores_of_the_whole(recorder, size):
    engine = WindowedEngine(recorder, 128 * 128, side=128)
    engine.__dict__["_margin"] = 32  # the tiny network sees 18 pixels
    batch = noise(*size, n=2)
    found = engine.low_logits(batch)
    assert len(recorder.seen) > 1
    assert max(height * width for height, width in recorder.seen) <= (128 + 64) ** 2
    np.testing.assert_allclose(found, recorder.low(batch)[..., : found.shape[2], : found.shape[3]], atol=1e-5)


def test_without_a_margin_they_do_not(recorder):
    engine = WindowedEngine(recorder, 1, side=128)
    engine.__dict__["_margin"] = 0
    batch = noise(200, 300)
    assert np.abs(engine.low_logits(batch) - recorder.low(batch)).max() > 1e-3


def test_small_inputs_are_given_as_they_are(recorder):
    batch = noise(70, 41)
    np.testing.assert_array_equal(WindowedEngine(recorder, 70 * 41).low_logits(batch), recorder.low(batch))
    assert recorder.seen == [(70, 41)]


def test_the_margin_is_measured(recorder):
    assert WindowedEngine(recorder, 1)._margin == 32


def test_a_large_photo_at_its_own_size_goes_through_windows(tiny_predictor, recorder, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 150, 3), np.uint8)
    wanted = tiny_predictor.predict(pixels, long_side="native")
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 1200 * 150)
    windowed = Predictor(recorder, tiny_predictor.card)
    found = windowed.predict(pixels, long_side="native")
    assert (1300, 150) not in recorder.seen
    assert np.mean(found.label_map == wanted.label_map) > 0.9999
    recorder.seen.clear()
    windowed.predict(pixels, long_side=200)
    assert recorder.seen == [(200, 23)]


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("tta", [("flip",), ("scale",), ("flip", "scale")], ids="+".join)
def test_augmented_views_and_windows_are_the_same_in_all_engines(
    tiny_bundle, tiny_predictor, monkeypatch, tmp_path_factory, engine, tta
):
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 100 * 100)
    chosen = open_engine(tiny_bundle, engine, precision="f32")
    other = Predictor(chosen.engine, chosen.card)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 1300, 3), np.uint8)
    for size in ("native", 80):
        wanted = tiny_predictor.predict(pixels, tta=tta, long_side=size, confidence=True)
        found = other.predict(pixels, tta=tta, long_side=size, confidence=True)
        assert len(np.unique(wanted.label_map)) > 1
        assert np.mean(found.label_map == wanted.label_map) > 0.999
        np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-3)

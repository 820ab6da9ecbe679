import shutil

import numpy as np
import pytest
import torch

from segscape.errors import ConfigError, ResourceError
from segscape.models import build_model
from segscape.models.mask_rcnn import MaskRCNN
from segscape.runtime.torch_engine import (
    TorchDetector,
    TorchEngine,
    is_out_of_memory,
    make_engine,
    pick_device,
    pick_precision,
)


def tiny_detector() -> MaskRCNN:
    return MaskRCNN(1, channels=16, box_channels=32, anchor_sizes=(8, 16), anchor_stride=4, pool_stride=2)


@pytest.fixture
def engine() -> TorchEngine:
    return TorchEngine(build_model("unet", 3, {"base_channels": 2, "depth": 1}).train(), "cpu")


def test_auto_is_a_device_that_works():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto").type == expected
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["tpu", "", "cuda:99", "meta", "hpu", "xpu", "cpu:cpu"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ConfigError, match="cannot be used here"):
        pick_device(device)


@pytest.mark.parametrize(("wanted", "device", "picked"), [("auto", "cpu", "f32"), ("bf16", "cpu", "bf16")])
def test_precision_is_f32_on_a_cpu_unless_asked_for(wanted, device, picked):
    assert pick_precision(wanted, torch.device(device)) == picked


def test_precisions_that_are_none():
    with pytest.raises(ConfigError, match="auto, f32 or bf16"):
        pick_precision("f16", torch.device("cpu"))


def test_bf16_is_close_to_f32_and_not_it(engine):
    batch = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    rounded = TorchEngine(engine.model, "cpu", "bf16")
    exact, close = engine.low_logits(batch), rounded.low_logits(batch)
    assert rounded.name == "torch cpu bf16"
    assert close.dtype == np.float32
    assert 0 < np.abs(close - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler")
def test_compiled_it_gives_what_it_gave(engine):
    compiled = TorchEngine(engine.model, "cpu", compiled=True)
    assert compiled.name == "torch-compile cpu f32"
    for size in ((16, 24), (9, 32)):
        batch = np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32)
        np.testing.assert_allclose(compiled.low_logits(batch), engine.low_logits(batch), atol=1e-4)


def test_compiling_needs_a_compiler_and_label_maps(engine, monkeypatch):
    with pytest.raises(ConfigError, match="for objects take torch"):
        make_engine(tiny_detector(), "cpu", compiled=True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        make_engine(engine.model, "cpu", compiled=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_replayed_on_a_gpu_it_gives_what_it_gave():
    engine = TorchEngine(build_model("unet", 3, {"base_channels": 2, "depth": 1}), "cuda")
    batches = np.random.default_rng(0).normal(size=(4, 1, 3, 16, 24)).astype(np.float32)
    first = [engine.low_logits(batch) for batch in batches]
    engine.low_logits(np.zeros((1, 3, 8, 8), np.float32))
    for batch, before in zip(batches, first, strict=True):
        np.testing.assert_allclose(engine.low_logits(batch), before, atol=1e-3)


def test_what_it_says_of_itself(engine):
    assert engine.name == "torch cpu f32"
    assert engine.stride == 1
    assert not engine.model.training


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8)])
def test_scores_are_plain_float32_arrays(engine, size):
    batch = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    before = batch.copy()
    logits = engine.low_logits(batch)
    assert isinstance(logits, np.ndarray)
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    assert logits.shape == (2, 3, size[0] + size[0] % 2, size[1] + size[1] % 2)
    with torch.inference_mode():
        expected = engine.model.low_logits(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_array_equal(batch, before)


def allocate_a_petabyte(_x):
    return torch.empty(10**15)


def fail_with(error):
    def fail(_x):
        raise error

    return fail


@pytest.mark.parametrize(
    "low_logits", [allocate_a_petabyte, fail_with(torch.OutOfMemoryError("cuda")), fail_with(MemoryError())]
)
def test_out_of_memory_is_a_resource_error_that_says_what_to_do(engine, monkeypatch, low_logits):
    monkeypatch.setattr(engine.model, "low_logits", low_logits)
    with pytest.raises(ResourceError, match=r"out of memory on cpu at 7 × 5; give a smaller --size"):
        engine.low_logits(np.zeros((1, 3, 5, 7), np.float32))


@pytest.fixture
def detector() -> TorchDetector:
    torch.manual_seed(0)
    options = {"channels": 8, "box_channels": 8, "anchor_sizes": (8, 16), "pool_stride": 2, "max_objects": 7}
    return TorchDetector(build_model("mask_rcnn", 2, options).train(), "cpu")  # type: ignore[arg-type]


def test_detections_are_plain_arrays_with_our_class_ids(detector):
    assert (detector.name, detector.model.training) == ("torch cpu f32", False)
    batch = np.random.default_rng(0).normal(size=(1, 3, 33, 45)).astype(np.float32)
    found = detector.detect(batch)
    assert found.boxes.shape == (7, 4)
    assert found.masks.shape == (7, 28, 28)
    assert [a.dtype for a in (found.boxes, found.labels, found.scores, found.masks)] == [
        np.float32,
        np.int64,
        np.float32,
        np.float32,
    ]
    with torch.inference_mode():
        wanted = detector.model.detect(torch.from_numpy(batch))[0]
    np.testing.assert_array_equal(found.labels, wanted["labels"].numpy() - 1)
    assert set(found.labels.tolist()) <= {0, 1}
    assert (np.diff(found.scores) <= 0).all()


def test_detections_of_nothing(detector):
    detector.model.roi_heads.score_thresh = 1.0
    found = detector.detect(np.zeros((1, 3, 20, 20), np.float32))
    assert (found.boxes.shape, found.labels.shape, found.masks.shape) == ((0, 4), (0,), (0, 28, 28))


def test_a_detector_that_runs_out_of_memory(detector, monkeypatch):
    monkeypatch.setattr(detector.model, "detect", fail_with(MemoryError()))
    with pytest.raises(ResourceError, match=r"out of memory on cpu at 7 × 5"):
        detector.detect(np.zeros((1, 3, 5, 7), np.float32))


def test_engines_fit_their_networks(engine, detector):
    assert isinstance(make_engine(engine.model, "cpu"), TorchEngine)
    assert isinstance(make_engine(detector.model, "cpu"), TorchDetector)


def test_other_faults_are_not_called_out_of_memory(engine, monkeypatch):
    monkeypatch.setattr(engine.model, "low_logits", fail_with(RuntimeError("sizes do not match")))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        engine.low_logits(np.zeros((1, 3, 5, 7), np.float32))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator: can't allocate memory"))


def test_an_image_that_does_not_fit_into_memory_is_refused_before_linux_kills_the_process(monkeypatch):
    monkeypatch.setattr("segscape.runtime.memory.available_bytes", lambda: 10**6)
    model = tiny_detector()
    with pytest.raises(ResourceError, match=r"512 × 256 would need about .* GB .* smaller --size"):
        TorchDetector(model, "cpu").detect(np.zeros((1, 3, 256, 512), np.float32))

"""Detectors on OpenVINO and ONNX Runtime against torch: the same objects from the same bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graph_help import noise
from segscape.errors import ConfigError, InputError, ModelError, ResourceError
from segscape.models.card import ModelCard
from segscape.preprocess import Preprocess
from segscape.runtime.choose import open_engine
from segscape.runtime.detector import SplitDetector, part_inputs
from segscape.runtime.detector_graphs import PARTS, DetectorPlan, bundle_detector
from segscape.runtime.engine import Detections
from segscape.runtime.onnx_engine import OnnxNetwork
from segscape.runtime.openvino_engine import OpenVINONetwork

SMALL = {"channels": 16, "box_channels": 32, "anchor_sizes": [8, 16, 32]}
EVERY_OPTION = {
    "backbone": "tf_efficientnet_lite0",
    "channels": 8,
    "anchor_sizes": [12, 21.5],
    "anchor_stride": 8,
    "pool_stride": 2,
    "box_channels": 24,
    "batch_norm": False,
    "max_objects": 3,
    "samples": 64,
    "nms": 0.2,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "cache"))


def save_detector(path: Path, options: dict, labels) -> Path:
    """A bundle of a random detector that finds objects."""
    import torch

    from segscape.models import build_model
    from segscape.models.bundle import save_bundle

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model("mask_rcnn", len(labels), options).eval()
        with torch.no_grad():
            for name, weight in model.state_dict().items():
                if name.endswith(("running_var",)):
                    weight.uniform_(0.5, 1.5)
                elif name.endswith("bn3.weight"):
                    weight.fill_(0.2)
                elif "predictor" in name or name.startswith(("rpn.head.cls", "rpn.head.bbox")):
                    weight.normal_(std=0.1)
    save_bundle(path, model.state_dict(), ModelCard("d", "mask_rcnn", options, labels, Preprocess(), task="instance"))
    return path


def assert_same(found: Detections, wanted: Detections) -> None:
    """Those of scores that are nearly equal may come in another order, and another one of them be the last kept."""
    for part in ("boxes", "labels", "scores", "masks"):
        assert getattr(found, part).dtype == getattr(wanted, part).dtype
        assert getattr(found, part).shape == getattr(wanted, part).shape
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)
    for k in np.flatnonzero(wanted.scores > wanted.scores[-1] + 1e-4):
        near = (found.labels == wanted.labels[k]) & (np.abs(found.scores - wanted.scores[k]) < 1e-3)
        differences = np.abs(found.boxes[near] - wanted.boxes[k]).max(1) if near.any() else np.array([np.inf])
        assert differences.min() < 1e-3, (k, differences)
        np.testing.assert_allclose(found.masks[near][differences.argmin()], wanted.masks[k], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (SMALL, 20),
        (EVERY_OPTION, 3),
        ({"backbone": "resnet50_fpn", "nms": 0.4}, 5),
        ({"backbone": "resnet50_fpn_v2", "max_objects": 40}, 5),
    ],
    ids=["small", "every option", "resnet50_fpn", "resnet50_fpn_v2"],
)
def test_objects_are_those_of_torch_at_any_size(tmp_path, tiny_labels, options, count):
    path = save_detector(tmp_path / "d.safetensors", options, tiny_labels)
    original, sizes = open_engine(path, "torch", device="cpu").engine, ((70, 93), (128, 96))
    wanted = [original.detect(noise(*size)) for size in sizes]  # type: ignore[union-attr]
    assert min(len(objects.boxes) for objects in wanted) >= count
    for engine in ("openvino", "onnx"):
        chosen = open_engine(path, engine, precision="f32").engine
        assert chosen.name == f"{engine} cpu f32"
        for objects, size in zip(wanted, sizes, strict=True):
            assert_same(chosen.detect(noise(*size)), objects)  # type: ignore[union-attr]


@pytest.mark.parametrize("load", [OpenVINONetwork, OnnxNetwork])
def test_no_objects(tmp_path, tiny_labels, load):
    graph = bundle_detector(save_detector(tmp_path / "d.safetensors", SMALL, tiny_labels))
    for plan in (replace(graph.plan, min_score=1.0), replace(graph.plan, max_proposals=1, min_score=0.999)):
        found = SplitDetector(replace(graph, plan=plan), load).detect(noise(40, 40))
        assert [found.boxes.shape, found.labels.shape, found.scores.shape] == [(0, 4), (0,), (0,)]
        assert found.masks.shape == (0, 28, 28)


def test_an_image_without_proposals(tmp_path, tiny_labels):
    graph = bundle_detector(save_detector(tmp_path / "d.safetensors", SMALL, tiny_labels))
    far = tuple(tuple((5000.0, 5000.0, 5001.0, 5001.0) for _ in level) for level in graph.plan.anchors)
    found = SplitDetector(replace(graph, plan=replace(graph.plan, anchors=far)), OnnxNetwork).detect(noise(32, 32))
    assert found.masks.shape == (0, 28, 28)


def test_an_image_that_does_not_fit_into_memory_is_refused(tiny_objects, monkeypatch):
    chosen = open_engine(tiny_objects, "onnx").engine
    monkeypatch.setattr("segscape.runtime.memory.available_bytes", lambda: 10**6)
    with pytest.raises(ResourceError, match=r"512 × 256 would need about .* GB .* smaller --size"):
        chosen.detect(noise(256, 512))  # type: ignore[union-attr]


def test_parts_can_be_run_and_their_inputs_kept(tmp_path, tiny_labels):
    """What quantising a part takes: an ONNX model, and what it sees of images."""
    import onnxruntime

    graph = bundle_detector(save_detector(tmp_path / "d.safetensors", SMALL, tiny_labels))
    images = [noise(40, 60), noise(64, 64)]
    seen = list(part_inputs(graph, OnnxNetwork, images))
    assert [tuple(inputs) for inputs in seen] == [PARTS, PARTS]
    assert [inputs["features"].shape for inputs in seen] == [(1, 3, 64, 64)] * 2
    assert not np.shares_memory(seen[0]["boxes"], seen[1]["boxes"])
    for part, x in seen[1].items():
        session = onnxruntime.InferenceSession(graph.parts[part].model(), providers=["CPUExecutionProvider"])
        assert session.run(None, {session.get_inputs()[0].name: x})[0].shape[0] == len(x)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"min_score": "0.5"}, "'min_score' is a number"),
        ({"max_iou": 1.5}, "'max_iou' is a number in 0…1"),
        ({"bytes_per_pixel": float("nan")}, "'bytes_per_pixel' is a number"),
        ({"multiple": 0}, "'multiple' is a whole number"),
        ({"max_objects": True}, "'max_objects' is a whole number"),
        ({"max_proposals": 10**9}, "'max_proposals' is a whole number"),
        ({"anchors": []}, "'anchors' are lists"),
        ({"num_pooled": 17}, "'num_pooled' is a whole number in 1…16,"),
        ({"mask_side": 65}, "'mask_side' is a whole number in 1…64,"),
        ({"box_side": 5000}, "'box_side' is a whole number in 1…64,"),
        ({"multiple": 1025}, "'multiple' is a whole number in 1…1024,"),
        ({"max_objects": 10**6}, "'max_objects' is a whole number in 1…100000,"),
        ({"max_per_level": 10**6}, "'max_per_level' is a whole number in 1…100000,"),
        ({"bytes_per_pixel": 10**400}, "'bytes_per_pixel' is a number"),
        ({"anchors": [[[0, 0, 1, 1e300]]]}, "'anchors' are lists"),
        ({"anchors": [[[0, 0, 1, 10**400]]]}, "'anchors' are lists"),
        ({"anchors": [[]]}, "'anchors' are lists"),
        ({"anchors": [[[0, 0, 1]]]}, "'anchors' are lists"),
        ({"anchors": [[[0, 0, 1, float("inf")]]]}, "'anchors' are lists"),
        ({"anchors": 3}, "'anchors' are lists"),
        ({"more": 1}, "and no more"),
    ],
)
def test_plans_that_are_none(tiny_objects, values, says):
    plan = bundle_detector(tiny_objects).plan
    assert DetectorPlan.from_dict(plan.to_dict()) == plan
    with pytest.raises(InputError, match=says):
        DetectorPlan.from_dict({**plan.to_dict(), **values})


class Spoilt:
    """A graph one of whose outputs holds one value that is no number."""

    name, concurrency = "spoilt", 1

    def __init__(self, graph, output: int, value: float) -> None:
        self._network, self._output, self._value = OnnxNetwork(graph), output, value

    @contextmanager
    def run(self, x: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, ...]]:
        with self._network.run(x, size) as found:
            spoilt = tuple(part.copy() for part in found)
            spoilt[self._output].flat[0] = self._value
            yield spoilt


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("part", "output"), [("features", -3), ("features", -1), ("boxes", 0), ("boxes", 1)])
def test_what_is_no_number_is_an_error_and_not_nothing_found(tiny_objects, part, output, value):
    graph = bundle_detector(tiny_objects)

    def load(one):
        return Spoilt(one, output, value) if one is graph.parts[part] else OnnxNetwork(one)

    with pytest.raises(ModelError, match="not finite: its weights are damaged"):
        SplitDetector(graph, load).detect(noise(64, 64))


def test_a_damaged_graph_in_the_cache_is_made_anew_or_named(tiny_objects, tmp_path):
    wanted = bundle_detector(tiny_objects)
    path = next((tmp_path / "cache" / "graphs").glob("*.features.graph"))
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert bundle_detector(tiny_objects).plan == wanted.plan
    other = next((tmp_path / "cache" / "graphs").glob("*.boxes.graph"))
    path.write_bytes(other.read_bytes())
    with pytest.raises(ModelError, match="the graph kept for its network is damaged"):
        bundle_detector(tiny_objects)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_the_bundled_model_finds_what_it_finds_in_torch(engine):
    from segscape.predict.locate import find_model

    path, batch = Path(find_model("nuclei")), noise(90, 130)
    wanted = open_engine(path, "torch", device="cpu").engine.detect(batch)  # type: ignore[union-attr]
    assert len(wanted.boxes) > 20
    assert_same(open_engine(path, engine, precision="f32").engine.detect(batch), wanted)  # type: ignore[union-attr]


def test_only_networks_of_ours_are_split():
    from torch import nn

    from segscape.export.tracing import trace

    with pytest.raises(ConfigError, match="no graph can be made of a Linear"):
        trace(nn.Linear(2, 2))

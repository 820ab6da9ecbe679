"""A detector in eight bits: three networks, each calibrated on what it sees."""

from dataclasses import replace
from pathlib import Path

import pytest

from graph_help import noise
from segscape.export import quantized_network
from segscape.export.quantized_network import Layer, QuantizedNetwork
from segscape.runtime.detector_graphs import BOXES, FEATURES, MASKS, DetectorGraph, bundle_detector


class FakeQuantized:
    """What `quantize` gives, without quantising: layers with errors, and which of them were kept."""

    def __init__(self, seen: list[tuple[int, ...]], errors: dict[str, float]) -> None:
        self.seen, self.errors, self.layers = seen, errors, tuple(errors)
        self.ranked_on: list[tuple[int, ...]] = []

    def keeping(self, names: list[str]) -> str:
        return " ".join(names)

    def rank(self, inputs, progress) -> list[tuple[str, float]]:
        self.ranked_on = [x.shape for x in inputs]
        return sorted(self.errors.items(), key=lambda pair: -pair[1])


@pytest.fixture
def fakes(monkeypatch) -> list[FakeQuantized]:
    """Of the parts, in the order in which they are quantised."""
    errors = iter([{"/a": 0.3, "/b": 0.1}, {"a": 0.2}, {"/a": 0.05, "/c": 0.9}])
    made = []

    def quantize(model, inputs, num, progress):
        made.append(FakeQuantized([x.shape for x in inputs], next(errors)))
        assert len(made[-1].seen) == num
        return made[-1]

    def save(model, folder):
        (folder / "kept").write_text(model)
        return folder / "kept"

    monkeypatch.setattr(quantized_network, "quantize", quantize)
    monkeypatch.setattr(quantized_network, "save", save)
    return made


@pytest.fixture(scope="module")
def detector(tiny_objects) -> DetectorGraph:
    return bundle_detector(tiny_objects)


def images(num: int):
    return (noise(40, 56, seed=i) for i in range(num))


def test_heads_are_calibrated_on_some_boxes_of_each_image(detector, fakes, monkeypatch):
    monkeypatch.setattr(quantized_network, "_BOXES_PER_IMAGE", 3)
    network = QuantizedNetwork(detector, images(3), 3)
    whole, boxes, masks = (fake.seen for fake in fakes)
    assert whole == [(1, 3, 64, 64)] * 3
    for seen, side in ((boxes, detector.plan.box_side), (masks, detector.plan.mask_side)):
        assert [shape[1:] for shape in seen] == [(side, side, 8)] * 3
        assert all(1 <= shape[0] <= 3 for shape in seen)
    network.rank()
    assert [fake.ranked_on for fake in fakes] == [fake.seen[:2] for fake in fakes]


def test_a_head_that_saw_no_box_stays_as_it_is(detector, fakes, tmp_path):
    blind = replace(detector, plan=replace(detector.plan, min_score=1.0))
    network = QuantizedNetwork(blind, images(1), 1)
    assert {layer.part for layer in network.layers} == {FEATURES, BOXES}
    found = network.keeping((), tmp_path / "x")
    assert isinstance(found, DetectorGraph)
    assert found.parts[MASKS] is detector.parts[MASKS]


def test_layers_of_all_parts_are_ranked_together_and_kept_each_in_its_own(detector, fakes, tmp_path):
    network = QuantizedNetwork(detector, images(1), 1)
    ranked = network.rank()
    assert [str(layer) for layer in ranked] == ["masks/c", "features/a", "boxes/a", "features/b", "masks/a"]
    assert sorted(ranked) == sorted(network.layers)
    graphs = [network.keeping(kept, tmp_path / str(len(kept))) for kept in ((), ranked[:2])]
    keys, texts = [], []
    for graph in graphs:
        assert isinstance(graph, DetectorGraph)
        assert graph.plan == detector.plan
        keys.append({part: graph.parts[part].key for part in graph.parts})
        files = {part: graph.parts[part].model() for part in graph.parts}
        texts.append({part: file.read_text() for part, file in files.items() if isinstance(file, Path)})
    assert texts == [{FEATURES: "", BOXES: "", MASKS: ""}, {FEATURES: "/a", BOXES: "", MASKS: "/c"}]
    assert [part for part in keys[0] if keys[0][part] != keys[1][part]] == [FEATURES, MASKS]


def test_the_name_of_a_layer_of_a_network_in_one_piece_is_as_it_was():
    assert str(Layer("", "/down.0")) == "/down.0"

"""From a bundle to a folder in int8, or to a refusal."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segscape.data import open_dataset
from segscape.errors import DataError
from segscape.export import gate, int8
from segscape.export.folder import read_exported, read_exported_card
from segscape.export.gate import Comparison, Limits, Row
from segscape.image import read_image
from segscape.models.reading import read_card
from segscape.predict.predictor import Predictor
from segscape.runtime.choose import open_engine
from segscape.runtime.detector_graphs import PARTS, DetectorGraph
from segscape.runtime.openvino_engine import OpenVINOEngine


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "cache"))


def allow(monkeypatch, *passed: bool) -> None:
    """Let the gate pass or not, attempt by attempt."""
    said = iter(passed)
    monkeypatch.setattr(
        int8, "compare", lambda *_: Comparison("IoU", (Row("a", 0.5, 0.5 if next(said) else 0.1, 0.1),), 2)
    )


def test_the_folder_is_a_model_in_int8_and_says_how_it_was_made(
    run, tiny_bundle, make_mask_folder, make_photo, monkeypatch
):
    data = make_mask_folder(train=3, val=2)
    allow(monkeypatch, True)
    code, out, _ = run("export", tiny_bundle, "--to", "openvino", "--int8", data, "--out", "x", "--json", "--quiet")
    document = json.loads(out)
    assert (code, document["files"]) == (0, ["x/model.json", "x/graph.xml", "x/graph.bin"])
    said = document["int8"]
    assert read_exported_card(Path("x"))[1]["int8"] == said
    assert (said["calibration"]["split"], said["calibration"]["images"], said["kept_layers"]) == ("train", 3, [])
    assert (said["gate"]["split"], said["gate"]["passed"]) == ("val", True)

    photo = make_photo("a.png")
    batch = read_exported_card(Path("x"))[0].preprocess.batch(read_image(photo).pixels)
    original = open_engine(tiny_bundle, "openvino", precision="f32").engine.low_logits(batch)
    found = open_engine(Path("x"), precision="f32").engine.low_logits(batch)
    assert 1e-4 < ((found - original) ** 2).mean() / original.var() < 0.1, "rounded, and no more than rounded"
    assert "FakeQuantize" in Path("x/graph.xml").read_text()
    code, _, err = run("predict", photo, "--model", "x", "--out", "masks")
    assert (code, err) == (0, "")


def test_a_refused_model_is_not_written(run, tiny_bundle, make_mask_folder, tmp_path, monkeypatch):
    allow(monkeypatch, *[False] * 9)
    data = make_mask_folder(train=2, val=1)
    code, out, err = run("export", tiny_bundle, "--to", "openvino", "--int8", data, "--out", "x", "--quiet")
    assert (code, "too much" in out, "nothing was written" in err) == (1, True, True)
    assert not (tmp_path / "x").exists()


def test_sensitive_layers_are_kept_until_the_gate_is_passed(tiny_bundle, make_mask_folder, monkeypatch):
    dataset = open_dataset(make_mask_folder(train=2, val=1))
    allow(monkeypatch, False, False, True)
    with int8.quantized(tiny_bundle, dataset) as made:
        assert made.comparison.passed
        assert len(made.kept) == 2
        assert made.said["int8_layers"] + len(made.said["kept_layers"]) == made.num_layers
        path = made.graph.model()
        assert path.exists()
    assert not path.exists()


def test_the_gate_judges_what_is_written(tiny_bundle, make_mask_folder, monkeypatch):
    """A loss of nothing at all is allowed: some attempt has to give the original's masks, or the last is refused."""
    dataset = open_dataset(make_mask_folder(train=2, val=2))
    with int8.quantized(tiny_bundle, dataset, limits=Limits(0.0, 0.0, 0.0)) as made:
        engine = OpenVINOEngine(made.graph, cache=False)
        again = gate.measure(Predictor(engine, read_card(tiny_bundle)), dataset, "val")
        assert [row.after for row in made.comparison.rows] == [again.miou, *again.iou.values()]


@pytest.mark.parametrize(
    ("splits", "learn", "judge"),
    [
        ({"train": 2, "val": 1, "test": 1}, "train", "val"),
        ({"train": 6, "test": 1}, "train[-0/5]", "train[0/5]"),
        ({"left": 3}, "left[-0/3]", "left[0/3]"),
        ({"val": 2}, "val[-0/2]", "val[0/2]"),
        ({"test": 5, "predict": 3}, "test[-0/5]", "test[0/5]"),
        ({"train": 1, "test": 4}, None, None),
    ],
)
def test_the_split_to_judge_on_is_not_the_one_to_calibrate_on(make_mask_folder, splits, learn, judge):
    dataset = open_dataset(make_mask_folder(**splits))
    if learn is None:
        with pytest.raises(DataError, match="too few images"):
            int8._splits(dataset)
    else:
        assert int8._splits(dataset) == (learn, judge)


def test_few_images_are_picked_and_always_the_same(make_mask_folder, monkeypatch):
    dataset = open_dataset(make_mask_folder(train=6))
    monkeypatch.setattr(int8, "CALIBRATION_IMAGES", 3)
    picked = [item.name for item in int8._pick(dataset, "train", 0)]
    assert len(set(picked)) == 3
    assert picked == [item.name for item in int8._pick(dataset, "train", 0)]
    assert picked != [item.name for item in int8._pick(dataset, "train", 1)]


def test_of_a_large_image_the_middle_is_enough(monkeypatch):
    monkeypatch.setattr(int8, "_CALIBRATION_SIDE", 4)
    batch = np.arange(3 * 3 * 8).reshape(1, 3, 3, 8)
    np.testing.assert_array_equal(int8._middle(batch), batch[:, :, :, 2:6])


def test_onnx_is_refused(run, tiny_bundle, make_mask_folder):
    data = make_mask_folder(train=2, val=1)
    code, _, err = run("export", tiny_bundle, "--to", "onnx", "--int8", data, "--out", "x")
    assert (code, "goes with --to openvino" in err) == (2, True)


def test_a_detector_is_in_int8_in_all_its_parts(run, tiny_objects, make_numbered, make_photo, monkeypatch):
    data = f"numbered:{make_numbered(train=2, val=1)}"
    allow(monkeypatch, False, True)
    monkeypatch.setattr(int8.QuantizedNetwork, "rank", lambda self, _: list(self.layers))  # of 80 layers it takes long
    code, out, _ = run("export", tiny_objects, "--to", "openvino", "--int8", data, "--out", "x", "--json", "--quiet")
    assert code == 0
    said = json.loads(out)["int8"]
    kept = said["kept_layers"]
    assert kept
    assert all(name.startswith("features/") for name in kept), kept
    graph = read_exported(Path("x")).graph
    assert isinstance(graph, DetectorGraph)
    assert {part: part_graph.multiple for part, part_graph in graph.parts.items()} == {
        part: graph.plan.multiple if part == "features" else 1 for part in PARTS
    }
    for part in PARTS:
        assert "FakeQuantize" in Path(f"x/{part}.xml").read_text(), part

    photo = make_photo("a.png")
    batch = read_exported_card(Path("x"))[0].preprocess.batch(read_image(photo).pixels)
    original = open_engine(tiny_objects, "openvino", precision="f32").engine.detect(batch)
    found = open_engine(Path("x"), precision="f32").engine.detect(batch)
    assert len(found.scores) == len(original.scores) > 0
    assert 1e-7 < np.abs(found.scores - original.scores).max() < 0.05
    code, _, err = run("predict", photo, "--model", "x", "--out", "masks")
    assert (code, err) == (0, "")


def test_a_detector_that_loses_average_precision_is_refused(run, tiny_objects, make_numbered, monkeypatch, tmp_path):
    data = f"numbered:{make_numbered(train=2, val=1)}"
    measured, scores = int8.measure, iter([0.500, 0.489])
    monkeypatch.setattr(int8, "measure", lambda *given: replace(measured(*given), map_mask=next(scores)))
    monkeypatch.setattr(int8, "_KEPT_SHARES", (0.0,))
    monkeypatch.setattr(
        int8, "QuantizedNetwork", lambda graph, *_: SimpleNamespace(layers=(), keeping=lambda kept, folder: graph)
    )
    code, out, err = run("export", tiny_objects, "--to", "openvino", "--int8", data, "--out", "x", "--quiet")
    assert (code, "too much" in out, "nothing was written" in err) == (1, True, True)
    assert not (tmp_path / "x").exists()

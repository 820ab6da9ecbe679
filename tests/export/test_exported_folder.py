import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segscape.errors import ConfigError, ModelError
from segscape.export import check
from segscape.export.folder import card_of, read_exported, write_exported
from segscape.models.reading import read_card
from segscape.runtime.choose import open_engine
from segscape.runtime.detector_graphs import bundle_detector
from segscape.runtime.graphs import bundle_graph

KINDS = pytest.mark.parametrize("kind", ["onnx", "openvino"])


@pytest.fixture
def exported(tmp_path, tiny_bundle):
    def make(kind: str = "onnx") -> Path:
        write_exported(tmp_path / kind, kind, bundle_graph(tiny_bundle), read_card(tiny_bundle))
        return tmp_path / kind

    return make


@KINDS
def test_what_is_read_is_what_was_written(exported, tiny_bundle, kind):
    folder = exported(kind)
    found, graph = read_exported(folder), bundle_graph(tiny_bundle)
    assert (
        found.card.to_dict()
        == card_of(folder).to_dict()
        == read_card(tiny_bundle).to_dict()
        == card_of(tiny_bundle).to_dict()
    )
    assert (
        (found.graph.kind, found.graph.multiple, found.graph.stride)
        == (kind, graph.multiple, graph.stride)
        == (kind, 4, 1)
    )
    assert check.largest_difference(folder, tiny_bundle) < 1e-4
    assert exported(kind) == folder, "an earlier export is replaced"


@KINDS
def test_an_onnx_export_runs_in_both_engines_and_an_openvino_one_in_its_own(exported, kind):
    folder = exported(kind)
    assert open_engine(folder).engine.name.startswith("openvino")
    if kind == "onnx":
        assert open_engine(folder, "onnx").engine.name == "onnx cpu f32"
    else:
        with pytest.raises(ConfigError, match="exported to OpenVINO, which ONNX Runtime cannot read"):
            open_engine(folder, "onnx")
    with pytest.raises(ConfigError, match="for CPUs without torch; take the model it was made from"):
        open_engine(folder, "torch")


@KINDS
def test_a_changed_graph_is_refused(exported, kind):
    folder = exported(kind)
    for path in folder.glob("graph.*"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ModelError, match=r"does not have the hash in model\.json"):
            open_engine(folder)
        path.unlink()
        with pytest.raises(ModelError, match="cannot be read"):
            open_engine(folder)
        path.write_bytes(content)


def change(folder: Path, **values: object) -> None:
    document = json.loads((folder / "model.json").read_text())
    document["graph"].update(values)
    (folder / "model.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "tensorrt"}, "graph files other than"),
        ({"files": {"../graph.onnx": "0"}}, "graph files other than"),
        ({"files": {}}, "graph files other than"),
        ({"files": ["graph.onnx"]}, "not an exported model's card"),
        ({"multiple": 0}, "are none"),
        ({"multiple": 10**9}, "are none"),
        ({"multiple": 3, "stride": 2}, "are none"),
        ({"stride": True}, "are none"),
        ({"stride": "1"}, "are none"),
    ],
)
def test_what_a_stranger_may_write(exported, values, says):
    folder = exported()
    change(folder, **values)
    with pytest.raises(ModelError, match=says):
        open_engine(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "graph": {}}', '{"format": 2}', "[" * 10**5]
)
def test_a_card_that_is_none(exported, text):
    folder = exported()
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"not an exported model's card"):
        open_engine(folder)


def test_weights_outside_the_folder_are_not_followed(exported, tmp_path):
    import onnx

    folder = exported()
    model = onnx.load(folder / "graph.onnx")
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "../secret")
    model.graph.initializer[0].ClearField("raw_data")
    (folder / "graph.onnx").write_bytes(content := model.SerializeToString())
    change(folder, files={"graph.onnx": hashlib.sha256(content).hexdigest()})
    with pytest.raises(ModelError, match="lie in another file, which is not followed"):
        open_engine(folder)


def test_an_export_that_differs_is_refused_and_no_model(run, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    code, _, err = run("export", tiny_bundle, "--to", "onnx", "--out", "x")
    assert (code, "cannot be exported truly" in err) == (2, True)
    assert not (tmp_path / "x" / "model.json").exists()


def test_an_export_that_was_not_compared_is_no_model(run, tiny_bundle, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "largest_difference", interrupt)
    code, _, _ = run("export", tiny_bundle, "--to", "onnx", "--out", "x")
    assert code == 130
    assert not (tmp_path / "x" / "model.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{bundle}", "--to", "tflite"), "openvino"),
        (("nosuch", "--to", "onnx"), "no model 'nosuch'"),
    ],
)
def test_what_cannot_be_exported(run, tiny_bundle, arguments, says):
    arguments = [a.format(bundle=tiny_bundle) for a in arguments]
    code, _, err = run("export", *arguments, "--out", "x")
    assert (code, says in err) == (2, True)


@KINDS
def test_a_model_that_finds_objects_is_three_graphs_and_a_plan(run, tiny_objects, tmp_path, kind):
    code, out, _ = run("export", tiny_objects, "--to", kind, "--out", "x", "--json")
    suffixes = {"onnx": [".onnx"], "openvino": [".xml", ".bin"]}[kind]
    names = [part + suffix for part in ("features", "boxes", "masks") for suffix in suffixes]
    assert code == 0
    document = json.loads(out)
    assert document["files"] == ["x/model.json", *(f"x/{name}" for name in names)]
    assert document["largest_difference"] < 1e-3
    found = read_exported(tmp_path / "x")
    assert (found.kind, found.graph.plan) == (kind, bundle_detector(tiny_objects).plan)  # type: ignore[union-attr]
    batch = noise(70, 90)
    wanted = open_engine(tiny_objects, "torch", device="cpu").engine.detect(batch)  # type: ignore[union-attr]
    objects = open_engine(tmp_path / "x", kind, precision="f32").engine.detect(batch)  # type: ignore[union-attr]
    assert len(wanted.boxes) == len(objects.boxes) == 5
    np.testing.assert_allclose(objects.boxes, wanted.boxes, atol=1e-3)
    np.testing.assert_allclose(objects.scores, wanted.scores, atol=1e-3)
    np.testing.assert_allclose(objects.masks, wanted.masks, atol=1e-3)


def test_a_strangers_plan_is_checked(run, tiny_objects, tmp_path):
    run("export", tiny_objects, "--to", "onnx", "--out", "x")
    folder = tmp_path / "x"
    plan = json.loads((folder / "model.json").read_text())["graph"]["plan"]
    change(folder, plan={**plan, "max_objects": 10**12})
    with pytest.raises(ModelError, match="'max_objects' is a whole number"):
        open_engine(folder)
    change(folder, plan=plan)
    (folder / "masks.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"masks\.onnx' does not have the hash"):
        open_engine(folder)


@pytest.mark.parametrize("part", ["boxes", "labels", "scores", "masks"])
def test_objects_that_differ_are_refused(run, tiny_objects, tmp_path, monkeypatch, part):
    from segscape.runtime.detector import SplitDetector

    right = SplitDetector.detect

    def wrong(self, batch):
        found = right(self, batch)
        return replace(found, **{part: getattr(found, part) + (1 if part == "labels" else 0.3)})

    monkeypatch.setattr(SplitDetector, "detect", wrong)
    code, _, err = run("export", tiny_objects, "--to", "onnx", "--out", "x")
    assert (code, "cannot be exported truly" in err) == (2, True)


def test_export_says_what_it_wrote(run, tiny_bundle):
    code, out, _ = run("export", tiny_bundle, "--to", "onnx", "--out", "x", "--json")
    document = json.loads(out)
    assert (code, document["to"], document["files"]) == (0, "onnx", ["x/model.json", "x/graph.onnx"])
    assert document["largest_difference"] < 1e-3
    code, _, err = run("export", "x", "--to", "onnx", "--out", "y")
    assert (code, "is an exported model" in err) == (2, True)


def noise(height: int, width: int) -> np.ndarray:
    """(1, 3, height, width) float32."""
    return np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)


def put_graph(folder: Path, part: str, content: bytes, **values: object) -> None:
    """Another graph in the place of a part, whose hash fits."""
    (folder / f"{part}.onnx").write_bytes(content)
    files = json.loads((folder / "model.json").read_text())["graph"]["files"]
    change(folder, files={**files, f"{part}.onnx": hashlib.sha256(content).hexdigest()}, **values)


def giving(outputs: dict[str, tuple[list[int], int]], like: list[int | str]) -> bytes:
    """A graph of float32 ``like`` whose outputs are its largest value in a shape and an ONNX type."""
    from onnx import TensorProto, helper

    made = [helper.make_tensor(f"{n}_shape", TensorProto.INT64, [len(s)], s) for n, (s, _) in outputs.items()]
    nodes = [helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0)]
    for n, (_, kind) in outputs.items():
        nodes += [
            helper.make_node("Cast", ["most"], [f"{n}_most"], to=kind),
            helper.make_node("Expand", [f"{n}_most", f"{n}_shape"], [n]),
        ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, like)
    ends = [helper.make_tensor_value_info(n, kind, s) for n, (s, kind) in outputs.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], ends, made), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return model.SerializeToString()


IMAGE: list[int | str] = ["n", 3, "h", "w"]
FLOAT, INT64 = 1, 7  # of ONNX


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize(
    "outputs",
    [
        {"a": ([1, 2, 8, 8], FLOAT)},
        {"a": ([1, 3, 4, 4], FLOAT)},
        {"a": ([1, 3, 8], FLOAT)},
        {"a": ([1, 3, 8, 8], INT64)},
        {"a": ([1, 3, 8, 8], FLOAT), "b": ([1, 3, 8, 8], FLOAT)},
    ],
    ids=["fewer classes", "another stride", "no rank", "no floats", "two outputs"],
)
def test_a_graph_that_is_another_models_is_refused(exported, engine, outputs):
    folder = exported()
    put_graph(folder, "graph", giving(outputs, IMAGE))
    with pytest.raises(ModelError, match="its graph is another model's, or its card is wrong"):
        open_engine(folder, engine).engine.low_logits(np.zeros((1, 3, 7, 8), np.float32))


@KINDS
@pytest.mark.parametrize("values", [{"stride": 4}, {"stride": 2}, {"multiple": 1024, "stride": 1024}])
def test_a_stride_that_is_not_the_graphs_is_refused(exported, kind, values):
    folder = exported(kind)
    change(folder, **values)
    with pytest.raises(ModelError, match=r"another model's, or its card is wrong; export it again"):
        open_engine(folder).engine.low_logits(np.zeros((1, 3, 7, 8), np.float32))


@pytest.mark.parametrize("name", ["graph.onnx", "model.json"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_not_read(exported, name, make):
    folder = exported()
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(ModelError, match="pipe or device"):
        read_exported(folder)


def test_files_too_large_are_not_read(exported):
    folder = exported()
    os.truncate(folder / "graph.onnx", 10**13)
    with pytest.raises(ModelError, match="10000000000000 bytes, too many"):
        read_exported(folder)
    os.truncate(folder / "model.json", 10**9)
    with pytest.raises(ModelError, match="too many"):
        read_exported(folder)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize(
    ("part", "outputs"),
    [
        ("features", {"a": ([1, 8, 8, 8], FLOAT)}),
        ("boxes", {"a": ([1, 2], FLOAT)}),
        ("boxes", {"a": ([1, 2], FLOAT), "b": ([1, 8], FLOAT), "c": ([1, 8], FLOAT)}),
        ("boxes", {"a": ([1, 3], FLOAT), "b": ([1, 12], FLOAT)}),
        ("masks", {"a": ([1, 2, 28], FLOAT)}),
        ("masks", {"a": ([1, 2, 28, 28], FLOAT), "b": ([1], FLOAT)}),
    ],
)
def test_parts_of_a_detector_that_are_another_models_are_refused(tmp_path, tiny_objects, engine, part, outputs):
    write_exported(tmp_path / "x", "onnx", bundle_detector(tiny_objects), read_card(tiny_objects))
    put_graph(tmp_path / "x", part, giving(outputs, IMAGE if part == "features" else ["n", "h", "w", "c"]))
    with pytest.raises(ModelError, match=f"graph '{part}' gives .* export it again"):
        open_engine(tmp_path / "x", engine).engine.detect(np.zeros((1, 3, 64, 64), np.float32))

import pytest

from segscape.errors import ConfigError, ModelError
from segscape.runtime import choose
from segscape.runtime.choose import gpu_is_here, open_engine


@pytest.fixture
def have(monkeypatch):
    """have("torch", "onnxruntime"): these and no other engines are."""

    def set_to(*names: str) -> None:
        monkeypatch.setattr(choose, "installed", lambda name: name in names)

    return set_to


ALL = ("torch", "openvino", "onnxruntime")


@pytest.mark.parametrize(
    ("modules", "gpu", "device", "starts", "says"),
    [
        (ALL, False, "auto", "openvino cpu", "fastest that is installed"),
        (ALL, False, "cpu", "openvino cpu", "fastest that is installed"),
        (ALL, True, "auto", "torch", "a GPU is here"),
        (ALL, True, "cpu", "openvino cpu", "fastest that is installed"),
        (("openvino",), True, "auto", "openvino cpu", "fastest that is installed"),
        (("torch", "onnxruntime"), False, "auto", "onnx cpu", "fastest that is installed"),
        (("torch",), False, "auto", "torch", "neither OpenVINO nor ONNX Runtime"),
    ],
)
def test_auto(have, monkeypatch, tiny_bundle, modules, gpu, device, starts, says):
    have(*modules)
    monkeypatch.setattr(choose, "gpu_is_here", lambda: gpu)
    chosen = open_engine(tiny_bundle, device=device)
    assert chosen.engine.name.startswith(starts)
    assert says in chosen.reason


@pytest.mark.parametrize(
    ("engine", "name"),
    [("auto", "openvino cpu"), ("openvino", "openvino cpu"), ("onnx", "onnx cpu"), ("torch", "torch cpu")],
)
def test_models_that_find_objects_run_on_every_engine(tiny_objects, engine, name):
    chosen = open_engine(tiny_objects, engine, device="cpu")
    assert chosen.engine.name.startswith(name)
    assert chosen.engine.concurrency >= 1


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_network_that_cannot_become_a_graph_runs_in_torch_unless_told(tiny_bundle, monkeypatch, engine):
    def fail(*_):
        raise ConfigError("this network cannot become a graph: odd")

    monkeypatch.setattr("segscape.runtime.graphs.bundle_graph", fail)
    chosen = open_engine(tiny_bundle, device="cpu")
    assert chosen.engine.name == "torch cpu f32"
    assert "openvino and onnx cannot run it: this network cannot become a graph: odd" in chosen.reason
    with pytest.raises(ConfigError, match="odd"):
        open_engine(tiny_bundle, engine)


def test_where_openvino_fails_onnx_runtime_is_next(tiny_bundle, monkeypatch):
    def fail(*_, **__):
        raise ModelError("odd")

    monkeypatch.setattr("segscape.runtime.openvino_engine.OpenVINOEngine", fail)
    chosen = open_engine(tiny_bundle, device="cpu")
    assert (chosen.engine.name, chosen.reason) == ("onnx cpu f32", "openvino cannot run it: odd")


@pytest.mark.parametrize(
    ("engine", "device", "says"),
    [
        ("tensorrt", "auto", "no engine 'tensorrt'; there are auto, torch, torch-compile, openvino, onnx"),
        ("", "auto", "no engine ''"),
        ("openvino", "cuda", "device 'cuda' needs engine 'torch'"),
        ("auto", "tpu", "'tpu' cannot be used here"),
    ],
)
def test_engines_that_are_none(tiny_bundle, engine, device, says):
    with pytest.raises(ConfigError, match=says):
        open_engine(tiny_bundle, engine, device=device)


def test_a_damaged_bundle_is_refused_by_every_engine(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path))  # OpenVINO needs no weights once it has compiled them
    content = bytearray(tiny_bundle.read_bytes())
    content[-1] ^= 1
    (path := tmp_path / "damaged.safetensors").write_bytes(content)
    for engine in choose.ENGINES:
        with pytest.raises(ModelError):
            open_engine(path, engine)


def test_gpus_are_counted_without_torch():
    import torch

    assert gpu_is_here() == torch.cuda.is_available()

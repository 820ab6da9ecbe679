"""bf16 on OpenVINO: which layers stay in float32."""

import numpy as np
import pytest

from graph_help import SMALL, noise, save_small
from segscape.runtime import openvino_engine, openvino_precision
from segscape.runtime.graphs import bundle_graph
from segscape.runtime.openvino_core import openvino_core
from segscape.runtime.openvino_engine import OpenVINOEngine, has_bf16
from segscape.runtime.openvino_precision import FIRST_LAYERS, compile_bf16, first_in_f32

pytest.importorskip("openvino")
BF16 = {"INFERENCE_PRECISION_HINT": "bf16"}
native = pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16")


def model_of(path):
    return openvino_core().read_model(bundle_graph(path).model())


def precisions(compiled) -> list[str]:
    """Of the convolutions, in the order in which they run."""
    said = [op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops()]
    return [str(info["runtimePrecision"].value) for info in said if info["layerType"].value == "Convolution"]


@native
def test_the_first_layers_are_computed_in_float32(tiny_bundle):
    found = precisions(compile_bf16(openvino_core(), model_of(tiny_bundle), BF16, 4))
    assert found[:FIRST_LAYERS] == ["f32"] * FIRST_LAYERS
    assert set(found[FIRST_LAYERS:]) == {"bf16"}


@native
@pytest.mark.parametrize(("network", "options"), SMALL)
def test_every_network_runs_so(network, options, tmp_path, tiny_labels):
    graph, x = bundle_graph(save_small(tmp_path / "m.safetensors", network, options, tiny_labels)), noise(96, 128)
    truth, found = (OpenVINOEngine(graph, precision=p, cache=False).low_logits(x) for p in ("f32", "bf16"))
    assert 0 < ((found - truth) ** 2).mean() / truth.var() < 0.01


def test_a_network_that_does_not_begin_with_an_image_stays_as_it_is():
    from openvino import Model, opset13

    x = opset13.parameter([1, 4, 8, 8], np.float32)
    y = opset13.convolution(x, np.ones((2, 4, 3, 3), np.float32), [1, 1], [1, 1], [1, 1], [1, 1])
    model = Model([y], [x])
    assert first_in_f32(openvino_core(), model) is model


@native
def test_a_layer_to_which_another_is_added_is_not_mixed_with_it():
    from openvino import Model, opset13

    def conv(y, num_in):
        weights = np.random.default_rng(0).normal(size=(16, num_in, 3, 3)).astype(np.float32)
        return opset13.convolution(y, weights, [1, 1], [1, 1], [1, 1], [1, 1])

    x = opset13.parameter([1, 3, -1, -1], np.float32)
    first = opset13.relu(conv(x, 3))
    shifted = opset13.add(conv(first, 16), np.ones((1, 16, 1, 1), np.float32))
    model = Model([conv(opset13.relu(conv(opset13.add(shifted, first), 16)), 16)], [x])
    assert precisions(compile_bf16(openvino_core(), model, BF16, 8)) == ["f32", "bf16", "f32", "bf16"]


def test_layers_in_int8_stay_so():
    from openvino import Model, opset13

    x = opset13.parameter([1, 3, 8, 8], np.float32)
    rounded = opset13.fake_quantize(x, *(np.float32(v) for v in (-1, 1, -1, 1)), 256)
    y = opset13.convolution(rounded, np.ones((2, 3, 3, 3), np.float32), [1, 1], [1, 1], [1, 1], [1, 1])
    model = Model([y], [x])
    assert first_in_f32(openvino_core(), model) is model


def test_where_a_mixture_fails_all_is_in_bf16(tiny_bundle, monkeypatch):
    class Failing:
        def create_infer_request(self):
            raise RuntimeError("node object is not initialized")

    class Core:
        def compile_model(self, model, device, options):
            return "all in bf16" if model == "model" else Failing()

    monkeypatch.setattr(openvino_precision, "first_in_f32", lambda core, model: "marked")
    assert compile_bf16(Core(), "model", BF16, 8) == "all in bf16"


def test_float32_is_left_alone(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(openvino_engine, "compile_bf16", lambda *_: pytest.fail("in float32"))
    OpenVINOEngine(bundle_graph(tiny_bundle), precision="f32", cache=False)

"""Quantising: what is in int8, what is kept out of it, and which layers it harms."""

import numpy as np
import pytest

from graph_help import noise, save_small
from segscape.export.quantize import Quantized, quantize
from segscape.runtime.graphs import bundle_graph
from segscape.runtime.openvino_core import openvino_core

OPTIONS = {"base_channels": 4, "depth": 2}


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Quantized:
    from segscape.labels import Label, LabelSet

    labels = LabelSet("two", (Label("a", (0, 0, 0)), Label("b", (9, 9, 9))))
    path = save_small(tmp_path_factory.mktemp("q") / "m.safetensors", "unet", OPTIONS, labels)
    model = bundle_graph(path).model()
    assert isinstance(model, bytes)
    return quantize(model, (noise(32, 48, seed=i) for i in range(3)), 3)


def scores(model, x: np.ndarray) -> np.ndarray:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return next(iter(compiled([x]).values()))


def test_every_layer_is_in_int8_under_the_name_it_has_in_torch(network):
    types = [op.get_type_name() for op in network.model.get_ordered_ops()]
    assert len(network.layers) == types.count("Convolution") + types.count("ConvolutionBackpropData") > 5
    assert [network.layers[i] for i in (0, 1, 6, -1)] == ["/down.0/down.0.0", "/down.0/down.0.3", "/up.0", "/head"]
    assert "BatchNormInference" not in types


def error(network: Quantized, kept, x: np.ndarray) -> float:
    """Of the scores: mean square, relative to their variance."""
    truth = scores(network.original, x)
    return float(((scores(network.keeping(kept), x) - truth) ** 2).mean() / truth.var())


def test_kept_layers_compute_as_the_original(network):
    x = noise(32, 48, seed=9)
    int8 = scores(network.model, x)
    np.testing.assert_array_equal(scores(network.keeping(()), x), int8)
    errors = [error(network, network.layers[:num], x) for num in (0, 6, len(network.layers))]
    assert 1e-3 < errors[0] < 0.1
    assert errors[1] < errors[0]
    assert errors[2] < 1e-6
    np.testing.assert_array_equal(scores(network.model, x), int8, "the model itself is as it was")


def test_the_layer_that_int8_harms_most_comes_first(network):
    x = noise(32, 48, seed=9)
    ranked = network.rank([x])
    assert sorted(name for name, _ in ranked) == sorted(network.layers)
    assert [harm for _, harm in ranked] == sorted((harm for _, harm in ranked), reverse=True)
    for name, harm in (ranked[0], ranked[-1]):
        assert error(network, [other for other in network.layers if other != name], x) == pytest.approx(harm)

"""A graph in eight bits: which layers bear it, and a graph that leaves the others as they were.

Post-training quantisation by NNCF: weights per channel and activations per tensor, symmetric, their ranges measured on
calibration images, the mean error of each layer corrected in its bias. (Asymmetric activations, NNCF's preset "mixed",
gained nothing that could be kept: OpenVINO 2026.4 crashes on them behind padded depthwise convolutions.)
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segscape.errors import ModelError
from segscape.runtime.openvino_core import import_nncf, import_openvino, openvino_core

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""``progress(items, total, description)`` yields the items."""

_LAYERS = {
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "MatMul",
}
_ROUNDING = "FakeQuantize"


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A network twice.

    Attributes:
        original: the OpenVINO model in float32, batch norm folded into its convolutions.
        model: the same with `layers` in int8.
        layers: names of the layers that are in int8, in the order in which they run.
    """

    original: Any
    model: Any
    layers: tuple[str, ...]

    def keeping(self, names: Collection[str]) -> Any:
        """The OpenVINO model with these layers as in the original: weights, bias, and an input not rounded for them."""
        model = self.model.clone()
        quantized, originals = _layers(model), _layers(self.original)
        for name in names:
            layer, original = quantized[name], originals[name]
            activation = _source(layer, 0)
            if activation.get_type_name() == _ROUNDING:
                layer.input(0).replace_source_output(activation.input(0).get_source_output())
            _copy_constant(original, 1, layer)
            bias, original_bias = _bias(layer), _bias(original)
            if bias and original_bias:
                _copy_constant(original_bias[0], original_bias[1], bias[0], bias[1])
        for op in reversed(model.get_ordered_ops()):  # one that goes may leave the one before it to kept layers alone
            if op.get_type_name() == _ROUNDING:
                _remove_if_idle(op, names)
        model.validate_nodes_and_infer_types()
        return model

    def rank(self, inputs: Sequence[np.ndarray], progress: Progress | None = None) -> list[tuple[str, float]]:
        """The layers by the error that each one alone in int8 makes at the outputs, largest first.

        Args:
            inputs: as of `quantize`; a few suffice.
            progress: see `Progress`.

        Returns:
            (name, error): ‖y − y₀‖² / ‖y₀ − mean y₀‖², mean over inputs and outputs, y₀ of the original.
        """
        truth = _outputs(self.original, inputs)
        errors = []
        for name in progress(self.layers, len(self.layers), "rank layers") if progress else self.layers:
            found = _outputs(self.keeping([other for other in self.layers if other != name]), inputs)
            errors.append(float(np.mean([_relative_error(y, t) for y, t in zip(found, truth, strict=True)])))
        return sorted(zip(self.layers, errors, strict=True), key=lambda pair: -pair[1])


def quantize(model: bytes, inputs: Iterable[np.ndarray], num: int, progress: Progress | None = None) -> Quantized:
    """Quantise an ONNX model.

    Args:
        model: its bytes.
        inputs: what it is calibrated on, float32, one network input each, sizes may differ. Read once.
        num: so many of them.
        progress: see `Progress`.

    Raises:
        ConfigError: NNCF or OpenVINO is not installed.
        ModelError: they cannot take this network.
    """
    core, nncf = openvino_core(), import_nncf()
    try:
        original = _folded(core.read_model(model))
        items = progress(inputs, num, "calibrate") if progress else inputs
        # Its own bars go to stdout, which may have to hold one JSON document.
        with contextlib.redirect_stdout(io.StringIO()):
            quantized = nncf.quantize(original, nncf.Dataset(_Once(items, num)), subset_size=num)
    except RuntimeError as error:
        raise ModelError(f"this network cannot be quantised: {str(error)[:300]}") from error
    layers = _layers(quantized)
    in_int8 = tuple(name for name, layer in layers.items() if _source(layer, 1).get_type_name() != "Constant")
    return Quantized(original, quantized, in_int8)


def save(model: Any, folder: Path) -> Path:
    """Write an OpenVINO model as graph.xml and graph.bin; returns the former's path."""
    path = folder / "graph.xml"
    import_openvino().save_model(model, str(path), compress_to_fp16=False)
    return path


class _Once:
    """Inputs with the number of them, as NNCF wants it; it goes through them once."""

    def __init__(self, items: Iterable[np.ndarray], num: int) -> None:
        self._items, self._num = items, num

    def __iter__(self) -> Any:
        return iter(self._items)

    def __len__(self) -> int:
        return self._num


def _folded(model: Any) -> Any:
    """The model with batch norm folded into its convolutions, which keep their names.

    NNCF does not fold: it would quantise weights without the scales that batch norm gives their channels, and those of
    depthwise convolutions not per channel. (Measured on `street`: 98.7 % of pixels as in float32, folded 99.2 %.)
    """
    from openvino._offline_transformations import apply_moc_transformations

    # Folding gives a convolution the name of a multiplication; the operation that takes its result keeps its own.
    names = {after: name for name, layer in _layers(model).items() if (after := _next_name(layer))}
    apply_moc_transformations(model, cf=True, smart_reshape=False)
    for layer in _layers(model).values():
        if (after := _next_name(layer)) in names:
            layer.set_friendly_name(names[after])
    for name, layer in _layers(model).items():
        if layer.get_type_name().endswith("BackpropData"):  # ONNX's name went to the addition of its bias
            name = _next_name(layer) or name
        for suffix in ("/WithoutBiases", "/ConvTranspose", "/Conv"):
            name = name.removesuffix(suffix)
        layer.set_friendly_name(name)
    return model


def _layers(model: Any) -> dict[str, Any]:
    return {op.get_friendly_name(): op for op in model.get_ordered_ops() if op.get_type_name() in _LAYERS}


def _next_name(layer: Any) -> str:
    """The name of the one operation that takes a layer's output, or none."""
    targets = list(layer.output(0).get_target_inputs())
    return targets[0].get_node().get_friendly_name() if len(targets) == 1 else ""


def _source(node: Any, place: int) -> Any:
    return node.input(place).get_source_output().get_node()


def _remove_if_idle(rounding: Any, kept: Collection[str]) -> None:
    """Take a rounding of activations out if it is there for kept layers alone, through whatever lies between."""
    if _source(rounding, 0).get_type_name() == "Constant":
        return
    ahead, seen, served = [rounding], set(), False
    while ahead:
        for target in (target for output in ahead.pop().outputs() for target in output.get_target_inputs()):
            node = target.get_node()
            name, kind = node.get_friendly_name(), node.get_type_name()
            if kind == _ROUNDING or (kind in _LAYERS and name not in kept):
                return
            if kind in _LAYERS:
                served = True
            elif name not in seen:
                seen.add(name)
                ahead.append(node)
    if served:
        rounding.output(0).replace(rounding.input(0).get_source_output())


def _bias(layer: Any) -> tuple[Any, int] | None:
    """The addition behind a layer and which of its inputs is the constant."""
    for target in layer.output(0).get_target_inputs():
        node = target.get_node()
        if node.get_type_name() == "Add" and _source(node, 1 - target.get_index()).get_type_name() == "Constant":
            return node, 1 - target.get_index()
    return None


def _copy_constant(source: Any, place: int, target: Any, target_place: int | None = None) -> None:
    from openvino import opset13

    values = np.array(_source(source, place).get_data())
    target.input(place if target_place is None else target_place).replace_source_output(
        opset13.constant(values).output(0)
    )


def _outputs(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All outputs for all inputs, in float32: rounding to bf16 makes errors as large as most layers'."""
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(y) for x in inputs for y in compiled([x]).values()]


def _relative_error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(((found - truth) ** 2).mean() / max(float(truth.var()), 1e-12))

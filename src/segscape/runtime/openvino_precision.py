"""bf16 on OpenVINO without what it costs: the first layers stay in float32."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from segscape.runtime.openvino_core import import_openvino

FIRST_LAYERS = 3
"""Measured on every eighth image of CamVid test: pixels of the class they have in float32, and the network's time.

    in float32           street      street-fcn    street-unet
    no layer             99.48 %     99.51 %       99.56 %        1
    the first            99.52 %                                  1.1
    the first three      99.76 %     99.75 %       99.82 %        1.05
    the first five       99.82 %     99.81 %       99.85 %        1.1
    the first eight      99.89 %     99.88 %       99.87 %        1.2
    the last nine        99.49 %                                  1.9
"""
_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_ROUNDING = "FakeQuantize"
# OpenVINO's mark of what may not be computed with fewer bits than it was made with; Python can set it in files alone.
_MARK = '<rt_info><attribute name="precise" version="0" /></rt_info>'


def compile_bf16(core: Any, model: Any, options: dict[str, Any], multiple: int) -> Any:
    """The network compiled for bf16, its first layers for float32; all in bf16 where OpenVINO cannot do that.

    Args:
        core, model, options: as of ``core.compile_model(model, "CPU", options)``.
        multiple: of the sides of images that the network takes.
    """
    marked = first_in_f32(core, model)
    compiled = core.compile_model(marked, "CPU", options)
    if marked is not model:
        try:  # some mixtures compile and then fail at the first image (OpenVINO 2026.4, sums behind convolutions)
            # Not the smallest: after one whose features have a side of 1, SegFormer's later scores are wrong, also in
            # float32 and with no layer marked.
            compiled.create_infer_request().infer([np.zeros((1, 3, 2 * multiple, 3 * multiple), np.float32)])
        except RuntimeError:
            return core.compile_model(model, "CPU", options)
    return compiled


def first_in_f32(core: Any, model: Any) -> Any:
    """The OpenVINO model with its first layers marked: they stay in float32 when the others are computed in bf16.

    What is rounded there goes through all that follows. Layers in int8 stay as
    they are, and so does a network that does not begin with a convolution of an image.
    """
    if not _in_int8(model):
        from openvino._offline_transformations import apply_moc_transformations

        # Else the mark goes when layers are fused later. Nothing is fused that Python still has a name for.
        apply_moc_transformations(model, cf=True, smart_reshape=False)
    convolutions = [op for op in model.get_ordered_ops() if op.get_type_name() in _CONVOLUTIONS][:FIRST_LAYERS]
    if not convolutions or convolutions[0].get_input_partial_shape(0)[1] != 3:
        return model
    names = {op.get_friendly_name() for op in convolutions if not _is_int8(op) and not _is_summed(op)}
    if not names:
        return model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        import_openvino().serialize(model, str(path))
        text = path.read_text("utf-8")
        return core.read_model(_marked(text, names).encode(), path.with_suffix(".bin").read_bytes())


def _in_int8(model: Any) -> bool:
    return any(op.get_type_name() == _ROUNDING for op in model.get_ordered_ops())


def _is_int8(layer: Any) -> bool:
    return any(value.get_node().get_type_name() == _ROUNDING for value in layer.input_values())


def _is_summed(layer: Any) -> bool:
    """Whether another layer's outcome is added to this one's, but for scale and bias.

    OpenVINO then adds in the layer itself, and where the two differ in precision it fails, gives scores of no size or
    writes where it must not (2026.4, MobileNetV3).
    """
    for target in layer.output(0).get_target_inputs():
        op = target.get_node()
        if op.get_type_name() in ("Add", "Multiply"):
            computed = [v for v in op.input_values() if v.get_node().get_type_name() != "Constant"]
            if len(computed) > 1 or _is_summed(op):
                return True
    return False


def _marked(text: str, names: set[str]) -> str:
    def mark(found: re.Match[str]) -> str:
        return found[0] + (_MARK if found["name"] in names else "")

    return re.sub(rf'<layer id="\d+" name="(?P<name>[^"]*)" type="({"|".join(_CONVOLUTIONS)})"[^>]*>', mark, text)

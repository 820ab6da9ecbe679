"""What the machine gives a library at most: large convolutions in OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from measure import Row, row_of

TITLE = "The machine's limit"
ABOUT = """Eight 3 × 3 convolutions of 256 to 256 channels at 64 × 64, with ReLU, in OpenVINO."""
CHANNELS, SIDE, LAYERS = 256, 64, 8


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return "" if find_spec("openvino") else "OpenVINO is not installed"


def _network(quantized: bool) -> Any:
    from segscape.runtime.openvino_core import import_openvino

    openvino = import_openvino()
    ops = openvino.opset13
    rng = np.random.default_rng(0)
    image = ops.parameter([1, CHANNELS, SIDE, SIDE], np.float32, name="image")
    x: Any = image
    for _ in range(LAYERS):
        scale = (2 / (9 * CHANNELS)) ** 0.5
        weight: Any = ops.constant((rng.normal(size=(CHANNELS, CHANNELS, 3, 3)) * scale).astype(np.float32))
        if quantized:
            top = np.float32(4 * scale)
            x = ops.fake_quantize(x, np.float32(0), np.float32(4), np.float32(0), np.float32(4), 256)
            weight = ops.fake_quantize(weight, -top, top, -top, top, 255)
        x = ops.relu(ops.convolution(x, weight, [1, 1], [1, 1], [1, 1], [1, 1]))
    return openvino.Model([x], [image], "convolutions")


def ceiling(precision: str, quick: bool) -> Row:
    from segscape.runtime.openvino_core import openvino_core

    hint = "f32" if precision == "f32" else "bf16"
    wanted = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino_core().compile_model(_network(precision == "int8"), "CPU", wanted).create_infer_request()
    image = np.random.default_rng(1).random((1, CHANNELS, SIDE, SIDE), np.float32)
    gflop = LAYERS * 2 * 9 * CHANNELS**2 * SIDE**2 / 1e9
    ways = {"OpenVINO": lambda: request.infer([image], share_inputs=True)}
    row = row_of(precision, ways, peer="OpenVINO", quick=quick, seconds=6, gflop=gflop)
    runs = {n.get_rt_info()["runtimePrecision"].astype(str) for n in _convolutions(request)}
    note = f"{1000 * gflop / row.ms['OpenVINO']:.0f} GFLOPS; computed in {', '.join(sorted(runs))}"
    return Row(row.what, row.peer, row.ms, row.times, row.turns, gflop=gflop, notes=(note,))


def _convolutions(request: Any) -> list[Any]:
    nodes = request.get_compiled_model().get_runtime_model().get_ordered_ops()
    return [n for n in nodes if n.get_rt_info()["layerType"].astype(str) == "Convolution"]


ROWS: dict[str, Callable[[bool], Row]] = {name: partial(ceiling, name) for name in ("f32", "bf16", "int8")}

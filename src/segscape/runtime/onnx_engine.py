"""The ONNX Runtime engine: slower than OpenVINO, but it runs nearly everywhere."""

from __future__ import annotations

import os

import numpy as np

from segscape.errors import ConfigError, ModelError, ResourceError
from segscape.runtime.engine import MODES, out_of_memory, thread_limit
from segscape.runtime.graphs import INPUT, Graph


class OnnxEngine:
    """Runs a `Graph` on the CPU in float32; see `segscape.runtime.engine.Engine`.

    Args:
        graph: the network, as an ONNX model.
        mode: "latency", all cores on one call, or "throughput", one core a call and as many calls at once as
            `concurrency` says.

    Raises:
        ConfigError: ONNX Runtime is not installed, or the graph is OpenVINO's.
        ModelError: it cannot load the graph.
        ResourceError: out of memory.
    """

    name = "onnx cpu f32"

    def __init__(self, graph: Graph, *, mode: str = "latency") -> None:
        if mode not in MODES:
            raise ConfigError(f"mode is one of {', '.join(MODES)}, got {mode!r}")
        if graph.kind != "onnx":
            raise ConfigError("this model was exported to OpenVINO, which ONNX Runtime cannot read")
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError("engine 'onnx' needs ONNX Runtime: pip install 'segscape[onnx]'") from error
        onnxruntime.disable_telemetry_events()
        self._graph, self.stride = graph, graph.stride
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions; they need not be printed as well
        cores = thread_limit() or os.cpu_count() or 1
        self.concurrency = cores if mode == "throughput" else 1
        # 0: all cores, with threads kept to them; else they are not.
        options.intra_op_num_threads = 1 if mode == "throughput" else thread_limit() or 0
        model = graph.model()
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class but this one
            if out_of_memory(error):
                raise ResourceError("out of memory while ONNX Runtime loaded the network") from error
            raise ModelError(f"ONNX Runtime cannot run this network: {str(error)[:300]}") from error

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine` says; from any thread."""
        try:
            (scores,) = self._session.run(None, {INPUT: self._graph.padded(batch)})
        except Exception as error:
            height, width = batch.shape[-2:]
            if out_of_memory(error):
                raise ResourceError(f"out of memory on the CPU at {width} × {height}; give a smaller --size") from error
            raise ModelError(f"ONNX Runtime cannot run this network: {str(error)[:300]}") from error
        return np.asarray(scores)

"""The ONNX Runtime engine: slower than OpenVINO, but it runs nearly everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from segscape.errors import ConfigError, ModelError, ResourceError
from segscape.runtime.engine import MODES, no_memory, out_of_memory
from segscape.runtime.graphs import Graph
from segscape.threads import num_threads, thread_limit


class OnnxNetwork:
    """A graph that ONNX Runtime has loaded.

    Args:
        graph, mode: as of `OnnxEngine`; the graph may be a part of a network.

    Attributes:
        concurrency: as of an `Engine`.

    Raises:
        as `OnnxEngine`.
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
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions; they need not be printed as well
        self.concurrency = num_threads() if mode == "throughput" else 1
        # 0: all cores, with threads kept to them; else they are not.
        options.intra_op_num_threads = 1 if mode == "throughput" else thread_limit() or 0
        model = graph.model()
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
        except Exception as error:  # its exceptions have no common class but this one
            if out_of_memory(error):
                raise ResourceError("out of memory while ONNX Runtime loaded the network") from error
            raise ModelError(f"ONNX Runtime cannot run this network: {str(error)[:300]}") from error

    @contextlib.contextmanager
    def run(self, x: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, ...]]:
        """What the graph gives of ``x``, float32; from any thread.

        ``size`` is (height, width) of the image, for what is said when memory runs out.

        Raises:
            ResourceError: out of memory.
            ModelError: ONNX Runtime cannot run the graph.
        """
        try:
            found = tuple(np.asarray(part) for part in self._session.run(None, {self._input: x}))
        except Exception as error:
            if out_of_memory(error):
                raise no_memory(size) from error
            raise ModelError(f"ONNX Runtime cannot run this network: {str(error)[:300]}") from error
        yield found


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

    name = OnnxNetwork.name

    def __init__(self, graph: Graph, *, mode: str = "latency") -> None:
        self._graph, self.stride, self.key = graph, graph.stride, graph.key
        self._network = OnnxNetwork(graph, mode=mode)
        self.concurrency = self._network.concurrency

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine` says; from any thread."""
        x = self._graph.padded(batch)
        with self._network.run(x, (batch.shape[2], batch.shape[3])) as found:
            return self._graph.scores(found, x).astype(np.float32, copy=False)

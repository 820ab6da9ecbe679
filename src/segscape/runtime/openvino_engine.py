"""The OpenVINO engine: Intel and ARM CPUs, several times faster than torch there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import queue
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from segscape.cache import cache_folder
from segscape.errors import ConfigError, ModelError, ResourceError, SegscapeError
from segscape.files import write_bytes
from segscape.runtime.engine import MODES, no_memory, out_of_memory
from segscape.runtime.graphs import Graph
from segscape.runtime.openvino_core import openvino_core
from segscape.runtime.openvino_precision import FIRST_LAYERS, compile_bf16
from segscape.threads import thread_limit

PRECISIONS = ("auto", "f32", "bf16")
_NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls it on x86 and ARM


class OpenVINONetwork:
    """A compiled graph.

    Args:
        graph: the network, or a part of one.
        precision, mode, cache: as of `OpenVINOEngine`.

    Attributes:
        name, concurrency: as of an `Engine`.

    Raises:
        as `OpenVINOEngine`.
    """

    def __init__(self, graph: Graph, *, precision: str = "auto", mode: str = "latency", cache: bool = True) -> None:
        if precision not in PRECISIONS or mode not in MODES:
            raise ConfigError(
                f"precision is one of {', '.join(PRECISIONS)} and mode one of {', '.join(MODES)}, "
                f"got {precision!r} and {mode!r}"
            )
        core = openvino_core()
        precision = ("bf16" if has_bf16() else "f32") if precision == "auto" else precision
        self.name = f"openvino cpu {precision}"
        wanted: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY" if mode == "latency" else "THROUGHPUT",
        }
        if threads := thread_limit():
            wanted["INFERENCE_NUM_THREADS"] = threads
        # What is mapped must stay mapped: OpenVINO reads weights there whenever an image of a new size comes.
        compiled, self._mapped = _compiled(core, graph, wanted, cache)
        number = 1 if mode == "latency" else compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.concurrency = max(1, int(number))
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.concurrency):
            self._requests.put(compiled.create_infer_request())

    @contextlib.contextmanager
    def run(self, x: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, ...]]:
        """What the graph gives of ``x``, float32: OpenVINO's own memory, not to be read after the ``with``.

        From any thread, and from `concurrency` of them at once. ``size`` is (height, width) of the image, for what is
        said when memory runs out.

        Raises:
            ResourceError: out of memory.
            ModelError: OpenVINO cannot run the graph.
        """
        request = self._requests.get()
        try:
            try:
                found = tuple(request.infer([x], share_inputs=True, share_outputs=True).values())
            except (RuntimeError, MemoryError) as error:
                if out_of_memory(error):
                    raise no_memory(size) from error
                raise ModelError(f"OpenVINO cannot run this network: {_last_line(error)}") from error
            yield found
        finally:
            self._requests.put(request)

    def release(self) -> None:
        """Give back the memory that is kept between calls for the next one; no call may be under way."""
        request = self._requests.get()
        try:
            request.get_compiled_model().release_memory()
        finally:
            self._requests.put(request)


class OpenVINOEngine:
    """Runs a `Graph` on the CPU; see `segscape.runtime.engine.Engine`.

    Args:
        graph: the network.
        precision: of what is computed: "f32", "bf16", or "auto", which is bf16 where the CPU has instructions for it;
            in bf16 the first layers stay in float32 (`segscape.runtime.openvino_precision`). OpenVINO itself computes
            in bf16 also where it merely can be imitated, unless told.
        mode: "latency", all cores on one call, or "throughput", as many calls at once as `concurrency` says.
        cache: whether the compiled network is kept in the user's cache; the next process starts faster.

    Raises:
        ConfigError: OpenVINO is not installed.
        ModelError: it cannot compile the graph.
        ResourceError: out of memory.
    """

    def __init__(self, graph: Graph, *, precision: str = "auto", mode: str = "latency", cache: bool = True) -> None:
        self._graph, self.stride, self.key = graph, graph.stride, graph.key
        self._network = OpenVINONetwork(graph, precision=precision, mode=mode, cache=cache)
        self.name, self.concurrency = self._network.name, self._network.concurrency

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        """As `Engine` says; from any thread, and from `concurrency` of them at once."""
        x = self._graph.padded(batch)
        with self._network.run(x, (batch.shape[2], batch.shape[3])) as found:
            return np.array(self._graph.scores(found, x), np.float32)

    def release(self) -> None:
        """Give back the memory that is kept between calls for the next one; no call may be under way."""
        self._network.release()


def has_bf16() -> bool:
    """Whether this CPU computes in bf16 itself; False where the system does not say."""
    return not _NATIVE_BF16.isdisjoint(_cpu_flags())


def _cpu_flags() -> set[str]:
    """What the CPU can do, in Linux's words; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())


def _compiled(core: Any, graph: Graph, wanted: dict[str, Any], cache: bool) -> tuple[Any, np.ndarray | None]:
    """The compiled network, and the memory its weights lie in if that is not its own.

    From the cache, else compiled and put there.

    Not OpenVINO's own cache: that wants the whole model again, weights and all, to find out which it is.
    """
    import openvino

    made_by = [graph.key, wanted, openvino.get_version(), platform.machine(), sorted(_cpu_flags()), FIRST_LAYERS]
    name = f"{hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:32]}.blob"
    kept = cache_folder() / "openvino" / name
    try:
        if cache and kept.exists():
            with contextlib.suppress(RuntimeError, OSError, ValueError):  # damaged, or of a build that says the same
                return _imported(core, kept, wanted)
        model = graph.model()
        # Bytes are read as ONNX, a path by its suffix.
        network = core.read_model(model if isinstance(model, bytes) else str(model))
        if wanted["INFERENCE_PRECISION_HINT"] == "bf16":
            compiled = compile_bf16(core, network, wanted, graph.multiple)
        else:
            compiled = core.compile_model(network, "CPU", wanted)
        if cache:
            with contextlib.suppress(SegscapeError, OSError):  # no place for it
                content = compiled.export_model().getvalue()
                write_bytes(kept, content + zlib.crc32(content).to_bytes(4, "little"))
        return compiled, None
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise ResourceError("out of memory while OpenVINO compiled the network") from error
        raise ModelError(f"OpenVINO cannot run this network: {_last_line(error)}") from error


def _imported(core: Any, kept: Path, wanted: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """What was compiled before, its weights mapped into memory and not copied."""
    import openvino

    # No page is written to; but OpenVINO takes none that is read-only.
    mapped: Any = np.memmap(kept, np.uint8, "c")
    content = mapped[:-4]
    if zlib.crc32(content) != int.from_bytes(mapped[-4:].tobytes(), "little"):
        raise ValueError("damaged")  # OpenVINO itself would not notice, and compute something else
    return core.import_model(openvino.Tensor(content, shared_memory=True), "CPU", wanted), mapped


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return (lines or [type(error).__name__])[-1][:300]

"""Which engine runs a model here, and why."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from segscape.errors import ConfigError, ModelError
from segscape.models.card import ModelCard
from segscape.models.reading import read_card
from segscape.runtime.engine import Engine, ObjectEngine, RunnableGraph

if TYPE_CHECKING:
    from segscape.runtime.detector_graphs import DetectorGraph
    from segscape.runtime.graphs import Graph

ENGINES = ("auto", "torch", "torch-compile", "openvino", "onnx")
_TORCH = ENGINES[1:3]
_FASTEST = "the fastest that is installed for a CPU"
_MODULES = {"torch": "torch", "openvino": "openvino", "onnx": "onnxruntime"}


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """An engine with its network in it.

    Attributes:
        engine: ready to run.
        card: of the model.
        reason: why this engine, in a few words.
    """

    engine: Engine | ObjectEngine
    card: ModelCard
    reason: str


def open_engine(
    path: Path, engine: str = "auto", *, device: str = "auto", mode: str = "latency", precision: str = "auto"
) -> Chosen:
    """The engine for a model bundle, or for a folder that `segscape export` wrote.

    Args:
        path: of either.
        engine: one of `ENGINES`. "auto" takes torch where there is a GPU; else OpenVINO, then ONNX Runtime, then torch:
            the first that is installed and can run the network. "torch-compile" is torch through ``torch.compile``.
        device: of torch, see `segscape.runtime.torch_engine.pick_device`; the others run on the CPU.
        mode: "latency" for one image after another, "throughput" for many at once.
        precision: of OpenVINO and torch, see `OpenVINOEngine` and `segscape.runtime.torch_engine.pick_precision`; ONNX
            Runtime computes in float32.

    Raises:
        ConfigError: no such engine, it is not installed, or it cannot run this model.
        ModelError: not a model, or damaged.
        ResourceError: out of memory.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    if path.is_dir():  # what reads exported folders takes as long to import as a card to read
        from segscape.export.folder import is_exported

        if is_exported(path):
            return _open_exported(path, engine, device, mode, precision)
    card = read_card(path)

    def load(kind: str) -> Engine | ObjectEngine:
        if kind in _TORCH:
            return _in_torch(path, device, precision, compiled=kind == "torch-compile")
        return _on_graph(kind, graph_of(path, card), mode, precision)

    return _first_that_runs(_choices(engine, device), load, card)


def _first_that_runs(
    choices: Sequence[tuple[str, str]], load: Callable[[str], Engine | ObjectEngine], card: ModelCard
) -> Chosen:
    """Of engines and the reasons for them; if none runs, the error of the last."""
    failed: dict[str, list[str]] = {}
    *_, (last, _) = choices
    for kind, reason in choices:
        try:
            engine = load(kind)
        except (ConfigError, ModelError) as error:
            if kind == last:
                raise
            failed.setdefault(str(error), []).append(kind)
            continue
        reasons = [f"{' and '.join(kinds)} cannot run it: {error}" for error, kinds in failed.items()]
        return Chosen(engine, card, "; ".join(reasons or [reason]))
    raise AssertionError("no engine to choose from")


def graph_of(path: Path, card: ModelCard) -> Graph | DetectorGraph:
    """The graph of a bundle, or the graphs if it finds objects.

    Raises:
        as `segscape.runtime.graphs.bundle_graph`.
    """
    if card.task == "instance":
        from segscape.runtime.detector_graphs import bundle_detector

        return bundle_detector(path)
    from segscape.runtime.graphs import bundle_graph

    return bundle_graph(path, card)


def _choices(engine: str, device: str) -> list[tuple[str, str]]:
    """Names of engines with the reason for each, best first."""
    if engine != "auto":
        if engine not in _TORCH and device not in ("auto", "cpu"):
            raise ConfigError(f"engine {engine!r} runs on the CPU; device {device!r} needs engine 'torch'")
        return [(engine, "asked for")]
    if device not in ("auto", "cpu"):
        return [("torch", f"device {device} was asked for")]
    if device == "auto" and gpu_is_here() and installed("torch"):
        return [("torch", "a GPU is here")]
    choices = [(kind, _FASTEST) for kind in ("openvino", "onnx") if installed(_MODULES[kind])]
    if installed("torch") or not choices:
        choices.append(("torch", "neither OpenVINO nor ONNX Runtime is installed"))
    return choices


def _on_graph(kind: str, graph: Graph | DetectorGraph, mode: str, precision: str) -> Engine | ObjectEngine:
    from segscape.runtime.graphs import Graph

    if kind == "onnx":
        from segscape.runtime.onnx_engine import OnnxEngine, OnnxNetwork

        if isinstance(graph, Graph):
            return OnnxEngine(graph, mode=mode)
        return _split(graph, partial(OnnxNetwork, mode=mode))
    from segscape.runtime.openvino_engine import OpenVINOEngine, OpenVINONetwork

    if isinstance(graph, Graph):
        return OpenVINOEngine(graph, precision=precision, mode=mode)
    return _split(graph, partial(OpenVINONetwork, precision=precision, mode=mode))


def _split(graph: DetectorGraph, load: Callable[[Graph], RunnableGraph]) -> ObjectEngine:
    from segscape.runtime.detector import SplitDetector  # numba takes a while to import

    return SplitDetector(graph, load)


def _in_torch(path: Path, device: str, precision: str, *, compiled: bool) -> Engine | ObjectEngine:
    try:
        from segscape.models.bundle import load_bundle
        from segscape.runtime.torch_engine import make_engine
    except ImportError as error:
        raise ConfigError("engine 'torch' needs PyTorch: pip install 'segscape[torch]'") from error
    return make_engine(load_bundle(path)[0], device, precision, compiled=compiled)


def _open_exported(path: Path, engine: str, device: str, mode: str, precision: str) -> Chosen:
    from segscape.export.folder import read_exported, read_exported_card

    exported = read_exported(path)
    if engine in _TORCH or device not in ("auto", "cpu"):
        raise ConfigError(
            f"{str(path)!r} was exported to {exported.kind}, for CPUs without torch; take the model it was made from"
        )
    if engine != "auto":
        choices = [(engine, "asked for")]
    else:
        choices = [(exported.kind, f"it was exported to {exported.kind}")]
        if exported.kind == "onnx" and installed("openvino"):  # OpenVINO reads both kinds of graph
            choices.insert(0, ("openvino", _FASTEST))
    in_int8 = "int8" in read_exported_card(path)[1]

    def load(kind: str) -> Engine | ObjectEngine:
        loaded = _on_graph(kind, exported.graph, mode, precision)
        if in_int8:
            runtime, _, others = loaded.name.rpartition(" ")
            loaded.name = f"{runtime} int8+{others}"  # the layers that were kept
        return loaded

    return _first_that_runs(choices, load, exported.card)


def installed(module: str) -> bool:
    """Whether a package could be imported, found out without importing it."""
    try:
        return find_spec(module) is not None
    except ImportError:  # something on the import path forbids it
        return False


def gpu_is_here() -> bool:
    """Whether the NVIDIA driver counts a GPU, found out without importing torch, which takes seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False

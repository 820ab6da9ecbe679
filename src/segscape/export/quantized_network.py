"""A network in eight bits, be it one graph or the three of a detector."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segscape.export.quantize import Quantized, quantize, save
from segscape.runtime.detector_graphs import BOXES, FEATURES, MASKS, DetectorGraph
from segscape.runtime.engine import Engine, ObjectEngine
from segscape.runtime.graphs import Graph
from segscape.runtime.openvino_engine import OpenVINOEngine, OpenVINONetwork

if TYPE_CHECKING:
    from segscape.export.quantize import Progress

_RANKING_IMAGES = 2
_BOXES_PER_IMAGE = 32
"""Of those that a detector's heads are calibrated on: 1500 an image would take 28 MB, and neighbours are alike."""
_WHOLE = ""


class Layer(NamedTuple):
    """A layer of a network: which part it is in, "" where there is but one, and its name."""

    part: str
    name: str

    def __str__(self) -> str:
        return f"{self.part}/{self.name.removeprefix('/')}" if self.part else self.name


class QuantizedNetwork:
    """A graph, or each of a detector's, quantised.

    A detector's heads are calibrated on the boxes that the network in float32 proposes and finds. One that got none
    stays as it is.

    Args:
        graph: ONNX.
        batches: (1, 3, H, W) float32 normalised images that it is calibrated on, sizes may differ. Read once.
        num: so many of them.
        progress: see `segscape.export.quantize.Progress`.

    Attributes:
        layers: those that are in int8.

    Raises:
        as `segscape.export.quantize.quantize`.
    """

    def __init__(
        self, graph: Graph | DetectorGraph, batches: Iterable[np.ndarray], num: int, progress: Progress | None = None
    ) -> None:
        self._graph = graph
        self._inputs: dict[str, list[np.ndarray]] = {}  # a few, for the ranking
        self._networks: dict[str, Quantized] = {}
        if isinstance(graph, Graph):
            self._quantize(_WHOLE, graph, map(graph.padded, batches), num, progress)
        else:
            heads: dict[str, list[np.ndarray]] = {BOXES: [], MASKS: []}
            self._quantize(FEATURES, graph.parts[FEATURES], _images(graph, batches, heads), num, progress)
            for part, inputs in heads.items():
                if inputs:
                    self._quantize(part, graph.parts[part], inputs, len(inputs), progress)
        self.layers = tuple(Layer(part, name) for part, network in self._networks.items() for name in network.layers)

    def _quantize(
        self, part: str, graph: Graph, inputs: Iterable[np.ndarray], num: int, progress: Progress | None
    ) -> None:
        model, few = graph.model(), self._inputs.setdefault(part, [])
        assert isinstance(model, bytes)

        def seen() -> Iterator[np.ndarray]:
            for x in inputs:
                if len(few) < _RANKING_IMAGES:
                    few.append(x)
                yield x

        self._networks[part] = quantize(model, seen(), num, progress)

    def keeping(self, kept: Collection[Layer], folder: Path) -> Graph | DetectorGraph:
        """The network with these layers not in int8; its files are written into ``folder``, which is made."""
        parts = {}
        for part, network in self._networks.items():
            names = [layer.name for layer in kept if layer.part == part]
            like = self._graph if isinstance(self._graph, Graph) else self._graph.parts[part]
            (folder / part).mkdir(parents=True)
            file = save(network.keeping(names), folder / part)
            key = f"{like.key} int8 {names}"
            parts[part] = Graph("openvino", lambda file=file: file, like.multiple, like.stride, key)
        if isinstance(self._graph, Graph):
            return parts[_WHOLE]
        return DetectorGraph({**self._graph.parts, **parts}, self._graph.plan)

    def rank(self, progress: Progress | None = None) -> list[Layer]:
        """The layers by the error that each one alone in int8 makes at its part's outputs, largest first."""
        errors = [
            (error, Layer(part, name))
            for part, network in self._networks.items()
            for name, error in network.rank(self._inputs[part], progress)
        ]
        return [layer for _, layer in sorted(errors, key=lambda pair: -pair[0])]


def open_graph(graph: Graph | DetectorGraph, *, precision: str = "auto", cache: bool = True) -> Engine | ObjectEngine:
    """A network on OpenVINO; arguments as of `OpenVINOEngine`."""
    if isinstance(graph, Graph):
        return OpenVINOEngine(graph, precision=precision, cache=cache)
    from segscape.runtime.detector import SplitDetector  # numba takes a while to import

    return SplitDetector(graph, partial(OpenVINONetwork, precision=precision, cache=cache))


def _images(
    graph: DetectorGraph, batches: Iterable[np.ndarray], heads: dict[str, list[np.ndarray]]
) -> Iterator[np.ndarray]:
    """The inputs of features; those of the heads are put into ``heads``, some boxes of each image."""
    from segscape.runtime.detector import part_inputs

    for inputs in part_inputs(graph, partial(OpenVINONetwork, precision="f32"), batches):
        for part, kept in heads.items():
            if part in inputs:
                boxes = inputs[part]
                kept.append(boxes[:: -(-len(boxes) // _BOXES_PER_IMAGE)].copy())
        yield inputs[FEATURES]

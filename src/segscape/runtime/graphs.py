"""Networks as graphs that an engine other than torch runs.

A graph is kept without its weights, compressed, about 10 KB a network; the weights come from the model's bundle and are
in the package once. It depends on the architecture alone, so one graph serves every model of it: those of the networks
that come with the package lie in ``graphs/``, those of others are made by torch on first use and kept in the user's
cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segscape.cache import cache_folder
from segscape.errors import ConfigError, ModelError, SegscapeError
from segscape.files import write_bytes
from segscape.models.card import ModelCard
from segscape.models.reading import read_card, read_weights
from segscape.runtime import onnx_format

FORMAT = 1  # a higher one is a graph that is made otherwise: those in caches are not looked at any more
INPUT, OUTPUT = "image", "scores"
_SHIPPED = Path(__file__).parent.parent / "graphs"


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network with its weights, as an engine takes it: (N, 3, H, W) float32 in, `Network.score` of it out.

    Or a part of a `segscape.runtime.detector_graphs.DetectorGraph`, which says what goes in and comes out.

    Attributes:
        kind: "onnx" or "openvino".
        model: reads it: an ONNX model as bytes, or the path of an OpenVINO one (.xml, with its .bin beside it). An
            engine that keeps what it compiled need not call it.
        multiple: H and W are multiples of it.
        stride: of the scores relative to the input.
        key: of what is in it: equal keys, equal graphs.
        said: texts that its maker kept with it.
        num_classes: that its model's card has, or None where that is not known.
    """

    kind: str
    model: Callable[[], bytes | Path]
    multiple: int
    stride: int
    key: str
    said: Mapping[str, str] = field(default_factory=dict)
    num_classes: int | None = None

    def padded(self, batch: np.ndarray) -> np.ndarray:
        """(N, 3, H, W), any H, W ≥ 1, grown to multiples at the right and bottom by repeating the border."""
        bottom, right = -batch.shape[2] % self.multiple, -batch.shape[3] % self.multiple
        if bottom or right:
            batch = np.pad(batch, ((0, 0), (0, 0), (0, bottom), (0, right)), mode="edge")
        return np.ascontiguousarray(batch)

    def scores(self, found: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
        """A whole network's scores among what it gave of ``x``, which was `padded`.

        Raises:
            ModelError: they are not what its card says: a stranger may have put another graph there.
        """
        shapes = [part.shape for part in found]
        num_classes = self.num_classes or next((shape[1] for shape in shapes if len(shape) == 4), 0)
        wanted = (len(x), num_classes, x.shape[2] // self.stride, x.shape[3] // self.stride)
        if shapes != [wanted] or found[0].dtype.kind != "f":
            given = ", ".join(f"{part.dtype} {part.shape}" for part in found) or "nothing"
            raise ModelError(
                f"the network gives {given} for {x.shape[3]} × {x.shape[2]} pixels, where its card says float32 "
                f"{wanted}, at stride {self.stride}: its graph is another model's, or its card is wrong; export "
                "it again"
            )
        return found[0]


def graph_name(card: ModelCard, part: str = "") -> str:
    """The file name of an architecture's graph, or of one part of it."""
    said = json.dumps([FORMAT, card.network, dict(card.options), len(card.label_set)], sort_keys=True)
    return f"{card.network}-{hashlib.sha256(said.encode()).hexdigest()[:12]}{part and '.'}{part}.graph"


def find_graph(card: ModelCard, part: str = "") -> bytes | None:
    """The graph of the card's architecture, or one part of it, without weights, if the package or the cache has it."""
    name = graph_name(card, part)
    for folder in (_SHIPPED, cache_folder() / "graphs"):
        try:
            return zlib.decompress((folder / name).read_bytes())
        except (OSError, zlib.error):  # a damaged one is made anew
            continue
    return None


def bundle_graph(path: Path, card: ModelCard | None = None) -> Graph:
    """The graph of a bundle's network, made by torch if there is none yet; weights are read with its model.

    ``card`` is the bundle's, if it was read already.

    Raises:
        ModelError: not a bundle, damaged, or (`Graph.model` too) weights that do not fit the card's network.
        ConfigError: the network cannot become a graph, or torch would be needed for it and is not installed.
        ResourceError: out of memory.
    """
    return bundle_parts(path, ("",), card)[""]


def bundle_parts(path: Path, parts: Sequence[str], card: ModelCard | None = None) -> dict[str, Graph]:
    """The graphs of a bundle's network by part, as `segscape.export.tracing.trace` makes them; see `bundle_graph`."""
    card = card or read_card(path)
    packed = {part: find_graph(card, part) for part in parts}
    if not all(packed.values()):
        packed = dict(_make(path, card))
    return {part: _graph(path, card, content) for part, content in packed.items() if content}


def _graph(path: Path, card: ModelCard, packed: bytes) -> Graph:
    said = onnx_format.metadata(packed)

    def model() -> bytes:
        weights, card = read_weights(path)
        used: dict[str, np.ndarray] = {}
        for name, shape in json.loads(said["weights"]).items():
            array = weights.get(name)
            if array is None or list(array.shape) != shape or array.dtype not in (np.float16, np.float32):
                has = f"{array.dtype} {array.shape}" if array is not None else "nothing"
                raise ModelError(
                    f"{str(path)!r}: weights do not fit network {card.network!r}: {name!r} is {has}, "
                    f"but float {tuple(shape)} is needed"
                )
            used[name] = array.astype(np.float32, copy=False)
        return onnx_format.with_weights(packed, used)

    key = hashlib.sha256(packed + card.sha256.encode()).hexdigest()
    return Graph("onnx", model, int(said["multiple"]), int(said["stride"]), key, said, len(card.label_set))


def packed_graph(model: bytes, state: Mapping[str, Any], said: Mapping[str, str]) -> bytes:
    """An ONNX model as torch exported it, without the weights that are in the state dict, for `find_graph`.

    ``said`` are the texts to keep with it: "multiple" and "stride", and a detector's plan.
    """
    bare, shapes = onnx_format.without_weights(model, state)
    return onnx_format.with_metadata(bare, {**said, "weights": json.dumps(shapes)})


def keep_graph(folder: Path, card: ModelCard, packed: bytes, part: str = "") -> Path:
    """Write a graph, or one part of it, where `find_graph` looks for it.

    Raises:
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    path = folder / graph_name(card, part)
    write_bytes(path, zlib.compress(packed, 9))
    return path


def _make(path: Path, card: ModelCard) -> dict[str, bytes]:
    try:
        from segscape.export.tracing import trace
        from segscape.models.bundle import load_bundle
    except ImportError as error:
        raise ConfigError(
            f"model {card.name!r} has no graph yet, and making it takes torch, which is not installed; make it once "
            "elsewhere: segscape export MODEL --to onnx --out FOLDER, and use that folder as the model"
        ) from error
    packed = trace(load_bundle(path)[0])
    with contextlib.suppress(SegscapeError):  # no place to keep it: the next process makes it again
        for part, content in packed.items():
            keep_graph(cache_folder() / "graphs", card, content, part)
    return packed

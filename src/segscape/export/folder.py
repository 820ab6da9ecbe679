"""Exported models: a folder with a graph and all that surrounds it, for machines without torch.

``model.json`` holds the model's card (classes, pre-processing, sizes, post-processing) and says of the graph: its
engine's name, its files with their SHA-256, and the multiple and stride of sizes. ``graph.onnx``, or ``graph.xml`` with
``graph.bin``, is an ordinary model of that engine: (N, 3, H, W) float32 in, H and W multiples of ``multiple``,
normalised RGB, padded at the right and bottom by repeating the border; scores of stride ``stride`` out.

A model that finds objects has three such graphs, ``features``, ``boxes`` and ``masks`` in place of ``graph``, and for
``multiple`` and ``stride`` the ``plan`` of what stands between them: see `segscape.runtime.detector_graphs`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segscape.errors import ConfigError, InputError, ModelError, ResourceError
from segscape.files import explain_os_error, write_bytes, write_text
from segscape.models.card import ModelCard, strict_json
from segscape.models.reading import read_card
from segscape.runtime.detector_graphs import FEATURES, PARTS, DetectorGraph, DetectorPlan
from segscape.runtime.graphs import Graph
from segscape.runtime.onnx_format import refuse_external_data
from segscape.runtime.openvino_core import openvino_core

FORMAT = 1
CARD = "model.json"
SUFFIXES = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}
_WHOLE = ("graph",)
_MAX_JSON, _MAX_GRAPH = 25_000_000, 4_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an exported folder holds.

    Attributes:
        graph: the network with its weights; a `DetectorGraph` if it finds objects.
        card: of the model it was made from.
        kind: of the graph's files, "onnx" or "openvino".
    """

    graph: Graph | DetectorGraph
    card: ModelCard
    kind: str


def is_exported(folder: Path) -> bool:
    """Whether a folder looks like one that `write_exported` wrote."""
    return (folder / CARD).is_file()


def write_exported(
    folder: str | os.PathLike[str],
    kind: str,
    graph: Graph | DetectorGraph,
    card: ModelCard,
    *,
    int8: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a model into a folder; returns the files.

    Args:
        folder: made if need be. Files of an earlier export are replaced, others stay.
        kind: a key of `SUFFIXES`.
        graph: as ONNX; for kind openvino it may be OpenVINO's already.
        card: of the model.
        int8: how the graph came to be in eight bits (`segscape.export.int8`); stands on the card as it is.

    Raises:
        ConfigError: no such kind, or what writes it is not installed.
        ModelError: OpenVINO cannot read the graph.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    if kind not in SUFFIXES:
        raise ConfigError(f"models are exported to {' or '.join(SUFFIXES)}, not {kind!r}")
    folder = Path(folder)
    contents: dict[str, bytes] = {}
    for name, part in (graph.parts if isinstance(graph, DetectorGraph) else {_WHOLE[0]: graph}).items():
        contents |= zip(_names((name,), kind), _contents(part, kind), strict=True)
    said: dict[str, Any] = {"kind": kind, "files": {name: _digest(content) for name, content in contents.items()}}
    if isinstance(graph, DetectorGraph):
        said["plan"] = graph.plan.to_dict()
    else:
        said |= {"multiple": graph.multiple, "stride": graph.stride}
    if int8:
        said["int8"] = int8
    for name, content in contents.items():
        write_bytes(folder / name, content)
    # Last: until it is there, or while it is that of an earlier export, the folder is not taken for a model.
    card_text = json.dumps({"format": FORMAT, "graph": said, "card": card.to_dict()}, ensure_ascii=False, indent=1)
    write_text(folder / CARD, card_text + "\n")
    return [folder / name for name in (CARD, *contents)]


def _names(parts: Sequence[str], kind: str) -> list[str]:
    return [part + suffix for part in parts for suffix in SUFFIXES[kind]]


def _contents(graph: Graph, kind: str) -> list[bytes]:
    """Of the graph's files."""
    model = graph.model()
    if isinstance(model, bytes):
        return [model] if kind == "onnx" else _as_openvino(model)
    if kind == "onnx":
        raise ConfigError("this model is OpenVINO's, of which no ONNX model can be made; export its bundle")
    return [model.with_suffix(suffix).read_bytes() for suffix in SUFFIXES[kind]]


def read_exported_card(folder: Path) -> tuple[ModelCard, Mapping[str, Any]]:
    """The card of an exported model, and what its ``model.json`` says of its graph.

    Raises:
        ModelError: not an exported model, or damaged.
    """
    path = folder / CARD
    try:
        document = strict_json(_content(path, _MAX_JSON).decode("utf-8"))
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise InputError(f"it is not of format {FORMAT}")
        said = document["graph"]
        card, kind = ModelCard.from_dict(document["card"]), said["kind"]
        if kind not in SUFFIXES or dict(said["files"]).keys() != set(_names(_parts(card), kind)):
            raise InputError(f"it names graph files other than {_names(_parts(card), 'onnx')} or those of OpenVINO")
        if card.task == "instance":
            DetectorPlan.from_dict(said["plan"])
        elif not _fit(said["multiple"], said["stride"]):
            raise InputError(f"multiple {said['multiple']!r} and stride {said['stride']!r} are none")
        return card, said
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ModelError(f"{str(path)!r} is not an exported model's card: {reason}") from error


def _parts(card: ModelCard) -> tuple[str, ...]:
    return PARTS if card.task == "instance" else _WHOLE


def _fit(multiple: Any, stride: Any) -> bool:
    return all(type(n) is int and 1 <= n <= 1024 for n in (multiple, stride)) and multiple % stride == 0


def card_of(path: Path) -> ModelCard:
    """The card of a bundle or of an exported model.

    Raises:
        ModelError: it is neither, or damaged.
    """
    return read_exported_card(path)[0] if is_exported(path) else read_card(path)


def read_exported(folder: Path) -> Exported:
    """An exported model, checked: hashes fit, and nothing it needs lies outside its folder.

    Raises:
        ModelError: not an exported model, damaged, or one that refers to files elsewhere.
        ResourceError: out of memory.
    """
    card, said = read_exported_card(folder)
    if card.task == "instance":
        plan = DetectorPlan.from_dict(said["plan"])
        multiples = {part: plan.multiple if part == FEATURES else 1 for part in PARTS}
        parts = {part: _read_graph(folder, part, said, multiple, 1, card) for part, multiple in multiples.items()}
        return Exported(DetectorGraph(parts, plan), card, said["kind"])
    return Exported(_read_graph(folder, _WHOLE[0], said, said["multiple"], said["stride"], card), card, said["kind"])


def _content(path: Path, most: int) -> bytes:
    """Of a regular file of at most so many bytes.

    Raises:
        ModelError: it is none, or larger.
        OSError, MemoryError: it cannot be read.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for a writer for ever, and a device has no end
        raise ModelError(f"{str(path)!r} is a folder, pipe or device, not a file of an exported model")
    if info.st_size > most:
        raise ModelError(f"{str(path)!r} has {info.st_size} bytes, too many for a model's: at most {most} are read")
    with path.open("rb") as file:
        return file.read(info.st_size)


def _read_graph(folder: Path, part: str, said: Mapping[str, Any], multiple: int, stride: int, card: ModelCard) -> Graph:
    kind, names = said["kind"], _names((part,), said["kind"])
    first = b""
    for name in names:
        try:
            content = _content(folder / name, _MAX_GRAPH)
        except MemoryError as error:
            raise ResourceError(f"{str(folder / name)!r}: not enough memory to load it") from error
        except OSError as error:
            raise ModelError(
                f"{str(folder / name)!r} cannot be read ({error.strerror}); export the model again"
            ) from error
        if _digest(content) != said["files"][name]:
            raise ModelError(
                f"{str(folder / name)!r} does not have the hash in {CARD}; it was changed or damaged: export it again"
            )
        first = first or content
    if kind == "onnx":
        refuse_external_data(first, repr(str(folder / names[0])))
    model = first if kind == "onnx" else folder / names[0]
    key = _digest(json.dumps({name: said["files"][name] for name in names}, sort_keys=True).encode())
    return Graph(kind, lambda: model, multiple, stride, key, num_classes=len(card.label_set))


def _as_openvino(model: bytes) -> list[bytes]:
    core = openvino_core()
    import openvino

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.xml"
            openvino.save_model(core.read_model(model), str(path), compress_to_fp16=False)
            return [path.read_bytes(), path.with_suffix(".bin").read_bytes()]
    except OSError as error:
        raise explain_os_error(error, error.filename or tempfile.gettempdir()) from error
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot take this network: {error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

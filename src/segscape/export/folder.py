"""Exported models: a folder with a graph and all that surrounds it, for machines without torch.

``model.json`` holds the model's card (classes, pre-processing, sizes, post-processing) and says of the graph: its
engine's name, its files with their SHA-256, and the multiple and stride of sizes. ``graph.onnx``, or ``graph.xml`` with
``graph.bin``, is an ordinary model of that engine: (N, 3, H, W) float32 in, H and W multiples of ``multiple``,
normalised RGB, padded at the right and bottom by repeating the border; scores of stride ``stride`` out.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segscape.errors import ConfigError, InputError, ModelError, ResourceError
from segscape.files import explain_os_error, write_bytes, write_text
from segscape.models.card import ModelCard, strict_json
from segscape.models.reading import read_card
from segscape.runtime.graphs import Graph
from segscape.runtime.onnx_format import refuse_external_data
from segscape.runtime.openvino_core import openvino_core

FORMAT = 1
CARD = "model.json"
FILES = {"onnx": ("graph.onnx",), "openvino": ("graph.xml", "graph.bin")}
_MAX_JSON = 25_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an exported folder holds.

    Attributes:
        graph: the network with its weights.
        card: of the model it was made from.
    """

    graph: Graph
    card: ModelCard


def is_exported(folder: Path) -> bool:
    """Whether a folder looks like one that `write_exported` wrote."""
    return (folder / CARD).is_file()


def write_exported(folder: str | os.PathLike[str], kind: str, graph: Graph, card: ModelCard) -> list[Path]:
    """Write a model into a folder; returns the files.

    Args:
        folder: made if need be. Files of an earlier export are replaced, others stay.
        kind: a key of `FILES`.
        graph: as an ONNX model.
        card: of the model.

    Raises:
        ConfigError: no such kind, or what writes it is not installed.
        ModelError: OpenVINO cannot read the graph.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    if kind not in FILES:
        raise ConfigError(f"models are exported to {' or '.join(FILES)}, not {kind!r}")
    model = graph.model()
    if not isinstance(model, bytes):
        raise ConfigError("this model is an exported one; export the bundle it was made from")
    folder = Path(folder)
    contents = [model] if kind == "onnx" else _as_openvino(model)
    said = {
        "kind": kind,
        "multiple": graph.multiple,
        "stride": graph.stride,
        "files": {name: _digest(content) for name, content in zip(FILES[kind], contents, strict=True)},
    }
    for name, content in zip(FILES[kind], contents, strict=True):
        write_bytes(folder / name, content)
    # Last: until it is there, or while it is that of an earlier export, the folder is not taken for a model.
    card_text = json.dumps({"format": FORMAT, "graph": said, "card": card.to_dict()}, ensure_ascii=False, indent=1)
    write_text(folder / CARD, card_text + "\n")
    return [folder / name for name in (CARD, *FILES[kind])]


def read_exported_card(folder: Path) -> tuple[ModelCard, Mapping[str, Any]]:
    """The card of an exported model, and what its ``model.json`` says of its graph.

    Raises:
        ModelError: not an exported model, or damaged.
    """
    path = folder / CARD
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ModelError(f"{str(path)!r} is too large to be a model's card")
        document = strict_json(path.read_text("utf-8"))
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise InputError(f"it is not of format {FORMAT}")
        said = document["graph"]
        kind, multiple, stride = said["kind"], said["multiple"], said["stride"]
        if kind not in FILES or set(said["files"]) != set(FILES[kind]):
            raise InputError(f"it names graph files other than {FILES}")
        if not all(type(n) is int and 1 <= n <= 1024 for n in (multiple, stride)) or multiple % stride:
            raise InputError(f"multiple {multiple!r} and stride {stride!r} are none")
        return ModelCard.from_dict(document["card"]), said
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ModelError(f"{str(path)!r} is not an exported model's card: {reason}") from error


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
    if card.task != "semantic":
        raise ModelError(f"{str(folder)!r}: a model that finds objects cannot have been exported")
    first = b""
    for name in FILES[said["kind"]]:
        try:
            content = (folder / name).read_bytes()
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
    if said["kind"] == "onnx":
        refuse_external_data(first, repr(str(folder / FILES["onnx"][0])))
    model = first if said["kind"] == "onnx" else folder / FILES["openvino"][0]
    key = _digest(json.dumps(said["files"], sort_keys=True).encode())
    return Exported(Graph(said["kind"], lambda: model, said["multiple"], said["stride"], key), card)


def _as_openvino(model: bytes) -> list[bytes]:
    core = openvino_core()
    import openvino

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILES["openvino"][0]
            openvino.save_model(core.read_model(model), str(path), compress_to_fp16=False)
            return [path.read_bytes(), path.with_suffix(".bin").read_bytes()]
    except OSError as error:
        raise explain_os_error(error, error.filename or tempfile.gettempdir()) from error
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot take this network: {error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

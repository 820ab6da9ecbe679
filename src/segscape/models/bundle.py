"""Model bundles: one safetensors file with the weights and, in its header, a card that says everything else.

Nothing is ever unpickled. A bundle from a stranger can be wrong but not harmful: the header's JSON is parsed with its
size bounded and doubled keys refused, the network is laid out without memory first, and names, shapes and hash must fit
before a tensor is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segscape.errors import InputError, ModelError, ResourceError
from segscape.files import write_bytes
from segscape.labels import LabelSet
from segscape.models import build_model
from segscape.models.network import Network
from segscape.preprocess import Preprocess

FORMAT = 1
_MAX_HEADER = 25_000_000


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What stands beside the weights.

    Attributes:
        name: of the model.
        network, options: what `segscape.models.build_model` makes it from.
        label_set: the classes.
        preprocess: what the network expects.
        task: "semantic".
        data: kind, splits, number of images, fingerprint and terms of the training data.
        metrics: by split, as `segscape evaluate` measured them.
        recipe: the resolved recipe.
        training: device, time, steps, package versions, where the ImageNet weights came from.
        sha256: of the weights; filled in when a bundle is written.
    """

    name: str
    network: str
    options: Mapping[str, Any]
    label_set: LabelSet
    preprocess: Preprocess
    task: str = "semantic"
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def id(self) -> str:
        """Name and the first eight digits of the weights' hash: "street@3fa9c1d2"."""
        return f"{self.name}@{self.sha256[:8]}"

    def summary(self) -> dict[str, Any]:
        """The line a list of models shows."""
        scores = {split: values["miou"] for split, values in self.metrics.items() if values.get("miou") is not None}
        return {
            "network": " ".join(filter(None, [self.network, self.options.get("backbone")])),
            "classes": len(self.label_set),
            "data": self.data.get("kind", ""),
            "terms": self.data.get("terms", ""),
            "parameters": self.training.get("parameters"),
            "miou": scores,
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {"format": FORMAT, **values, "label_set": self.label_set.to_dict(), "preprocess": asdict(self.preprocess)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` wrote.

        Raises:
            InputError: a field is missing or wrong.
        """
        if values.get("format") != FORMAT:
            raise InputError(f"card format {values.get('format')!r}, but this version reads {FORMAT}")
        try:
            fields = {key: values[key] for key in cls.__dataclass_fields__}
            fields["label_set"] = LabelSet.from_dict(values["label_set"])
            fields["preprocess"] = _read_preprocess(values["preprocess"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the card is incomplete or wrong ({type(error).__name__}: {error})") from error


def _read_preprocess(values: Mapping[str, Any]) -> Preprocess:
    mean, std = (tuple(float(v) for v in values[key]) for key in ("mean", "std"))
    long_side = values["long_side"]
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError("mean and std need three numbers each, std above 0")
    if long_side is not None and not (isinstance(long_side, int) and 1 <= long_side <= 65536):
        raise InputError(f"long_side must be a whole number of pixels, got {long_side!r}")
    return Preprocess(mean, std, long_side)  # type: ignore[arg-type]


def save_bundle(path: str | os.PathLike[str], state: Mapping[str, Tensor], card: ModelCard, *, half: bool = True) -> ModelCard:
    """Write weights and card atomically; returns the card with its hash.

    Args:
        path: of the file, usually NAME.safetensors.
        state: the network's state dict.
        card: its ``sha256`` is replaced.
        half: store floating-point tensors in 16 bits (half the size; they are computed with in 32).
    """
    from safetensors.torch import save

    tensors = {
        name: (t.detach().to(torch.float16) if half and t.is_floating_point() else t.detach()).contiguous().cpu()
        for name, t in state.items()
    }
    if bad := [name for name, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]:
        raise ModelError(f"weights {bad[0]!r} are not finite in the stored precision; nothing was written")
    card = replace(card, sha256=_hash(tensors))
    write_bytes(path, save(tensors, {"segscape": json.dumps(card.to_dict(), ensure_ascii=False)}))
    return card


def record_metrics(path: str | os.PathLike[str], split: str, metrics: Mapping[str, Any]) -> ModelCard:
    """Write what was measured on a split onto a bundle's card; the weights and their hash stay as they are.

    Raises:
        ModelError: not a bundle, or damaged.
    """
    from safetensors.torch import load_file

    load_bundle(path)  # refuses a damaged file before it is written again
    card = read_card(path)
    card = replace(card, metrics={**card.metrics, split: dict(metrics)})
    return save_bundle(path, load_file(path), card, half=False)


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """The card of a bundle, without reading its weights.

    Raises:
        ModelError: no such file, not a bundle, or damaged.
    """
    path = Path(path)
    header = _read_header(path)
    text = header.get("__metadata__", {}).get("segscape")
    if not isinstance(text, str):
        raise ModelError(f"{str(path)!r} holds tensors but no Segscape card, so nothing says what network they are for")
    try:
        return ModelCard.from_dict(json.loads(text, object_pairs_hook=_no_doubles))
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{str(path)!r}: {error}") from error


def load_bundle(path: str | os.PathLike[str]) -> tuple[Network, ModelCard]:
    """The network with its weights in float32, in evaluation mode on the CPU, and its card.

    Raises:
        ModelError: no such file, not a bundle, damaged, or weights that do not fit the card's network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    card = read_card(path)
    try:
        with torch.device("meta"):
            model = build_model(card.network, len(card.label_set), card.options)
        tensors = load_file(path)
    except (SafetensorError, InputError) as error:
        raise ModelError(f"{str(path)!r}: {error}") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ResourceError(f"{str(path)!r}: not enough memory to load it") from error
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if wanted != found:
        wrong = sorted(set(wanted.items()) ^ set(found.items()))
        raise ModelError(f"{str(path)!r}: weights do not fit network {card.network!r}, first at {wrong[0][0]!r}")
    if _hash(tensors) != card.sha256:
        raise ModelError(f"{str(path)!r}: the weights do not have the hash on their card; the file was changed or damaged")
    state = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    model.load_state_dict(state, assign=True)
    return model.eval(), card


def _hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name]
        digest.update(f"{name}:{t.dtype}:{tuple(t.shape)};".encode())
        digest.update(t.contiguous().view(-1).view(torch.uint8).numpy().data if t.numel() else b"")
    return digest.hexdigest()


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} occurs twice in its JSON")
    return result


def _read_header(path: Path) -> dict[str, Any]:
    """The safetensors header, after checks that a damaged or hostile file fails with a clear message."""
    name = str(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if start[:2] == b"PK" or start[:1] == b"\x80":
                raise ModelError(
                    f"{name!r} is a pickle (.pt, .pth), which could run any code when opened; it was not opened. "
                    "Segscape reads safetensors bundles as `segscape train` writes them"
                )
            if not 2 <= length <= min(_MAX_HEADER, size - 8):
                raise ModelError(f"{name!r} is not a model bundle, or it is cut short ({size} bytes)")
            header = json.loads(file.read(length), object_pairs_hook=_no_doubles)
    except FileNotFoundError:
        raise ModelError(f"no model at {name!r}") from None
    except IsADirectoryError:
        raise ModelError(f"{name!r} is a folder; give the .safetensors file in it") from None
    except OSError as error:
        raise ModelError(f"{name!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{name!r} is not a model bundle: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ModelError(f"{name!r} is not a model bundle: its header is not an object")
    return header

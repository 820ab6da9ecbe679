"""Reading a model bundle (see `segscape.models.bundle`) without torch: its card, and its weights as numpy arrays."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from segscape.errors import InputError, ModelError, ResourceError
from segscape.models.card import ModelCard, strict_json

_MAX_HEADER = 25_000_000
_METADATA = "__metadata__"  # safetensors' own key beside the tensors


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """The card of a bundle, without reading its weights.

    Raises:
        ModelError: no such file, not a bundle, or damaged.
    """
    path = Path(path)
    text = _read_header(path).get(_METADATA, {}).get("segscape")
    if not isinstance(text, str):
        raise ModelError(f"{str(path)!r} holds tensors but no Segscape card, so nothing says what network they are for")
    try:
        return ModelCard.from_json(text)
    except InputError as error:
        raise ModelError(f"{str(path)!r}: {error}") from error


def read_weights(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], ModelCard]:
    """The weights by their names in the network's state dict, as stored (float16 or float32; counts int64), and the
    card.

    That names and shapes fit a network is for the caller to check.

    Raises:
        ModelError: no such file, not a bundle, damaged, or weights that do not have the hash on the card.
        ResourceError: out of memory.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    card = read_card(path)
    try:
        weights = load_file(path)
    except MemoryError as error:
        raise ResourceError(f"{str(path)!r}: not enough memory to load it") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{str(path)!r} is not a model bundle, or it is damaged: {error}") from error
    digest = hash_of(
        (k, f"torch.{v.dtype}", v.shape, v.reshape(-1).view(np.uint8).data) for k, v in sorted(weights.items())
    )
    if digest != card.sha256:
        raise ModelError(
            f"{str(path)!r}: the weights do not have the hash on their card; the file was changed or damaged"
        )
    return weights, card


def hash_of(tensors: Iterable[tuple[str, str, tuple[int, ...], memoryview | bytes]]) -> str:
    """SHA-256 of weights sorted by name: name, torch's name of the type, shape and bytes of each."""
    digest = hashlib.sha256()
    for name, kind, shape, content in tensors:
        digest.update(f"{name}:{kind}:{tuple(shape)};".encode())
        digest.update(content)
    return digest.hexdigest()


def _read_header(path: Path) -> dict[str, Any]:
    """The safetensors header, after checks that a damaged or hostile file fails with a clear message."""
    name = str(path)
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            raise ModelError(f"{name!r} is a folder; give the .safetensors file in it")
        if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for a writer for ever
            raise ModelError(f"{name!r} is a pipe or device, not a model bundle")
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            fits = 2 <= length <= min(_MAX_HEADER, info.st_size - 8)
            content = file.read(length) if fits else b""
    except FileNotFoundError:
        raise ModelError(f"no model at {name!r}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    # A header's length may begin with a pickle's bytes, so only what is no header is looked at for them.
    if not content.startswith(b"{") and (start.startswith(b"PK\3\4") or start[:1] == b"\x80"):
        raise ModelError(
            f"{name!r} is a pickle (.pt, .pth), which could run any code when opened; it was not opened. "
            "Segscape reads safetensors bundles as `segscape train` writes them"
        )
    if not content:
        raise ModelError(f"{name!r} is not a model bundle, or it is cut short ({info.st_size} bytes)")
    try:
        header = strict_json(content.decode("utf-8"))
    except ValueError as error:
        raise ModelError(f"{name!r} is not a model bundle: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get(_METADATA, {}), dict):
        raise ModelError(f"{name!r} is not a model bundle: its header is not an object")
    return header

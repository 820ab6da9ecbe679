"""Model bundles: one safetensors file with the weights and, in its header, a card that says everything else.

Nothing is ever unpickled. A bundle from a stranger can be wrong but not harmful: the header's JSON is parsed with its
size bounded and doubled keys refused, the network is laid out without memory first, and names, shapes and hash must fit
before a tensor is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segscape.errors import InputError, ModelError, ResourceError
from segscape.files import write_bytes
from segscape.models.card import ModelCard
from segscape.models.networks import build_model
from segscape.models.reading import hash_of, read_card

__all__ = [
    "ModelCard",
    "load_bundle",
    "read_card",
    "record_metrics",
    "record_objects",
    "record_refinement",
    "save_bundle",
]


def save_bundle(
    path: str | os.PathLike[str], state: Mapping[str, Tensor], card: ModelCard, *, half: bool = True
) -> ModelCard:
    """Write weights and card atomically; returns the card with its hash.

    Args:
        path: of the file, usually NAME.safetensors.
        state: the network's state dict.
        card: its ``sha256`` is replaced.
        half: store floating-point tensors in 16 bits (half the size; they are computed with in 32).

    Raises:
        ModelError: a weight is not finite in the stored precision, or the card holds what JSON cannot.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    from safetensors.torch import save

    tensors = {
        name: (t.detach().to(torch.float16) if half and t.is_floating_point() else t.detach()).contiguous().cpu()
        for name, t in state.items()
    }
    if bad := [name for name, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]:
        raise ModelError(f"weights {bad[0]!r} are not finite in the stored precision; nothing was written")
    card = replace(card, sha256=_hash(tensors))
    try:
        text = card.to_json()
    except InputError as error:
        raise ModelError(f"{error}; nothing was written") from error
    write_bytes(path, save(tensors, {"segscape": text}))
    return card


def record_metrics(path: str | os.PathLike[str], split: str, metrics: Mapping[str, Any]) -> ModelCard:
    """Write what was measured on a split onto a bundle's card; the weights and their hash stay as they are.

    Raises:
        ModelError: not a bundle, or damaged.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    return _change_card(path, lambda card: replace(card, metrics={**card.metrics, split: dict(metrics)}))


def record_refinement(path: str | os.PathLike[str], refine: Mapping[str, Any]) -> ModelCard:
    """Write ``refine`` (see `ModelCard`) onto a bundle's card; the weights and their hash stay as they are.

    The card's metrics are those of the model as it is. If its results change by this, because the dense CRF becomes or
    was the default, the metrics are removed: measure them again with ``segscape evaluate --record``.

    Raises:
        ModelError: not a bundle, or damaged.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """

    def change(card: ModelCard) -> ModelCard:
        changed = replace(card, refine=dict(refine))
        before, after = (c.crf if c.refines else None for c in (card, changed))
        return changed if before == after else replace(changed, metrics={})

    return _change_card(path, change)


def record_objects(path: str | os.PathLike[str], objects: Mapping[str, Any], zoom: float) -> ModelCard:
    """Write ``objects`` (see `ModelCard`) and the factor on images' size onto a bundle's card.

    The card's metrics are removed if results change by this: measure them with ``segscape evaluate --record``.

    Raises:
        ModelError: not a bundle, or damaged.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """

    def change(card: ModelCard) -> ModelCard:
        changed = replace(card, objects=dict(objects), preprocess=replace(card.preprocess, zoom=zoom))
        made = [({k: v for k, v in c.objects.items() if k != "measured"}, c.preprocess) for c in (card, changed)]
        return changed if made[0] == made[1] else replace(changed, metrics={})

    return _change_card(path, change)


def _change_card(path: str | os.PathLike[str], change: Callable[[ModelCard], ModelCard]) -> ModelCard:
    from safetensors.torch import load_file

    _, card = load_bundle(path)  # refuses a damaged file before it is written again
    return save_bundle(path, load_file(path), change(card), half=False)


def load_bundle(path: str | os.PathLike[str]) -> tuple[nn.Module, ModelCard]:
    """The network with its weights in float32, in evaluation mode on the CPU, and its card.

    Raises:
        ModelError: no such file, not a bundle, damaged, or weights that do not fit the card's network.
        ResourceError: out of memory.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    card = read_card(path)
    model = _lay_out(path, card)
    try:
        tensors = load_file(path)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ResourceError(f"{str(path)!r}: not enough memory to load it") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{str(path)!r} is not a model bundle, or it is damaged: {error}") from error
    wanted = {name: (tuple(t.shape), _kind(t)) for name, t in model.state_dict().items()}
    found = {name: (tuple(t.shape), _kind(t)) for name, t in tensors.items()}
    if wanted != found:
        first = next(name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name))
        has, needs = (" ".join(map(str, x[first])) if first in x else "nothing" for x in (found, wanted))
        raise ModelError(
            f"{str(path)!r}: weights do not fit network {card.network!r}: {first!r} is {has}, but {needs} is needed"
        )
    if _hash(tensors) != card.sha256:
        raise ModelError(
            f"{str(path)!r}: the weights do not have the hash on their card; the file was changed or damaged"
        )
    state = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    model.load_state_dict(state, assign=True)
    if any(buffer.is_meta for buffer in model.buffers()):
        # Some timm backbones make buffers that no state dict holds; the sizes are known to be the file's by now.
        model = build_model(card.network, len(card.label_set), card.options)
        model.load_state_dict(state)
    return model.eval(), card


def _lay_out(path: Path, card: ModelCard) -> nn.Module:
    """The card's network with shapes but without memory, so that a hostile card cannot ask for any."""
    try:
        with torch.device("meta"), _Unfilled():
            return build_model(card.network, len(card.label_set), card.options)
    except Exception as error:  # a stranger's options make torch and timm fail in every way there is
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(f"{str(path)!r}: its network cannot be made: {reason}") from error


def _kind(tensor: Tensor) -> str:
    """What a tensor may be loaded as: any floating-point type becomes float32, others stay what they are."""
    return "float" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")


class _Unfilled(TorchFunctionMode):
    """While entered, tensors are not filled with first values: `load_bundle` has better ones, and filling tensors
    without memory would import two seconds' worth of torch's compiler.
    """

    _FILLING = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in self._FILLING:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _hash(tensors: Mapping[str, Tensor]) -> str:
    return hash_of(
        (
            name,
            str(t.dtype),
            tuple(t.shape),
            t.contiguous().view(-1).view(torch.uint8).numpy().data if t.numel() else b"",
        )
        for name, t in sorted(tensors.items())
    )

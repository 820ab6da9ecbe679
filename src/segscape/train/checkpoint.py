"""Checkpoints: everything a run needs to go on as if it had not stopped, in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segscape.errors import ModelError
from segscape.files import write_bytes
from segscape.train.optim import Average


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, progress: dict[str, Any]
) -> None:
    """Write weights, optimizer state, averaged weights, random state and ``progress`` (plain JSON) atomically."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.state.items()}
    plain: dict[str, dict[str, Any]] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            elif value is not None:
                plain.setdefault(str(index), {})[key] = value
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    header = {"progress": progress, "optimizer": plain, "average_updates": average.updates}
    # Written row-major and copied: safetensors refuses tensors that share memory or are channels-last.
    ready = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_bytes(path, save(ready, {"checkpoint": json.dumps(header)}))


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> dict[str, Any]:
    """Put everything back in place; returns ``progress``.

    Raises:
        ModelError: the file is damaged or belongs to another network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        model.load_state_dict(_part(tensors, "model"))
        average.load(_part(tensors, "average"), header["average_updates"])
        state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in header["optimizer"].items()}
        for key, value in _part(tensors, "optimizer").items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random/cpu"])
        if torch.cuda.is_available() and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"])
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"checkpoint {str(path)!r} cannot be resumed from: {error}") from error
    return header["progress"]


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}/")}

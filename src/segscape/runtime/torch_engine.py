"""The torch engine: CPU or GPU."""

from __future__ import annotations

import numpy as np
import torch

from segscape.errors import ConfigError, ResourceError
from segscape.models.network import Network


def pick_device(device: str) -> torch.device:
    """ "auto" is the GPU if there is one; else "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ConfigError: this machine has no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return chosen


class TorchEngine:
    """Runs a `Network` in evaluation mode; see `segscape.runtime.engine.Engine`."""

    def __init__(self, model: Network, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)
        self.stride = model.stride
        self.name = f"torch {self.device}"

    @torch.inference_mode()
    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        try:
            x = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
            return self.model.low_logits(x).float().contiguous().cpu().numpy()
        except (torch.OutOfMemoryError, MemoryError) as error:
            height, width = batch.shape[-2:]
            raise ResourceError(
                f"out of memory on {self.device} at {width} × {height}; give a smaller --size or another device"
            ) from error

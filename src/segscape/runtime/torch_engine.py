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
        torch.zeros(1, device=chosen).cpu()  # "meta" makes tensors, but nothing ever comes back
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU (whose allocator has no error class of its own in torch)."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


class TorchEngine:
    """Runs a `Network` in evaluation mode; see `segscape.runtime.engine.Engine`."""

    def __init__(self, model: Network, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stride = model.stride
        self.name = f"torch {self.device}"

    @torch.inference_mode()
    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        try:
            x = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
            return self.model.low_logits(x).float().contiguous().cpu().numpy()
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            if not is_out_of_memory(error):
                raise
            height, width = batch.shape[-2:]
            raise ResourceError(
                f"out of memory on {self.device} at {width} × {height}; give a smaller --size or another device"
            ) from error

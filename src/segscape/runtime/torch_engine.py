"""The torch engine: CPU or GPU."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from segscape.errors import ConfigError, ResourceError
from segscape.models.network import Network
from segscape.runtime.engine import Detections
from segscape.runtime.memory import check_objects_fit

if TYPE_CHECKING:  # torchvision takes seconds to import
    from segscape.models.mask_rcnn import MaskRCNN


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


def pick_precision(precision: str, device: torch.device) -> str:
    """What is computed in: "f32", "bf16" (convolutions and products only, by autocast), or "auto", which is bf16 on an
    NVIDIA GPU that has it and f32 elsewhere.

    Raises:
        ConfigError: it is none of them.
    """
    if precision not in ("auto", "f32", "bf16"):
        raise ConfigError(f"precision is auto, f32 or bf16, got {precision!r}")
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "f32"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU (whose allocator has no error class of its own in torch)."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


class TorchEngine:
    """Runs a `Network` in evaluation mode; see `segscape.runtime.engine.Engine`.

    Args:
        model: the network.
        device: see `pick_device`.
        precision: see `pick_precision`.
        compiled: through ``torch.compile``: the first image takes up to minutes, and the first of another size again.

    Raises:
        ConfigError: this machine has no such device, or no C++ compiler, which ``compiled`` needs.
    """

    concurrency = 1

    def __init__(self, model: Network, device: str = "auto", precision: str = "f32", *, compiled: bool = False) -> None:
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stride = model.stride
        self.name = f"torch {self.device} {self.precision}"
        self._run, self._alone = self._scores, contextlib.nullcontext()
        if compiled:
            if not shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")):
                raise ConfigError("engine 'torch-compile' needs a C++ compiler: install one, or name it in CXX")
            self.name = f"torch-compile {self.device} {self.precision}"
            # For each size anew: of two sizes it would make one of any size, over which its C++ backend fails.
            self._run = torch.compile(self._scores, dynamic=False)
        if self.device.type == "cuda":
            from segscape.runtime.cuda_graphs import CudaGraphs

            self._run, self._alone = CudaGraphs(self._run), threading.Lock()

    @torch.inference_mode()
    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        with _memory_told(self.device, batch), self._alone:
            x = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
            return self._run(x).contiguous().cpu().numpy()

    def _scores(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.model.low_logits(x).float()


class TorchDetector:
    """Runs a `MaskRCNN` in evaluation mode; see `segscape.runtime.engine.ObjectEngine`. It computes in float32."""

    concurrency = 1

    def __init__(self, model: MaskRCNN, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name, self.bytes_per_pixel = f"torch {self.device} f32", self.model.bytes_per_pixel

    @torch.inference_mode()
    def detect(self, batch: np.ndarray) -> Detections:
        if self.device.type == "cpu":
            check_objects_fit(self.bytes_per_pixel, (batch.shape[2], batch.shape[3]))
        with _memory_told(self.device, batch):
            x = torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)
            found = {key: value.cpu().numpy() for key, value in self.model.detect(x)[0].items()}
        return Detections(found["boxes"], found["labels"] - 1, found["scores"], found["masks"])


def make_engine(
    model: nn.Module, device: str = "auto", precision: str = "f32", *, compiled: bool = False
) -> TorchEngine | TorchDetector:
    """The engine for a network of either kind.

    Raises:
        ConfigError: as `TorchEngine`; or ``compiled`` for a network that finds objects.
    """
    if isinstance(model, Network):
        return TorchEngine(model, device, precision, compiled=compiled)
    if compiled:
        raise ConfigError("engine 'torch-compile' runs models that make label maps; for objects take torch")
    return TorchDetector(cast("MaskRCNN", model), device)


@contextlib.contextmanager
def _memory_told(device: torch.device, batch: np.ndarray) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        height, width = batch.shape[-2:]
        raise ResourceError(
            f"out of memory on {device} at {width} × {height}; give a smaller --size or another device"
        ) from error

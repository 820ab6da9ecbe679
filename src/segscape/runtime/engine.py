"""What an engine is: something that turns images into coarse class scores, or into objects."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from segscape.errors import ResourceError

MODES = ("latency", "throughput")
_NO_MEMORY = ("bad_alloc", "bad allocation", "can't allocate memory", "Failed to allocate memory", "out of memory")


class Engine(Protocol):
    """A network ready to run. One file in this folder implements it for each runtime.

    Attributes:
        name: of the runtime, device and precision, e.g. "openvino cpu bf16".
        stride: of the scores relative to the input.
        concurrency: how many calls, from as many threads, use the machine best.
    """

    name: str
    stride: int
    concurrency: int

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        """Coarse class scores.

        Args:
            batch: (N, 3, H, W) float32, normalised RGB, any H, W ≥ 1.

        Returns:
            (N, C, h, w) float32 with h·stride ≥ H, w·stride ≥ W. Score (i, j) lies at input pixel coordinates
            ((i + ½)·stride − ½, (j + ½)·stride − ½).

        Raises:
            ResourceError: out of memory.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found in one image, as the network gives them.

    Attributes:
        boxes: (N, 4) float32 x0 y0 x1 y1 in pixels of the network's input.
        labels: (N,) int64 class ids.
        scores: (N,) float32, 0…1, falling.
        masks: (N, M, M) float32, 0…1: the object's probability within its box.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray


class ObjectEngine(Protocol):
    """A network that finds objects, ready to run.

    Attributes:
        name: of the runtime and device.
        concurrency: as of an `Engine`.
        bytes_per_pixel: of the input, about, that finding objects takes at its peak.
    """

    name: str
    concurrency: int
    bytes_per_pixel: float

    def detect(self, batch: np.ndarray) -> Detections:
        """The objects of one image, (1, 3, H, W) float32, normalised RGB, any H, W ≥ 1.

        Raises:
            ResourceError: out of memory.
        """
        ...


class RunnableGraph(Protocol):
    """A graph in the memory of its runtime: a whole network, or a part of one. See `OpenVINONetwork`, `OnnxNetwork`.

    Attributes:
        name, concurrency: as of an `Engine`.
    """

    name: str
    concurrency: int

    def run(self, x: np.ndarray, size: tuple[int, int]) -> AbstractContextManager[tuple[np.ndarray, ...]]:
        """What the graph gives of ``x``, float32, not to be read after the ``with``.

        ``size`` is (height, width) of the image, for what is said when memory runs out.

        Raises:
            ResourceError: out of memory.
            ModelError: the runtime cannot run the graph.
        """
        ...


def no_memory(size: tuple[int, int]) -> ResourceError:
    """What is said when memory ran out on an image of ``size`` (height, width)."""
    return ResourceError(f"out of memory on the CPU at {size[1]} × {size[0]}; give a smaller --size")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, for runtimes that have no error class for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)

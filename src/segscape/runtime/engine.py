"""What an engine is: something that turns images into coarse class scores, or into objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """A network ready to run. One file in this folder implements it for each runtime.

    Attributes:
        name: of the runtime and device, e.g. "torch cpu".
        stride: of the scores relative to the input.
    """

    name: str
    stride: int

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
    """

    name: str

    def detect(self, batch: np.ndarray) -> Detections:
        """The objects of one image, (1, 3, H, W) float32, normalised RGB, any H, W ≥ 1.

        Raises:
            ResourceError: out of memory.
        """
        ...

"""What an engine is: something that turns a batch of images into coarse class scores."""

from __future__ import annotations

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

"""Class weights from class frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from segscape.errors import ConfigError

CLASS_WEIGHTS = ("none", "inverse_log", "median_frequency", "auto")
AUTO_RATIO = 10.0
"""``auto`` leaves classes unweighted up to this ratio of the commonest to the rarest class present."""


def class_weights(
    kind: str, class_pixels: Tensor | np.ndarray, class_image_pixels: Tensor | np.ndarray | None = None
) -> Tensor:
    """One weight a class, from how often it occurs in the training set.

    - ``none``: 1 for every class.
    - ``inverse_log``: 1 / ln(1.02 + p), p the class's share of all labelled pixels (ENet, Paszke et al. 2016);
      the commonest class is never more than about 35 times lighter than the rarest.
    - ``median_frequency``: median(freq) / freq(c), freq(c) the pixels of c over the pixels of those images in which
      c occurs (Eigen & Fergus 2015; SegNet, Badrinarayanan et al. 2017). It needs ``class_image_pixels``.
    - ``auto``: ``none`` when the commonest class present has at most ``AUTO_RATIO`` (10) times the pixels of the
      rarest, else ``inverse_log``.

    All but ``none`` are scaled to mean 1 over the classes that occur, which keeps the learning rate's meaning; a
    class that never occurs gets 0, so that it cannot dominate through label smoothing or a stray validation pixel.

    Args:
        kind: one of the four above.
        class_pixels: (C,) labelled pixels of each class; ignored pixels are not among them.
        class_image_pixels: (C,) labelled pixels of all images that hold the class.

    Returns:
        (C,) float32 on the CPU.

    Raises:
        ConfigError: unknown kind, counts that are negative, not finite, all zero, missing, or of different lengths.
    """
    if kind not in CLASS_WEIGHTS:
        raise ConfigError(f"class_weights: there is no {kind!r}; choose one of {', '.join(CLASS_WEIGHTS)}")
    pixels = _counts("class_pixels", class_pixels)
    present = pixels > 0
    if kind == "auto":
        kind = "none" if pixels[present].max() <= AUTO_RATIO * pixels[present].min() else "inverse_log"
    if kind == "none":
        return torch.ones(len(pixels))
    raw = np.zeros(len(pixels))
    if kind == "inverse_log":
        raw[present] = 1 / np.log(1.02 + pixels[present] / pixels.sum())
    else:
        if class_image_pixels is None:
            raise ConfigError("class_weights 'median_frequency' needs class_image_pixels; choose 'inverse_log' instead")
        image_pixels = _counts("class_image_pixels", class_image_pixels)
        if len(image_pixels) != len(pixels) or np.any(image_pixels < pixels):
            raise ConfigError(
                "class_image_pixels must hold, for each class, the pixels of all images it occurs in: "
                f"{len(pixels)} numbers no smaller than class_pixels"
            )
        raw[present] = image_pixels[present] / pixels[present]  # the median itself cancels in the scaling
    return torch.from_numpy(raw / raw[present].mean()).float()


def _counts(name: str, values: Any) -> np.ndarray:
    counts = np.asarray(values.cpu() if isinstance(values, Tensor) else values, np.float64)
    if counts.ndim != 1 or not np.all(np.isfinite(counts)) or np.any(counts < 0) or not np.any(counts > 0):
        raise ConfigError(f"{name} must be one count a class, none negative and not all 0, got {counts.tolist()}")
    return counts

"""What every loss has in common: the ignore mask, the precision, the checks, the division."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from segscape.errors import ConfigError, InputError
from segscape.ignore import valid_mask


def identity(denominator: Tensor) -> Tensor:
    """The mean over one process."""
    return denominator


class SegmentationLoss(nn.Module):
    """Base of the losses: ``forward(logits, target)`` gives a scalar; a loss writes `compute`.

    Ignored pixels never reach the value and get a gradient of exactly 0; a batch that is all ignored gives 0 with
    zero gradients. Half-precision logits are taken to float32 first and autocast is off inside.

    Args:
        num_classes: C, at least 1.
        ignore_index: the id in targets that is not trained on, outside 0 … C - 1.
        class_weights: (C,) non-negative weights, or None for 1 each.

    Attributes:
        mean_over_processes: called with a 0-dimensional denominator (a count or a sum of weights) just before the
            division by it; see `WeightedSum.set_mean_over_processes`.

    Raises:
        ConfigError: an option is out of range.
    """

    class_weights: Tensor | None
    mean_over_processes: Callable[[Tensor], Tensor]

    def __init__(self, *, num_classes: int, ignore_index: int, class_weights: Tensor | None = None) -> None:
        super().__init__()
        if num_classes < 1 or 0 <= ignore_index < num_classes:
            raise ConfigError(f"ignore index {ignore_index} must lie outside the {num_classes} class ids")
        if class_weights is not None and class_weights.shape != (num_classes,):
            raise ConfigError(f"class weights must be {num_classes} numbers, got shape {tuple(class_weights.shape)}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.mean_over_processes = identity
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (N, C, H, W) floating point.
            target: (N, H, W) class ids or the ignore index, any integer type.

        Returns:
            A scalar, float32 (float64 for float64 logits).

        Raises:
            InputError: shapes do not fit, or a label on the CPU is not a class. (Looking at labels on a GPU would
                wait for it at every step; there the readers' check before training has to do.)
        """
        if logits.ndim != 4 or logits.shape[1] != self.num_classes or target.shape != logits[:, 0].shape:
            raise InputError(
                f"a loss over {self.num_classes} classes needs logits (N, {self.num_classes}, H, W) and a target "
                f"(N, H, W), got {tuple(logits.shape)} and {tuple(target.shape)}"
            )
        target = target.long()  # first of all: a narrow type would wrap the ignore index round
        valid = valid_mask(target, self.ignore_index)
        if target.device.type == "cpu":
            wrong = target[valid & ((target < 0) | (target >= self.num_classes))]
            if wrong.numel():
                raise InputError(
                    f"the target holds label {int(wrong[0])}, but there are classes 0…{self.num_classes - 1} and the "
                    f"ignore index {self.ignore_index}; check the data set or map the label"
                )
        with torch.autocast(logits.device.type, enabled=False):
            if logits.dtype in (torch.float16, torch.bfloat16):
                logits = logits.float()
            return self.compute(logits, target, valid)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """The loss itself: logits (N, C, H, W) of at least float32, target int64 and valid bool (N, H, W)."""
        raise NotImplementedError

    def pixel_weights(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """(N, H, W) in the logits' type: the weight of each pixel's class, 0 where it is ignored."""
        if self.class_weights is None:
            return valid.to(logits.dtype)
        return self.class_weights.to(logits)[target.where(valid, 0)] * valid

    def divide(self, total: Tensor, denominator: Tensor) -> Tensor:
        """``total`` over the processes' mean ``denominator``; ``total`` (which is then 0) where that is 0."""
        denominator = self.mean_over_processes(denominator)
        return total / denominator.where(denominator > 0, 1)


def check_number(option: str, value: Any, low: float, high: float = math.inf) -> float:
    """``value`` as a float in [low, high], and finite.

    Raises:
        ConfigError: it is none.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        span = f"a number of at least {low:g}" if high == math.inf else f"a number in {low:g}…{high:g}"
        raise ConfigError(f"{option} must be {span}, got {value!r}")
    return float(value)


def check_flag(option: str, value: Any) -> bool:
    """``value`` if it is true or false.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{option} must be true or false, got {value!r}")
    return value

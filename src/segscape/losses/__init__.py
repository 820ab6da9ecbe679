"""Losses for semantic segmentation, and weighted sums of them from a recipe.

A new loss is a class with keyword-only options in one of these files and a line in `LOSSES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from segscape.errors import ConfigError
from segscape.ignore import valid_mask
from segscape.losses.base import SegmentationLoss, check_number
from segscape.losses.boundary import BoundaryCrossEntropy, boundary_weight_map
from segscape.losses.overlap import Dice, Lovasz
from segscape.losses.pixelwise import CrossEntropy, Focal, OhemCrossEntropy
from segscape.losses.weights import CLASS_WEIGHTS, class_weights

__all__ = [
    "CLASS_WEIGHTS",
    "LOSSES",
    "SegmentationLoss",
    "WeightedSum",
    "boundary_weight_map",
    "build_loss",
    "class_weights",
    "valid_mask",
]

LOSSES: dict[str, type[SegmentationLoss]] = {
    "cross_entropy": CrossEntropy,
    "dice": Dice,
    "focal": Focal,
    "lovasz": Lovasz,
    "ohem": OhemCrossEntropy,
    "boundary_cross_entropy": BoundaryCrossEntropy,
}


class WeightedSum(nn.Module):
    """Σ weight · loss over named terms.

    Args:
        terms: a loss by its name, at least one.
        weights: a number for each name.
        windows: the part of the run (start, end), in shares of it, in which a term counts; (0, 1) if not given.

    Attributes:
        done: the share of the run that is behind us, 0 ≤ done < 1; the training loop sets it.
    """

    def __init__(
        self,
        terms: Mapping[str, SegmentationLoss],
        weights: Mapping[str, float],
        windows: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)
        self.windows = {name: (windows or {}).get(name, (0.0, 1.0)) for name in terms}
        self.done = 0.0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The weighted sum, a scalar, for logits (N, C, H, W) and target (N, H, W); see `SegmentationLoss.forward`."""
        return self.weigh(self.parts(logits, target))

    def parts(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Each term's value by name, not yet weighted; ``weigh(parts)`` is the loss to train on."""
        return {name: self.terms[name](logits, target) for name in self.active()}

    def active(self) -> list[str]:
        """The terms that count now."""
        return [name for name, (start, end) in self.windows.items() if start <= self.done < end]

    def weigh(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of what `parts` returned."""
        return torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()

    def set_mean_over_processes(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Make training on K processes equal to one process with K times the batch.

        DDP averages the gradients of the processes' losses S_k / D_k, S_k a sum over pixels and D_k its denominator.
        With ``mean`` averaging a 0-dimensional tensor over the processes (accelerate's ``reduce(…, "mean")``) each
        process divides by mean(D) instead, and the averaged gradient is that of ΣS / ΣD: exactly the whole batch's.
        This holds for cross_entropy, focal and boundary_cross_entropy. Dice, Lovász and OHEM are not sums over
        pixels: they are taken in each process on its own batch, and averaged.

        ``mean`` is a collective call, made once a term in every forward: all processes must take the same number of
        steps while it is set.
        """
        for term in self.terms.values():
            cast(SegmentationLoss, term).mean_over_processes = mean


def build_loss(
    terms: Sequence[Mapping[str, Any]],
    *,
    num_classes: int,
    ignore_index: int,
    class_pixels: Tensor | np.ndarray | None,
    class_image_pixels: Tensor | np.ndarray | None = None,
) -> WeightedSum:
    """The weighted sum that a recipe asks for.

    Args:
        terms: e.g. ``[{"name": "cross_entropy", "class_weights": "auto"}, {"name": "dice", "weight": 0.5}]``:
            "name" is one of `LOSSES`, "weight" a number ≥ 0 (default 1), "start" and "end" the shares of the run
            between which the term counts (default 0 and 1), "class_weights" one of `CLASS_WEIGHTS` (default "none"),
            the rest are the loss's own options. A loss given again is a term of its own, "dice", "dice 2", …
        num_classes: C.
        ignore_index: the id in targets that is not trained on.
        class_pixels: (C,) pixels of each class in the training set; needed for class weights other than "none".
        class_image_pixels: (C,) see `class_weights`; needed for "median_frequency".

    Raises:
        ConfigError: an unknown name or option (the message lists what there is), a value out of range,
            no term at all, or none at some point of the run.
    """
    if not terms:
        raise ConfigError(f"loss: give at least one term; there are {', '.join(LOSSES)}")
    losses: dict[str, SegmentationLoss] = {}
    weights: dict[str, float] = {}
    windows: dict[str, tuple[float, float]] = {}
    for term in terms:
        options = dict(term)
        name = options.pop("name", None)
        if not isinstance(name, str) or name not in LOSSES:
            raise ConfigError(f"loss: there is no {name!r}; choose a name from {', '.join(LOSSES)}")
        count = sum(key.split()[0] == name for key in losses)
        key = f"{name} {count + 1}" if count else name
        weights[key] = check_number(f"{name}: weight", options.pop("weight", 1.0), 0)
        start = check_number(f"{name}: start", options.pop("start", 0.0), 0, 1)
        end = check_number(f"{name}: end", options.pop("end", 1.0), 0, 1)
        windows[key] = (start, end)
        known = [option for option in inspect.signature(LOSSES[name]).parameters if option not in _COMMON]
        if unknown := [option for option in options if option not in known]:
            raise ConfigError(
                f"loss {name!r} has no option {unknown[0]!r}; it has weight, start, end, {', '.join(known)}"
            )
        kind = options.pop("class_weights", "none")
        if kind != "none":
            options["class_weights"] = _weights(name, kind, num_classes, class_pixels, class_image_pixels)
        losses[key] = LOSSES[name](num_classes=num_classes, ignore_index=ignore_index, **options)
    total = WeightedSum(losses, weights, windows)
    for total.done in (0.0, *(end for _, end in windows.values() if end < 1)):
        if not total.active():
            raise ConfigError(f"loss: no term counts after {total.done:.0%} of the run; look at start and end")
    total.done = 0.0
    return total


_COMMON = ("num_classes", "ignore_index")


def _weights(
    name: str,
    kind: str,
    num_classes: int,
    class_pixels: Tensor | np.ndarray | None,
    class_image_pixels: Tensor | np.ndarray | None,
) -> Tensor:
    if class_pixels is None:
        raise ConfigError(f"{name}: class_weights {kind!r} needs the training set's class frequencies; use 'none'")
    weights = class_weights(kind, class_pixels, class_image_pixels)
    if len(weights) != num_classes:
        raise ConfigError(f"{name}: class_pixels holds {len(weights)} counts for {num_classes} classes")
    return weights

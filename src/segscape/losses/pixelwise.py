"""Losses that are a mean over pixels: cross-entropy, focal, and cross-entropy over the hard pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from segscape.losses.base import SegmentationLoss, check_number


class CrossEntropy(SegmentationLoss):
    """Cross-entropy: Σ w(y) · −log p(y) / Σ w(y) over the valid pixels, as `torch.nn.functional.cross_entropy`.

    Args:
        class_weights: (C,) or None.
        label_smoothing: ε in 0…1; the truth becomes 1 − ε on the class plus ε / C on every class
            (Szegedy et al. 2016, section 7).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, class_weights=class_weights)
        self.label_smoothing = check_number("cross_entropy: label_smoothing", label_smoothing, 0, 1)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        # Summed by us: the reductions inside cross_entropy are not deterministic on CUDA.
        losses = F.cross_entropy(
            logits,
            target,
            weight=None if self.class_weights is None else self.class_weights.to(logits),
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return self.divide(losses.sum(), self.pixel_weights(logits, target, valid).sum())


class Focal(SegmentationLoss):
    """Focal loss: −α(y) · (1 − p(y))^γ · log p(y) (Lin et al. 2017, eq. 5, with softmax over C classes).

    α is the class weight, and the sum is divided by Σ α(y) over the valid pixels, so that γ = 0 is cross-entropy.

    Args:
        class_weights: (C,), the paper's α, or None.
        gamma: γ ≥ 0; the paper's best is 2.
    """

    def __init__(
        self, *, num_classes: int, ignore_index: int, class_weights: Tensor | None = None, gamma: float = 2.0
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, class_weights=class_weights)
        self.gamma = check_number("focal: gamma", gamma, 0)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        # 1 − p without cancellation; the clamp keeps the slope finite at p = 1, where γ < 1 would make it infinite.
        wrongness = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).tiny)
        weights = self.pixel_weights(logits, target, valid)
        return self.divide((weights * wrongness**self.gamma * losses).sum(), weights.sum())


class OhemCrossEntropy(SegmentationLoss):
    """Cross-entropy over the hard pixels only (online hard example mining, Shrivastava et al. 2016).

    A pixel is hard when the probability of its truth is below ``threshold``. Where fewer than ``min_kept`` of the
    batch's valid pixels are, the hardest ones up to that share are kept instead (and those that tie with the last).
    The sum over the kept pixels is divided by their weights' sum. The choice is made in each process on its own.

    Args:
        class_weights: (C,) or None; they weigh the kept pixels and have no part in the choice.
        threshold: probability in 0…1.
        min_kept: share of the valid pixels in 0…1; 1 is plain cross-entropy.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int,
        class_weights: Tensor | None = None,
        threshold: float = 0.7,
        min_kept: float = 0.1,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, class_weights=class_weights)
        self.threshold = check_number("ohem: threshold", threshold, 0, 1)
        self.min_kept = check_number("ohem: min_kept", min_kept, 0, 1)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        weights = self.pixel_weights(logits, target, valid) * self.kept(losses.detach(), valid)
        denominator = weights.sum()
        return (weights * losses).sum() / denominator.where(denominator > 0, 1)

    def kept(self, losses: Tensor, valid: Tensor) -> Tensor:
        """(N, H, W) bool: the pixels that count, by their cross-entropies. (Ignored ones have 0, and weigh nothing.)"""
        hard = torch.exp(-losses) < self.threshold
        fewest = math.ceil(self.min_kept * int(valid.sum()))
        if int(hard.sum()) >= fewest:
            return hard
        return losses >= losses[valid].sort(descending=True).values[fewest - 1]

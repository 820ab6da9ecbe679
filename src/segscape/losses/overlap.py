"""Losses on the overlap of whole regions: soft Dice and Lovász-softmax.

Both are ratios over the batch of one process; over several processes the mean of their ratios is trained on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segscape.losses.base import SegmentationLoss, check_flag, check_number


class Dice(SegmentationLoss):
    """Soft Dice: 1 − mean over classes of (2 Σ p·g + s) / (Σ p + Σ g + s), g the one-hot truth.

    Sums run over all valid pixels of the batch, the mean over the classes present in its truth: a class that is
    not there has no overlap to improve, and its false positives already lower the other classes' p. With
    ``squared`` the denominator is Σ p² + Σ g² + s, as in V-Net (Milletari et al. 2016); without, sizes are counted
    as in Sudre et al. 2017.

    Args:
        smooth: s ≥ 0 in pixels.
        squared: see above.
    """

    def __init__(self, *, num_classes: int, ignore_index: int, smooth: float = 1.0, squared: bool = False) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
        self.smooth = check_number("dice: smooth", smooth, 0)
        self.squared = check_flag("dice: squared", squared)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        probabilities = logits.softmax(1) * valid[:, None]
        classes = torch.arange(self.num_classes, device=target.device)
        truth = target[:, None] == classes[:, None, None]
        overlap = (probabilities * truth).sum((0, 2, 3))
        truth_sizes = truth.sum((0, 2, 3))
        sizes = (probabilities.square() if self.squared else probabilities).sum((0, 2, 3)) + truth_sizes
        present = truth_sizes > 0
        # Where a class is absent, 0 / 0 (smooth = 0) must not reach the gradient either.
        scores = (2 * overlap + self.smooth) / (sizes + self.smooth).where(present, 1)
        return ((1 - scores) * present).sum() / present.sum().clamp_min(1)


class Lovasz(SegmentationLoss):
    """Lovász-softmax (Berman et al. 2018, eq. 11): the Lovász extension of 1 − IoU, mean over the classes present.

    Args:
        per_image: take the loss of each image and average those of the images that have a valid pixel; otherwise
            the batch counts as one large image.
    """

    def __init__(self, *, num_classes: int, ignore_index: int, per_image: bool = False) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
        self.per_image = check_flag("lovasz: per_image", per_image)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        pixels = logits.permute(0, 2, 3, 1)
        if not self.per_image:
            return self._flat(pixels[valid], target[valid])
        losses = [self._flat(p[v], t[v]) for p, t, v in zip(pixels, target, valid, strict=True)]
        return torch.stack(losses).sum() / valid.flatten(1).any(1).sum().clamp_min(1)

    def _flat(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of valid pixels alone: logits (P, C), target (P,)."""
        present = target.unique().tolist()
        if not present:
            return logits.sum()  # of nothing: 0, and still part of the graph
        probabilities = logits.softmax(1)
        losses = []
        for label in present:
            truth = target == label
            errors = (truth.to(probabilities.dtype) - probabilities[:, label]).abs()
            losses.append((errors * lovasz_gradient(errors.detach(), truth)).sum())
        return torch.stack(losses).mean()


def lovasz_gradient(errors: Tensor, truth: Tensor) -> Tensor:
    """The gradient of the Lovász extension of the Jaccard loss at ``errors`` (Berman et al. 2018, eq. 9).

    With the pixels sorted by falling error, a pixel's entry is what the Jaccard loss grows by when that pixel joins
    the mispredicted ones: with intersection I and union U after it has joined, 1 / U for a pixel of the class and
    I / (U (U − 1)) for another. The paper's difference J(k) − J(k − 1) is the same, but cancels in float32 once
    there are some hundred thousand pixels.

    Args:
        errors: (P,) floating point.
        truth: (P,) bool, at least one True.

    Returns:
        (P,) in the type and order of ``errors``.
    """
    order = errors.argsort(descending=True)
    joined = truth[order]
    size = joined.sum()
    intersection = (size - joined.cumsum(0)).to(errors.dtype)
    union = (size + (~joined).cumsum(0)).to(errors.dtype)
    steps = torch.where(joined, 1 / union, intersection / (union * (union - 1)))
    return torch.empty_like(steps).scatter_(0, order, steps)

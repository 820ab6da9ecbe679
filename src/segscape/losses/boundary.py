"""Cross-entropy that weighs pixels near borders more (Ronneberger et al. 2015, eq. 1 and 2)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segscape.errors import ConfigError
from segscape.ignore import valid_mask
from segscape.losses.base import SegmentationLoss, check_number


def boundary_weight_map(
    labels: np.ndarray, *, w0: float = 10.0, sigma: float = 5.0, background: int | None = None, ignore_index: int
) -> np.ndarray:
    """The border term w0 · exp(−(d1 + d2)² / (2 σ²)) of the U-Net paper's weight map (eq. 2).

    d1(x) and d2(x) are the Euclidean distances in pixels, centre to centre, from x to the nearest pixel of the
    nearest and of the second nearest region.

    - With ``background`` given (the paper's case) the regions are the cells: the 8-connected components of one
      label other than ``background``. The term is set on background pixels alone, as in the paper's figure 3d: the
      narrower the gap between two cells, the heavier. With fewer than two cells it is 0.
    - With ``background=None`` (a map in which everything is labelled) the regions are the classes. A pixel lies in
      its own, so d1 = 0 and d2 is the distance to the nearest pixel of another class (1 beside a border): both
      sides of every border gain weight.

    Ignored pixels get 0, belong to no region and make no border. Regions further than 6 σ away are left out, which
    changes no value by more than w0 · 2e-8.

    Args:
        labels: (H, W) integer class ids.
        w0: weight of the term, ≥ 0.
        sigma: σ > 0 in pixels.
        background: class id of the background, or None.
        ignore_index: id of the pixels that are not trained on.

    Returns:
        (H, W) float32 in 0…w0.
    """
    import cc3d
    import cv2

    valid = valid_mask(labels, ignore_index)
    if background is None:
        weighted = valid
        regions = np.zeros(labels.shape, np.uint32)
        regions[valid] = np.unique(labels[valid], return_inverse=True)[1] + 1
    else:
        weighted = valid & (labels == background)
        cells = np.where(valid & ~weighted, labels.astype(np.int64) + 1, 0).astype(np.uint32)
        regions = cc3d.connected_components(cells, connectivity=8)
    nearest = np.full(labels.shape, np.inf, np.float32)
    second = nearest.copy()
    reach = int(np.ceil(6 * sigma))
    for number, box in enumerate(cc3d.statistics(regions)["bounding_boxes"]):
        if number == 0:  # what belongs to no region
            continue
        rows, columns = (slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        outside = (regions[rows, columns] != number).astype(np.uint8)
        distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        second[rows, columns] = np.minimum(second[rows, columns], np.maximum(nearest[rows, columns], distance))
        nearest[rows, columns] = np.minimum(nearest[rows, columns], distance)
    term = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(weighted, term, 0).astype(np.float32)


class BoundaryCrossEntropy(SegmentationLoss):
    """Cross-entropy with w(x) = w_c(x) + w0 · exp(−(d1 + d2)² / (2 σ²)), divided by Σ w(x) over the valid pixels.

    w_c is the class weight (1 without). The border term is `boundary_weight_map` of each target, made on the CPU
    at every step, so that it fits the augmented crop.

    Args:
        class_weights: (C,) or None.
        w0: weight of the border term; the paper's is 10.
        sigma: σ in pixels of the crop; the paper's is about 5.
        background: class id of the background between cells; None for a map in which everything is labelled.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_index: int,
        class_weights: Tensor | None = None,
        w0: float = 10.0,
        sigma: float = 5.0,
        background: int | None = None,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index, class_weights=class_weights)
        self.w0 = check_number("boundary_cross_entropy: w0", w0, 0)
        self.sigma = check_number("boundary_cross_entropy: sigma", sigma, 0.1)
        if background is not None and (type(background) is not int or not 0 <= background < num_classes):
            raise ConfigError(
                f"boundary_cross_entropy: background must be a class id in 0…{num_classes - 1}, got {background!r}"
            )
        self.background = background

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        maps = [
            boundary_weight_map(
                labels, w0=self.w0, sigma=self.sigma, background=self.background, ignore_index=self.ignore_index
            )
            for labels in target.cpu().numpy()
        ]
        weights = self.pixel_weights(logits, target, valid) + torch.from_numpy(np.stack(maps)).to(logits)
        losses = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        return self.divide((weights * losses).sum(), weights.sum())

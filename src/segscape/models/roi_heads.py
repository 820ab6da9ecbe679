"""The two stages of Mask R-CNN: torchvision's, with crowds left out of learning and mask targets in bounded memory."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_area, roi_align

Target = dict[str, Tensor]
_MASKS_AT_ONCE = 16
_INSIDE_CROWD = 0.5


def in_crowd(boxes: Tensor, crowd: Tensor) -> Tensor:
    """(N,) bool: boxes (N, 4) that lie by more than half in one of the boxes ``crowd`` (K, 4)."""
    if not len(crowd) or not len(boxes):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], crowd[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], crowd[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    return (shared / box_area(boxes).clamp(min=1e-6)[:, None]).amax(dim=1) > _INSIDE_CROWD


class ProposalStage(RegionProposalNetwork):
    """Region proposal network; anchors in a crowd are no examples of background."""

    def assign_targets_to_anchors(self, anchors: list[Tensor], targets: list[Target]) -> tuple[list[Tensor], Any]:
        """torchvision's, with the label -1 (not sampled) for background anchors in a crowd."""
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & in_crowd(anchor, target["crowd_boxes"])] = -1.0
        return labels, matched


class ObjectStage(RoIHeads):
    """Box and mask heads on sampled proposals (training) or on all of them (inference)."""

    def loss(
        self, features: dict[str, Tensor], proposals: list[Tensor], padded: list[tuple[int, int]], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Losses of class, box and mask; see `segscape.models.mask_rcnn.MaskRCNN`.

        ``padded`` is the size that the features were made of: RoIAlign takes their strides from it, once and for all.
        """
        proposals, matched, labels, deltas = self._sampled(proposals, targets)
        x = self.box_head(self.box_roi_pool(features, proposals, padded))
        class_logits, offsets = self.box_predictor(x)
        class_loss, box_loss = fastrcnn_loss(class_logits, offsets, labels, deltas)

        positive = [label > 0 for label in labels]
        rois = [p[where] for p, where in zip(proposals, positive, strict=True)]
        objects = [m[where] for m, where in zip(matched, positive, strict=True)]
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, rois, padded)))  # type: ignore[misc]
        side = logits.shape[-1]
        truth = torch.cat([mask_targets(t, r, o, side) for t, r, o in zip(targets, rois, objects, strict=True)])
        if len(truth):
            classes = torch.cat([label[where] for label, where in zip(labels, positive, strict=True)])
            mask_loss = F.binary_cross_entropy_with_logits(logits[torch.arange(len(truth)), classes], truth)
        else:  # no object in the whole batch: the mean over none would be NaN
            mask_loss = logits.sum() * 0
        return {"class": class_loss, "box": box_loss, "mask": mask_loss}

    def detect(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        padded: list[tuple[int, int]],
        sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Per image "boxes" (N, 4), "labels" (N,) from 1, "scores" (N,) falling, "masks" (N, M, M) in 0…1.

        ``padded`` is as in `loss`; boxes are clipped to ``sizes``, those of the images themselves.
        """
        x = self.box_head(self.box_roi_pool(features, proposals, padded))
        class_logits, offsets = self.box_predictor(x)
        boxes, scores, labels = self.postprocess_detections(class_logits, offsets, proposals, sizes)
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, padded)))  # type: ignore[misc]
        masks = maskrcnn_inference(logits, labels)
        return [
            {"boxes": b, "scores": s, "labels": c, "masks": m[:, 0]}
            for b, s, c, m in zip(boxes, scores, labels, masks, strict=True)
        ]

    def _sampled(
        self, proposals: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Boxes to learn from, the object each is matched with, its class, and the offsets to that object's box."""
        self._crowds = [t["crowd_boxes"] for t in targets]
        # torchvision wants to see masks; ours are made later, of the matched objects alone.
        asked = [{"boxes": t["boxes"], "labels": t["labels"], "masks": t["boxes"]} for t in targets]
        return self.select_training_samples(list(proposals), asked)

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """torchvision's, with the label -1 (not sampled) for background boxes in a crowd."""
        matched, labels = super().assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        for label, boxes, crowd in zip(labels, proposals, self._crowds, strict=True):
            label[(label == 0) & in_crowd(boxes, crowd)] = -1
        return matched, labels


def mask_targets(target: Target, rois: Tensor, objects: Tensor, side: int) -> Tensor:
    """(R, side, side) float: of each box (R, 4), the mask of the object it is matched with, resampled by RoIAlign.

    The dense masks of `_MASKS_AT_ONCE` objects exist at once, not those of all.
    """
    numbers = target["numbers"]
    out = rois.new_zeros((len(rois), side, side))
    present, which = objects.unique(return_inverse=True)
    for first in range(0, len(present), _MASKS_AT_ONCE):
        ids = target["ids"][present[first : first + _MASKS_AT_ONCE]]
        here = (which >= first) & (which < first + len(ids))
        masks = (numbers == ids[:, None, None]).to(rois)[:, None]
        place = (which[here] - first).to(rois)[:, None]
        out[here] = roi_align(masks, torch.cat([place, rois[here]], 1), (side, side), 1.0)[:, 0]
    return out

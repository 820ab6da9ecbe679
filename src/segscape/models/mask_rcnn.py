"""Mask R-CNN (He, Gkioxari, Dollár, Girshick 2017): objects one by one, each with class, box and mask.

**First stage: where might an object be?** (Faster R-CNN, Ren et al. 2015, section 3.1.) A backbone with a feature
pyramid (FPN, Lin et al. 2017) gives features at several strides. At every place of every level stand a few *anchors*,
boxes of fixed sizes and shapes. A small head says for each anchor how likely it holds an object, p, and by which
offsets t it would fit better (eq. 2 there: t_x = (x − x_a)/w_a, t_w = log(w/w_a), …). An anchor is a positive example
(p* = 1) if its IoU with an object is at least 0.7 or the highest of all for that object, a negative one below 0.3;
256 of them an image are drawn, half of them positive where there are as many. Its loss (eq. 1 there):

    L_rpn = 1/256 Σ −log p(p*)  +  1/256 Σ_{p*=1} smooth_L1(t − t*)

**Second stage: what is it, where exactly, and which pixels?** The best anchors, moved by t and thinned by
non-maximum suppression, are the *proposals*, together with the true boxes while training. 512 an image are drawn, a
quarter of them positive (IoU ≥ 0.5). From each, RoIAlign takes 7 × 7 features, two fully connected layers give class
and box; from positive ones 14 × 14, four convolutions and a transposed one give a 28 × 28 mask a class. Mask R-CNN's
section 3 adds up

    L = L_cls + L_box + L_mask

with L_cls the cross-entropy over classes and background, L_box smooth L1 on the true class's offsets, and L_mask the
mean binary cross-entropy over the 28 × 28 pixels of *the true class's* mask alone: masks of other classes do not
compete (section 3, "Mask Representation"; a per-pixel sigmoid, not a softmax).

**RoIAlign** (section 3, "RoIAlign"). RoIPool, its forerunner, rounds twice: a box of x = 100 at stride 16 becomes the
feature column ⌊100/16⌋ = 6, which lies at pixel 96, four pixels off, and the 7 × 7 bins are rounded again. A class does
not mind, a mask does: that alone cost the paper 3 points of mask AP, and 7 at stride 32 (tables 2c, 2d). RoIAlign
rounds nothing: each bin averages the features at 2 × 2 exact places, interpolated bilinearly between neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from segscape.errors import ConfigError
from segscape.models.backbones import Backbone
from segscape.models.efficientnet_lite import EfficientNetLite
from segscape.models.roi_heads import ObjectStage, ProposalStage, Target

_RATIOS = (0.5, 1.0, 2.0)
_FIXED = (256, (32, 64, 128, 256, 512), 4, 4, 1024, True)  # the options that torchvision's networks do not take


class MaskRCNN(nn.Module):
    """Mask R-CNN over any backbone; see the module for how it works.

    Attributes:
        bytes_per_pixel: of the image, about, that detection needs at its peak.

    Args:
        num_classes: C, without background.
        backbone: of `segscape.models.backbones`, or "resnet50_fpn", "resnet50_fpn_v2": torchvision's own networks,
            whose state dicts fit. Those two take no further option but the last three.
        channels: of the feature pyramid and the mask head.
        anchor_sizes: side in pixels of the anchors of each level, from ``anchor_stride`` on, doubling strides; each in
            the shapes 1:2, 1:1, 2:1. One more level than the backbone has is made by subsampling.
        anchor_stride: of the finest level that proposes: 2, 4 or 8.
        pool_stride: of the finest features that RoIAlign reads, at most ``anchor_stride``. 2 keeps the form of objects
            of a dozen pixels.
        box_channels: width of the box head's two layers.
        batch_norm: whether pyramid and mask head have batch norm; torchvision's first version has none.
        max_objects: detections kept an image.
        samples: boxes an image that the second stage learns from.
        nms: IoU above which the weaker of two boxes of a class is dropped.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str = "tf_efficientnet_lite0",
        channels: int = 256,
        anchor_sizes: Sequence[float] = (32, 64, 128, 256, 512),
        anchor_stride: int = 4,
        pool_stride: int = 4,
        box_channels: int = 1024,
        batch_norm: bool = True,
        max_objects: int = 100,
        samples: int = 512,
        nms: float = 0.5,
    ) -> None:
        if num_classes < 1:
            raise ConfigError(f"a network needs at least one class, got {num_classes}")
        super().__init__()
        self.num_classes = num_classes
        self.multiple = 32
        # The pyramid, each level held about four times on the way, and the backbone: measured at 2048 × 2048.
        self.bytes_per_pixel = 4 * 4 * channels / pool_stride**2 * 4 / 3 + 120
        self.backbone: Any
        self.fpn: Any
        if backbone in _TORCHVISION:
            stated = (channels, tuple(anchor_sizes), anchor_stride, pool_stride, box_channels, batch_norm)
            if stated != _FIXED:
                raise ConfigError(
                    f"backbone {backbone!r} is torchvision's network as it is: it takes max_objects, samples and nms, "
                    "but no channels, anchor_sizes, anchor_stride, pool_stride, box_channels or batch_norm"
                )
            donor: Any = _TORCHVISION[backbone](num_classes + 1)
            self.backbone, self.fpn = donor.backbone.body, donor.backbone.fpn
            self.backbone.name = "resnet50"
            self.taken, self.proposing = None, slice(None)
            anchors, rpn_head, heads = donor.rpn.anchor_generator, donor.rpn.head, donor.roi_heads
            box = (heads.box_roi_pool, heads.box_head, heads.box_predictor)
            mask = (heads.mask_roi_pool, heads.mask_head, heads.mask_predictor)
        else:
            self.backbone = Backbone(backbone)
            strides = [2**i for i in range(1, 6) if 2**i >= pool_stride]
            if pool_stride not in (2, 4, 8) or anchor_stride not in strides[:3]:
                raise ConfigError(
                    f"pool_stride must be 2, 4 or 8 and anchor_stride the same or up to four times as much, got "
                    f"{pool_stride} and {anchor_stride}"
                )
            first, levels = strides.index(anchor_stride), len(strides) + 1
            if not 1 <= len(anchor_sizes) <= levels - first or min(anchor_sizes) <= 0:
                raise ConfigError(
                    f"anchor_sizes: from stride {anchor_stride} on there are {levels - first} levels; give one size "
                    f"above 0 for each, or fewer, got {list(anchor_sizes)}"
                )
            self.taken = [self.backbone.at_stride(stride) for stride in strides]
            self.proposing = slice(first, first + len(anchor_sizes))
            norm = nn.BatchNorm2d if batch_norm else None
            inside = [self.backbone.channels[i] for i in self.taken]
            self.fpn = FeaturePyramidNetwork(inside, channels, LastLevelMaxPool(), norm)
            anchors = AnchorGenerator(tuple((float(s),) for s in anchor_sizes), (_RATIOS,) * len(anchor_sizes))
            rpn_head = RPNHead(channels, len(_RATIOS))
            names = [str(i) for i in range(len(strides))]
            box = (
                MultiScaleRoIAlign(names, 7, 2),
                TwoMLPHead(channels * 49, box_channels),
                FastRCNNPredictor(box_channels, num_classes + 1),
            )
            mask = (
                MultiScaleRoIAlign(names, 14, 2),
                MaskRCNNHeads(channels, (channels,) * 4, 1, norm),
                MaskRCNNPredictor(channels, channels, num_classes + 1),
            )
        kept = {"training": max(2000, 3 * max_objects), "testing": max(1000, 3 * max_objects)}
        self.rpn = ProposalStage(anchors, rpn_head, 0.7, 0.3, 256, 0.5, kept, kept, 0.7)
        self.roi_heads = ObjectStage(*box, 0.5, 0.5, samples, 0.25, None, 0.05, nms, max_objects, *mask)

    def forward(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """The losses, to be added up.

        Args:
            images: (N, 3, H, W) float, normalised.
            targets: of each image a dict of "boxes" (K, 4) float x0 y0 x1 y1 in pixels, "labels" (K,) int64 from 1 on
                (0 is background), "numbers" (H, W) int32 with ``ids[k]`` on the pixels of object k, "ids" (K,) int32,
                "crowd_boxes" (L, 4) float: where nothing is learned about the background. K may be 0.

        Returns:
            "objectness" and "proposal" (first stage), "class", "box" and "mask" (second stage), each a scalar.
        """
        sizes = _sizes(images)
        features, padded = self._features(images)
        proposals, first = self.rpn(ImageList(padded, sizes), self._proposing(features), targets)
        second = self.roi_heads.loss(features, proposals, _sizes(padded), targets)
        return {"objectness": first["loss_objectness"], "proposal": first["loss_rpn_box_reg"], **second}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """The objects of each of (N, 3, H, W) float, normalised images; any H, W ≥ 1, in evaluation mode.

        Returns:
            of each image a dict of "boxes" (K, 4) float x0 y0 x1 y1 in pixels of the input, "labels" (K,) int64 from 1
            on, "scores" (K,) 0…1, falling, and "masks" (K, 28, 28) float, 0…1: the probability of the object within
            its box, which `segscape.predict.paste` puts in place.
        """
        sizes = _sizes(images)
        features, padded = self._features(images)
        proposals, _ = self.rpn(ImageList(padded, sizes), self._proposing(features))
        return self.roi_heads.detect(features, proposals, _sizes(padded), sizes)

    def _features(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The pyramid, fine to coarse, and the images as the backbone saw them: padded with zeros, mean grey."""
        bottom, right = (-length % self.multiple for length in images.shape[-2:])
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom))
        # On a CPU the backward pass of depthwise convolutions is slower in bf16 than in fp32.
        depthwise = isinstance(getattr(self.backbone, "body", None), EfficientNetLite)
        exact = torch.autocast("cpu", enabled=False) if images.device.type == "cpu" and depthwise else nullcontext()
        with exact:
            found = self.backbone(images)
        if self.taken is not None:
            found = OrderedDict((str(i), found[index]) for i, index in enumerate(self.taken))
        # Anchors take their precision from the features: bf16 has none for coordinates above 256.
        return {name: level.float() for name, level in self.fpn(found).items()}, images

    def _proposing(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(list(features.items())[self.proposing])


def _sizes(images: Tensor) -> list[tuple[int, int]]:
    return [(images.shape[2], images.shape[3])] * len(images)


def _resnet50_fpn(num_classes: int) -> nn.Module:
    """torchvision's first version as it is when its COCO weights are in it: batch norm frozen, its ε 0."""
    net = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=num_classes)
    frozen = partial(FrozenBatchNorm2d, eps=0.0)
    net.backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=frozen, trainable_layers=5)
    return net


def _resnet50_fpn_v2(num_classes: int) -> nn.Module:
    return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=num_classes)


_TORCHVISION = {"resnet50_fpn": _resnet50_fpn, "resnet50_fpn_v2": _resnet50_fpn_v2}

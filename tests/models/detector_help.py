"""What the tests of networks that find objects share: torchvision's own ones, and pictures for them."""

from functools import partial

import cv2
import numpy as np
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN as Torchvision
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def first_version(num_classes: int) -> nn.Module:
    """torchvision's ``maskrcnn_resnet50_fpn`` as its COCO weights make it: batch norm frozen, ε 0; for small photos."""
    norm = partial(FrozenBatchNorm2d, eps=0.0)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm, trainable_layers=5)
    return Torchvision(backbone, num_classes + 1, min_size=160, max_size=267)


@torch.no_grad()
def lively(model: nn.Module) -> None:
    """Random weights under which objects are found, of different scores, classes and forms."""
    generator = torch.Generator().manual_seed(3)
    for name, buffer in (*model.named_buffers(), *model.named_parameters()):
        if name.endswith("bn3.weight"):  # else every block doubles the features, and rounding with them
            buffer.fill_(0.2)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=generator)
    for name, weight in model.named_parameters():
        if name.endswith(("cls_score.weight", "mask_fcn_logits.weight", "cls_logits.weight")):
            weight.normal_(0, 0.2, generator=generator)
        elif name.endswith("bbox_pred.weight"):
            weight.normal_(0, 0.005, generator=generator)


def photo(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """(H, W, 3) uint8: soft noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)

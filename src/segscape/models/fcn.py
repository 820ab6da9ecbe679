"""Fully convolutional networks for semantic segmentation (Long, Shelhamer & Darrell, CVPR 2015).

The paper turns a classifier into a dense predictor in three steps, and this file follows them:

1. *Fully convolutional head* (section 3.1): the classifier's last layers become convolutions, so that an image of any
   size gives a grid of class scores. (A network that ends in a linear layer is no FCN: it gives one answer an image.)
   The paper reshapes VGG's fc6, fc7 (7 × 7 and 1 × 1, 4096 channels); with a modern backbone the head is 3 × 3 to a
   quarter of the channels, batch norm, ReLU, dropout and 1 × 1, as in torchvision's ``FCNHead``.
2. *Upsampling by transposed convolution* (section 3.3), started as bilinear interpolation and learned. The last one,
   to full size, stays fixed bilinear (section 4.2).
3. *Skips* (section 4.2, figure 3): scores predicted from strides 16 and 8 are added to the upsampled deeper ones.
   FCN-32s has none, FCN-16s one, FCN-8s two. Skip scores start at zero, so a skip net starts as the coarser net.
"""

from __future__ import annotations

from torch import Tensor, nn

from segscape.errors import ConfigError
from segscape.models.backbones import Backbone
from segscape.models.network import Network, bilinear_kernel_

VARIANTS = {"32s": (), "16s": (16,), "8s": (16, 8)}


class FCN(Network):
    """FCN-32s, 16s or 8s on any backbone; (N, 3, H, W) in, (N, C, H, W) logits out.

    Args:
        num_classes: C.
        backbone: any timm name.
        variant: "32s", "16s" or "8s": which strides are fused.
        output_stride: of the backbone; below 32 (dilated, as torchvision's ``fcn_resnet50``) only without skips.
        dropout: in the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "tf_efficientnet_lite0",
        *,
        variant: str = "8s",
        output_stride: int = 32,
        dropout: float = 0.1,
    ) -> None:
        if variant not in VARIANTS:
            raise ConfigError(f"FCN variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        skips = VARIANTS[variant]
        if skips and output_stride != 32:
            raise ConfigError(f"FCN-{variant} fuses strides 32, 16, 8 and needs output_stride 32, got {output_stride}")
        super().__init__(num_classes=num_classes, multiple=output_stride, stride=skips[-1] if skips else output_stride)
        self.backbone = Backbone(backbone, output_stride=output_stride)
        deep = self.backbone.channels[-1]
        self.head = nn.Sequential(
            nn.Conv2d(deep, deep // 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(deep // 4),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(deep // 4, num_classes, 1),
        )
        self.levels = tuple(self.backbone.at_stride(s) for s in skips)
        self.skips = nn.ModuleList(nn.Conv2d(self.backbone.channels[i], num_classes, 1) for i in self.levels)
        for parameter in self.skips.parameters():
            nn.init.zeros_(parameter)
        ups = [nn.ConvTranspose2d(num_classes, num_classes, 4, stride=2, padding=1, bias=False) for _ in skips]
        for up in ups:
            bilinear_kernel_(up.weight)
        self.ups = nn.ModuleList(ups)

    def score(self, x: Tensor) -> Tensor:
        features = self.backbone(x)
        scores = self.head(features[-1])
        for level, skip, up in zip(self.levels, self.skips, self.ups, strict=True):
            scores = up(scores) + skip(features[level])
        return scores

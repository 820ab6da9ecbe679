"""DeepLabV3 (Chen et al. 2017, "Rethinking Atrous Convolution") and DeepLabV3+ (Chen et al., ECCV 2018).

*Atrous convolution* (V3, eq. 1): y[i] = Σₖ x[i + r·k] w[k]. With rate r a 3 × 3 filter sees (2r + 1)² pixels at no
extra cost, so the backbone can keep stride 16 or 8 where a classifier goes down to 32 (V3, section 3.1).

*Atrous spatial pyramid pooling* (V3, section 3.3): 1 × 1, three atrous 3 × 3 and an image-level average side by side,
concatenated and projected. Rates are (6, 12, 18) at output stride 16 and doubled at 8.

*Decoder* (V3+, section 3.1): ASPP's output, upsampled four times, is joined with stride-4 features reduced to 48
channels, refined by two 3 × 3 convolutions, and classified. Convolutions in ASPP and decoder are depthwise separable
(V3+, section 3.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.errors import ConfigError
from segscape.models.backbones import Backbone
from segscape.models.network import Network, conv_bn_relu, upsample_to


class _ImageNorm(nn.BatchNorm2d):
    """Batch norm of (N, C, 1, 1) that also trains with N = 1: one value has no variance, so the running one is used."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the base class's name)
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: (N, in, h, w) to (N, out, h, w)."""

    def __init__(
        self, in_channels: int, out_channels: int, *, output_stride: int, separable: bool, dropout: float
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ConfigError(f"DeepLab's output_stride must be 8 or 16, got {output_stride}")
        if out_channels < 1:
            raise ConfigError(f"aspp_channels must be at least 1, got {out_channels}")
        rates = [r * 16 // output_stride for r in (6, 12, 18)]
        self.branches = nn.ModuleList(
            [conv_bn_relu(in_channels, out_channels, 1)]
            + [conv_bn_relu(in_channels, out_channels, 3, dilation=r, separable=separable) for r in rates]
        )
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            _ImageNorm(out_channels),
            nn.ReLU(inplace=True),
        )
        self.project = nn.Sequential(*conv_bn_relu(5 * out_channels, out_channels, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*branches, upsample_to(self.pool(x), x)], dim=1))


class DeepLabV3(Network):
    """DeepLabV3; (N, 3, H, W) in, (N, C, H, W) logits out. Equals torchvision's ``deeplabv3_resnet50``.

    Args:
        num_classes: C.
        backbone: any timm name that can be dilated.
        output_stride: 8 or 16.
        aspp_channels: of each branch.
        separable: depthwise separable atrous convolutions.
        dropout: after ASPP.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "tf_efficientnet_lite0",
        *,
        output_stride: int = 16,
        aspp_channels: int = 256,
        separable: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes=num_classes, multiple=output_stride, stride=output_stride)
        self.backbone = Backbone(backbone, output_stride=output_stride)
        self.aspp = ASPP(
            self.backbone.channels[-1],
            aspp_channels,
            output_stride=output_stride,
            separable=separable,
            dropout=dropout,
        )
        self.head = nn.Sequential(
            *conv_bn_relu(aspp_channels, aspp_channels, 3), nn.Conv2d(aspp_channels, num_classes, 1)
        )

    def score(self, x: Tensor) -> Tensor:
        return self.head(self.aspp(self.backbone(x)[-1]))


class DeepLabV3Plus(Network):
    """DeepLabV3+; (N, 3, H, W) in, (N, C, H, W) logits out, made at stride 4.

    Args:
        num_classes: C.
        backbone: any timm name that can be dilated and has features at stride 4.
        output_stride: 8 or 16.
        aspp_channels: of each branch.
        decoder_channels: of the two 3 × 3 convolutions, 256 in the paper.
        low_channels: to which the stride-4 features are reduced, 48 in the paper.
        separable: depthwise separable convolutions in ASPP and decoder.
        dropout: after ASPP.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "tf_efficientnet_lite0",
        *,
        output_stride: int = 16,
        aspp_channels: int = 256,
        decoder_channels: int = 256,
        low_channels: int = 48,
        separable: bool = True,
        dropout: float = 0.1,
    ) -> None:
        if min(decoder_channels, low_channels) < 1:
            raise ConfigError(
                f"decoder_channels and low_channels must be at least 1, got {decoder_channels} and {low_channels}"
            )
        super().__init__(num_classes=num_classes, multiple=output_stride, stride=4)
        self.backbone = Backbone(backbone, output_stride=output_stride)
        self.low_level = self.backbone.at_stride(4)
        self.aspp = ASPP(
            self.backbone.channels[-1],
            aspp_channels,
            output_stride=output_stride,
            separable=separable,
            dropout=dropout,
        )
        self.reduce = conv_bn_relu(self.backbone.channels[self.low_level], low_channels, 1)
        self.decoder = nn.Sequential(
            conv_bn_relu(aspp_channels + low_channels, decoder_channels, 3, separable=separable),
            conv_bn_relu(decoder_channels, decoder_channels, 3, separable=separable),
        )
        self.head = nn.Conv2d(decoder_channels, num_classes, 1)

    def score(self, x: Tensor) -> Tensor:
        features = self.backbone(x)
        low = self.reduce(features[self.low_level])
        deep = upsample_to(self.aspp(features[-1]), low)
        return self.head(self.decoder(torch.cat([deep, low], dim=1)))

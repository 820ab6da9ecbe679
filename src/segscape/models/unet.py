"""U-Net (Ronneberger, Fischer & Brox, MICCAI 2015): a contracting path, an expanding path, and skips between them.

The paper's figure 1, level by level: two 3 × 3 convolutions with ReLU, 2 × 2 max pooling that halves the size while the
channels double (64 … 1024); on the way up a 2 × 2 "up-convolution" that halves the channels, concatenation with the
features of the same level, two convolutions again; at the end a 1 × 1 convolution to the classes.

Two departures, both usual today: convolutions are padded, so that sizes match at the concatenation and the output is as
large as the input (the paper crops the skips and loses 92 pixels a side), and batch norm may follow each convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.errors import ConfigError
from segscape.models.backbones import Backbone
from segscape.models.network import Network, conv_bn_relu, upsample_to

_MAX_DEPTH = 10  # 1024 pixels become one


def _double_conv(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class UNet(Network):
    """The original U-Net; (N, 3, H, W) in, (N, C, H, W) logits out.

    Args:
        num_classes: C.
        base_channels: of the first level, 64 in the paper; each level doubles them.
        depth: how often the size is halved, 4 in the paper.
        batch_norm: after each convolution.
    """

    def __init__(self, num_classes: int, *, base_channels: int = 64, depth: int = 4, batch_norm: bool = True) -> None:
        if base_channels < 1 or not 1 <= depth <= _MAX_DEPTH:
            raise ConfigError(
                f"U-Net needs base_channels of at least 1 and a depth of 1…{_MAX_DEPTH}, "
                f"got {base_channels} and {depth}"
            )
        super().__init__(num_classes=num_classes, multiple=2**depth, stride=1)
        widths = [base_channels * 2**i for i in range(depth + 1)]
        self.down = nn.ModuleList(
            _double_conv(before, after, batch_norm) for before, after in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_double_conv(2 * w, w, batch_norm) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(base_channels, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # section 3: Gaussian with deviation sqrt(2 / N), N inputs of a neuron
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def score(self, x: Tensor) -> Tensor:
        levels = []
        for index, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if index else x)
            levels.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(levels[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


class _UpBlock(nn.Module):
    """Double the size, join the skip, two convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(in_channels + skip_channels, out_channels, 3)
        self.conv2 = conv_bn_relu(out_channels, out_channels, 3)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if skip is None:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        else:
            x = torch.cat([upsample_to(x, skip, mode="nearest"), skip], dim=1)
        return self.conv2(self.conv1(x))


class UNetBackbone(Network):
    """U-Net whose contracting path is a pretrained backbone; equals segmentation-models-pytorch's ``Unet``.

    Args:
        num_classes: C.
        backbone: any timm name with features at each stride 2 … 32.
        decoder_channels: one entry a level, deep to shallow. The first four levels join the skips at strides 16, 8, 4,
            2; a fifth goes on to full size without one. With n entries the logits are made at stride 32 / 2ⁿ.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "tf_efficientnet_lite0",
        *,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        if not 1 <= len(decoder_channels) <= 5 or min(decoder_channels) < 1:
            raise ConfigError(f"decoder_channels needs one to five positive numbers, got {list(decoder_channels)}")
        super().__init__(num_classes=num_classes, multiple=32, stride=32 // 2 ** len(decoder_channels))
        self.backbone = Backbone(backbone)
        self.levels = tuple(self.backbone.at_stride(s) for s in (16, 8, 4, 2)[: len(decoder_channels)])
        skips = [self.backbone.channels[i] for i in self.levels] + [0] * (len(decoder_channels) - len(self.levels))
        inputs = [self.backbone.channels[-1], *decoder_channels[:-1]]
        self.decoder = nn.ModuleList(
            _UpBlock(before, skip, after) for before, skip, after in zip(inputs, skips, decoder_channels, strict=True)
        )
        self.head = nn.Conv2d(decoder_channels[-1], num_classes, 3, padding=1)

    def score(self, x: Tensor) -> Tensor:
        features = self.backbone(x)
        skips = [features[i] for i in self.levels]
        x = features[-1]
        for index, block in enumerate(self.decoder):
            x = block(x, skips[index] if index < len(skips) else None)
        return self.head(x)

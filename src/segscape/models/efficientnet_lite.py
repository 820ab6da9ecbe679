"""EfficientNet-Lite as a feature extractor, in plain torch.

Tan & Le 2019 (EfficientNet) without squeeze-and-excitation and with ReLU6, as Google published it for edge devices:
fast on a CPU and easy to quantise. Names, sizes and outputs equal timm's ``tf_efficientnet_lite0…2`` (a test proves
it). It stands here and not in timm because importing timm takes longer than segmenting a photo, and `predict` needs
this network only.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

# EfficientNet paper, table 1: kernel, stride, expansion, channels, repeats.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_LAST_OF_STRIDE = (0, 1, 2, 4, 6)  # the stages whose output is the last one at strides 2, 4, 8, 16, 32
# Width and depth multipliers.
SCALES = {
    "tf_efficientnet_lite0": (1.0, 1.0),
    "tf_efficientnet_lite1": (1.0, 1.1),
    "tf_efficientnet_lite2": (1.1, 1.2),
}


def _round_channels(channels: float) -> int:
    """To a multiple of 8, never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class PaddedConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME: what stride 2 needs goes to the right and bottom first."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, groups=1):
        padding = dilation * (kernel // 2) if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the base class's name)
        if self.stride[0] > 1:
            pads = []
            for length, k in zip(reversed(input.shape[-2:]), reversed(self.kernel_size), strict=True):
                stride, reach = self.stride[0], (k - 1) * self.dilation[0] + 1
                total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
                pads += [total // 2, total - total // 2]
            return super().forward(F.pad(input, pads))
        return super().forward(input)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Separable(nn.Module):
    """Depthwise, then 1 × 1: the first stage."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv_dw = PaddedConv(in_channels, in_channels, kernel, stride, dilation, in_channels)
        self.bn1 = _norm(in_channels)
        self.conv_pw = PaddedConv(in_channels, out_channels, 1)
        self.bn2 = _norm(out_channels)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(y))
        return x + y if self.skip else y


class _InvertedResidual(nn.Module):
    """Expand 1 × 1, depthwise, project 1 × 1 (Sandler et al. 2018)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int, expand: int):
        super().__init__()
        wide = _round_channels(in_channels * expand)
        self.conv_pw = PaddedConv(in_channels, wide, 1)
        self.bn1 = _norm(wide)
        self.conv_dw = PaddedConv(wide, wide, kernel, stride, dilation, wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = PaddedConv(wide, out_channels, 1)
        self.bn3 = _norm(out_channels)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = F.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skip else y


class EfficientNetLite(nn.Module):
    """Features of an image at strides 2, 4, 8, 16, 32; (N, 3, H, W) in, five tensors out.

    Args:
        name: a key of `SCALES`.
        output_stride: 8, 16 or 32; from there on strides become dilations (atrous convolution).
    """

    def __init__(self, name: str, output_stride: int = 32) -> None:
        super().__init__()
        width, depth = SCALES[name]
        self.conv_stem = PaddedConv(3, 32, 3, 2)
        self.bn1 = _norm(32)
        stages, channels, current, dilation = [], 32, 2, 1
        self.channels: tuple[int, ...] = ()
        self.reductions: tuple[int, ...] = ()
        for index, (kernel, stride, expand, base, repeats) in enumerate(_STAGES):
            out = _round_channels(base * width)
            ends = index in (0, len(_STAGES) - 1)  # the Lite variants keep the first and last stage's depth
            blocks = []
            for i in range(repeats if ends else math.ceil(repeats * depth)):
                step, next_dilation = (stride if i == 0 else 1), dilation
                if step > 1 and current * step > output_stride:
                    step, next_dilation = 1, dilation * step
                current *= step
                block = (
                    _Separable(channels, out, kernel, step, dilation)
                    if expand == 1
                    else _InvertedResidual(channels, out, kernel, step, dilation, expand)
                )
                blocks.append(block)
                channels, dilation = out, next_dilation
            stages.append(nn.Sequential(*blocks))
            if index in _LAST_OF_STRIDE:
                self.channels += (channels,)
                self.reductions += (current,)
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))

    def upto(self, feature: int) -> list[nn.Module]:
        """The layers that feature number ``feature`` is made by."""
        return [self.conv_stem, self.bn1, *self.blocks[: _LAST_OF_STRIDE[feature] + 1]]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self.bn1(self.conv_stem(x)))
        features = []
        for index, stage in enumerate(self.blocks):
            x = stage(x)
            if index in _LAST_OF_STRIDE:
                features.append(x)
        return features

"""What every semantic network here shares: any input size in, class scores of that size out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.errors import ConfigError


class Network(nn.Module):
    """Base of the semantic networks. A subclass computes `score` on a padded input; sizes are handled here.

    Attributes:
        num_classes: C.
        multiple: height and width given to `score` are multiples of it (the backbone's deepest stride).
        stride: of the scores that `score` returns, relative to its input.
    """

    def __init__(self, *, num_classes: int, multiple: int, stride: int) -> None:
        if num_classes < 1:
            raise ConfigError(f"a network needs at least one class, got {num_classes}")
        super().__init__()
        self.num_classes, self.multiple, self.stride = num_classes, multiple, stride

    def score(self, x: Tensor) -> Tensor:
        """Class scores (N, C, H/stride, W/stride) of ``x`` (N, 3, H, W), H and W multiples of ``multiple``."""
        raise NotImplementedError

    def low_logits(self, x: Tensor) -> Tensor:
        """Class scores on the coarse grid, before upsampling.

        Args:
            x: (N, 3, H, W) float, normalised, any H, W ≥ 1. Padded at the right and bottom by repeating the border.

        Returns:
            (N, C, ⌈H/m⌉·m/s, ⌈W/m⌉·m/s) with m = ``multiple``, s = ``stride``. Score (i, j) lies at input pixel
            coordinates ((i + ½)·s − ½, (j + ½)·s − ½).
        """
        height, width = x.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return self.score(x)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, C, H, W) of normalised images (N, 3, H, W), any H, W ≥ 1: bilinear from the coarse grid."""
        height, width = x.shape[-2:]
        low = self.low_logits(x)
        if self.stride > 1:
            size = (low.shape[-2] * self.stride, low.shape[-1] * self.stride)
            low = F.interpolate(low, size=size, mode="bilinear", align_corners=False)
        return low[..., :height, :width]


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, separable: bool = False
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; size kept. ``separable`` factors it into depthwise and 1 × 1 (Chollet 2017)."""
    padding = dilation * (kernel_size // 2)
    if separable and kernel_size > 1:
        return nn.Sequential(
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel_size,
                padding=padding,
                dilation=dilation,
                groups=in_channels,
                bias=False,
            ),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def upsample_to(x: Tensor, like: Tensor, *, mode: str = "bilinear") -> Tensor:
    """``x`` resized to the height and width of ``like`` (bilinear with pixel centres, or nearest)."""
    corners = False if mode == "bilinear" else None
    return F.interpolate(x, size=like.shape[-2:], mode=mode, align_corners=corners)


def num_parameters(model: nn.Module) -> int:
    """Number of trainable and frozen parameters, buffers not counted."""
    return sum(p.numel() for p in model.parameters())


def gflops(model: nn.Module, height: int, width: int) -> float:
    """Work of one forward pass on an image of that size in 10⁹ floating-point operations.

    Convolutions and matrix products count, a multiplication and its addition as two; half of it are the "MACs" that
    some papers call FLOPs. A network that finds objects is given grey: what its heads do depends on what it finds.
    """
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(1, 3, height, width, device=next(model.parameters()).device)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()
        model.low_logits(x) if isinstance(model, Network) else model.detect(x)  # type: ignore[operator]
    return counter.get_total_flops() / 1e9


@torch.no_grad()
def bilinear_kernel_(weight: Tensor) -> Tensor:
    """Fill a transposed convolution's weight (C, C, K, K) with bilinear interpolation, class by class (in place).

    FCN paper, section 3.3: upsampling is a transposed convolution whose filter starts as bilinear interpolation.
    """
    size = weight.shape[-1]
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    profile = 1 - (torch.arange(size, dtype=weight.dtype, device=weight.device) - centre).abs() / factor
    weight.zero_()
    for c in range(min(weight.shape[0], weight.shape[1])):
        weight[c, c] = profile[:, None] * profile[None, :]
    return weight

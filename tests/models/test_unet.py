"""U-Net against figure 1 of its paper, and the one with a backbone."""

import pytest
import torch
from torch import nn

from segscape.errors import ConfigError
from segscape.models import UNet, UNetBackbone
from segscape.models.network import num_parameters

LITE = "tf_efficientnet_lite0"


def parameters_of_figure_1(base: int, depth: int, classes: int, batch_norm: bool) -> int:
    """Counted from the figure: 3 × 3 twice a level, 2 × 2 up-convolutions, 1 × 1 at the end."""

    def double(before: int, after: int) -> int:
        weights = 9 * before * after + 9 * after * after
        return weights + 2 * (2 * after if batch_norm else after)  # scale and shift, or a bias

    widths = [base * 2**i for i in range(depth + 1)]
    down = sum(double(before, after) for before, after in zip([3, *widths[:-1]], widths, strict=True))
    up = sum(4 * 2 * w * w + w for w in widths[:-1])
    merge = sum(double(2 * w, w) for w in widths[:-1])
    return down + up + merge + base * classes + classes


@pytest.mark.parametrize(
    ("base", "depth", "classes", "batch_norm"),
    [(64, 4, 2, True), (64, 4, 2, False), (8, 4, 11, True), (4, 2, 3, False), (4, 1, 1, True)],
)
def test_parameters(base, depth, classes, batch_norm):
    model = UNet(classes, base_channels=base, depth=depth, batch_norm=batch_norm)
    assert num_parameters(model) == parameters_of_figure_1(base, depth, classes, batch_norm)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == batch_norm


def test_the_paper_has_31_million():
    assert num_parameters(UNet(2)) == 31_037_698


def test_channels_and_sizes_level_by_level():
    model = UNet(2, base_channels=2)
    seen = []
    for block in [*model.down, *model.up, *model.merge]:
        block.register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape[1:])))
    model(torch.randn(1, 3, 32, 48))
    down = [(2, 32, 48), (4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 2, 3)]
    up = [level for level in reversed(down[:-1]) for _ in range(2)]  # the up-convolution, then the merged features
    assert seen == down + up


def test_skip_carries_detail():
    """With the deepest level silenced, the output still follows the input through the skips."""
    model = UNet(2, base_channels=2, depth=1, batch_norm=False)
    for up in model.up:
        nn.init.zeros_(up.weight)
    a, b = torch.randn(2, 1, 3, 8, 8)
    assert not torch.allclose(model(a), model(b))


def test_starts_with_he_deviation():
    """Section 3: deviation sqrt(2 / N), N the inputs of one neuron."""
    torch.manual_seed(0)
    model = UNet(2, base_channels=16, depth=2)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            inputs = module.in_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("decoder_channels", "stride"),
    [((16, 16, 8, 8, 4), 1), ((16, 16, 8, 8), 2), ((16, 16, 8), 4), ((16,), 16), ([8, 8], 8)],
)
def test_backbone_unet_stops_where_told(decoder_channels, stride):
    model = UNetBackbone(3, LITE, decoder_channels=decoder_channels).eval()
    assert model.stride == stride
    assert model.low_logits(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64 // stride, 96 // stride)
    skips = [112, 40, 24, 16, 0][: len(decoder_channels)]
    before = [320, *decoder_channels[:-1]]
    assert [block.conv1[0].in_channels for block in model.decoder] == [
        b + s for b, s in zip(before, skips, strict=True)
    ]


def test_backbone_without_stride_2_can_stop_at_stride_4():
    model = UNetBackbone(3, "convnext_atto", decoder_channels=(16, 8, 8)).eval()
    assert model(torch.zeros(1, 3, 40, 70)).shape == (1, 3, 40, 70)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (UNet, {"base_channels": 0}, "base_channels of at least 1 and a depth of 1…10, got 0 and 4"),
        (UNet, {"depth": 0}, "depth of 1…10, got 64 and 0"),
        (UNet, {"depth": 11}, "depth of 1…10, got 64 and 11"),
        (UNetBackbone, {"decoder_channels": ()}, r"one to five positive numbers, got \[\]"),
        (UNetBackbone, {"decoder_channels": (8,) * 6}, "one to five positive numbers"),
        (UNetBackbone, {"decoder_channels": (8, 0)}, r"one to five positive numbers, got \[8, 0\]"),
        (UNetBackbone, {"backbone": "resnet17"}, "'resnet17'"),
        (UNetBackbone, {"backbone": "convnext_atto"}, r"'convnext_atto' has no features at stride 2, only at \(4, 8"),
    ],
)
def test_refused(network, options, message):
    with pytest.raises(ConfigError, match=message):
        network(2, **options)

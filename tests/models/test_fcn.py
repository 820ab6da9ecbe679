"""FCN against its paper: fully convolutional head, learned upsampling, skips that start at nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segscape.errors import ConfigError
from segscape.models import FCN

LITE = "tf_efficientnet_lite0"


def make(variant: str, **options) -> FCN:
    torch.manual_seed(0)
    return FCN(4, LITE, variant=variant, **options).eval()


@pytest.mark.parametrize(
    ("variant", "output_stride", "stride", "skip_channels"),
    [("32s", 32, 32, []), ("32s", 16, 16, []), ("32s", 8, 8, []), ("16s", 32, 16, [112]), ("8s", 32, 8, [112, 40])],
)
def test_variants(variant, output_stride, stride, skip_channels):
    model = make(variant, output_stride=output_stride)
    assert model.stride == stride
    assert [skip.in_channels for skip in model.skips] == skip_channels  # of strides 16 and 8, in that order
    assert model.low_logits(torch.zeros(1, 3, 64, 96)).shape == (1, 4, 64 // stride, 96 // stride)


def test_fully_convolutional():
    """Section 3.1: no linear layer, so one set of weights takes any size."""
    assert not any(isinstance(m, nn.Linear) for m in make("8s").modules())


@pytest.mark.parametrize(("variant", "doublings"), [("16s", 1), ("8s", 2)])
def test_skip_net_starts_as_the_coarser_net(variant, doublings):
    """Section 4.2: skip scores are zero at first, so all there is are FCN-32s's scores, upsampled by two each time."""
    coarse, fine = make("32s"), make(variant)
    fine.load_state_dict(coarse.state_dict(), strict=False)
    x = torch.randn(1, 3, 160, 192)
    with torch.inference_mode():
        expected, actual = coarse.low_logits(x), fine.low_logits(x)
    for _ in range(doublings):
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    border = 2**doublings  # where the transposed convolution reaches beyond the grid
    inner = (..., slice(border, -border), slice(border, -border))
    assert expected[inner].std() > 0
    torch.testing.assert_close(actual[inner], expected[inner], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("index", "stride"), [(0, 16), (1, 8)])
def test_skip_adds_its_own_score(index, stride):
    """A bias of one in one skip adds one to the scores at its stride, and bilinear upsampling carries it on."""
    model = make("8s")
    x = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        before = model.low_logits(x)
        model.skips[index].bias.fill_(1.0)
        change = model.low_logits(x) - before
    inner = (..., slice(stride // 8, -(stride // 8)), slice(stride // 8, -(stride // 8)))
    torch.testing.assert_close(change[inner], torch.ones_like(change)[inner], atol=1e-5, rtol=0)


def test_upsampling_is_learned_and_starts_bilinear():
    model = make("8s")
    for up in model.ups:
        assert up.weight.requires_grad
        assert up.weight[2, 2, 0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]
        assert up.weight[2, 1].abs().sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "4s"}, "must be one of 32s, 16s, 8s, got '4s'"),
        ({"variant": 8}, "must be one of 32s, 16s, 8s, got 8"),
        ({"variant": "8s", "output_stride": 16}, "FCN-8s fuses strides 32, 16, 8 and needs output_stride 32, got 16"),
        ({"variant": "16s", "output_stride": 8}, "FCN-16s fuses .* got 8"),
        ({"variant": "32s", "output_stride": 4}, "output_stride must be 8, 16 or 32, got 4"),
        ({"backbone": "resnet17"}, "'resnet17'"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        FCN(4, **options)

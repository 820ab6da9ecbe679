"""What the networks share: sizes, coordinates, bilinear kernels, building by name."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segscape.errors import ConfigError
from segscape.models import MODELS, build_model
from segscape.models.network import Network, bilinear_kernel_, conv_bn_relu, gflops, num_parameters, upsample_to


class Averages(Network):
    """Class scores are block means: what a coarse grid of scores ought to be."""

    def __init__(self, multiple: int, stride: int) -> None:
        super().__init__(num_classes=3, multiple=multiple, stride=stride)
        self.seen: torch.Tensor | None = None

    def score(self, x):
        self.seen = x
        return F.avg_pool2d(x, self.stride)


@pytest.mark.parametrize(
    ("multiple", "stride", "size", "padded"),
    [
        (8, 4, (8, 16), (8, 16)),
        (8, 4, (1, 1), (8, 8)),
        (8, 4, (9, 16), (16, 16)),
        (32, 32, (33, 65), (64, 96)),
        (16, 1, (5, 31), (16, 32)),
    ],
)
def test_score_sees_multiples_and_forward_gives_the_size_back(multiple, stride, size, padded):
    model = Averages(multiple, stride)
    assert model.low_logits(torch.zeros(2, 3, *size)).shape == (2, 3, padded[0] // stride, padded[1] // stride)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 3, *size)
    assert model.seen is not None
    assert model.seen.shape == (2, 3, *padded)


@settings(deadline=None)  # a busy machine is no fault
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    stride=st.sampled_from([1, 2, 4]),
    times=st.sampled_from([1, 2, 3]),
)
def test_any_size_is_the_padded_one_cropped(height, width, stride, times):
    model = Averages(stride * times, stride)
    x = torch.rand(1, 3, height, width)
    rows = torch.arange(height + -height % model.multiple).clamp(max=height - 1)
    columns = torch.arange(width + -width % model.multiple).clamp(max=width - 1)
    whole = model(x[..., rows, :][..., columns])
    torch.testing.assert_close(model(x), whole[..., :height, :width], atol=0, rtol=0)


def test_padding_repeats_the_last_row_and_column():
    model = Averages(4, 1)
    x = torch.arange(6.0).reshape(1, 1, 2, 3).repeat(1, 3, 1, 1)
    model(x)
    assert model.seen is not None
    assert model.seen[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_ramp_survives_the_coarse_grid(stride):
    """A score lies at the centre of its block: block means of a linear ramp interpolate to the ramp itself."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    ramp = torch.stack([rows, columns, rows - 2 * columns])[None]
    out = Averages(16, stride)(ramp)
    inner = (..., slice(stride, -stride), slice(stride, -stride))
    torch.testing.assert_close(out[inner], ramp[inner], atol=1e-4, rtol=0)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_no_classes(num_classes):
    with pytest.raises(ConfigError, match=f"at least one class, got {num_classes}"):
        build_model("fcn", num_classes)


def test_base_class_has_no_scores():
    with pytest.raises(NotImplementedError):
        Network(num_classes=1, multiple=1, stride=1)(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bilinear_kernel_is_interpolation_in_the_interior(factor):
    """FCN paper, section 3.3; at the border the transposed convolution fades to zero instead of repeating."""
    up = nn.ConvTranspose2d(3, 3, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    bilinear_kernel_(up.weight)
    x = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(up(x)[inner], expected[inner])
    assert not torch.allclose(up(x), expected)


@pytest.mark.parametrize(
    ("size", "profile"),
    [
        (1, [1.0]),
        (2, [0.5, 0.5]),
        (3, [0.5, 1.0, 0.5]),
        (4, [0.25, 0.75, 0.75, 0.25]),
        (5, [1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3]),
    ],
)
def test_bilinear_kernel_values(size, profile):
    weight = torch.full((2, 2, size, size), 7.0)
    assert bilinear_kernel_(weight) is weight
    row = torch.tensor(profile)
    expected = row[:, None] * row[None, :]
    torch.testing.assert_close(weight[0, 0], expected)
    torch.testing.assert_close(weight[1, 1], expected)
    assert weight[0, 1].abs().sum() == weight[1, 0].abs().sum() == 0  # classes do not mix


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "separable", "convolutions"),
    [
        (3, 1, False, [(4, 6, 3, 1, 1)]),
        (3, 12, False, [(4, 6, 3, 12, 1)]),
        (1, 1, False, [(4, 6, 1, 1, 1)]),
        (1, 1, True, [(4, 6, 1, 1, 1)]),
        (3, 6, True, [(4, 4, 3, 6, 4), (4, 6, 1, 1, 1)]),
    ],
)
def test_conv_bn_relu(kernel_size, dilation, separable, convolutions):
    block = conv_bn_relu(4, 6, kernel_size, dilation=dilation, separable=separable)
    found = [m for m in block if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0], m.groups) for m in found] == convolutions
    assert [type(m) for m in block] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * len(convolutions)
    assert all(m.bias is None for m in found)
    out = block(torch.randn(2, 4, 9, 11))
    assert out.shape == (2, 6, 9, 11)
    assert out.min() == 0


@pytest.mark.parametrize(("mode", "row"), [("bilinear", [0, 0.5, 1.5, 2]), ("nearest", [0, 0, 2, 2])])
def test_upsample_to(mode, row):
    out = upsample_to(torch.tensor([[[[0.0, 2.0]]]]), torch.zeros(1, 5, 3, 4), mode=mode)
    assert out.tolist() == [[[row] * 3]]


def test_num_parameters_counts_frozen_ones_and_no_buffers():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[0].requires_grad_(False)
    assert num_parameters(model) == (3 * 4 * 9 + 4) + 2 * 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("segnet", {}, f"no network called 'segnet'; there are {', '.join(MODELS)}"),
        ("unet", {"backbone": "resnet18"}, "'unet' has no option backbone; it has base_channels, depth, batch_norm"),
        ("fcn", {"num_classes": 3}, "'fcn' has no option num_classes; it has backbone, variant"),
        ("fcn", {"dropout": 2}, "'fcn' cannot be made with .*dropout.*between 0 and 1"),
        ("unet", {"depth": "four"}, "'unet' cannot be made with .*four"),
        ("deeplabv3plus", {"aspp_channels": "wide"}, "'deeplabv3plus' cannot be made with .*wide"),
        ("fcn", {"variant": ["8s"]}, "'fcn' cannot be made with .*unhashable"),
    ],
)
def test_build_model_refuses(name, options, message):
    with pytest.raises(ConfigError, match=message):
        build_model(name, 3, options)


def test_build_model_passes_options_on():
    model = build_model("unet", 5, {"base_channels": 2, "depth": 1})
    assert (model.num_classes, model.multiple, model.stride) == (5, 2, 1)


def test_gflops_count_a_multiplication_and_its_addition_as_two():
    class OneConvolution(Network):
        def __init__(self):
            super().__init__(num_classes=5, multiple=4, stride=1)
            self.conv = nn.Conv2d(3, 5, 3, padding=1)

        def score(self, x):
            return self.conv(x)

    model = OneConvolution()
    assert gflops(model, 8, 12) == pytest.approx(2 * 3 * 5 * 9 * 8 * 12 / 1e9)
    assert gflops(model, 7, 9) == pytest.approx(2 * 3 * 5 * 9 * 8 * 12 / 1e9), "padded to multiples of 4"

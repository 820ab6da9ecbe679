"""DeepLab against its papers: atrous rates, receptive fields, the image-level branch, the decoder."""

import pytest
import torch
from torch import nn

from segscape.errors import ConfigError
from segscape.models import DeepLabV3, DeepLabV3Plus
from segscape.models.deeplab import ASPP

LITE = "tf_efficientnet_lite0"
SMALL = {"aspp_channels": 8, "decoder_channels": 8, "low_channels": 4}


def aspp(output_stride: int = 16, *, separable: bool = False) -> ASPP:
    torch.manual_seed(0)
    return ASPP(4, 6, output_stride=output_stride, separable=separable, dropout=0.0)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize(("output_stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_rates_follow_the_output_stride(output_stride, rates, separable):
    """V3, section 3.3: rates are doubled when the features are twice as dense."""
    branches = aspp(output_stride, separable=separable).branches
    first = [next(m for m in branch.modules() if isinstance(m, nn.Conv2d)) for branch in branches]
    assert [(conv.kernel_size[0], conv.dilation[0]) for conv in first] == [(1, 1), *((3, rate) for rate in rates)]
    assert [conv.groups for conv in first] == [1] + [4 if separable else 1] * 3


@pytest.mark.parametrize(("branch", "rate"), [(0, 0), (1, 6), (2, 12), (3, 18)])
def test_receptive_field_grows_with_the_rate(branch, rate):
    """V3, eq. 1: y[i] = Σₖ x[i + r·k] w[k] reads nine pixels, r apart."""
    x = torch.randn(1, 4, 41, 41, requires_grad=True)
    aspp().eval().branches[branch][0](x)[0, :, 20, 20].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad[0].abs().sum(0).nonzero().T
    reach = {20 - rate, 20, 20 + rate}
    assert set(rows.tolist()) == set(columns.tolist()) == reach


def test_image_level_branch_sees_everything():
    """V3, section 3.3: a pixel far outside every atrous filter still counts, through the pooled branch."""
    module = aspp().eval()
    x = torch.randn(1, 4, 64, 64)
    changed = x.clone()
    changed[..., 63, 63] += 100
    assert not torch.allclose(module(x)[..., 0, 0], module(changed)[..., 0, 0])
    assert torch.allclose(module.branches[3](x)[..., 0, 0], module.branches[3](changed)[..., 0, 0])


def test_batch_of_one_trains():
    """One value a channel has no variance: the image-level branch then normalises by the running statistics."""
    module = aspp().train()
    one = torch.randn(1, 4, 5, 7)
    pooled = module.pool(one)
    assert torch.equal(pooled, module.eval().pool(one))
    assert int(module.pool[2].num_batches_tracked) == 0
    module.train().pool(torch.randn(2, 4, 5, 7))
    assert int(module.pool[2].num_batches_tracked) == 1


def test_batch_of_two_uses_its_own_statistics():
    pooled = aspp().train().pool[:3](torch.randn(2, 4, 5, 7))
    torch.testing.assert_close(pooled.mean(0), torch.zeros_like(pooled[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("network", [DeepLabV3, DeepLabV3Plus])
def test_a_training_step_on_one_image(network):
    model = network(3, LITE, aspp_channels=8).train()
    model(torch.randn(1, 3, 64, 64)).mean().backward()


@pytest.mark.parametrize("output_stride", [16, 8])
def test_scores_are_made_at_stride(output_stride):
    x = torch.zeros(1, 3, 64, 96)
    v3 = DeepLabV3(3, LITE, output_stride=output_stride, aspp_channels=8).eval()
    assert v3.low_logits(x).shape == (1, 3, 64 // output_stride, 96 // output_stride)
    plus = DeepLabV3Plus(3, LITE, output_stride=output_stride, **SMALL).eval()
    assert plus.low_logits(x).shape == (1, 3, 16, 24)


def test_decoder_of_v3_plus():
    """V3+, section 3.1 and table 2: stride-4 features reduced to 48 channels, then two 3 × 3 with 256."""
    model = DeepLabV3Plus(3, LITE)
    assert (model.reduce[0].in_channels, model.reduce[0].out_channels) == (24, 48)
    separable = [m for block in model.decoder for m in block if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.groups) for m in separable] == [
        (304, 304, 3, 304),
        (304, 256, 1, 1),
        (256, 256, 3, 256),
        (256, 256, 1, 1),
    ]
    plain = DeepLabV3Plus(3, LITE, separable=False)
    assert [m.groups for m in plain.decoder.modules() if isinstance(m, nn.Conv2d)] == [1, 1]


@pytest.mark.parametrize("network", [DeepLabV3, DeepLabV3Plus])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 32}, "must be 8 or 16, got 32"),
        ({"output_stride": 4}, "got 4"),
        ({"aspp_channels": 0}, "aspp_channels must be at least 1, got 0"),
        ({"backbone": "pvt_v2_b0"}, "'pvt_v2_b0' cannot be made at output stride 16"),
    ],
)
def test_refused(network, options, message):
    with pytest.raises(ConfigError, match=message):
        network(2, **options)


@pytest.mark.parametrize("option", ["decoder_channels", "low_channels"])
def test_decoder_needs_channels(option):
    with pytest.raises(ConfigError, match="decoder_channels and low_channels must be at least 1"):
        DeepLabV3Plus(2, **{option: 0})

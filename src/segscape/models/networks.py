"""The networks by name. A new one is one file here, one line in `MODELS`, one line in tests/contract/test_models.py."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from segscape.errors import ConfigError
from segscape.models import OBJECT_MODELS
from segscape.models.deeplab import DeepLabV3, DeepLabV3Plus
from segscape.models.fcn import FCN
from segscape.models.network import Network
from segscape.models.unet import UNet, UNetBackbone

MODELS: dict[str, type[Network]] = {
    "fcn": FCN,
    "unet": UNet,
    "unet_backbone": UNetBackbone,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
}


def network_class(name: str) -> type[nn.Module]:
    """The class of the network called ``name``: in `MODELS` or in `OBJECT_MODELS`.

    Raises:
        ConfigError: there is none, or what it is built on is not installed.
    """
    if name in MODELS:
        return MODELS[name]
    if name not in OBJECT_MODELS:
        raise ConfigError(f"no network called {name!r}; there are {', '.join((*MODELS, *OBJECT_MODELS))}")
    # Here, because torchvision takes seconds to import and no semantic network needs it.
    from segscape.models.mask_rcnn import MaskRCNN

    return MaskRCNN


def build_model(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The network called ``name`` with random weights.

    Args:
        name: a key of `MODELS` or one of `OBJECT_MODELS`.
        num_classes: C.
        options: the class's keyword arguments, e.g. ``{"backbone": "resnet34"}``.

    Raises:
        ConfigError: no such network, option or value.
    """
    network = network_class(name)
    known = [p for p in inspect.signature(network).parameters if p != "num_classes"]
    if unknown := sorted(set(options or {}) - set(known)):
        raise ConfigError(f"network {name!r} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        return network(num_classes, **(options or {}))
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"network {name!r} cannot be made with {dict(options or {})}: {error}") from error

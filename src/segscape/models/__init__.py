"""The networks. A new one is one file here, one line in `MODELS`, one line in tests/contract/test_models.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from segscape.errors import ConfigError
from segscape.models.deeplab import DeepLabV3, DeepLabV3Plus
from segscape.models.fcn import FCN
from segscape.models.network import Network
from segscape.models.unet import UNet, UNetBackbone

MODELS: dict[str, Callable[..., Network]] = {
    "fcn": FCN,
    "unet": UNet,
    "unet_backbone": UNetBackbone,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
}


def build_model(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> Network:
    """The network called ``name`` with random weights.

    Args:
        name: a key of `MODELS`.
        num_classes: C.
        options: the class's keyword arguments, e.g. ``{"backbone": "resnet34"}``.

    Raises:
        ConfigError: no such network, option or value.
    """
    if name not in MODELS:
        raise ConfigError(f"no network called {name!r}; there are {', '.join(MODELS)}")
    known = [p for p in inspect.signature(MODELS[name]).parameters if p != "num_classes"]
    if unknown := sorted(set(options or {}) - set(known)):
        raise ConfigError(f"network {name!r} has no option {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        return MODELS[name](num_classes, **(options or {}))
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"network {name!r} cannot be made with {dict(options or {})}: {error}") from error

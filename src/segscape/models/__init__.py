"""The networks and the bundles they are kept in.

Importing this package imports no torch: cards and weights are read without it. The names below are those of
`segscape.models.networks`, which does import it, on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segscape.models.networks import (
        FCN,
        MODELS,
        DeepLabV3,
        DeepLabV3Plus,
        Network,
        UNet,
        UNetBackbone,
        build_model,
        network_class,
    )

OBJECT_MODELS = ("mask_rcnn",)
"""Networks that find objects one by one."""

__all__ = [
    "FCN",
    "MODELS",
    "OBJECT_MODELS",
    "DeepLabV3",
    "DeepLabV3Plus",
    "Network",
    "UNet",
    "UNetBackbone",
    "build_model",
    "network_class",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'segscape.models' has no attribute {name!r}")
    return getattr(importlib.import_module("segscape.models.networks"), name)

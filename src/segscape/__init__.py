"""Segscape: image segmentation and scene analysis.

>>> import segscape
>>> result = segscape.load("street").predict("photo.jpg")   # doctest: +SKIP
>>> result.class_areas()                                     # doctest: +SKIP
>>> scene = result.scene()                                   # doctest: +SKIP
>>> print(scene.describe())                                  # doctest: +SKIP
>>> scene.find("car", touching="road")                       # doctest: +SKIP

Importing this package needs numpy alone; torch is imported when a model is loaded that runs on it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; at run time each name is imported on first use
    from segscape.errors import (
        ConfigError,
        DataError,
        ImageError,
        InputError,
        ModelError,
        ResourceError,
        SegscapeError,
        TrainingDiverged,
    )
    from segscape.image import Image
    from segscape.labels import Label, LabelSet
    from segscape.masks import RunLengths
    from segscape.predict.predictor import Predictor, load
    from segscape.predict.tiling.huge import HugeResult, predict_huge
    from segscape.result import Region, Segmentation
    from segscape.scene.scene import Relation, Scene, SceneRegion

__version__ = "0.1.0"
# name -> module; resolved on first use (PEP 562), so that the import stays light.
_PUBLIC = {
    "ConfigError": "errors",
    "DataError": "errors",
    "ImageError": "errors",
    "InputError": "errors",
    "ModelError": "errors",
    "ResourceError": "errors",
    "SegscapeError": "errors",
    "TrainingDiverged": "errors",
    "Image": "image",
    "Label": "labels",
    "LabelSet": "labels",
    "RunLengths": "masks",
    "Region": "result",
    "Segmentation": "result",
    "Relation": "scene.scene",
    "Scene": "scene.scene",
    "SceneRegion": "scene.scene",
    "Predictor": "predict.predictor",
    "load": "predict.predictor",
    "HugeResult": "predict.tiling.huge",
    "predict_huge": "predict.tiling.huge",
}
__all__ = [
    "ConfigError",
    "DataError",
    "HugeResult",
    "Image",
    "ImageError",
    "InputError",
    "Label",
    "LabelSet",
    "ModelError",
    "Predictor",
    "Region",
    "Relation",
    "ResourceError",
    "RunLengths",
    "Scene",
    "SceneRegion",
    "Segmentation",
    "SegscapeError",
    "TrainingDiverged",
    "load",
    "predict_huge",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'segscape' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"segscape.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

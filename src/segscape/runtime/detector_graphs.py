"""Mask R-CNN as three graphs, and what stands between them as numbers.

========  =================================  ===========================================================
part      takes                              gives
========  =================================  ===========================================================
features  (1, 3, H, W) the image             the pyramid's pooled levels (1, h, w, C), fine to coarse, then
                                             of each proposing level objectness (1, h, w, A) and then of
                                             each its offsets (1, h, w, 4·A)
boxes     (N, 7, 7, C) features of boxes     class logits (N, K + 1), background first, and offsets
                                             (N, 4·(K + 1))
masks     (N, 14, 14, C) features of boxes   mask logits (N, K + 1, 28, 28)
========  =================================  ===========================================================

All is float32. Channels lie together because RoIAlign, which reads the levels between the graphs, is several times
faster that way. What runs between them is `segscape.runtime.detector`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segscape.errors import InputError, ModelError
from segscape.runtime.graphs import Graph, bundle_parts

FEATURES, BOXES, MASKS = PARTS = ("features", "boxes", "masks")
PLAN = "plan"
_Anchor = tuple[float, float, float, float]
_COUNTS = {
    "multiple": 1024,
    "num_pooled": 16,
    "max_per_level": 100_000,
    "max_proposals": 100_000,
    "max_objects": 100_000,
    "box_side": 64,
    "mask_side": 64,
}
_NUMBERS = {"proposal_iou": 1, "min_score": 1, "max_iou": 1, "bytes_per_pixel": 1_000_000}
_FARTHEST_ANCHOR = 100_000


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """What stands between a detector's graphs: torchvision's parameters, as the network was made with them.

    Attributes:
        multiple: height and width of the image are padded to multiples of it, at the right and bottom with zeros.
        anchors: of each proposing level, from the finest on: x0 y0 x1 y1 around 0, in pixels of the input.
        num_pooled: levels that RoIAlign reads.
        max_per_level, max_proposals: boxes kept before and after the first suppression.
        proposal_iou: of two boxes of one level that both stay.
        min_score: of an object, exceeded.
        max_iou: of two objects of one class that both stay.
        max_objects: in an image.
        box_side, mask_side: places along a side of a box's features.
        bytes_per_pixel: of the input, about, that all takes at its peak.
    """

    multiple: int
    anchors: tuple[tuple[_Anchor, ...], ...]
    num_pooled: int
    max_per_level: int
    max_proposals: int
    proposal_iou: float
    min_score: float
    max_iou: float
    max_objects: int
    box_side: int
    mask_side: int
    bytes_per_pixel: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> DetectorPlan:
        """Read what `to_dict` wrote, after it was JSON.

        Raises:
            InputError: a value is missing, of a wrong kind or out of any sensible range.
        """
        if not isinstance(values, Mapping) or set(values) != set(cls.__dataclass_fields__):
            raise InputError(f"a detector's plan holds {', '.join(cls.__dataclass_fields__)} and no more")
        for name, most in _COUNTS.items():
            if type(values[name]) is not int or not 1 <= values[name] <= most:
                raise InputError(f"a detector's {name!r} is a whole number in 1…{most}, got {values[name]!r}")
        for name, most in _NUMBERS.items():
            if not _is_number(values[name], most) or values[name] < 0:
                raise InputError(f"a detector's {name!r} is a number in 0…{most}, got {values[name]!r}")
        try:
            anchors = tuple(tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in level) for level in values["anchors"])
        except (TypeError, ValueError):
            anchors = ()
        sane = (level and all(_is_number(v, _FARTHEST_ANCHOR) for box in level for v in box) for level in anchors)
        if not anchors or not all(sane):
            raise InputError(
                f"a detector's 'anchors' are lists of four finite numbers in ±{_FARTHEST_ANCHOR}, one list or more "
                "a level"
            )
        return cls(**{**values, "anchors": anchors})


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most


@dataclass(frozen=True, slots=True, eq=False)
class DetectorGraph:
    """A network that finds objects, as an engine takes it.

    Attributes:
        parts: a graph for each of `PARTS`; ``parts["boxes"].model()`` is the box head as an ONNX model, for example.
        plan: what stands between them.
    """

    parts: Mapping[str, Graph]
    plan: DetectorPlan


def bundle_detector(path: Path) -> DetectorGraph:
    """The graphs of a bundle's detector, made by torch if there are none yet.

    Raises:
        as `segscape.runtime.graphs.bundle_graph`.
    """
    parts = bundle_parts(path, PARTS)
    try:
        return DetectorGraph(parts, DetectorPlan.from_dict(json.loads(parts[FEATURES].said[PLAN])))
    except (KeyError, ValueError) as error:
        raise ModelError(f"{str(path)!r}: the graph kept for its network is damaged ({error})") from error

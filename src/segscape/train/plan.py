"""What a network that finds objects is given by the data: anchors, levels, sizes, from the objects of the training
split.

Whatever the recipe states stays as stated; the rest follows from the objects' sizes s = √(width × height) of their
boxes, in pixels as the network sees them (times ``zoom``):

- ``zoom``: 1, or more (at most 2) where a tenth of the objects is smaller than 8 px: so that this tenth has 8 px.
- ``anchor_sizes``: doublings, from the one of 10, 20, 40, … next below the size that a twentieth of the objects is
  smaller than (10 at least), up to the size that one in two hundred is larger than.
- ``anchor_stride``: 2.5 px of anchor a step, as near as 4 or 8 gets; ``pool_stride`` 2 where half of the objects are
  smaller than 32 px, else 4.
- ``max_objects``: one and a half times the most that an image has, at least 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from segscape.data.sample import Dataset, Item
from segscape.errors import DataError

_SMALLEST_PX, _LARGEST_ZOOM = 8.0, 2.0


def object_plan(
    dataset: Dataset, items: tuple[Item, ...], progress: Callable[..., Iterable[Any]] | None = None
) -> dict[str, Any]:
    """Options of `MaskRCNN` and "zoom" that suit the objects of ``items``; see the module.

    Raises:
        DataError: there is not one object in them.
    """
    sizes, most = [], 0
    for item in progress(items, len(items), "measuring objects") if progress else items:
        objects = dataset.read_objects(item)
        boxes = objects.boxes[~objects.crowd].astype(float)
        sizes.append(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
        most = max(most, len(boxes))
    every = np.concatenate(sizes) if sizes else np.zeros(0)
    if not len(every):
        raise DataError(f"{dataset.root}: not one object in the training split; there is nothing to learn")
    return plan_for(every, most)


def plan_for(sizes: np.ndarray, most: int) -> dict[str, Any]:
    """The plan for objects of these ``sizes`` (N,) in pixels, at most ``most`` an image; see the module."""
    tiny, small, half, large = (float(np.percentile(sizes, q)) for q in (10, 5, 50, 99.5))
    zoom = round(min(_LARGEST_ZOOM, max(1.0, _SMALLEST_PX / tiny)), 2)
    first = 10 * 2 ** max(0, math.floor(math.log2(max(small * zoom, 1) / 10)))
    stride = 4 if first < 40 else 8
    levels = min(6 - int(math.log2(stride)) + 1, max(1, math.ceil(math.log2(max(large * zoom / first, 1))) + 1))
    return {
        "zoom": zoom,
        "anchor_sizes": [first * 2**i for i in range(levels)],
        "anchor_stride": stride,
        "pool_stride": 2 if half * zoom < 32 else 4,
        "max_objects": max(100, 50 * math.ceil(1.5 * most / 50)),
    }

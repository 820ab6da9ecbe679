"""Ways to part a split's images into groups that are scored apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from segscape.data.sample import InstanceSample


def brightness(sample: InstanceSample) -> str:
    """ "dark" or "bright" by the median grey of the photo, below 128 or not.

    Grey is ITU-R BT.601 luma, 0…255. Objects of microscopy cover less than half of most images, so the median is
    that of the ground: dark in fluorescence, bright in stained tissue and transmitted light.
    """
    import cv2

    return "dark" if np.median(cv2.cvtColor(sample.pixels, cv2.COLOR_RGB2GRAY)) < 128 else "bright"

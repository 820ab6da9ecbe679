"""Objects as three classes of pixels, by which a semantic network can tell touching objects apart.

The borders between objects as a class of their own: Ronneberger et al. 2015 (U-Net), section 3, weighted them, and the
winners of the Data Science Bowl 2018 (Caicedo et al. 2019, Nature Methods 16:1247) predicted them; what is left inside
of the objects gives a watershed its seeds.
"""

from __future__ import annotations

import numpy as np

from segscape.data.objects import Objects
from segscape.labels import Label, LabelSet

BACKGROUND, INSIDE, BORDER = 0, 1, 2

BORDERS = LabelSet(
    "borders",
    (
        Label("background", (20, 20, 30), "背景"),
        Label("inside", (235, 235, 235), "物体内部"),
        Label("border", (200, 30, 60), "物体边界"),
    ),
)
"""The classes of `border_classes`."""


def border_classes(objects: Objects, border_px: int = 2) -> np.ndarray:
    """Background, inside or border for each pixel.

    With o(p) the object at pixel p (0: none) and N_r(p) the set of o over the (2r + 1) × (2r + 1) pixels around p that
    are in the image, p is border exactly where

        o(p) ≠ 0 and N_1(p) ≠ {o(p)},   or   |N_b(p) \\ {0}| ≥ 2,   b = border_px:

    on an object's own outline, one pixel wide, and wherever two objects are within b pixels, be p on one of them or
    between them. Other pixels are inside where o(p) ≠ 0. An object that would have no inside pixel keeps its outline as
    inside, and if none of that is away from other objects, all its pixels: no object is lost.

    Args:
        objects: where they overlap, the later one covers the earlier.
        border_px: b, at least 1.

    Returns:
        (H, W) uint8 of `BORDERS`; its ignore index on crowds.
    """
    import cv2

    index = objects.numbered()
    crowds = np.flatnonzero(objects.crowd) + 1
    crowd = np.isin(index, crowds)
    index[crowd] = 0
    numbers = index.astype(np.float32)  # exact up to 2²⁴ objects; OpenCV has no such filters for integers of 32 bits
    near = np.ones((3, 3), np.uint8)
    outline = (index > 0) & (cv2.erode(numbers, near) != cv2.dilate(numbers, near))
    near = np.ones((2 * border_px + 1, 2 * border_px + 1), np.uint8)
    highest = cv2.dilate(numbers, near)
    lowest = cv2.erode(np.where(index > 0, numbers, np.float32(2**25)), near)
    meeting = lowest < highest

    inside = (index > 0) & ~outline & ~meeting
    for spared in (~meeting, np.ones_like(meeting)):
        kept = np.bincount(index[inside], minlength=len(objects) + 1) > 0
        inside |= (index > 0) & ~kept[index] & spared
    classes = np.where(inside, INSIDE, np.where(outline | meeting, BORDER, BACKGROUND)).astype(np.uint8)
    classes[crowd] = BORDERS.ignore_index
    return classes

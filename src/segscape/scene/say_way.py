"""The way straight ahead of whoever looks at a street: how much of it is road, and what is met first on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segscape.scene.scene import HORIZON_SHARE, Scene, SceneRegion
from segscape.scene.vocabulary import ROADS, is_one_of, role_of

CLOSE, FAR = 0.5, 0.2
"""Nearness of what is met that is called close, and below which it is called far, as `SceneRegion.distance` has it."""
LEAST_ROAD = 0.75
"""Of the way before what is met, that must be road to speak of it as a way."""
_WIDE = 0.2
"""Of the way's width, which a lane is about: half a metre, as wide as a person."""
_THIN = 0.04
"""A pole of ten centimetres."""
_LOOKED_AT = 0.05
"""Nearer to the horizon the way is a few pixels wide."""
_UNKNOWN = ("background", "cell", "membrane")
_NEVER_MET = ("ground", "sky")


@dataclass(frozen=True, slots=True)
class Way:
    """What `way_ahead` found.

    Attributes:
        met: what is met first, or None.
        nearness: 0…1, of the row where it is met, as in `SceneRegion`; 0 where nothing is.
        road: class of road -> its part, 0…1, of the way before that row: the mean over the rows of its part of the
            way's width there. Empty where something is met in the lowest row that is known, or
            all rows of the near half are unknown.
    """

    met: SceneRegion | None
    nearness: float
    road: Mapping[str, float]

    @property
    def is_road(self) -> bool:
        """Whether enough of it is road."""
        return sum(self.road.values()) >= LEAST_ROAD


def horizon_of(scene: Scene) -> int | None:
    """The top of the ground, in pixels: of ground regions of at least `HORIZON_SHARE`, the least y0; None without."""
    tops = [r.box[1] for r in scene.regions if role_of(r.name) == "ground" and r.share >= HORIZON_SHARE]
    return min(tops, default=None)


def way_ahead(scene: Scene) -> Way | None:
    """What one meets first going straight ahead, and what lies before it; None without ground.

    The way ahead is the triangle from the middle third of the picture's lower edge to the middle of the horizon; rows
    nearer to the horizon than a twentieth of the height below it are not looked at. Anything but ground and sky may be
    met, at the lowest row in which it fills at least a fifth of the way's width, or at least a 25th and reaches beyond
    the way on neither side, as a pole does. What lies lowest is often the viewer's own bonnet and has no class: the way
    begins at the lowest row of which half has one; from there on what has none is not road.
    """
    horizon, (height, width) = horizon_of(scene), scene.size
    if horizon is None or horizon >= height:
        return None
    depth = (np.arange(height) + 0.5 - horizon) / (height - horizon)
    left = np.ceil(width / 2 - width / 6 * depth - 0.5).astype(int)
    right = np.floor(width / 2 + width / 6 * depth + 0.5).astype(int)
    looked_at = (depth >= _LOOKED_AT) & (right > left)
    across = np.maximum(right - left, 1)
    lowest, met, road, known = -1, None, {}, np.zeros(height)
    for region in scene.regions:
        if (role := role_of(region.name)) in _UNKNOWN:
            continue
        x0, y0, x1, y1 = region.box
        rows = np.flatnonzero(looked_at[y0:y1] & (left[y0:y1] < x1) & (right[y0:y1] > x0)) + y0
        if not rows.size:
            continue
        pixels = region.mask.to_dense()[rows - y0]
        x = np.arange(x0, x1)
        within = np.count_nonzero(pixels & (x >= left[rows, None]) & (x < right[rows, None]), axis=1)
        part = within / across[rows]
        known[rows] += part
        if is_one_of(region.name, ROADS):
            road.setdefault(region.name, np.zeros(height))[rows] += part
        if role in _NEVER_MET:
            continue
        stands_in = (within == np.count_nonzero(pixels, axis=1)) & (part >= _THIN)
        found = rows[(part >= _WIDE) | stands_in]
        if found.size and found[-1] > lowest:
            lowest, met = int(found[-1]), region
    begins = int(np.flatnonzero(known >= 0.5)[-1]) if (known[depth >= CLOSE] >= 0.5).any() else -1
    before = looked_at & (np.arange(height) > lowest) & (np.arange(height) <= begins)
    parts = {name: float(part[before].mean()) for name, part in road.items()} if before.any() else {}
    return Way(met, (lowest + 1 - horizon) / (height - horizon) if met else 0.0, parts)

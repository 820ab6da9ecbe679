"""Where the parts of a graph's picture go: a point inside each region, curved lines, names that cover nothing."""

from __future__ import annotations

import numpy as np

from segscape.scene.scene import SceneRegion

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_MASK_SIDE = 400  # the point is looked for on a grid of this many steps; no one sees finer
_POINTS = 41


def anchor(region: SceneRegion, scale: float) -> Point:
    """A point (x, y) well inside a region, near its centroid, in px of a picture ``scale`` times as large.

    Of the points at least 0.6 as far from the outline as the pole of inaccessibility is, the one nearest to the
    centroid.
    """
    import cv2

    x0, y0, x1, y1 = region.box
    step = max(1, -(-max(x1 - x0, y1 - y0) // _MASK_SIDE))
    mask = region.mask.to_dense()
    small = mask[::step, ::step]
    if not small.any():
        small, step = mask, 1
    inside = cv2.distanceTransform(np.pad(small, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.nonzero(inside >= 0.6 * inside.max())
    points = np.stack([x, y], axis=1) * step + 0.5 + (x0, y0)
    best = points[np.hypot(*(points - region.centroid).T).argmin()]
    return float(best[0] * scale), float(best[1] * scale)


def bend(start: Point, end: Point, gap: float, end_gap: float) -> np.ndarray | None:
    """A slightly curved line between two discs, always to the left of its way, so that two ways part.

    Args:
        start, end: centres of the discs.
        gap, end_gap: how far from the centres the line begins and ends.

    Returns:
        (41, 2) float64 x, y from start to end, or None where the discs leave no room.
    """
    a, b = np.array(start), np.array(end)
    way = b - a
    length = float(np.hypot(*way))
    if length <= gap + end_gap + 4:
        return None
    middle = (a + b) / 2 + np.array([way[1], -way[0]]) * 0.12
    t = np.linspace(0, 1, 401)[:, None]
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b
    clear = (np.hypot(*(curve - a).T) >= gap) & (np.hypot(*(curve - b).T) >= end_gap)
    first, last = np.flatnonzero(clear)[[0, -1]]
    return curve[np.linspace(first, last, _POINTS).round().astype(int)]


def free_spot(place: Point, radius: float, size: Point, frame: Point, taken: list[Box]) -> Box | None:
    """Where a name of ``size`` (width, height) fits beside a disc: below, above, right, left, or farther off.

    Args:
        place, radius: of the disc.
        size: of the name.
        frame: (width, height) of the picture, which it must not leave.
        taken: boxes that it must not cover.

    Returns:
        x0, y0, x1, y1, or None where there is no room.
    """
    (x, y), (wide, high), gap = place, size, radius + size[1] * 0.2
    for far in (gap, gap + high * 0.7, gap + high * 1.5):
        for cx, cy in (
            (x, y + far + high / 2),
            (x, y - far - high / 2),
            (x + far + wide / 2, y),
            (x - far - wide / 2, y),
            (x + far * 0.7 + wide / 2, y + far * 0.7 + high / 2),
            (x - far * 0.7 - wide / 2, y - far * 0.7 - high / 2),
            (x + far * 0.7 + wide / 2, y - far * 0.7 - high / 2),
            (x - far * 0.7 - wide / 2, y + far * 0.7 + high / 2),
        ):
            box = (cx - wide / 2, cy - high / 2, cx + wide / 2, cy + high / 2)
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= frame[0] and box[3] <= frame[1]
            if inside and not any(_overlap(box, other) for other in taken):
                return box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""Masks of objects as annotation formats write them: COCO's polygons rasterised as COCO does, rings joined into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segscape.errors import InputError
from segscape.masks import Box, RunLengths, ranges
from segscape.polygons import to_polygons

_SCALE = 5  # COCO rasterises on a grid five times as fine
_FAR = 1e8

Ring = list[list[int]]


def cropped(mask: RunLengths) -> tuple[Box, RunLengths] | None:
    """The tight box (x0, y0, x1, y1) of a mask and the mask cropped to it; None for an empty mask."""
    x, top, bottom = mask.column_spans()
    if not len(x):
        return None
    box = (int(x[0]), int(top.min()), int(x[-1]) + 1, int(bottom.max()))
    height = box[3] - box[1]
    offset = (x - box[0]) * height - box[1]
    return box, RunLengths.from_intervals(offset + top, offset + bottom, (height, box[2] - box[0]))


def union(masks: Sequence[RunLengths]) -> RunLengths:
    """The pixels of any of at least one mask of one size."""
    starts, ends = (np.concatenate(part) for part in zip(*(mask.intervals() for mask in masks), strict=True))
    order = np.argsort(starts, kind="stable")
    return RunLengths.from_intervals(starts[order], ends[order], masks[0].size)


def ring_points(flat: Sequence[float]) -> np.ndarray:
    """A ring given as x, y, x, y, … as points (N, 2) float64.

    Raises:
        InputError: it is no list of numbers, has an odd number of them, fewer than 3 points, or one that is not finite.
    """
    try:
        values = np.asarray(flat, np.float64)
    except (TypeError, ValueError):
        raise InputError("a polygon that is no list of numbers") from None
    if values.ndim != 1:
        raise InputError("a polygon that is no list of numbers")
    if len(values) % 2:
        raise InputError(f"a polygon of {len(values)} numbers, which make no pairs x, y")
    if len(values) < 6:
        raise InputError(f"a polygon of {len(values) // 2} points; it needs 3")
    if not (np.abs(values) < _FAR).all():
        raise InputError("a polygon with a coordinate that is not finite (NaN, infinite or beyond 10⁸)")
    return values.reshape(-1, 2)


def rasterise_as_coco(rings: Sequence[np.ndarray], size: tuple[int, int]) -> RunLengths:
    """The mask of COCO polygons, pixel for pixel that of pycocotools' ``frPyObjects`` and ``merge``.

    COCO's reference code (cocoapi, ``rleFrPoly``) rounds the points to a grid of fifths of a pixel, draws each edge on
    that grid, and lets the pixels of a column begin and end where the drawn edge crosses the middle of the column. Only
    those crossings are computed here. Each ring is filled by the even–odd rule; rings are united.

    Args:
        rings: points (N, 2) as `ring_points` gives them, in pixels; pixel (y, x) is the square (x, y)–(x + 1, y + 1).
        size: (height, width) of the mask.
    """
    height, width = size
    if not rings:
        return RunLengths(size, np.array([height * width]))
    lengths = np.array([len(ring) for ring in rings])
    points = np.trunc(_SCALE * np.concatenate(rings) + 0.5).astype(np.int64)
    ends = np.cumsum(lengths)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - lengths
    a, b = points, points[following]
    flat = np.abs(b - a)[:, 0] >= np.abs(b - a)[:, 1]
    # Each edge is drawn in the direction in which its longer coordinate grows.
    turn = np.where(flat, a[:, 0] > b[:, 0], a[:, 1] > b[:, 1])[:, None]
    (xa, ya), (xb, yb) = np.where(turn, b, a).T, np.where(turn, a, b).T

    first = np.clip(-((2 - np.minimum(xa, xb)) // _SCALE), 0, width)
    pieces = np.maximum(np.clip((np.maximum(xa, xb) - 3) // _SCALE + 1, 0, width) - first, 0)
    edge = np.repeat(np.arange(len(points)), pieces)
    column = first[edge] + ranges(pieces)
    xa, ya, xb, yb, flat = xa[edge], ya[edge], xb[edge], yb[edge], flat[edge]
    middle = column * _SCALE + 2  # the crossing lies between this fifth and the next
    slope = np.where(flat, (yb - ya) / np.maximum(xb - xa, 1), (xb - xa) / np.maximum(yb - ya, 1))

    def drawn(start: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.trunc(start + slope * step + 0.5)

    low = np.minimum(drawn(ya, middle - xa), drawn(ya, middle + 1 - xa))
    # Steep edges: the first step beyond the middle; the estimate is put right by what is drawn there.
    sign = np.sign(slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(flat, 0, np.ceil((middle + 0.5 - xa) / np.where(slope == 0, 1, slope)))
    for _ in range(2):
        before = (drawn(xa, step - 1) - middle - 0.5) * sign < 0
        beyond = (drawn(xa, step) - middle - 0.5) * sign > 0
        step += np.where(flat | (before & beyond), 0, np.where(before, 1, -1))
    low = np.where(flat, low, ya + step - 1)

    row = np.ceil(np.clip((low + 0.5) / _SCALE - 0.5, 0, height)).astype(np.int64)
    number = column * height + row
    number = number[np.lexsort((number, np.repeat(np.arange(len(rings)), lengths)[edge]))]
    starts, stops = number[::2], number[1::2]
    order = np.argsort(starts, kind="stable")
    return RunLengths.from_intervals(starts[order], stops[order], size)


def joined(rings: Sequence[Ring]) -> Ring:
    """One ring that says the same as several by the even–odd rule: for formats without holes and parts.

    Each further ring hangs on a bridge of no width from the nearest corner of those before it. A bridge goes along the
    pixel grid, there and back, so that every rasteriser crosses it twice at the same place.
    """
    merged = [list(point) for point in rings[0]]
    for ring in rings[1:]:
        here, there = np.array(merged), np.array(ring)
        nearest = (np.iinfo(np.int64).max, 0, 0)
        for j, point in enumerate(there):
            distance = np.abs(here - point).sum(axis=1)
            i = int(distance.argmin())
            nearest = min(nearest, (int(distance[i]), i, j))
        _, i, j = nearest
        bend = [ring[j][0], merged[i][1]]
        bridge = [bend] if bend not in (merged[i], ring[j]) else []
        around = [*ring[j:], *ring[:j], ring[j]]
        back = [merged[i]] if nearest[0] else []
        merged[i + 1 : i + 1] = [*bridge, *(around if nearest[0] else around[1:]), *bridge, *back]
    return merged


def outlines(mask: RunLengths, offset: tuple[int, int]) -> list[Ring]:
    """One ring for each 4-connected part of a mask on pixel corners, its holes joined to it (`joined`)."""
    return [joined(part) for part in to_polygons(mask, offset)]

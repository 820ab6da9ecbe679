"""Outlines of masks on pixel corners, and back.

A mask and its polygons say the same: `from_polygons` of what `to_polygons` gives is the mask, to the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from segscape.errors import InputError
from segscape.masks import RunLengths, checked_size, ranges
from segscape.outlines import Rings, outlines_of


def to_polygons(mask: RunLengths, offset: tuple[int, int] = (0, 0)) -> list[Rings]:
    """The exact outlines of a mask on pixel corners: pixel (y, x) is the square (x, y)–(x + 1, y + 1).

    A part is one 4-connected piece of the mask (pixels that meet only at a corner are different parts): a list of
    rings, the first its outside, clockwise as seen in the image (y down), the rest its holes, counter-clockwise.
    Rings are lists of [x, y] without the first point repeated, have no point on a straight line, and never pass
    a point twice: where an outline would touch itself it becomes an outside and a hole, or two holes, that share
    that corner. So every part is a valid polygon in the sense of OGC Simple Features, and filling the rings by
    the even–odd rule (`from_polygons`) gives back exactly the mask.

    Args:
        mask: run lengths.
        offset: (x0, y0) added to every point: where the mask's box begins.

    Returns:
        Parts in the order of their first pixel column by column; [] for an empty mask.
    """
    return to_polygons_of([mask], [offset])[0]


def to_polygons_of(masks: Sequence[RunLengths], offsets: Sequence[Sequence[int]]) -> list[list[Rings]]:
    """`to_polygons` of each mask with its offset, in one go."""
    return outlines_of(masks, offsets).to_lists()


def from_polygons(parts: Sequence[Sequence[Sequence[Sequence[float]]]], size: tuple[int, int]) -> RunLengths:
    """Rasterise polygons: a pixel is foreground when its centre (x + 0.5, y + 0.5) is inside a part.

    Each part is filled by the even–odd rule over its rings, parts are united, and what lies outside the image is
    cut off. Any polygon will do; for those of `to_polygons` the mask comes back exactly.

    Args:
        parts: list of parts, each a list of rings, each a list of at least 3 points (x, y), in pixels.
        size: (height, width) of the mask.

    Raises:
        InputError: a ring is not a list of at least 3 finite (x, y) below 2³¹.
    """
    height, width = checked_size(size)
    rings = [ring for part in parts for ring in part]
    if not rings:
        return RunLengths((height, width), np.array([height * width]))
    try:
        lengths = np.array([len(ring) for ring in rings])
        points = np.array(list(chain.from_iterable(rings)), np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"polygons must be parts of rings of points (x, y): {error}") from None
    if lengths.min() < 3 or points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < 2**31).all():
        raise InputError("each ring of a polygon must be a list of at least 3 points (x, y), finite and below 2³¹")
    part_of_ring = np.repeat(np.arange(len(parts)), [len(part) for part in parts])

    ends = np.cumsum(lengths)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - lengths
    (xa, ya), (xb, yb) = points.T, points[following].T
    # The pixel columns whose centre line an edge crosses; at each, pixels from a row on change between in and out.
    first = np.clip(np.ceil(np.minimum(xa, xb) - 0.5), 0, width).astype(np.int64)
    pieces = np.clip(np.ceil(np.maximum(xa, xb) - 0.5), 0, width).astype(np.int64) - first
    edge = np.repeat(np.arange(len(points)), pieces)
    column = first[edge] + ranges(pieces)
    share = (column + 0.5 - xa[edge]) / (xb[edge] - xa[edge])
    crossing = ya[edge] + share * (yb[edge] - ya[edge])
    number = column * height + np.clip(np.ceil(crossing - 0.5), 0, height).astype(np.int64)
    number = number[np.lexsort((number, np.repeat(part_of_ring, lengths)[edge]))]
    starts, ends = number[::2], number[1::2]
    order = np.argsort(starts, kind="stable")
    return RunLengths.from_intervals(starts[order], ends[order], (height, width))

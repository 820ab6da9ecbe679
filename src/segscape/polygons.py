"""Outlines of masks on pixel corners, and back.

A mask and its polygons say the same: `from_polygons` of what `to_polygons` gives is the mask, to the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from segscape.errors import InputError
from segscape.many_masks import column_spans
from segscape.masks import RunLengths, checked_size, ranges

Rings = list[list[list[int]]]


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
    owner, span_x, span_y0, span_y1 = column_spans(masks)
    polygons: list[list[Rings]] = [[] for _ in masks]
    if not len(span_x):
        return polygons
    # The masks stand side by side in one picture, an empty column between them.
    height = max(mask.size[0] for mask in masks)
    left = np.cumsum([0, *(mask.size[1] + 1 for mask in masks)])
    span_x = span_x + left[owner]
    # Each span has a horizontal edge above (mask below it: sign 1) and below (sign 0), from column x to x + 1.
    # Edges of one sign that meet end to end are one; what is left of their ends are the corners of the outlines,
    # each once, or twice where two pixels meet diagonally: once to the piece above, once to the piece below.
    edge_x, edge_y = np.concatenate((span_x, span_x)), np.concatenate((span_y0, span_y1))
    sign = np.repeat([1, 0], len(span_x))
    key = np.concatenate([(x * (height + 1) + edge_y) * 2 + sign for x in (edge_x, edge_x + 1)])
    order = np.argsort(key)
    key, starts_edge = key[order], order < len(edge_x)
    same = key[1:] == key[:-1]
    alone = ~(np.concatenate(([False], same)) | np.concatenate((same, [False])))
    key, starts_edge = key[alone], starts_edge[alone]
    vertex, sign = key >> 1, (key & 1).astype(bool)
    x, y = np.divmod(vertex, height + 1)

    # Sorted by column, neighbours 2k and 2k + 1 are joined by a vertical edge; sorted by row, by a horizontal one.
    num = len(key)
    across = np.arange(num) ^ 1
    row_key = (y * int(left[-1]) + x) * 2 + starts_edge
    by_row = np.argsort(row_key)
    along = np.empty(num, np.int64)
    along[by_row] = by_row[across]
    following = np.where(starts_edge == sign, along, across)

    traces, trace_of = _trace(following.tolist(), vertex)
    first = np.array([trace[0] for trace in traces])
    # A hole belongs to the part of the span that ends at its first corner; that span's upper edge names a ring of it.
    is_outside = sign[first]
    span_end = np.searchsorted(span_x * (height + 1) + span_y1, vertex[first])
    upper = (span_y0[span_end % len(span_x)] * int(left[-1]) + x[first]) * 2 + 1
    part_owner = np.array(trace_of)[by_row[np.searchsorted(row_key[by_row], upper, "right") - 1]]

    mask_of = np.searchsorted(left, x, "right") - 1
    move = np.array([offset[:2] for offset in offsets], np.int64)
    points = np.stack((x - left[mask_of] + move[mask_of, 0], y + move[mask_of, 1]), 1).tolist()
    parts: list[Rings] = []
    masks_of_traces = mask_of[first].tolist()
    for (_, rings), outside, parent, of in zip(
        traces, is_outside.tolist(), part_owner.tolist(), masks_of_traces, strict=True
    ):
        part = [] if outside else parts[parent]
        parts.append(part)  # one for each trace
        if outside:
            polygons[of].append(part)
        part.extend([points[i] for i in ring] for ring in rings)
    return polygons


def _trace(following: list[int], vertex: np.ndarray) -> tuple[list[tuple[int, list[list[int]]]], list[int]]:
    """Follow a permutation of corners into closed traces, and cut each where it comes to a vertex again.

    Returns:
        for each trace its first corner and its rings, the one through that corner first; for each corner its trace.
    """
    # Two corners at one vertex stand side by side, because corners are in the order of their vertices.
    shared = np.zeros(len(vertex), bool)
    shared[1:] = vertex[1:] == vertex[:-1]
    shared[:-1] |= shared[1:]
    double, vertices = shared.tolist(), vertex.tolist()
    traces: list[tuple[int, list[list[int]]]] = []
    trace_of = [-1] * len(following)
    for start in range(len(following)):
        if trace_of[start] >= 0:
            continue
        path: list[int] = []
        corner, number, touches = start, len(traces), False
        while trace_of[corner] < 0:
            trace_of[corner] = number
            touches = touches or double[corner]
            path.append(corner)
            corner = following[corner]
        traces.append((start, _cut(path, vertices) if touches else [path]))
    return traces, trace_of


def _cut(trace: list[int], vertex: list[int]) -> list[list[int]]:
    """A closed trace as rings that pass no vertex twice, the one through its first corner first."""
    rings: list[list[int]] = []
    path: list[int] = []
    place: dict[int, int] = {}
    for corner in trace:
        at = place.setdefault(vertex[corner], len(path))
        if at < len(path):
            rings.append(path[at:])
            for dropped in path[at + 1 :]:
                del place[vertex[dropped]]
            del path[at:]
        path.append(corner)
    return [path, *rings]


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

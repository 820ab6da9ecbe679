"""Outlines of masks on pixel corners as arrays; `segscape.polygons` says what they are and gives them as lists."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from segscape.many_masks import column_spans
from segscape.masks import RunLengths, ranges

Rings = list[list[list[int]]]
_CORNERS_IN_PYTHON = 2_000_000  # done in less time than numba takes to start and load its loops
_corners_in_python = 0


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """The polygons of many masks, one after another.

    Attributes:
        points: (N, 2) int64, (x, y), ring by ring.
        ring_ends: (rings,) int64, where in ``points`` each ring ends.
        part_ends: (parts,) int64, where in ``ring_ends`` each part ends.
        mask_ends: (masks,) int64, where in ``part_ends`` each mask ends.
    """

    points: np.ndarray
    ring_ends: np.ndarray
    part_ends: np.ndarray
    mask_ends: np.ndarray

    def to_lists(self) -> list[list[Rings]]:
        """For each mask its parts, as `segscape.polygons.to_polygons` gives them."""
        nested: list[Any] = self.points.tolist()
        for ends in (self.ring_ends, self.part_ends, self.mask_ends):
            stops = ends.tolist()
            nested = [nested[a:b] for a, b in zip([0, *stops], stops, strict=False)]
        return nested

    def to_json(self) -> list[str]:
        """`to_lists` as JSON, mask by mask."""
        if not (kernels := _kernels(0)):
            return [json.dumps(parts) for parts in self.to_lists()]
        longest = 1 + len(str(np.abs(self.points).max(initial=0)))  # a sign before it
        brackets = 4 * (len(self.ring_ends) + len(self.part_ends) + len(self.mask_ends))
        text = np.empty(len(self.points) * (2 * longest + 6) + brackets, np.uint8)
        ends = kernels.write(self.points, self.ring_ends, self.part_ends, self.mask_ends, text).tolist()
        whole = text[: ends[-1] if ends else 0].tobytes().decode("ascii")
        return [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def outlines_of(masks: Sequence[RunLengths], offsets: Sequence[Sequence[int]]) -> Outlines:
    """The outlines of each mask, its offset (x0, y0, …) added."""
    owner, span_x, span_y0, span_y1 = column_spans(masks)
    if not len(span_x):
        none = np.zeros(0, np.int64)
        return Outlines(np.zeros((0, 2), np.int64), none, none, np.zeros(len(masks), np.int64))
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

    kernels = _kernels(num)
    follow = kernels.trace if kernels else trace_in_python
    order, ring_ends, ring_trace, trace_of = follow(following, vertex)
    ring_starts = np.concatenate(([0], ring_ends[:-1]))
    first = order[ring_starts[np.flatnonzero(np.diff(ring_trace, prepend=-1))]]
    # A hole belongs to the part of the span that ends at its first corner; that span's upper edge names a ring of it.
    span_end = np.searchsorted(span_x * (height + 1) + span_y1, vertex[first])
    upper = (span_y0[span_end % len(span_x)] * int(left[-1]) + x[first]) * 2 + 1
    part_owner = trace_of[by_row[np.searchsorted(row_key[by_row], upper, "right") - 1]]
    part_of = np.where(sign[first], np.arange(len(first)), part_owner)
    while (part_of != (further := part_of[part_of])).any():  # that ring may be a hole itself
        part_of = further

    ring_part = part_of[ring_trace]
    in_parts = np.argsort(ring_part, kind="stable")
    lengths = (ring_ends - ring_starts)[in_parts]
    index = order[np.repeat(ring_starts[in_parts], lengths) + ranges(lengths)]
    x, y = x[index], y[index]
    mask_of = np.searchsorted(left, x, "right") - 1
    move = np.array([offset[:2] for offset in offsets], np.int64)
    points = np.stack((x - left[mask_of] + move[mask_of, 0], y + move[mask_of, 1]), 1)
    ring_ends = np.cumsum(lengths)
    part_ends = np.append(np.flatnonzero(np.diff(ring_part[in_parts])) + 1, len(lengths))
    part_mask = mask_of[ring_ends[part_ends - 1] - 1]
    return Outlines(points, ring_ends, part_ends, np.searchsorted(part_mask, np.arange(len(masks)), "right"))


def trace_in_python(following: np.ndarray, vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Follow a permutation of corners into closed traces, and cut each into rings where it comes to a vertex again.

    Args:
        following: (N,) int64, the corner after each.
        vertex: (N,) int64, where each corner is; ascending, and none more than twice.

    Returns:
        order: (N,) int64, the corners ring by ring, those of a trace together, the one through its first corner first.
        ring_ends: (rings,) int64, where in ``order`` each ring ends.
        ring_trace: (rings,) int64, the number of its trace.
        trace_of: (N,) int64, the number of each corner's trace; they are in the order of their first corners.
    """
    shared = np.zeros(len(vertex), bool)
    shared[1:] = vertex[1:] == vertex[:-1]
    shared[:-1] |= shared[1:]
    double, vertices, after = shared.tolist(), vertex.tolist(), following.tolist()
    order: list[int] = []
    ring_ends: list[int] = []
    ring_trace: list[int] = []
    trace_of, number = [-1] * len(after), 0
    for start in range(len(after)):
        if trace_of[start] >= 0:
            continue
        path: list[int] = []
        corner, touches = start, False
        while trace_of[corner] < 0:
            trace_of[corner] = number
            touches = touches or double[corner]
            path.append(corner)
            corner = after[corner]
        for ring in _cut(path, vertices) if touches else [path]:
            order += ring
            ring_ends.append(len(order))
            ring_trace.append(number)
        number += 1
    return np.array(order), np.array(ring_ends), np.array(ring_trace), np.array(trace_of)


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


def _kernels(num_corners: int) -> ModuleType | None:
    """Compiled loops; None while following corners in Python is quicker than importing numba."""
    global _corners_in_python
    if "numba" not in sys.modules and _corners_in_python + num_corners <= _CORNERS_IN_PYTHON:
        _corners_in_python += num_corners
        return None
    from segscape import outline_kernels

    return outline_kernels

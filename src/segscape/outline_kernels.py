"""The loops of `segscape.outlines`, compiled by numba."""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled

_OPEN, _CLOSE, _COMMA, _SPACE, _MINUS, _ZERO = (np.uint8(ord(c)) for c in "[], -0")


@compiled
def trace(following, vertex):  # type: ignore[no-untyped-def]
    """As `segscape.outlines.trace_in_python`."""
    num = len(following)
    # Two corners at one vertex stand side by side, because corners are in the order of their vertices.
    name = np.arange(num)
    for i in range(1, num):
        if vertex[i] == vertex[i - 1]:
            name[i] = i - 1
    trace_of, place = np.full(num, -1), np.full(num, -1)
    order, ring_ends, ring_trace = np.empty(num, np.int64), np.empty(num, np.int64), np.empty(num, np.int64)
    path, cut, cut_ends = np.empty(num, np.int64), np.empty(num, np.int64), np.empty(num, np.int64)
    num_traces = num_rings = written = 0
    for start in range(num):
        if trace_of[start] >= 0:
            continue
        corner, depth, num_cut, num_cuts = start, 0, 0, 0
        while trace_of[corner] < 0:
            trace_of[corner] = num_traces
            at = place[name[corner]]
            if at >= 0:
                for i in range(at, depth):
                    cut[num_cut] = path[i]
                    num_cut += 1
                    place[name[path[i]]] = -1
                cut_ends[num_cuts] = num_cut
                num_cuts += 1
                depth = at
            place[name[corner]] = depth
            path[depth] = corner
            depth += 1
            corner = following[corner]
        ring_ends[num_rings], ring_trace[num_rings] = written + depth, num_traces
        num_rings += 1
        for i in range(depth):
            order[written + i] = path[i]
            place[name[path[i]]] = -1
        written += depth
        for i in range(num_cuts):
            ring_ends[num_rings], ring_trace[num_rings] = written + cut_ends[i], num_traces
            num_rings += 1
        for i in range(num_cut):
            order[written + i] = cut[i]
        written += num_cut
        num_traces += 1
    return order, ring_ends[:num_rings], ring_trace[:num_rings], trace_of


@compiled
def _number(value, out, at):  # type: ignore[no-untyped-def]
    """The value in decimal from ``out[at]`` on; where it ends."""
    if value < 0:
        out[at] = _MINUS
        at, value = at + 1, -value
    digits, rest = 1, value // 10
    while rest:
        digits, rest = digits + 1, rest // 10
    for i in range(at + digits - 1, at - 1, -1):
        out[i] = _ZERO + value % 10
        value //= 10
    return at + digits


@compiled
def write(points, ring_ends, part_ends, mask_ends, out):  # type: ignore[no-untyped-def]
    """The JSON of each mask's polygons into ``out``, (size) uint8; where each ends, (masks,) int64."""
    ends = np.empty(len(mask_ends), np.int64)
    at = part = ring = point = 0
    for mask in range(len(mask_ends)):
        out[at] = _OPEN
        at += 1
        first_part = part
        while part < mask_ends[mask]:
            if part > first_part:
                out[at], out[at + 1] = _COMMA, _SPACE
                at += 2
            out[at] = _OPEN
            at += 1
            first_ring = ring
            while ring < part_ends[part]:
                if ring > first_ring:
                    out[at], out[at + 1] = _COMMA, _SPACE
                    at += 2
                out[at] = _OPEN
                at += 1
                first_point = point
                while point < ring_ends[ring]:
                    if point > first_point:
                        out[at], out[at + 1] = _COMMA, _SPACE
                        at += 2
                    out[at] = _OPEN
                    at = _number(points[point, 0], out, at + 1)
                    out[at], out[at + 1] = _COMMA, _SPACE
                    at = _number(points[point, 1], out, at + 2)
                    out[at] = _CLOSE
                    at, point = at + 1, point + 1
                out[at] = _CLOSE
                at, ring = at + 1, ring + 1
            out[at] = _CLOSE
            at, part = at + 1, part + 1
        out[at] = _CLOSE
        at += 1
        ends[mask] = at
    return ends

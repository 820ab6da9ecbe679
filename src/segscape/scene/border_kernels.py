"""What shows between neighbouring pixels, from runs, compiled by numba; see `segscape.scene.run_kernels` for sweeps."""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled
from segscape.scene.run_kernels import longer


@compiled
def sweep(first, x0, region, width, num):  # type: ignore[no-untyped-def]
    """What shows between neighbouring pixels, row by row.

    Returns:
        within: (num, 4) int64 of each region: its runs; its pairs of pixels one above the other; those along either
            diagonal; its pairs of 8-connected runs.
        frame: (num, 4) int64 pixel edges on the frame: left, top, right, bottom.
        pairs: (P,) int64 lower · num + higher of regions that share a pixel edge.
        edges: (P, 4) int64 pixel edges of each pair, as `Borders` has them.
    """
    within, frame = np.zeros((num, 4), np.int64), np.zeros((num, 4), np.int64)
    pairs, edges = np.empty((256, 1), np.int64), np.zeros((256, 4), np.int64)
    slots = _slots_of(pairs, 0)
    filled = 0
    for y in range(len(first) - 1):
        # A row adds three pairs a run at most, of its own and of the row above.
        needed = filled + 3 * (first[y + 1] - first[max(y - 1, 0)])
        if needed > len(pairs):
            pairs, edges = longer(pairs, filled, 2 * needed), longer(edges, filled, 2 * needed)
            slots = _slots_of(pairs, filled)
        frame[region[first[y]], 0] += 1
        frame[region[first[y + 1] - 1], 2] += 1
        within[region[first[y]], 0] += 1
        for j in range(first[y] + 1, first[y + 1]):
            within[region[j], 0] += 1
            filled = _add(region[j - 1], region[j], 0, 1, num, slots, pairs, edges, filled)
        if y == 0:
            continue
        i, j = first[y - 1], first[y]
        end_i, end_j = first[y], first[y + 1]
        while i < end_i and j < end_j:
            start_i, stop_i = x0[i], x0[i + 1] if i + 1 < end_i else width
            start_j, stop_j = x0[j], x0[j + 1] if j + 1 < end_j else width
            above, below = region[i], region[j]
            overlap = min(stop_i, stop_j) - max(start_i, start_j)
            if above == below:
                within[above, 1] += overlap
                within[above, 2] += min(stop_i + 1, stop_j) - max(start_i + 1, start_j)
                within[above, 2] += min(stop_i - 1, stop_j) - max(start_i - 1, start_j)
                within[above, 3] += 1
            else:
                filled = _add(above, below, 1, overlap, num, slots, pairs, edges, filled)
            if stop_i == stop_j and stop_i < width:
                if above == region[j + 1]:
                    within[above, 2] += 1
                    within[above, 3] += 1
                if region[i + 1] == below:
                    within[below, 2] += 1
                    within[below, 3] += 1
            i, j = i + (stop_i <= stop_j), j + (stop_j <= stop_i)
    last = len(first) - 2
    for run in range(first[0], first[1]):
        frame[region[run], 1] += (x0[run + 1] if run + 1 < first[1] else width) - x0[run]
    for run in range(first[last], first[last + 1]):
        frame[region[run], 3] += (x0[run + 1] if run + 1 < first[last + 1] else width) - x0[run]
    return within, frame, pairs[:filled, 0], edges[:filled]


@compiled
def _add(one, other, side, length, num, slots, pairs, edges, filled):  # type: ignore[no-untyped-def]
    """Add ``length`` pixel edges between ``one`` and ``other``, ``one`` being left of (side 0) or above (1) the other.

    ``slots`` is a hash table with open addressing of places in ``pairs`` and ``edges``, at most half full, of which
    ``filled`` are taken; how many are after it is returned.
    """
    if one > other:
        one, other, side = other, one, side + 2
    pair = np.int64(one) * num + other
    slot = _slot_of(pair, slots, pairs)
    place = slots[slot]
    if place < 0:
        place = filled
        slots[slot], pairs[place, 0] = place, pair
        filled += 1
    edges[place, side] += length
    return filled


@compiled
def _slots_of(pairs, filled):  # type: ignore[no-untyped-def]
    """A table for as many pairs as ``pairs`` (P, 1) has room for, with the first ``filled`` of them in it."""
    num = 1
    while num < 2 * len(pairs):
        num *= 2
    slots = np.full(num, -1, np.int64)
    for k in range(filled):
        slots[_slot_of(pairs[k, 0], slots, pairs)] = k
    return slots


@compiled
def _slot_of(pair, slots, pairs):  # type: ignore[no-untyped-def]
    """Where ``pair`` is in the table, or the free place where it would be."""
    # Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): the upper bits of a product are well mixed.
    slot = ((pair * 0x1E3779B97F4A7C15) >> 32) & (len(slots) - 1)
    while slots[slot] >= 0 and pairs[slots[slot], 0] != pair:
        slot = (slot + 1) & (len(slots) - 1)
    return slot

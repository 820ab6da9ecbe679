"""The loops that make and join runs, compiled by numba.

Rows are covered by runs from end to end, so two neighbouring rows are swept together with two fingers, i above and j
below: the runs under them overlap; the one that ends first is left for the next, and where both end at the same x the
four runs around that corner meet in it.
"""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled


@compiled
def count_runs(ids, first):  # type: ignore[no-untyped-def]
    """Number the runs of equal values in each row of (H, W) ``ids``: ``first`` (H + 1,) int64 is written."""
    first[0] = 0
    for y in range(ids.shape[0]):
        num = 1
        for x in range(1, ids.shape[1]):
            num += ids[y, x] != ids[y, x - 1]
        first[y + 1] = first[y] + num


@compiled
def fill_runs(ids, x0, value):  # type: ignore[no-untyped-def]
    """Write where the runs of (H, W) ``ids`` begin and what they hold into ``x0`` and ``value`` (R,) int32."""
    run = 0
    for y in range(ids.shape[0]):
        x0[run], value[run] = 0, ids[y, 0]
        run += 1
        for x in range(1, ids.shape[1]):
            if ids[y, x] != ids[y, x - 1]:
                x0[run], value[run] = x, ids[y, x]
                run += 1


@compiled
def sum_runs(pixels, first, x0, sums):  # type: ignore[no-untyped-def]
    """Sum (H, W, C) ``pixels`` over each run into ``sums`` (R, C) float64."""
    height, width, channels = pixels.shape
    for y in range(height):
        for run in range(first[y], first[y + 1]):
            end = x0[run + 1] if run + 1 < first[y + 1] else width
            for c in range(channels):
                total = 0.0
                for x in range(x0[run], end):
                    total += pixels[y, x, c]
                sums[run, c] = total


@compiled
def paint(ids, counts, x0, y0, height, value):  # type: ignore[no-untyped-def]
    """Write ``value`` into (H, W) ``ids`` under a mask of ``height`` rows in column-major run lengths at x0, y0."""
    pixel = 0
    for i in range(len(counts)):
        end = pixel + counts[i]
        if i % 2 == 1:
            for k in range(pixel, end):
                ids[y0 + k % height, x0 + k // height] = value
        pixel = end


@compiled
def root_of(parent, i):  # type: ignore[no-untyped-def]
    """The root of i in a forest of parents, each node on the way now pointing two steps up."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def join(parent, i, j):  # type: ignore[no-untyped-def]
    """Make one tree of those of i and j; its root is the lower of theirs, and returned."""
    i, j = root_of(parent, i), root_of(parent, j)
    if i > j:
        i, j = j, i
    parent[j] = i
    return i


@compiled
def connect(first, x0, key, width, first_whole, max_key):  # type: ignore[no-untyped-def]
    """Number the connected pieces of runs of one key, in the order of their first runs.

    Args:
        first, x0: as in `RunMap`.
        key: (R,) int32; −1 connects by four neighbours, others by eight.
        width: of the image.
        first_whole: runs of one key are one piece, connected or not, for keys from this one on.
        max_key: the highest key there can be.

    Returns:
        (R,) int32, the piece of each run, and how many there are.
    """
    parent = np.empty(len(x0), np.int32)
    for run in range(len(x0)):
        parent[run] = run
    for y in range(1, len(first) - 1):
        i, j = first[y - 1], first[y]
        end_i, end_j = first[y], first[y + 1]
        while i < end_i and j < end_j:
            stop_i = x0[i + 1] if i + 1 < end_i else width
            stop_j = x0[j + 1] if j + 1 < end_j else width
            if key[i] == key[j]:
                join(parent, i, j)
            if stop_i == stop_j and stop_i < width:
                if key[i] == key[j + 1] and key[i] >= 0:
                    join(parent, i, j + 1)
                if key[i + 1] == key[j] and key[j] >= 0:
                    join(parent, i + 1, j)
            i, j = i + (stop_i <= stop_j), j + (stop_j <= stop_i)
    if max_key >= first_whole:
        first_of = np.full(max_key + 1 - first_whole, -1, np.int64)
        for run in range(len(x0)):
            whole = key[run] - first_whole
            if whole >= 0:
                if first_of[whole] < 0:
                    first_of[whole] = run
                else:
                    join(parent, first_of[whole], run)
    num = 0
    piece = np.empty(len(x0), np.int32)
    for run in range(len(x0)):
        if parent[run] == run:
            piece[run] = num
            num += 1
        else:
            piece[run] = piece[root_of(parent, run)]
    return piece, num


@compiled
def joined_runs(first, x0, region):  # type: ignore[no-untyped-def]
    """Runs of which neighbours in a row may be of one region, as runs of which none are: first, x0, region anew."""
    new_first = np.zeros(len(first), np.int64)
    new_x0, new_region = np.empty_like(x0), np.empty_like(region)
    num = 0
    for y in range(len(first) - 1):
        for run in range(first[y], first[y + 1]):
            if run == first[y] or region[run] != region[run - 1]:
                new_x0[num], new_region[num] = x0[run], region[run]
                num += 1
        new_first[y + 1] = num
    return new_first, new_x0[:num].copy(), new_region[:num].copy()


@compiled
def longer(table, num, size):  # type: ignore[no-untyped-def]
    """A (size, C) table that begins with the first ``num`` rows of another; the rest is 0."""
    result = np.zeros((size, table.shape[1]), table.dtype)
    for i in range(num):
        for k in range(table.shape[1]):
            result[i, k] = table[i, k]
    return result

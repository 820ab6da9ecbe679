"""The loops that measure regions from their own runs, compiled by numba."""

from __future__ import annotations

import numpy as np

from segscape.compiled import compiled
from segscape.scene.run_kernels import longer


@compiled
def extents(first, x0, region, width, num):  # type: ignore[no-untyped-def]
    """Areas (num,) int64 and boxes (num, 4) int32 of regions."""
    area = np.zeros(num, np.int64)
    box = np.empty((num, 4), np.int32)
    for r in range(num):
        box[r, 0], box[r, 1], box[r, 2], box[r, 3] = width, len(first), 0, 0
    for y in range(len(first) - 1):
        for run in range(first[y], first[y + 1]):
            r = region[run]
            x1 = x0[run + 1] if run + 1 < first[y + 1] else width
            area[r] += x1 - x0[run]
            box[r, 0] = min(box[r, 0], x0[run])
            box[r, 1] = min(box[r, 1], y)
            box[r, 2] = max(box[r, 2], x1)
            box[r, 3] = y + 1
    return area, box


@compiled
def sums_of_powers(first, x0, region, width, num):  # type: ignore[no-untyped-def]
    """(num, 5) int64 sums of x, y, x², xy, y² over the pixels of each region, x and y integers."""
    sums = np.zeros((num, 5), np.int64)
    for y in range(len(first) - 1):
        for run in range(first[y], first[y + 1]):
            a, b = np.int64(x0[run]), np.int64(x0[run + 1] if run + 1 < first[y + 1] else width)
            of_x = (a + b - 1) * (b - a) // 2
            of_squares = ((b - 1) * b * (2 * b - 1) - (a - 1) * a * (2 * a - 1)) // 6
            r = region[run]
            sums[r, 0] += of_x
            sums[r, 1] += y * (b - a)
            sums[r, 2] += of_squares
            sums[r, 3] += y * of_x
            sums[r, 4] += y * y * (b - a)
    return sums


@compiled
def sorted_runs(region, num):  # type: ignore[no-untyped-def]
    """The runs of region r, top to bottom and left to right, are order[start[r]:start[r + 1]]; both int64."""
    start = np.zeros(num + 1, np.int64)
    for r in region:
        start[r + 1] += 1
    for r in range(num):
        start[r + 1] += start[r]
    free = start[:-1].copy()
    order = np.empty(len(region), np.int64)
    for run in range(len(region)):
        order[free[region[run]]] = run
        free[region[run]] += 1
    return start, order


@compiled
def hull_areas(start, order, y, x0, x1):  # type: ignore[no-untyped-def]
    """(M,) float64, the area of the convex hull of each region's pixels, taken as unit squares."""
    areas = np.empty(len(start) - 1)
    most = 0
    for r in range(len(areas)):
        most = max(most, start[r + 1] - start[r])
    left, right = np.empty((2 * most, 2), np.int64), np.empty((2 * most, 2), np.int64)
    for r in range(len(areas)):
        num_left, num_right = 0, 0
        k = start[r]
        while k < start[r + 1]:
            row, low, high = np.int64(y[order[k]]), np.int64(x0[order[k]]), np.int64(x1[order[k]])
            while k < start[r + 1] and y[order[k]] == row:
                high = np.int64(x1[order[k]])
                k += 1
            for corner in range(row, row + 2):
                num_left = _extend(left, num_left, low, corner)
                num_right = _extend(right, num_right, -high, corner)
        areas[r] = -0.5 * (_twice_area_left_of(left, num_left) + _twice_area_left_of(right, num_right))
    return areas


@compiled
def _extend(chain, num, x, y):  # type: ignore[no-untyped-def]
    """Add (x, y), not above the last, to the left side of a hull (monotone chain; Andrew 1979): its new length."""
    if num and chain[num - 1, 1] == y:
        if chain[num - 1, 0] <= x:
            return num
        num -= 1
    while num >= 2:
        ax, ay = chain[num - 2, 0], chain[num - 2, 1]
        bx, by = chain[num - 1, 0], chain[num - 1, 1]
        if (bx - ax) * (y - ay) < (x - ax) * (by - ay):
            break
        num -= 1
    chain[num, 0], chain[num, 1] = x, y
    return num + 1


@compiled
def _twice_area_left_of(chain, num):  # type: ignore[no-untyped-def]
    """Twice the area between a chain going down and the line x = 0."""
    area = 0
    for k in range(1, num):
        area += (chain[k, 0] + chain[k - 1, 0]) * (chain[k, 1] - chain[k - 1, 1])
    return area


@compiled
def column_counts(start, order, y, x0, x1, box):  # type: ignore[no-untyped-def]
    """Regions as run lengths down the columns of their boxes.

    Args:
        start, order: see `sorted_runs`; y, x0, x1: of each run.
        box: (N, 4) of the first N regions.

    Returns:
        counts (C,) uint32, as `RunLengths` has them, of all regions; offsets (N + 1,) int64: those of region r are
        counts[offsets[r]:offsets[r + 1]].
    """
    offsets = np.zeros(len(box) + 1, np.int64)
    counts = np.empty((1024, 1), np.uint32)
    widest = 0
    for r in range(len(box)):
        widest = max(widest, box[r, 2] - box[r, 0])
    bottom, free = np.empty(widest, np.int64), np.empty(widest + 1, np.int64)
    spans = np.empty((1024, 2), np.int64)
    for r in range(len(box)):
        left, top, width, height = box[r, 0], box[r, 1], box[r, 2] - box[r, 0], box[r, 3] - box[r, 1]
        # First how many spans each column has, then the spans themselves, each column's behind the last one's.
        for x in range(width):
            free[x + 1], bottom[x] = 0, -1
        free[0] = 0
        for k in range(start[r], start[r + 1]):
            run = order[k]
            for x in range(x0[run] - left, x1[run] - left):
                free[x + 1] += bottom[x] != y[run]
                bottom[x] = y[run] + 1
        for x in range(width):
            free[x + 1] += free[x]
        num = free[width]
        if num > len(spans):
            spans = np.empty((2 * num, 2), np.int64)
        for x in range(width):
            bottom[x] = -1
        for k in range(start[r], start[r + 1]):
            run = order[k]
            for x in range(x0[run] - left, x1[run] - left):
                if bottom[x] != y[run]:
                    spans[free[x], 0] = x * height + y[run] - top
                    free[x] += 1
                bottom[x] = y[run] + 1
                spans[free[x] - 1, 1] = x * height + bottom[x] - top
        end = offsets[r]
        if end + 2 * num + 1 > len(counts):
            counts = longer(counts, end, 2 * (end + 2 * num + 1))
        done = 0
        for k in range(num):
            if k == 0 or spans[k, 0] != done:
                counts[end, 0], counts[end + 1, 0] = spans[k, 0] - done, spans[k, 1] - spans[k, 0]
                end += 2
            else:
                counts[end - 1, 0] += spans[k, 1] - spans[k, 0]
            done = spans[k, 1]
        if done < width * height:
            counts[end, 0] = width * height - done
            end += 1
        offsets[r + 1] = end
    return counts[: offsets[-1], 0], offsets


@compiled
def cell_areas(first, x0, label, rows, columns, num_labels):  # type: ignore[no-untyped-def]
    """(9, num_labels) int64 pixels of each label in each cell.

    Args:
        first, x0: as in `RunMap`.
        label: (R,) of each run, -1 for none.
        rows, columns: (4,) int64, where the cells' rows and columns begin, and the height and width.
    """
    areas = np.zeros((9, num_labels), np.int64)
    for row in range(3):
        for y in range(rows[row], rows[row + 1]):
            for run in range(first[y], first[y + 1]):
                if label[run] >= 0:
                    x1 = x0[run + 1] if run + 1 < first[y + 1] else columns[3]
                    for column in range(3):
                        inside = min(x1, columns[column + 1]) - max(x0[run], columns[column])
                        areas[3 * row + column, label[run]] += max(inside, 0)
    return areas

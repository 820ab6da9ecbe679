"""The loops of relations, compiled by numba: containment, gaps, between."""

from __future__ import annotations

import math

import numpy as np

from segscape.compiled import compiled


@compiled
def containers(start, neighbour, root):  # type: ignore[no-untyped-def]
    """Of each node of a connected undirected graph the last cut vertex on every way to it from ``root``.

    In an undirected graph the dominators of a node are the cut vertices between it and the root, so one depth-first
    walk with low points (Hopcroft & Tarjan 1973, Algorithm 447) finds them in linear time.

    Args:
        start, neighbour: node v's neighbours are neighbour[start[v]:start[v + 1]].
        root: a node.

    Returns:
        (nodes,) int64, the immediate dominator; root for the root.
    """
    num = len(start) - 1
    parent = np.full(num, -1, np.int64)
    found = np.full(num, -1, np.int64)
    low = np.zeros(num, np.int64)
    at = start[:-1].copy()
    order = np.empty(num, np.int64)
    stack = np.empty(num, np.int64)
    parent[root], found[root], stack[0], depth, count = root, 0, root, 1, 1
    order[0] = root
    while depth:
        node = stack[depth - 1]
        if at[node] < start[node + 1]:
            other = neighbour[at[node]]
            at[node] += 1
            if found[other] < 0:
                parent[other], found[other], low[other] = node, count, count
                order[count], stack[depth] = other, other
                count, depth = count + 1, depth + 1
            elif other != parent[node]:
                low[node] = min(low[node], found[other])
        else:
            depth -= 1
            if node != root:
                low[parent[node]] = min(low[parent[node]], low[node])
    enclosing = np.full(num, root, np.int64)
    for i in range(1, count):
        node = order[i]
        enclosing[node] = parent[node] if low[node] >= found[parent[node]] else enclosing[parent[node]]
    return enclosing


@compiled
def encloses(enclosing, root, outer, inner):  # type: ignore[no-untyped-def]
    """(P,) bool, whether outer[i] is on the way up from inner[i] to the root of a tree given by its parents."""
    result = np.zeros(len(outer), np.bool_)
    for i in range(len(outer)):
        node = enclosing[inner[i]]
        while node != root and node != outer[i]:
            node = enclosing[node]
        result[i] = node == outer[i]
    return result


@compiled
def gaps(a, b, limit, box, start, y, left, right):  # type: ignore[no-untyped-def]
    """(P,) float64 least Euclidean distance between pixel squares of regions a[i] and b[i]; inf if not below limit[i].

    Args:
        a, b: (P,) rows.
        limit: (P,) float64 pixels.
        box: (M, 4) x0, y0, x1, y1.
        start, y, left, right: runs by region, then from the top and the left; region r has start[r] … start[r + 1] − 1.
    """
    result = np.empty(len(a))
    for i in range(len(a)):
        few, many = a[i], b[i]
        if start[few + 1] - start[few] > start[many + 1] - start[many]:
            few, many = many, few
        best = limit[i] * limit[i]
        mx0, my0, mx1, my1 = box[many]
        # From the end that lies towards the other region: the sooner the gap is short, the more runs can be left out.
        upwards = box[few, 1] + box[few, 3] < my0 + my1
        for step in range(start[few + 1] - start[few]):
            run = start[few + 1] - 1 - step if upwards else start[few] + step
            row, x0, x1 = y[run], left[run], right[run]
            dy = max(my0 - row - 1, row - my1, 0)
            dx = max(mx0 - x1, x0 - mx1, 0)
            if dx * dx + dy * dy >= best:
                continue
            low, high = start[many], start[many + 1]
            while low < high:
                middle = (low + high) // 2
                if y[middle] < row:
                    low = middle + 1
                else:
                    high = middle
            other = low
            while other < start[many + 1]:
                dy = max(y[other] - row - 1, 0)
                if dy * dy >= best:
                    break
                dx = max(left[other] - x1, x0 - right[other], 0)
                best = min(best, dx * dx + dy * dy)
                other += 1
            other = low - 1
            while other >= start[many]:
                dy = row - y[other] - 1
                if dy * dy >= best:
                    break
                dx = max(left[other] - x1, x0 - right[other], 0)
                best = min(best, dx * dx + dy * dy)
                other -= 1
            if best == 0:
                break
        result[i] = math.sqrt(best) if best < limit[i] * limit[i] else np.inf
    return result


@compiled
def between(start, partner, closeness, centroid, label, thing, straight, most):  # type: ignore[no-untyped-def]
    """For each region the ``most`` strongest pairs of partners that it lies between.

    Args:
        start, partner, closeness: region a's partners are partner[start[a]:start[a + 1]], each with 0…1.
        centroid: (M, 2).
        label: (M,); thing: (M,) bool.
        straight: degrees from which on the directions to two partners are opposite.
        most: for each region.

    Returns:
        (B, 3) int64 region, one side, other side (one < other), and (B, 2) float64 strength and degrees.
    """
    num = len(start) - 1
    rows = np.empty((num * most, 3), np.int64)
    values = np.empty((num * most, 2))
    count = 0
    for a in range(num):
        begin = count
        for p in range(start[a], start[a + 1]):
            for q in range(start[a], start[a + 1]):
                b, c = partner[p], partner[q]
                if b >= c or not ((thing[b] and thing[c]) or label[b] == label[c]):
                    continue
                bx, by = centroid[b, 0] - centroid[a, 0], centroid[b, 1] - centroid[a, 1]
                cx, cy = centroid[c, 0] - centroid[a, 0], centroid[c, 1] - centroid[a, 1]
                if min(bx * bx + by * by, cx * cx + cy * cy) < 1e-12:  # the same centroid: in no direction
                    continue
                angle = abs(math.degrees(math.atan2(bx * cy - by * cx, bx * cx + by * cy)))
                strength = (angle - straight) / (180 - straight) * min(closeness[p], closeness[q])
                # To four digits, as they are shown: mirrored scenes then tie alike.
                strength = round(strength * 1e4) / 1e4
                if strength <= 0:
                    continue
                place = count
                while place > begin:
                    above = values[place - 1, 0]
                    ahead = rows[place - 1, 1] < b or (rows[place - 1, 1] == b and rows[place - 1, 2] < c)
                    if above > strength or (above == strength and ahead):
                        break
                    place -= 1
                if place - begin >= most:
                    continue
                count = min(count + 1, begin + most)
                for k in range(count - 1, place, -1):
                    rows[k], values[k] = rows[k - 1], values[k - 1]
                rows[place, 0], rows[place, 1], rows[place, 2] = a, b, c
                values[place, 0], values[place, 1] = strength, angle
    return rows[:count], values[:count]

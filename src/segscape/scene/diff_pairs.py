"""Which region of one scene is which of another one.

First, regions of one class whose masks have an IoU of at least `KEPT_IOU` are paired so that the sum of their IoUs is
greatest (an optimal assignment). Then things that are left over are paired within their class if they are at most
`FAR_WIDTHS` of their widths apart and neither is over `SIZE_RATIO` times as large as the other, again so that the sum
of the closenesses, 1 − distance / limit, is greatest. A width is the square root of an area, of two regions the
geometric mean of theirs. The two scenes have equal parts in all of this: exchanged, they give the same pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segscape.scene.scene import Scene, SceneRegion

KEPT_IOU = 0.1
FAR_WIDTHS, SIZE_RATIO = 3.0, 2.0


def pair_regions(before: Scene, after: Scene) -> list[tuple[int, int, float]]:
    """(id before, id after, IoU) of the regions that are in both scenes, by the id after; classes go by their names."""
    # Of several best assignments one is taken by the order of the scenes; so that order must not be the caller's.
    if _signature(after) < _signature(before):
        return sorted(((j, i, iou) for i, j, iou in pair_regions(after, before)), key=lambda pair: pair[1])
    i, j, shared = _overlaps(before, after)
    same = np.array([before.regions[a].name == after.regions[b].name for a, b in zip(i, j, strict=True)], bool)
    i, j, shared = i[same], j[same], shared[same]
    areas = [np.array([region.area_px for region in scene.regions], np.int64) for scene in (before, after)]
    iou = shared / (areas[0][i] + areas[1][j] - shared)
    ious = {(int(a), int(b)): float(value) for a, b, value in zip(i, j, iou, strict=True)}
    enough = iou >= KEPT_IOU
    pairs = _assigned(i[enough], j[enough], iou[enough])
    firsts, seconds = {a for a, _ in pairs}, {b for _, b in pairs}
    left_over = [
        [k for k, region in enumerate(scene.regions) if k not in used and scene.label_set[region.label].thing]
        for scene, used in ((before, firsts), (after, seconds))
    ]
    pairs += _assigned(*_close(before.regions, after.regions, *left_over))
    return sorted(((a + 1, b + 1, ious.get((a, b), 0.0)) for a, b in pairs), key=lambda pair: pair[1])


def width(a: SceneRegion, b: SceneRegion) -> float:
    """The width of two regions in pixels, the geometric mean of the square roots of their areas."""
    return (a.area_px * b.area_px) ** 0.25


def _signature(scene: Scene) -> list[tuple[Any, ...]]:
    return [(r.name, scene.label_set[r.label].thing, r.box, r.mask.counts.tobytes()) for r in scene.regions]


def _overlaps(before: Scene, after: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of regions that share pixels: their places in the two scenes, and how many (each (P,) int64).

    The regions of a scene do not overlap, so their spans cut the image's columns into pieces; laying the cuts of both
    scenes over one another gives all pairs at once, in time linear in the spans but for sorting them.
    """
    sides = [_spans(scene) for scene in (before, after)]
    cuts = np.unique(np.concatenate([edge for starts, ends, _ in sides for edge in (starts, ends)]))
    if len(cuts) < 2:
        none = np.zeros(0, np.int64)
        return none, none, none
    lengths = np.diff(cuts)
    owners = []
    for starts, ends, owner in sides:
        at = np.searchsorted(starts, cuts[:-1], "right") - 1
        inside = (at >= 0) & (cuts[:-1] < ends[at]) if len(starts) else np.zeros(len(lengths), bool)
        owners.append(np.where(inside, owner[at] if len(starts) else 0, -1))
    both = (owners[0] >= 0) & (owners[1] >= 0)
    codes, index = np.unique(owners[0][both] * len(after.regions) + owners[1][both], return_inverse=True)
    shared = np.zeros(len(codes), np.int64)
    np.add.at(shared, index, lengths[both])
    return codes // len(after.regions), codes % len(after.regions), shared


def _spans(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends (pixel numbers column by column) and owners (places in ``regions``) of all vertical spans."""
    height = scene.size[0]
    starts, ends, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for place, region in enumerate(scene.regions):
        x, y0, y1 = region.mask.column_spans()
        offset = (x + region.box[0]) * height + region.box[1]
        starts.append(offset + y0)
        ends.append(offset + y1)
        owners.append(np.full(len(x), place))
    order = np.argsort(np.concatenate(starts), kind="stable")
    return np.concatenate(starts)[order], np.concatenate(ends)[order], np.concatenate(owners)[order]


def _close(
    before: Sequence[SceneRegion], after: Sequence[SceneRegion], first: Sequence[int], second: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the regions at ``first`` and ``second`` those of one class that may be one thing: places and closeness."""
    from scipy.spatial import KDTree

    found: list[tuple[int, int, float]] = []
    for name in sorted({before[k].name for k in first} & {after[k].name for k in second}):
        here, there = [k for k in first if before[k].name == name], [k for k in second if after[k].name == name]
        widest = max(before[k].area_px for k in here) ** 0.25 * max(after[k].area_px for k in there) ** 0.25
        trees = KDTree([before[k].centroid for k in here]), KDTree([after[k].centroid for k in there])
        for p, others in enumerate(trees[0].query_ball_tree(trees[1], FAR_WIDTHS * widest)):
            for q in sorted(others):
                a, b = before[here[p]], after[there[q]]
                closeness = 1 - math.dist(a.centroid, b.centroid) / (FAR_WIDTHS * width(a, b))
                alike = max(a.area_px, b.area_px) <= SIZE_RATIO * min(a.area_px, b.area_px)
                if closeness > 0 and alike:
                    found.append((here[p], there[q], closeness))
    i, j, closeness = zip(*found, strict=True) if found else ((), (), ())
    return np.array(i, np.int64), np.array(j, np.int64), np.array(closeness, float)


def _assigned(i: np.ndarray, j: np.ndarray, gain: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (i, j) out of the candidates, each i and each j once, whose gains, all above 0, have the greatest sum."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(i):
        return []
    rows, row = np.unique(i, return_inverse=True)
    columns, column = np.unique(j, return_inverse=True)
    count = len(rows) + len(columns)
    # Regions that share no candidate do not compete: many small problems, not one that grows with the square.
    _, group = connected_components(coo_array((gain, (row, column + len(rows))), (count, count)), directed=False)
    pairs: list[tuple[int, int]] = []
    order = np.argsort(group[row], kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(group[row][order])) + 1):
        own_rows, r = np.unique(row[part], return_inverse=True)
        own_columns, c = np.unique(column[part], return_inverse=True)
        table = np.zeros((len(own_rows), len(own_columns)))
        table[r, c] = gain[part]
        for a, b in zip(*linear_sum_assignment(table, maximize=True), strict=True):
            if table[a, b] > 0:
                pairs.append((int(rows[own_rows[a]]), int(columns[own_columns[b]])))
    return pairs

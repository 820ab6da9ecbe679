"""Relations of place: directions, near, between. Which pairs are looked at at all is decided here, too."""

from __future__ import annotations

import numpy as np

from segscape.scene.measures import Borders, Measures
from segscape.scene.region_kernels import sorted_runs
from segscape.scene.relation_kernels import between as between_kernel
from segscape.scene.relation_kernels import gaps
from segscape.scene.relation_table import DIGITS, Family
from segscape.scene.run_map import RunMap

NEAREST = 11
"""Neighbours by centroid that each region is compared with: in a scene of up to twelve, every other one."""
FEW_NEIGHBOURS = 8
"""Regions that lie across a third one are compared if that one has so few neighbours: a pole, a strip, an outline."""
OVERLAP = 0.25
"""Of the lesser extent; more, and one would not say that the one lies beside the other but that they pass."""
STRAIGHT_DEG = 150.0
"""From here to 180° two directions are opposite."""
PARTNERS = 16
"""Regions touching or near one, the closest first, of which "between" tries the pairs."""
SIDE_RATIO = 0.1
"""Of a region's area; what is smaller is at its edge, and not a side that it has."""
BETWEEN = 2
"""Pairs kept for each region between them."""


def candidates(measures: Measures, borders: Borders, thing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of named regions that directions and nearness are measured for, in time n log n.

    Those with a border in common; those with a common neighbour, named or not, that has `FEW_NEIGHBOURS` at most; each
    region and the `NEAREST` by centroid, among all regions and among things alone.

    Args:
        thing: (N,) bool.

    Returns:
        first, second (P,) int64 rows, first < second, ascending; touching (P,) bool.
    """
    num, total = measures.num_regions, len(measures.label)
    border = borders.first.astype(np.int64) * total + borders.second
    keys = [border, _across(borders, total)]
    for rows in (np.arange(num), np.flatnonzero(thing)):
        keys.append(_nearest(measures.centroid, rows, total))
    key = np.unique(np.concatenate(keys))
    first, second = key // total, key % total
    named = second < num
    key, first, second = key[named], first[named], second[named]
    return first, second, np.isin(key, border, assume_unique=True)


def _nearest(centroid: np.ndarray, rows: np.ndarray, total: int) -> np.ndarray:
    from scipy.spatial import KDTree

    if len(rows) < 2:
        return np.empty(0, np.int64)
    if len(rows) <= NEAREST + 1:
        i, j = np.triu_indices(len(rows), 1)
        return rows[i] * total + rows[j]
    _, found = KDTree(centroid[rows]).query(centroid[rows], NEAREST + 1)
    a, b = np.repeat(rows, NEAREST + 1), rows[found].ravel()
    low, high = np.minimum(a, b), np.maximum(a, b)
    return (low * total + high)[low < high]


def _across(borders: Borders, total: int) -> np.ndarray:
    middle = np.concatenate((borders.first, borders.second)).astype(np.int64)
    end = np.concatenate((borders.second, borders.first)).astype(np.int64)
    degree = np.bincount(middle, minlength=total)
    few = degree[middle] <= FEW_NEIGHBOURS
    order = np.lexsort((end[few], middle[few]))
    middle, end = middle[few][order], end[few][order]
    pairs = [  # of neighbours of one region, those so many places apart in its list
        end[:-step][same] * total + end[step:][same]
        for step in range(1, FEW_NEIGHBOURS)
        if (same := middle[:-step] == middle[step:]).any()
    ]
    return np.concatenate(pairs) if pairs else np.empty(0, np.int64)


def directions(measures: Measures, first: np.ndarray, second: np.ndarray) -> tuple[Family, Family]:
    """a left_of b, a above b: by centroids within 45°, and without passing each other.

    With (dx, dy) from a's centroid to b's, φ the angle between it and the x axis, and overlap the share of the lesser
    box width that both boxes cover: a is left of b where

        dx > |dy|  and  overlap ≤ `OVERLAP`;  strength = (1 − overlap) · cos 2φ,

    which falls to 0 at 45°. Above likewise with y and heights. A pair has one of the four directions at most.
    Evidence: angle_deg of (dx, dy), counter-clockwise as seen, −180 < … ≤ 180; box_gap_px, columns (rows) free between
    the boxes; overlap.

    Args:
        first, second: (P,) rows to compare.
    """
    delta = measures.centroid[second] - measures.centroid[first]
    families = []
    for axis, predicate in ((0, "left_of"), (1, "above")):
        forward = delta[:, axis] > 0
        a, b = np.where(forward, first, second), np.where(forward, second, first)
        along, across = np.abs(delta[:, axis]), np.abs(delta[:, 1 - axis])
        low, high = measures.box[:, axis].astype(np.int64), measures.box[:, axis + 2].astype(np.int64)
        common = np.minimum(high[a], high[b]) - np.maximum(low[a], low[b])
        overlap = np.maximum(common, 0) / np.minimum(high[a] - low[a], high[b] - low[b])
        square = np.maximum(along**2 + across**2, 1e-12)  # two regions may have one centroid
        strength = (1 - overlap) * (along**2 - across**2) / square
        # By what is shown of the strength: at 45° the last bits of two means must not decide.
        kept = np.flatnonzero((np.round(strength, DIGITS) > 0) & (overlap <= OVERLAP))
        seen = np.where(forward, 1.0, -1.0)[kept, None] * delta[kept]
        angle = np.degrees(np.arctan2(-seen[:, 1], seen[:, 0]))
        families.append(
            Family(
                predicate,
                a[kept],
                b[kept],
                strength[kept],
                {"angle_deg": angle, "box_gap_px": np.maximum(-common[kept], 0), "overlap": overlap[kept]},
                {"angle_deg": np.where(angle > 0, angle - 180, angle + 180)},
            )
        )
    return families[0], families[1]


def near(measures: Measures, run_map: RunMap, first: np.ndarray, second: np.ndarray) -> Family:
    """a near b: not touching, and closer than they are wide.

    gap(a, b) = least Euclidean distance between a pixel square of a and one of b; width(a, b) = (area(a) · area(b))^¼,
    the geometric mean of the sides of squares of their sizes. a is near b where they have no border in common and

        gap(a, b) < width(a, b);  strength = 1 − gap / width.

    Evidence: gap_px; gap_widths = gap / width.

    Args:
        first, second: (P,) rows to compare that do not touch.
    """
    width = np.sqrt(np.sqrt(measures.area_px[first].astype(float)) * np.sqrt(measures.area_px[second].astype(float)))
    low, high = measures.box[:, :2].astype(np.int64), measures.box[:, 2:].astype(np.int64)
    apart = np.maximum(0, np.maximum(low[first] - high[second], low[second] - high[first]))
    close = np.flatnonzero((apart**2).sum(axis=1) < width**2)
    first, second, width = first[close], second[close], width[close]
    start, order = sorted_runs(run_map.region, len(measures.label))
    gap = gaps(first, second, width, measures.box, start, run_map.y[order], run_map.x0[order], run_map.x1[order])
    kept = np.flatnonzero(gap < width)
    gap, width = gap[kept], width[kept]
    return Family("near", first[kept], second[kept], 1 - gap / width, {"gap_px": gap, "gap_widths": gap / width})


def between(measures: Measures, touching: tuple[np.ndarray, np.ndarray], close: Family, thing: np.ndarray) -> Family:
    """a between b and c: they lie on opposite sides of it, touching it or near it.

    b and c are both things, or of one class, and neither is smaller than `SIDE_RATIO` times a. With α the angle between
    the directions from a's centroid to theirs, and closeness 1 for what touches a and the strength of "near" for what
    is near it: a is between b and c where

        α > `STRAIGHT_DEG`;  strength = (α − `STRAIGHT_DEG`) / (180 − `STRAIGHT_DEG`) · min(closeness(b), closeness(c)).

    For each region the strongest `BETWEEN` pairs are kept, object < other; of its surroundings the closest `PARTNERS`
    are tried. Evidence: angle_deg = α.

    Args:
        touching: pairs of rows with a border in common, each once.
        close: of `near`.
        thing: (M,) bool.
    """
    a = np.concatenate((touching[0], touching[1], close.subject, close.object))
    b = np.concatenate((touching[1], touching[0], close.object, close.subject))
    closeness = np.concatenate((np.ones(2 * len(touching[0])), close.strength, close.strength))
    num, area = measures.num_regions, measures.area_px
    side = area[b] >= SIDE_RATIO * area[a]
    a, b, closeness = a[side], b[side], closeness[side]
    order = np.lexsort((b, -closeness, a))
    a, b, closeness = a[order], b[order], closeness[order]
    start = np.concatenate(([0], np.cumsum(np.bincount(a, minlength=num))))
    kept = np.arange(len(a)) - start[a] < PARTNERS
    start = np.concatenate(([0], np.cumsum(np.bincount(a[kept], minlength=num))))
    rows, values = between_kernel(
        start, b[kept], closeness[kept], measures.centroid, measures.label, thing, STRAIGHT_DEG, BETWEEN
    )
    return Family("between", rows[:, 0], rows[:, 1], values[:, 0], {"angle_deg": values[:, 1]}, other=rows[:, 2])

"""Regions as columns: what was measured of every region of an image, one array a measure.

Row i is region i + 1. The first ``num_regions`` rows are the scene's regions, by falling area; the rows after them are
connected pieces of pixels without a class ("void"), which are never named but lie between regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segscape.scene.border_kernels import sweep
from segscape.scene.region_kernels import extents, hull_areas, sorted_runs, sums_of_powers
from segscape.scene.run_kernels import connect
from segscape.scene.run_map import RunMap

_ROUND = 1e-9  # of its size, by which the shape of a region without a longer axis may miss it in float64


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Of M = regions + void pieces, of which the first ``num_regions`` are regions.

    Attributes:
        size: (height, width) of the image.
        num_regions: N.
        label: (M,) int32 class id, -1 for void.
        single: (M,) bool, one object that a model told apart.
        area_px: (M,) int64.
        box: (M, 4) int32 x0, y0, x1, y1, half-open.
        centroid: (M, 2) float64 x, y of the mean of its pixels' centres (the centre of pixel 0 is 0.5).
        orientation_deg, elongation, perimeter_px, solidity: (M,) float64, as in `SceneRegion`.
        border_px: (M,) int64, pixel edges to anything else, the frame included.
        frame_px: (M, 4) int64 pixel edges on the frame: left, top, right, bottom.
        parts, holes: (M,) int32.
        score: (M,) float64 mean confidence or the detector's score, NaN where there is none.
        color: (M, 3) float64 mean RGB, NaN without a photo.
    """

    size: tuple[int, int]
    num_regions: int
    label: np.ndarray
    single: np.ndarray
    area_px: np.ndarray
    box: np.ndarray
    centroid: np.ndarray
    orientation_deg: np.ndarray
    elongation: np.ndarray
    perimeter_px: np.ndarray
    solidity: np.ndarray
    border_px: np.ndarray
    frame_px: np.ndarray
    parts: np.ndarray
    holes: np.ndarray
    score: np.ndarray
    color: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """The region adjacency graph: every pair of rows of `Measures` that share a pixel edge.

    Attributes:
        first, second: (P,) int32 rows (region id − 1), first < second, each pair once, ascending.
        edges_px: (P, 4) int64, pixel edges of the pair where ``first`` lies left of, above, right of, below ``second``.
    """

    first: np.ndarray
    second: np.ndarray
    edges_px: np.ndarray

    @property
    def length_px(self) -> np.ndarray:
        """(P,) int64, pixel edges in common."""
        return self.edges_px.sum(axis=1)


def measure(
    run_map: RunMap, label: np.ndarray, single: np.ndarray, score: np.ndarray, color: np.ndarray
) -> tuple[Measures, Borders]:
    """Measure every region of a run map, in time linear in its runs.

    The outline's length is the Cauchy–Crofton formula in four directions (Lehmann & Legland 2012, "Efficient
    N-Dimensional surface estimation using Crofton formula and run-length encoding"):
    π/4 · (n₀ + n₉₀ + (n₄₅ + n₁₃₅)/√2), n being how often lines of pixels in a direction enter the region; all outside
    the image is outside the region.

    Holes are pieces − Euler number; the Euler number of 8-connected pixels is their runs − the pairs of them that touch
    between one row and the next. Orientation and elongation are those of the second central moments, each pixel being a
    unit square.

    Args:
        run_map: M regions and void pieces, numbered as rows; regions come before void pieces.
        label: (M,) int32, -1 for void.
        single: (M,) bool.
        score: (M,) float64, NaN where there is none.
        color: (M, 3) float64, NaN without a photo.
    """
    num, width = len(label), run_map.size[1]
    runs = (run_map.first, run_map.x0, run_map.region, width)
    area_px, box = extents(*runs, num)
    within, frame_px, pairs, edges_px = sweep(*runs, num)
    num_runs, below, diagonal, links = within.T
    start, order = sorted_runs(run_map.region, num)
    pieces, num_pieces = connect(*runs, num, num - 1)
    piece_of = np.empty(num_pieces, np.int32)
    piece_of[pieces] = run_map.region
    parts = np.bincount(piece_of, minlength=num).astype(np.int32)
    centroid, orientation_deg, elongation = _axes(sums_of_powers(*runs, num), area_px)
    entries = num_runs + (area_px - below) + (2 * area_px - diagonal) / np.sqrt(2)
    ascending = np.argsort(pairs)
    first, second = np.divmod(pairs[ascending], num)
    measures = Measures(
        size=run_map.size,
        num_regions=int(np.count_nonzero(label >= 0)),
        label=label,
        single=single,
        area_px=area_px,
        box=box,
        centroid=centroid,
        orientation_deg=orientation_deg,
        elongation=elongation,
        perimeter_px=np.pi / 4 * entries,
        solidity=area_px / hull_areas(start, order, run_map.y, run_map.x0, run_map.x1),
        border_px=2 * num_runs + 2 * (area_px - below),
        frame_px=frame_px,
        parts=parts,
        holes=(parts - (num_runs - links)).astype(np.int32),
        score=score,
        color=color,
    )
    return measures, Borders(first.astype(np.int32), second.astype(np.int32), edges_px[ascending])


def _axes(sums: np.ndarray, area_px: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centroid (M, 2), orientation (M,) in degrees and elongation (M,) from sums of x, y, x², xy, y² (M, 5)."""
    # Moved, in exact integers, to a pixel next to the centroid: the moments of a small region far from the origin would
    # be lost in rounding, and a square's would no longer be equal.
    of_x, of_y, of_xx, of_xy, of_yy = sums.T
    x, y = of_x // area_px, of_y // area_px
    of_xx, of_xy, of_yy = (
        of_xx - 2 * x * of_x + x * x * area_px,
        of_xy - x * of_y - y * of_x + x * y * area_px,
        of_yy - 2 * y * of_y + y * y * area_px,
    )
    mean_x, mean_y = (of_x - x * area_px) / area_px, (of_y - y * area_px) / area_px
    xx, yy = of_xx / area_px - mean_x**2 + 1 / 12, of_yy / area_px - mean_y**2 + 1 / 12
    xy = of_xy / area_px - mean_x * mean_y
    spread = np.hypot(xx - yy, 2 * xy)
    is_round = spread < _ROUND * (xx + yy)
    # y points down, hence the minus; + 0.0 makes a -0.0 of it positive, for which arctan2 would say −180 degrees.
    orientation_deg = np.where(is_round, 0.0, np.degrees(np.arctan2(-2 * xy + 0.0, xx - yy)) / 2)
    longer = (xx + yy + spread) / 2
    elongation = np.where(is_round, 1.0, np.sqrt(longer / ((xx * yy - xy**2) / longer)))
    return np.stack((x + mean_x + 0.5, y + mean_y + 0.5), 1), orientation_deg, elongation

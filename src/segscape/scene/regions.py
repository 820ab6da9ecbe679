"""From a `Segmentation` to the regions of its scene: connected pieces of stuff and single objects, measured.

Each pixel belongs to one region or to none ("void"). A region is an 8-connected piece of one class or, where a model
told objects apart, one object. Void falls into 4-connected pieces: it is the ground on which the 8-connected regions
lie. Tiny pieces are merged into their surround first; `segscape.scene.specks` has the rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.masks import RunLengths
from segscape.result import Region, Segmentation
from segscape.scene.colors import color_name
from segscape.scene.measures import Borders, Measures, measure
from segscape.scene.region_kernels import cell_areas, column_counts, extents, sorted_runs
from segscape.scene.run_kernels import connect, joined_runs
from segscape.scene.run_map import RunMap
from segscape.scene.scan import Scan, Tile, scan_segmentation, scan_tiles
from segscape.scene.scene import HORIZON_SHARE, PLACES, SIDES, SceneRegion
from segscape.scene.specks import default_speck_px, merge_specks

# Columns of `Measures` that are a field of `SceneRegion` as they are.
_AS_MEASURED = (
    "single",
    "area_px",
    "orientation_deg",
    "elongation",
    "perimeter_px",
    "border_px",
    "solidity",
    "parts",
    "holes",
)


def regions_of(segmentation: Segmentation, *, min_area_px: int | None = None) -> tuple[RunMap, Measures, Borders]:
    """The regions of what a model saw, measured, in time linear in the pixels.

    With ``single_objects``, each region of a thing is one region of the scene, whatever its parts; where two overlap
    the smaller lies on top, and one that is covered whole is left out. The label map's stuff falls into connected
    pieces; what no region claims is void. A piece's score is the mean of the confidence over its pixels or, without
    one, of the scores of the segmentation's regions that it is made of.

    Args:
        segmentation: of any model.
        min_area_px: connected pieces with fewer pixels are merged into their surround; None takes `default_speck_px`
            of the size; 1 merges nothing.

    Returns:
        The partition; its regions by falling area, then by the top and the left of their boxes, and after them the
        void pieces, in the same order; and which of them share a border.

    Raises:
        InputError: min_area_px is below 1, or the label map holds an id that is neither a class nor the ignore index.
    """
    return _measured(scan_segmentation(segmentation), segmentation.label_set, min_area_px, segmentation.regions)


def regions_of_tiles(
    tiles: Iterable[Tile | tuple[Any, ...]],
    size: tuple[int, int],
    label_set: LabelSet,
    *,
    min_area_px: int | None = None,
) -> tuple[RunMap, Measures, Borders]:
    """The regions of a label map that comes in tiles: the same as those of the whole map, which is never in memory.

    Args:
        tiles: see `segscape.scene.scan.scan_tiles`.
        size: (height, width) of the whole.
        label_set: what the ids mean.
        min_area_px: see `regions_of`.

    Raises:
        InputError: see `regions_of` and `segscape.scene.scan.scan_tiles`.
    """
    return _measured(scan_tiles(tiles, size, label_set), label_set, min_area_px)


def _measured(
    scan: Scan, label_set: LabelSet, min_area_px: int | None, scored: tuple[Region, ...] = ()
) -> tuple[RunMap, Measures, Borders]:
    width = scan.size[1]
    least = default_speck_px(scan.size) if min_area_px is None else min_area_px
    if not isinstance(least, (int, np.integer)) or least < 1:
        raise InputError(f"min_area_px must be a whole number of at least 1, got {least!r}")
    num_labels, num_objects = len(label_set), len(scan.objects)
    piece, num = connect(scan.first, scan.x0, scan.key, width, num_labels, num_labels + num_objects - 1)
    key = np.empty(num, np.int32)
    key[piece] = scan.key
    single = key >= num_labels
    area_px, _ = extents(scan.first, scan.x0, piece, width, num)
    scores = _score_sums(scan, piece, key, area_px, num_labels, scored)

    label = np.where(single, -1, key)
    merged = merge_specks(scan.first, scan.x0, width, piece, label, area_px, least)
    roots, root_of = np.unique(merged, return_inverse=True)
    first, x0, region = joined_runs(scan.first, scan.x0, root_of.astype(np.int32)[piece])
    area_px, box = extents(first, x0, region, width, len(roots))
    of_label = np.array([r.label for r in scan.objects], np.int32)
    label, single = label[roots], single[roots]
    label[single] = of_label[key[roots][single] - num_labels]

    order = np.lexsort((box[:, 0], box[:, 1], -area_px, label < 0))
    row = np.empty(len(order), np.int32)
    row[order] = np.arange(len(order))
    row_of_piece = row[root_of]
    score = _means(*(np.bincount(row_of_piece, of_pieces) for of_pieces in scores))
    color = np.full((len(order), 3), np.nan)
    if scan.color_sum is not None:
        row_of_run = row_of_piece[piece]
        color = np.stack([np.bincount(row_of_run, channel) for channel in scan.color_sum.T], 1) / area_px[order, None]
    label, single = label[order].astype(np.int32), single[order]
    run_map = RunMap(scan.size, first, x0, row[region])
    return run_map, *measure(run_map, label, single, np.clip(score, 0, 1), color)


def _score_sums(
    scan: Scan, piece: np.ndarray, key: np.ndarray, area_px: np.ndarray, num_labels: int, scored: tuple[Region, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each piece, the sum of the scores of its pixels, and how many pixels have one: (P,) float64 each."""
    num = len(key)
    if scan.confidence_sum is not None:
        sums, areas = np.bincount(piece, scan.confidence_sum, num), area_px.astype(float)
    else:
        sums, areas = np.zeros(num), np.zeros(num)
        own = {id(region) for region in scan.objects}
        pieces = [r for r in scored if id(r) not in own]
        for region, place in zip(pieces, piece[_first_runs(scan, pieces)].tolist(), strict=True):
            if region.score is not None and key[place] == region.label:
                sums[place] += region.score * region.area_px
                areas[place] += region.area_px
    objects = np.flatnonzero(key >= num_labels)
    for place, number in zip(objects.tolist(), (key[objects] - num_labels).tolist(), strict=True):
        if (score := scan.objects[number].score) is not None:
            sums[place], areas[place] = score, 1
    return sums, areas


def _first_runs(scan: Scan, regions: list[Region]) -> np.ndarray:
    """(N,) int64: for each region, the run that its first pixel is in."""
    pixel = np.array([int(region.mask.counts[0]) for region in regions], np.int64)
    box = np.array([region.box for region in regions], np.int64).reshape(-1, 4)
    height = box[:, 3] - box[:, 1]
    x, y = box[:, 0] + pixel // height, box[:, 1] + pixel % height
    width = scan.size[1]
    starts = np.repeat(np.arange(scan.size[0]) * width, np.diff(scan.first)) + scan.x0
    return np.searchsorted(starts, y * width + x, "right") - 1


def _means(sums: np.ndarray, areas: np.ndarray) -> np.ndarray:
    return np.divide(sums, areas, out=np.full(len(sums), np.nan), where=areas > 0)


def scene_regions(
    run_map: RunMap, measures: Measures, label_set: LabelSet, ground: np.ndarray
) -> tuple[SceneRegion, ...]:
    """The regions with their masks, places and nearness.

    Args:
        run_map, measures: of `regions_of`.
        label_set: what their labels mean.
        ground: (N,) bool, which regions are ground that things stand on (road, floor). The horizon is the top of the
            highest one that covers at least `HORIZON_SHARE` of the image; without one, and for ground and for what
            ends above the horizon, nearness is None.

    Returns:
        one for each row of ``measures`` but the void ones.
    """
    num, (height, width) = measures.num_regions, measures.size
    if not num:
        return ()
    start, order = sorted_runs(run_map.region, len(measures.label))
    box = measures.box[:num]
    counts, offsets = column_counts(start, order, run_map.y, run_map.x0, run_map.x1, box)
    nearness = _nearness(measures, ground)
    rows, columns = _cell_borders(height), _cell_borders(width)
    cell_y = np.searchsorted(rows[1:3], measures.centroid[:num, 1], "right")
    cell_x = np.searchsorted(columns[1:3], measures.centroid[:num, 0], "right")
    has_color = not np.isnan(measures.color[0, 0])
    of = {name: getattr(measures, name)[:num].tolist() for name in _AS_MEASURED}
    centroid, frame = measures.centroid[:num].tolist(), (measures.frame_px[:num] > 0).tolist()
    label, score = measures.label[:num].tolist(), measures.score[:num].tolist()
    cell, near, at = (3 * cell_y + cell_x).tolist(), nearness.tolist(), offsets.tolist()
    colors = np.rint(measures.color[:num]).astype(int).tolist() if has_color else None
    regions = []
    for i, (x0, y0, x1, y1) in enumerate(box.tolist()):
        color = None if colors is None else (colors[i][0], colors[i][1], colors[i][2])
        region = SceneRegion(
            id=i + 1,
            label=label[i],
            name=label_set[label[i]].name,
            share=of["area_px"][i] / (height * width),
            box=(x0, y0, x1, y1),
            centroid=(centroid[i][0], centroid[i][1]),
            place=PLACES[cell[i]],
            frame=tuple(side for side, touched in zip(SIDES, frame[i], strict=True) if touched),
            nearness=_or_none(near[i]),
            confidence=_or_none(score[i]),
            color=color,
            color_name=None if color is None else color_name(color),
            mask=RunLengths((y1 - y0, x1 - x0), counts[at[i] : at[i + 1]]),
            **{name: values[i] for name, values in of.items()},
        )
        regions.append(region)
    return tuple(regions)


def layout_of(run_map: RunMap, measures: Measures, label_set: LabelSet) -> dict[str, dict[str, float]]:
    """What is where: for each of `PLACES`, its classes' names and their shares of the cell, largest first.

    Cells begin at ⌊k · height / 3⌋ and ⌊k · width / 3⌋; void is left out, and so is all in a cell without pixels.
    """
    height, width = measures.size
    rows, columns = _cell_borders(height), _cell_borders(width)
    label = measures.label[run_map.region]
    areas = cell_areas(run_map.first, run_map.x0, label, rows, columns, len(label_set))
    sizes = np.outer(np.diff(rows), np.diff(columns)).ravel()
    return {
        place: {
            label_set[i].name: float(areas[cell, i] / sizes[cell])
            for i in np.argsort(-areas[cell], kind="stable").tolist()
            if areas[cell, i]
        }
        for cell, place in enumerate(PLACES)
    }


def _cell_borders(length: int) -> np.ndarray:
    return np.arange(4) * length // 3


def _nearness(measures: Measures, ground: np.ndarray) -> np.ndarray:
    """(N,) float64, 0…1, NaN where there is none."""
    num, (height, width) = measures.num_regions, measures.size
    wide = ground & (measures.area_px[:num] >= HORIZON_SHARE * height * width)
    if not wide.any():
        return np.full(num, np.nan)
    horizon = measures.box[:num][wide, 1].min()
    bottom = measures.box[:num, 3]
    return np.where(ground | (bottom <= horizon), np.nan, (bottom - horizon) / (height - horizon))


def _or_none(value: float) -> float | None:
    return None if value != value else value

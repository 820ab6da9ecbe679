"""Objects of a picture of any size: found tile by tile, joined, and written without all of them being in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segscape.bigimage import WindowedImage
from segscape.bigimage.object_parts import ObjectParts, PackedObjects
from segscape.errors import ResourceError
from segscape.predict.objects import detect, object_regions, warn_if_full, watershed_regions
from segscape.predict.tiling.fitting import OutOfMemory, keep_plan, kept_plan, no_smaller, until_it_fits
from segscape.predict.tiling.join import JoinedObjects
from segscape.predict.tiling.memory import give_back_freed, measured_bytes_per_pixel, peak_bytes, resident_bytes
from segscape.predict.tiling.plan import ALIGN, FIXED_BYTES, TilePlan
from segscape.predict.tiling.source import Tile, TileSource
from segscape.preprocess import Preprocess
from segscape.progress import Progress
from segscape.result import Region
from segscape.runtime.inference import run_network

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor

OBJECT_MARGIN = 64
"""Of tiles, where none is given; they overlap by twice that and 64. Objects that are smaller are seen whole by one."""

_USUAL_SIDE = 768  # a network gives so many objects at most (Mask R-CNN here 500), which larger tiles might hold


def find_objects(
    predictor: Predictor,
    image: WindowedImage,
    target: Path,
    parts: ObjectParts,
    *,
    budget: int,
    tile: tuple[int, int] | None,
    margin: int | None,
    min_score: float,
    vectors: Path | None,
    progress: Progress,
    order: Callable[[int], Sequence[int]],
) -> tuple[TilePlan, int | None, np.ndarray, int]:
    """Write the map of objects, (H, W) uint32 ids from 1 and 0 elsewhere, and if asked for their outlines.

    Args:
        parts: where the objects of finished tiles go.
        min_score: objects of lower scores are left out.
        predictor, image, target, budget, tile, margin, vectors, progress, order: see
            `segscape.predict.tiling.huge.predict_huge`.

    Returns:
        the tiles, the bytes of memory predicted (None where a tile size was given), pixels by class id, and the number
        of objects.

    Raises:
        ResourceError: out of memory with the smallest tiles, or the disk is full.
    """
    labels = predictor.card.result_labels
    margin = OBJECT_MARGIN if margin is None else margin
    plan, predicted = kept_plan(parts, image.size, budget) or _plan(predictor, image.size, budget, tile, margin)

    def all_tiles(plan: TilePlan) -> None:
        if parts.state.get("tile") != list(plan.tile):
            parts.clear()  # the objects of other tiles
        keep_plan(parts, plan, predicted)
        _all_tiles(predictor, image, plan, parts, min_score, progress, order)

    plan = until_it_fits(all_tiles, plan, progress)
    joined, areas = JoinedObjects(parts, plan), np.zeros(len(labels), np.int64)
    parts.write_map(target, joined.bands(), image.size, np.dtype(np.uint32), labels, image.georeference)
    for found in joined:
        areas[found.label] += found.mask.area
    if vectors is not None:
        from segscape.bigimage.vectors import write_object_outlines

        write_object_outlines(vectors, joined, labels, image.georeference)
    return plan, predicted, areas, joined.num_objects


def tile_objects(predictor: Predictor, pixels: np.ndarray, min_score: float) -> tuple[Region, ...]:
    """The objects of a tile (h, w, 3) uint8 at the picture's own scale, times the model's zoom."""
    card, preprocess = predictor.card, _own_scale(predictor)
    if card.task == "instance":
        found = detect(predictor.object_engine, preprocess, pixels)
        warn_if_full(found, card, min_score, "in a tile")
        size = (pixels.shape[0], pixels.shape[1])
        return object_regions(found, size, min_score, overlap=card.objects.get("overlap", True))
    return watershed_regions(run_network(predictor.score_engine, preprocess, pixels), card, min_score)


def _own_scale(predictor: Predictor) -> Preprocess:
    return replace(predictor.card.preprocess, long_side=None, short_side=None)


def _plan(
    predictor: Predictor, size: tuple[int, int], budget: int, tile: tuple[int, int] | None, margin: int
) -> tuple[TilePlan, int | None]:
    """The largest tiles, from what the model saw in training down, that stay within the budget; and their bytes."""
    at_once = predictor.engine.concurrency
    if tile is not None:
        return TilePlan(size, tile, margin, at_once=at_once), None
    if predictor.card.task == "instance":
        per_pixel = predictor.object_engine.bytes_per_pixel
    else:
        per_pixel = measured_bytes_per_pixel(predictor.score_engine, budget, size[0] * size[1])
    least = 2 * margin + 2 * ALIGN
    side = max(least, -(-(predictor.card.preprocess.long_side or _USUAL_SIDE) // ALIGN) * ALIGN)
    while True:
        plan = TilePlan(size, (side, side), margin, at_once=at_once)
        try:
            needed = _needed_bytes(predictor, plan, per_pixel, budget)
        except (ResourceError, MemoryError) as error:
            if side == least:
                raise no_smaller(plan, error) from error
        else:
            if needed is None or needed <= budget:
                return plan, needed
            if side == least:
                raise ResourceError(
                    f"tiles of {side} × {side} need about {needed / 1e6:.0f} MB of memory, and {budget / 1e6:.0f} MB "
                    "are allowed; raise --max-memory"
                )
        side = max(least, side // 2 // ALIGN * ALIGN)


def _needed_bytes(predictor: Predictor, plan: TilePlan, per_pixel: float, budget: int) -> int | None:
    """What finding and writing take at their highest, from a tile of noise; None where the system cannot say.

    Not even tried where what the network takes by the pixel is more than the budget.
    """
    height, width = _own_scale(predictor).network_size(plan.tile)
    network = int(per_pixel * height * width * plan.at_once)
    if network > budget:
        return network
    before = resident_bytes()
    pixels = np.random.default_rng(0).integers(0, 256, (*plan.tile, 3), np.uint8)
    peak = peak_bytes(lambda: tile_objects(predictor, pixels, 0.0))
    give_back_freed()
    if before is None or peak is None:
        return None
    written = plan.size[1] * 4 * 4 * 512  # a row of the TIFF's tiles, padded, and of its overviews
    return max(int(1.15 * plan.at_once * (peak - before)), written) + FIXED_BYTES


def _all_tiles(
    predictor: Predictor,
    image: WindowedImage,
    plan: TilePlan,
    parts: ObjectParts,
    min_score: float,
    progress: Progress,
    order: Callable[[int], Sequence[int]],
) -> None:
    """Find the objects of the tiles that are not done, as many tiles at once as the engine has use for."""
    shape = (len(plan.rows), len(plan.columns))
    places = [(row, column) for row in range(shape[0]) for column in range(shape[1])]
    done = {place for place in places if place in parts}

    def work(tile: Tile) -> None:
        offset = (plan.rows[tile.row][0], plan.columns[tile.column][0])
        try:
            found = PackedObjects.of(tile_objects(predictor, tile.pixels, min_score), offset)
        except (ResourceError, MemoryError) as error:
            raise OutOfMemory(str(error)) from error
        parts.put((tile.row, tile.column), found)  # beyond the try: a full disk is no lack of memory

    source = TileSource(image, plan)
    with ThreadPoolExecutor(plan.at_once, "objects") as pool, closing(source.tiles(0, order, done)) as tiles:
        waiting: deque[Future[None]] = deque()
        try:
            for tile in progress.track(tiles, len(places), "predict", done=len(done)):
                waiting.append(pool.submit(work, tile))
                if len(waiting) > plan.at_once:
                    waiting.popleft().result()
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

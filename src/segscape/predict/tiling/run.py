"""The tiles of one picture through the network, row by row, until all rows are on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from segscape.bigimage import WindowedImage
from segscape.bigimage.label_bands import LabelBands
from segscape.errors import ResourceError
from segscape.predict.tiling.blend import Blender
from segscape.predict.tiling.fitting import OutOfMemory, keep_plan, until_it_fits
from segscape.predict.tiling.memory import OneSizeAtATime
from segscape.predict.tiling.plan import TilePlan
from segscape.predict.tiling.source import Tile, TileSource
from segscape.preprocess import Preprocess
from segscape.progress import Progress
from segscape.runtime.engine import Engine
from segscape.runtime.inference import checked_scores

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor


_BAND_ROWS = 64
Scored = tuple[int, int, np.ndarray]
"""Row and column of a tile, and its scores (C, h, w)."""


@dataclass(frozen=True, slots=True)
class TileRun:
    """One picture on its way through the network.

    Attributes:
        predictor: of a model that makes label maps.
        image: the picture.
        bands: where finished rows go.
        shrink: pixels of the picture to one of the network's, on each axis.
        progress: reports tiles.
        order: of the tiles in a row of so many.
    """

    predictor: Predictor
    image: WindowedImage
    bands: LabelBands
    shrink: int
    progress: Progress
    order: Callable[[int], Sequence[int]]

    def all_rows(self, plan: TilePlan, predicted: int | None) -> TilePlan:
        """Do the rows that are not done; with smaller tiles when memory runs out. The plan that held in the end."""

        def rows(plan: TilePlan) -> None:
            if self.bands.rows_done < self.image.size[0]:
                keep_plan(self.bands, plan, predicted)
                self._rows(plan)

        return until_it_fits(rows, plan, self.progress)

    def _rows(self, plan: TilePlan) -> None:
        engine, labels = self.predictor.score_engine, self.predictor.card.label_set
        blender = Blender(
            plan,
            len(labels),
            engine.stride,
            self.image.size,
            shrink=self.shrink,
            rows_done=self.bands.rows_done,
        )
        columns, first = len(plan.columns), blender.first_row
        source = TileSource(self.image, plan, self.shrink)

        def work(scores: Iterator[Scored]) -> Iterator[None]:
            begun = -1
            for row, column, logits in scores:
                if row != begun:
                    blender.begin(row)
                    begun = row
                complete = blender.add(row, column, logits)
                del logits  # while the next are waited for
                if complete:
                    for band in blender.finish(row):
                        self.bands.append(band)
                yield

        # Closed here: a thread pool that the garbage collector ends may be ended while a thread starts, which then
        # never does (threading's lock of shutdowns is held by both).
        with (
            closing(source.tiles(first, self.order)) as tiles,
            closing(self._scores(engine, plan, tiles)) as scores,
        ):
            for _ in self.progress.track(work(scores), len(plan.rows) * columns, "predict", done=first * columns):
                pass

    def _scores(self, engine: Engine, plan: TilePlan, tiles: Iterator[Tile]) -> Generator[Scored, None, None]:
        """The scores of tiles, in their order.

        As many batches as the plan says are in the network at once; while they are, the one after them is read, and
        what comes out is worked on.
        """
        waiting: deque[tuple[list[tuple[int, int]], Future[np.ndarray]]] = deque()
        run = OneSizeAtATime(engine, plan.at_once)
        with ThreadPoolExecutor(plan.at_once, "network") as pool:
            try:
                for batch in _batches(tiles, plan.batch):
                    future = pool.submit(self._run, run, [tile.pixels for tile in batch])
                    waiting.append(([(tile.row, tile.column) for tile in batch], future))
                    del batch, future
                    if len(waiting) > plan.at_once:
                        yield from _done(*waiting.popleft())
                while waiting:
                    yield from _done(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _run(self, run: OneSizeAtATime, tiles: list[np.ndarray]) -> np.ndarray:
        preprocess = replace(self.predictor.card.preprocess, long_side=None, short_side=None, zoom=1.0)
        try:
            logits = run(network_input(preprocess, tiles))
        except (ResourceError, MemoryError) as error:
            raise OutOfMemory(str(error)) from error
        checked_scores(logits, (tiles[0].shape[0], tiles[0].shape[1]))
        return logits


def network_input(preprocess: Preprocess, tiles: list[np.ndarray]) -> np.ndarray:
    """Tiles (h, w, 3) uint8 of one size as the (N, 3, h, w) float32 that `Preprocess.batch` makes of each.

    By table, since there are but 256 levels: several times as fast, and without copies of the tile's size.
    """
    height, width = tiles[0].shape[:2]
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    table = preprocess.batch(levels)[0, :, 0]
    out = np.empty((len(tiles), 3, height, width), np.float32)
    for pixels, into in zip(tiles, out, strict=True):
        for channel, plane in enumerate(into):
            for y in range(0, height, _BAND_ROWS):
                rows = pixels[y : y + _BAND_ROWS, :, channel]
                np.take(table[channel], rows, out=plane[y : y + _BAND_ROWS], mode="clip")
    return out


def _batches(tiles: Iterator[Tile], most: int) -> Iterator[list[Tile]]:
    """Tiles that follow one another and have one size, together."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) == most or batch[0].pixels.shape != tile.pixels.shape):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def _done(places: list[tuple[int, int]], future: Future[np.ndarray]) -> Iterator[Scored]:
    scores = future.result()
    del future
    for number, (row, column) in enumerate(places):
        yield row, column, scores[number]

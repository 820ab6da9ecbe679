"""The tiles of one picture through the network, row by row, until all rows are on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from segscape.bigimage import WindowedImage
from segscape.bigimage.label_bands import LabelBands
from segscape.errors import ModelError, ResourceError
from segscape.predict.tiling_blend import Blender
from segscape.predict.tiling_plan import TilePlan
from segscape.predict.tiling_source import TileSource
from segscape.progress import Progress
from segscape.runtime.engine import Engine

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor


class _OutOfMemory(Exception):
    """The network's, which smaller tiles may help."""


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
        while self.bands.rows_done < self.image.size[0]:
            self.bands.keep(tile=plan.tile, margin=plan.margin, batch=plan.batch, predicted_bytes=predicted)
            try:
                self._rows(plan)
            except _OutOfMemory as error:
                smaller = plan.halved()
                if smaller is None:
                    raise ResourceError(
                        f"out of memory with tiles of {plan.tile[1]} × {plan.tile[0]} ({error}), and they cannot be "
                        "smaller; close other programs or take a smaller model"
                    ) from error
                self.progress.message(
                    f"out of memory with tiles of {plan.tile[1]} × {plan.tile[0]}: going on with "
                    f"{smaller.tile[1]} × {smaller.tile[0]}"
                )
                plan = smaller
        return plan

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
        source, columns = TileSource(self.image, plan, self.shrink), len(plan.columns)
        first, total = blender.first_row, len(plan.rows) * columns

        def work() -> Iterator[None]:
            for row in range(first, len(plan.rows)):
                blender.begin(row)
                tiles = self._logits(engine, plan, source.row(row, self.order(columns)))
                for done, (column, logits) in enumerate(tiles, start=1):
                    blender.add(row, column, logits)
                    if done == columns:
                        for band in blender.finish(row):
                            self.bands.append(band)
                    yield

        for _ in self.progress.track(work(), total, "predict", done=first * columns):
            pass

    def _logits(
        self, engine: Engine, plan: TilePlan, tiles: Iterator[tuple[int, np.ndarray]]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Column and scores (C, h, w) of each tile; those of one size are given to the network together."""
        waiting: list[tuple[int, np.ndarray]] = []
        for column, pixels in tiles:
            if waiting and (len(waiting) == plan.batch or waiting[0][1].shape != pixels.shape):
                yield from self._batch(engine, waiting)
                waiting = []
            waiting.append((column, pixels))
        yield from self._batch(engine, waiting)

    def _batch(self, engine: Engine, tiles: list[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
        preprocess = replace(self.predictor.card.preprocess, long_side=None, short_side=None, zoom=1.0)
        try:
            batch = np.concatenate([preprocess.batch(pixels) for _, pixels in tiles])
            logits = engine.low_logits(batch)
        except (ResourceError, MemoryError) as error:
            raise _OutOfMemory(str(error)) from error
        if not np.isfinite(logits).all():
            raise ModelError("the network's scores are not finite: its weights are damaged, or its training diverged")
        yield from zip([column for column, _ in tiles], logits, strict=True)

"""Pictures of any size within a budget of memory: read by windows, segmented by tiles, written by bands of rows.

Nothing of the picture's size is ever in memory but a row of tiles' coarse scores. Finished rows are on disk beside the
result; a run that was killed goes on from there and gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.bigimage import ArrayImage, WindowedImage
from segscape.bigimage.label_bands import LabelBands
from segscape.bigimage.object_parts import ObjectParts
from segscape.bigimage.parts import only_maker
from segscape.errors import ConfigError
from segscape.predict.tiling.arguments import (
    beside_pieces,
    check_files_differ,
    checked_order,
    file_to_write,
    picture_of,
    tile_sides,
    whole_number,
)
from segscape.predict.tiling.fitting import kept_plan
from segscape.predict.tiling.memory import measured_bytes_per_pixel, parse_bytes, release
from segscape.predict.tiling.objects import find_objects
from segscape.predict.tiling.plan import ALIGN, TilePlan, plan_tiles
from segscape.predict.tiling.reach import measured_margin
from segscape.predict.tiling.run import TileRun
from segscape.progress import Progress

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor

_FORMAT = 3
_HASHED_ROWS = 256
_GPU_BATCH = 4
"""Tiles at once on a GPU, which one alone does not fill; a CPU gains nothing from a batch."""

ORDINARY_BYTES_PER_PIXEL = 20
"""What `Predictor.predict` holds of a picture besides the network: pixels, label map, confidence, pieces."""


@dataclass(frozen=True, slots=True)
class HugeResult:
    """What became of a picture that was segmented by tiles.

    Attributes:
        labels: the label map, or of a model that finds objects the map of their ids; a tiled TIFF.
        vectors: the outlines of regions or objects, if they were asked for.
        size: (height, width) of the picture.
        class_areas: pixels of each class that occurs, by name.
        plan: the tiles.
        predicted_bytes: of memory, by plan; None where a tile size was given and so nothing was measured.
        seconds: this run took.
        num_objects: of a model that finds objects; None of others.
    """

    labels: Path
    vectors: Path | None
    size: tuple[int, int]
    class_areas: dict[str, int]
    plan: TilePlan
    predicted_bytes: int | None
    seconds: float
    num_objects: int | None = None


def predict_huge(
    predictor: Predictor,
    source: str | os.PathLike[str] | np.ndarray | WindowedImage,
    out: str | os.PathLike[str],
    *,
    max_memory: str | int = "2GB",
    tile: int | tuple[int, int] | None = None,
    margin: int | None = None,
    shrink: int = 1,
    vectors: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    order: Callable[[int], Sequence[int]] = range,
    min_score: float | str = "model",
) -> HugeResult:
    """Segment a picture of any size.

    A model that finds objects gives a map of uint32 ids, 1 … `HugeResult.num_objects` and 0 where there is none; those
    that tile borders cut are joined, see `segscape.predict.tiling.join`.

    The network sees the picture at its own resolution (as ``long_side="native"`` does), by tiles that overlap; see
    `segscape.predict.tiling.blend`. Where a network sees no further than ``margin`` from a tile's inner edge, the
    outcome is that of the whole picture, to the pixel.

    Args:
        predictor: of any model.
        source: a path (see `segscape.bigimage.open_big_image`), pixels (H, W, 3) uint8 RGB, a PIL image, or what gives
            windows.
        out: the label map to write: a TIFF with overviews, georeferenced if the picture is. Written whole or not at
            all; until then, finished rows are in the folder ".NAME.parts" beside it.
        max_memory: what predicting may take besides the model and the program: bytes, or a text like "2GB".
        tile: side or (height, width) of tiles, multiples of 64; None takes the best within ``max_memory``.
        margin: pixels at the inner edges of tiles that play no part, a multiple of 32; None takes what
            `segscape.predict.tiling.reach.measured_margin` finds. Both in the network's pixels.
        shrink: the network sees the picture so many times smaller on each axis; of label maps alone.
        vectors: also write the outlines of regions or objects: .geojson or .gpkg.
        resume: go on with what an earlier run, of the same picture, model and options, had finished, and with its tiles
            unless they take more than ``max_memory``.
        progress: reports tiles and the time left.
        order: of the tiles in a row of so many; the outcome does not depend on it.
        min_score: of objects, those of a lower one are left out: 0…1, or "model" for what its card says.

    Raises:
        ImageError: the picture cannot be read by windows.
        ConfigError: an option is out of range, or two of picture, ``out`` and ``vectors`` are one file.
        ModelError: the network's scores are not finite.
        ResourceError: memory does not suffice for the smallest tiles, or for outlines (the label map is in place then,
            and with more memory the same call writes them), the disk is full, or another process is making ``out``.
        InputError: the folder of ``out`` cannot be written to.
    """
    start = time.perf_counter()
    target = file_to_write(out, "out")
    outlines = None if vectors is None else file_to_write(vectors, "vectors")
    budget, sides, shrink = parse_bytes(max_memory), tile_sides(tile), whole_number(shrink, "shrink")
    margin = None if margin is None else whole_number(margin, "margin")
    lowest, order = _checked_min_score(predictor, shrink, min_score), checked_order(order)
    from segscape.bigimage.vectors import check_vectors

    if outlines is not None:
        check_vectors(outlines)
    # Its kernels, and what compiles them, are part of the program: they are there before memory is measured.
    import segscape.runtime.classify_kernels  # noqa: F401

    image, opened = picture_of(source)
    with contextlib.ExitStack() as undo:
        if opened:
            undo.callback(image.close)
        check_files_differ(image.source, target, outlines)
        if shrink > max(image.size):
            raise ConfigError(
                f"shrink is {shrink}, and the picture only {image.size[1]} × {image.size[0]} pixels; give a smaller one"
            )
        if outlines is not None:
            check_vectors(outlines, image.georeference)
        budget = beside_pieces(image, whole_budget := budget)
        folder = undo.enter_context(only_maker(target))
        job = {
            "format": _FORMAT,
            "source": _fingerprint(image),
            "model": _fingerprint_of_model(predictor),
            "size": image.size,
            "options": [sides, margin, shrink, lowest],
        }
        labels, num_objects = predictor.card.result_labels, None
        progress = progress or Progress(quiet=True)
        if predictor.card.finds_objects:
            parts = ObjectParts(folder, job, resume=resume)
            plan, predicted, areas, num_objects = find_objects(
                predictor,
                image,
                target,
                parts,
                budget=budget,
                tile=sides,
                margin=margin,
                min_score=lowest,
                vectors=outlines,
                progress=progress,
                order=order,
            )
        else:
            dtype = np.dtype(np.uint8 if len(labels) <= 256 else np.uint16)
            parts = LabelBands(folder, job, image.size, dtype, resume=resume)
            seen = (-(-image.size[0] // shrink), -(-image.size[1] // shrink))
            plan, predicted = kept_plan(parts, seen, budget) or _plan(
                predictor, image, seen, sides, margin, budget, shrink
            )
            plan = TileRun(predictor, image, parts, shrink, progress, order).all_rows(plan, predicted)
            release(predictor.score_engine)
            areas = np.zeros(len(labels), np.int64)
            parts.write_map(target, _counted(parts, areas), image.size, dtype, labels, image.georeference)
            if outlines is not None:
                from segscape.bigimage.vectors import write_vectors

                write_vectors(outlines, parts, image.size, labels, image.georeference, budget)
        parts.remove()
    return HugeResult(
        labels=target,
        vectors=outlines,
        size=image.size,
        class_areas={labels[i].name: int(n) for i, n in enumerate(areas.tolist()) if n},
        plan=plan,
        predicted_bytes=None if predicted is None else predicted + whole_budget - budget,
        seconds=time.perf_counter() - start,
        num_objects=num_objects,
    )


def _checked_min_score(predictor: Predictor, shrink: int, wanted: float | str) -> float:
    """The lowest score of objects, 0 for label maps; options that the model has no use for are refused."""
    card = predictor.card
    if shrink < 1:
        raise ConfigError(f"shrink must be at least 1, got {shrink}")
    if card.finds_objects:
        if shrink != 1:
            raise ConfigError("shrink is for label maps; objects are found at the picture's own size")
        return predictor.checked_min_score(wanted)
    if wanted != "model":
        raise ConfigError(f"model {card.name!r} makes label maps; it has no min_score")
    if ALIGN % (stride := predictor.score_engine.stride):
        raise ConfigError(f"model {card.name!r} has scores of stride {stride}; tiles need a power of 2")
    return 0.0


def _fingerprint(image: WindowedImage) -> list[Any]:
    """What tells a picture from another, without reading all of it where it is a file."""
    if isinstance(image, ArrayImage):
        (height, width), pixels = image.size, hashlib.sha256()
        for y in range(0, height, _HASHED_ROWS):  # since an array that is not contiguous is copied
            pixels.update(image.read(y, 0, min(_HASHED_ROWS, height - y), width).ravel().data)
        return [pixels.hexdigest()]
    path = Path(image.source)
    if path.is_dir():
        stats = [entry.stat() for entry in path.rglob("*") if entry.is_file()]
        return [str(path.resolve()), len(stats), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]
    try:
        stat = path.stat()
    except OSError:
        return [image.source]
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def _fingerprint_of_model(predictor: Predictor) -> list[str]:
    """What tells a model from another: its card, with the weights' hash and what follows the network, and its graph.

    That is "key" of the engines that run one. A model in int8 has the card of what it was made from.
    """
    card = hashlib.sha256(predictor.card.to_json().encode()).hexdigest()
    return [card, predictor.engine.name, getattr(predictor.engine, "key", "")]


def _plan(
    predictor: Predictor,
    image: WindowedImage,
    seen: tuple[int, int],
    tile: tuple[int, int] | None,
    margin: int | None,
    budget: int,
    shrink: int,
) -> tuple[TilePlan, int | None]:
    """The tiles, and the memory they take if that was predicted."""
    engine = predictor.score_engine
    # The memory first: what other work leaves behind would be taken for the network's.
    per_pixel = 0.0 if tile else measured_bytes_per_pixel(engine, budget, seen[0] * seen[1])
    margin = measured_margin(engine) if margin is None else margin
    if tile:
        return TilePlan(seen, tile, margin, at_once=engine.concurrency), None
    facts: dict[str, Any] = {
        "num_classes": len(predictor.card.label_set),
        "stride": engine.stride,
        "shrink": shrink,
        "wide": image.wide,
    }
    batch = _GPU_BATCH if "cuda" in engine.name else 1
    plan = plan_tiles(seen, budget, per_pixel, margin=margin, batch=batch, at_once=engine.concurrency, **facts)
    return plan, plan.predicted_bytes(per_pixel, **facts)


def _counted(bands: LabelBands, areas: np.ndarray) -> Iterator[np.ndarray]:
    """The bands as they are, with the pixels of each class added to ``areas``."""
    for band in bands:
        areas += np.bincount(band.ravel(), minlength=len(areas))
        yield band

"""Pictures too large for memory among those that a command is given, and the files written of each."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segscape.errors import ConfigError, ImageError, ResourceError
from segscape.file_kinds import file_kind
from segscape.files import write_text
from segscape.image import IMAGE_SUFFIXES, MAX_PIXELS, read_image
from segscape.result_files import safe_stem
from segscape.runtime.memory import available_bytes

if TYPE_CHECKING:
    from segscape.bigimage import WindowedImage
    from segscape.predict.panoptic_predictor import PanopticPredictor
    from segscape.predict.predictor import Predictor
    from segscape.progress import Progress

_TILES = "tiles:"
_NEVER_BY_WINDOWS = IMAGE_SUFFIXES - {".tif", ".tiff"}
_GDAL_SUFFIXES = {".jp2", ".j2k", ".img"}
_UNKNOWN_MEMORY = 2 * 10**9
_NETWORK_BYTES_PER_PIXEL = 300  # about what `street` takes of what it sees


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What predicting may take.

    Attributes:
        num_bytes: for a picture done by tiles.
        max_pixels: a picture of more is done by tiles if it can be read by windows, else refused.
    """

    num_bytes: int
    max_pixels: int


def memory_limit(wanted: str) -> MemoryLimit:
    """From a text like "2GB"; "auto" is half of what is free, and `segscape.image.MAX_PIXELS`.

    Raises:
        ConfigError: it is neither.
    """
    if wanted == "auto":
        return MemoryLimit((available_bytes() or _UNKNOWN_MEMORY) // 2, MAX_PIXELS)
    from segscape.predict.tiling.huge import ORDINARY_BYTES_PER_PIXEL
    from segscape.predict.tiling.memory import parse_bytes

    num_bytes = parse_bytes(wanted)
    return MemoryLimit(num_bytes, max(1, num_bytes // ORDINARY_BYTES_PER_PIXEL))


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The arguments of a command: those that name files, and the folders that are one picture each.

    A folder is one picture if it is a Zarr array, or written as "tiles:FOLDER": tiles whose names end in row and
    column.
    """
    rest: list[str] = []
    folders: list[Path] = []
    for given in inputs:
        if given.startswith(_TILES) and not Path(given).exists():
            folders.append(Path(given.removeprefix(_TILES)))
        elif _is_zarr(Path(given)):
            folders.append(Path(given))
        else:
            rest.append(given)
    return rest, folders


def _is_zarr(path: Path) -> bool:
    if not path.is_dir():
        return False
    from segscape.bigimage.chunks import is_zarr

    return is_zarr(path)


def too_large(
    files: Iterable[Path],
    limit: MemoryLimit,
    predictor: Predictor | PanopticPredictor,
    *,
    long_side: int | str = "model",
    placed: bool = False,
) -> list[Path]:
    """Those that are to be done by tiles: too large for memory, or of a kind that is read by windows alone.

    Args:
        files, limit, predictor: what is predicted, and with what.
        long_side: at which the ordinary route would show them to the network.
        placed: also those that are georeferenced.
    """
    found = []
    for path in files:
        if path.suffix.lower() in _NEVER_BY_WINDOWS:
            continue
        from segscape.bigimage import size_by_windows

        try:
            size = size_by_windows(path)
            huge = size is not None and (
                size[0] * size[1] > limit.max_pixels
                or _ordinary_bytes(predictor, size, long_side) > limit.num_bytes
                or not _is_read_whole(path)
                or (placed and _is_placed(path))
            )
        except (ImageError, OSError):  # whoever reads it says what is wrong
            huge = not _is_read_whole(path)
        if huge:
            found.append(path)
    return found


def _is_read_whole(path: Path) -> bool:
    """Whether its kind is one that `segscape.image.read_image` knows, unlike JPEG 2000."""
    try:
        with path.open("rb") as file:
            file_kind(file, str(path))
    except ImageError:
        return False
    except OSError:  # it is not there
        pass
    return True


def _ordinary_bytes(predictor: Predictor | PanopticPredictor, size: tuple[int, int], long_side: int | str) -> float:
    """What the ordinary route takes of a picture, by the network; of two models joined, 0."""
    from segscape.predict.predictor import PIXELS_AT_ONCE, Predictor

    if not isinstance(predictor, Predictor):
        return 0.0
    height, width = predictor.preprocess_at(long_side).network_size(size)
    if predictor.card.task == "instance":
        return predictor.object_engine.bytes_per_pixel * height * width
    from segscape.predict.tiling.huge import ORDINARY_BYTES_PER_PIXEL

    return ORDINARY_BYTES_PER_PIXEL * size[0] * size[1] + _NETWORK_BYTES_PER_PIXEL * min(height * width, PIXELS_AT_ONCE)


def _is_placed(path: Path) -> bool:
    from segscape.bigimage import open_big_image

    with closing(open_big_image(path)) as image:
        return image.georeference is not None


def _opened(source: Path) -> WindowedImage:
    """To be read by windows; what gives itself only whole is read."""
    from segscape.bigimage import ArrayImage, open_big_image, size_by_windows

    if source.is_file() and size_by_windows(source) is None:
        return ArrayImage(read_image(source).pixels, os.fspath(source))
    return open_big_image(source)


def predict_huge_file(
    predictor: Predictor | PanopticPredictor,
    source: Path,
    folder: Path,
    stem: str,
    *,
    max_memory: int,
    long_side: int | str = "model",
    min_score: float | str = "model",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment one picture by tiles and write STEM.labels.tif, STEM.json, and of a georeferenced one STEM.gpkg.

    The map is of classes, or of a model that finds objects of their ids. Outlines that memory does not suffice for are
    left out; STEM.json says so under "outlines_left_out".

    The network sees the picture at its own resolution, or, with a number as ``long_side``, so many whole times smaller
    that it is at most that long.

    Args:
        predictor: of one model.
        source: a file, or a folder that is one picture.
        folder, stem: where to write, as `segscape.result_files.save_segmentation` does.
        max_memory: bytes.
        long_side: "model" and "native" mean the picture's own resolution.
        min_score: of objects, as `Predictor.predict` takes it.
        progress: reports tiles.

    Returns:
        what STEM.json says, as plain JSON types, and under "written" the paths.

    Raises:
        ConfigError: these are two models joined, or ``long_side`` is out of range.
        ImageError, ModelError, ResourceError, InputError: see `segscape.predict.tiling.huge.predict_huge`.
    """
    from segscape.predict.predictor import Predictor, checked_long_side
    from segscape.predict.tiling.huge import predict_huge

    if not isinstance(predictor, Predictor):
        raise ConfigError(f"{os.fspath(source)!r} is done by tiles, and two models are not joined by tiles; give one")
    start, image = time.perf_counter(), _opened(source)
    longest, (height, width) = checked_long_side(long_side), image.size
    base = folder / safe_stem(stem)
    by_tiles = functools.partial(
        predict_huge,
        predictor,
        image,
        base.with_name(base.name + ".labels.tif"),
        max_memory=max_memory,
        shrink=1 if longest is None else -(-max(height, width) // longest),
        min_score=min_score,
        progress=progress,
    )
    outlines = None if image.georeference is None else base.with_name(base.name + _outlines_suffix())
    result, left_out = None, ""
    with closing(image):
        try:
            result = by_tiles(vectors=outlines)
        except (ConfigError, ResourceError) as error:
            if outlines is None:
                raise
            left_out = str(error)
        if result is None:
            # Nobody asked for outlines, so all else is written without them. What was finished is not done again; and
            # if they were not the reason, it comes again.
            result = by_tiles()
            if progress:
                progress.message(f"{os.fspath(source)}: outlines were left out: {left_out}")
    labels = predictor.card.result_labels
    document: dict[str, Any] = {
        "size": {"height": height, "width": width},
        "source": os.fspath(source),
        "model": predictor.id,
        "label_set": labels.to_dict(),
        "single_objects": result.num_objects is not None,
        "classes": [
            {"label": name, "area_px": area, "area_share": round(area / (height * width), 6)}
            for name, area in result.class_areas.items()
        ],
        **({} if result.num_objects is None else {"num_objects": result.num_objects}),
        "tiles": {
            "height": result.plan.tile[0],
            "width": result.plan.tile[1],
            "overlap": result.plan.overlap,
            "count": len(result.plan.rows) * len(result.plan.columns),
        },
        "predicted_bytes": result.predicted_bytes,
        **({"outlines_left_out": left_out} if left_out else {}),
        "timings_ms": {"all": round(1000 * (time.perf_counter() - start), 2)},
    }
    path = base.with_name(base.name + ".json")
    write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    files = {} if result.vectors is None else {"outlines": str(result.vectors)}
    return {**document, "written": {"labels": str(result.labels), "json": str(path), **files}}


def _outlines_suffix() -> str:
    from importlib.util import find_spec

    return ".gpkg" if find_spec("pyogrio") else ".geojson"

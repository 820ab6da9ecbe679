"""What `segscape.predict.tiling.huge.predict_huge` is given, checked before any work."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage import ArrayImage, WindowedImage, open_big_image
from segscape.errors import ConfigError, InputError, ResourceError

_WINDOWED = ("source", "size", "wide", "georeference", "read")


def whole_number(value: Any, what: str) -> int:
    """An option as an int; NumPy's integers are such.

    Raises:
        ConfigError: it is none.
    """
    try:
        if not isinstance(value, (bool, np.bool_)):
            return operator.index(value)
    except TypeError:
        pass
    raise ConfigError(f"{what} must be a whole number, got {value!r}")


def tile_sides(tile: Any) -> tuple[int, int] | None:
    """(height, width) of tiles from a side, or a pair of them; None stays.

    Raises:
        ConfigError: it is none of these.
    """
    if tile is None:
        return None
    if not isinstance(tile, (tuple, list)):
        tile = (tile, tile)
    if len(tile) != 2:
        raise ConfigError(f"tile must be a side or (height, width), got {tile!r}")
    return whole_number(tile[0], "a tile's side"), whole_number(tile[1], "a tile's side")


def file_to_write(path: Any, what: str) -> Path:
    """
    Raises:
        ConfigError: ``path`` is no path, or names no file.
    """
    name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    if Path(name).name not in ("", "..") and "\0" not in name and not _is_folder(name):
        return Path(name)
    raise ConfigError(f"{what} must be the path of a file to write, got {path!r}")


def check_files_differ(source: str, out: Path, vectors: Path | None) -> None:
    """Refuse to write two results to one file, or one over the picture, however the paths are spelled.

    Raises:
        ConfigError: two are one.
    """
    named = [("the picture itself", Path(source)), ("the label map", out)]
    named += [] if vectors is None else [("the outlines", vectors)]
    for (first, a), (second, b) in combinations(named, 2):
        try:
            same = a.samefile(b)
        except OSError:  # one is not there yet
            same = os.path.realpath(a) == os.path.realpath(b)
        if same:
            raise ConfigError(f"{str(b)!r} is {first}, and {second} would overwrite it; give another path")


def picture_of(source: Any) -> tuple[WindowedImage, bool]:
    """The picture, and whether it was opened here.

    Raises:
        ImageError: a file cannot be read by windows.
        InputError: ``source`` is no picture.
    """
    if isinstance(source, (str, os.PathLike)):
        return open_big_image(source), True
    if all(hasattr(source, name) for name in _WINDOWED):
        return source, False
    if source is None or isinstance(source, (bytes, bytearray, memoryview, list, tuple)):
        raise InputError(
            f"cannot read {type(source).__name__} by windows; give a path, a PIL image, a NumPy array (H, W, 3) in RGB "
            "order, or a WindowedImage"
        )
    from segscape.image import as_image

    return ArrayImage(as_image(source).pixels), True


def checked_order(order: Callable[[int], Sequence[int]]) -> Callable[[int], Sequence[int]]:
    """``order``, which now raises a `ConfigError` unless each of a row's tiles comes once: others are waited for."""

    def checked(count: int) -> list[int]:
        try:
            places = [whole_number(place, "a place in the order of tiles") for place in order(count)]
        except TypeError as error:
            raise ConfigError(f"order must give the numbers of a row's tiles ({error})") from error
        if sorted(places) != list(range(count)):
            raise ConfigError(f"order must give each of 0 … {count - 1} once for {count} tiles, got {places}")
        return places

    return checked


def beside_pieces(image: WindowedImage, budget: int) -> int:
    """What is left of a budget of memory while pieces of the file are decoded: one as it is stored, and as RGB.

    Raises:
        ResourceError: nothing.
    """
    piece: int = getattr(image, "piece_bytes", 0)  # a caller's own picture need not say
    if (left := budget - 2 * piece) > 0:
        return left
    raise ResourceError(
        f"{image.source!r}: its pieces of {piece / 1e6:.0f} MB are decoded whole, and {budget / 1e6:.0f} MB of memory "
        "are allowed; raise --max-memory or write it with smaller tiles (gdal_translate -co TILED=YES)"
    )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # too long a name, say: it is told where the file is written
        return False

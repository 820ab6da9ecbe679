"""From pixels to runs: a label map, a `Segmentation` or a stream of tiles, read once, row by row.

What comes out is small: runs of one class or object, and of each its sums of confidence and colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.result import Region, Segmentation
from segscape.scene.run_kernels import count_runs, fill_runs, paint, sum_runs

VOID = -1


class Tile(NamedTuple):
    """A part of a label map that comes in tiles.

    Attributes:
        y0, x0: where it lies.
        label_map: (h, w) uint8 or uint16 class ids.
        confidence: (h, w) float32, 0…1, or None.
        pixels: (h, w, 3) uint8 RGB, the photo, or None.
    """

    y0: int
    x0: int
    label_map: np.ndarray
    confidence: np.ndarray | None = None
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """An image as runs of one class or one object.

    Attributes:
        size: (height, width).
        first: (H + 1,) int64, row y has the runs first[y] … first[y + 1] − 1.
        x0: (R,) int32, where a run begins; neighbours in a row differ in their key.
        key: (R,) int32: −1 for void, a class id, or the number of classes + i for object i.
        objects: the single objects; they are whole, not cut into connected pieces.
        confidence_sum: (R,) float64, over the run's pixels, or None.
        color_sum: (R, 3) float64, of RGB over the run's pixels, or None.
    """

    size: tuple[int, int]
    first: np.ndarray
    x0: np.ndarray
    key: np.ndarray
    objects: tuple[Region, ...] = ()
    confidence_sum: np.ndarray | None = None
    color_sum: np.ndarray | None = None


def scan_label_map(
    label_map: np.ndarray,
    label_set: LabelSet,
    confidence: np.ndarray | None = None,
    pixels: np.ndarray | None = None,
) -> Scan:
    """The runs of a label map.

    Args:
        label_map: (H, W) uint8 or uint16 class ids; pixels of the ignore index are void.
        label_set: what the ids mean.
        confidence: (H, W) float32, 0…1, or None.
        pixels: (H, W, 3) uint8 RGB, or None.

    Raises:
        InputError: an array is of another type or shape, or the label map holds an id that is neither a class nor the
            ignore index.
    """
    if label_map.ndim != 2 or label_map.dtype not in (np.uint8, np.uint16) or not label_map.size:
        raise InputError(f"a label map must be uint8 or uint16 (H, W), got {label_map.dtype} {label_map.shape}")
    scan = _scan(label_map, confidence, pixels)
    return _named(scan, label_set)


def scan_tiles(tiles: Iterable[Tile | tuple[Any, ...]], size: tuple[int, int], label_set: LabelSet) -> Scan:
    """The runs of a label map that comes in tiles, of which one row is in memory at a time.

    Args:
        tiles: `Tile`s or tuples like them, in rows from the top, each row of equal height and from left to right. All
            come with confidence or none, and so with pixels.
        size: (height, width) of the whole.
        label_set: what the ids mean.

    Raises:
        InputError: the tiles do not lie side by side or do not fill the image, some have confidence or pixels and some
            have not, or see `scan_label_map`.
    """
    if min(size) < 1:
        raise InputError(f"a label map has a size of at least 1 × 1, got {size}")
    bands = []
    for row in _tile_rows(tiles, size):
        extras = []
        for name in ("confidence", "pixels"):
            parts = [getattr(tile, name) for tile in row]
            if any(part is None for part in parts) != all(part is None for part in parts):
                raise InputError(f"tiles in the row at y {row[0].y0}: some have {name} and some have not")
            extras.append(None if parts[0] is None else np.concatenate(parts, axis=1))
        label_map = np.concatenate([tile.label_map for tile in row], axis=1)
        try:
            bands.append(scan_label_map(label_map, label_set, *extras))
        except InputError as error:
            raise InputError(f"tiles in the row at y {row[0].y0}: {error}") from None
    return Scan(
        size,
        np.concatenate(([0], *(np.diff(band.first) for band in bands))).cumsum(),
        np.concatenate([band.x0 for band in bands]),
        np.concatenate([band.key for band in bands]),
        (),
        _all_or_none([band.confidence_sum for band in bands], "confidence"),
        _all_or_none([band.color_sum for band in bands], "pixels"),
    )


def scan_segmentation(segmentation: Segmentation) -> Scan:
    """The runs of what a model saw.

    With ``single_objects``, each region of a thing is an object, of which the smaller lies on top where two overlap.
    The rest is the label map's stuff; a thing's pixels that no object owns are nobody's, so void (as panoptic quality
    has it): they would count as one more thing. Without a label map the rest is what other regions say, and void.

    Raises:
        InputError: the label map holds an id that is neither a class nor the ignore index.
    """
    label_set = segmentation.label_set
    confidence = segmentation.confidence
    pixels = None if segmentation.image is None else segmentation.image.pixels
    objects = tuple(r for r in segmentation.regions if segmentation.single_objects and label_set[r.label].thing)
    if segmentation.label_map is not None and not segmentation.single_objects:
        return scan_label_map(segmentation.label_map, label_set, confidence, pixels)
    painted: list[tuple[Region, int]] = [(region, len(label_set) + i) for i, region in enumerate(objects)]
    if segmentation.label_map is None:
        keys = np.full(segmentation.size, label_set.ignore_index, np.int32)
        numbered = {region.id for region in objects}
        painted += [(region, region.label) for region in segmentation.regions if region.id not in numbered]
    else:
        key_of = np.arange(np.iinfo(segmentation.label_map.dtype).max + 1, dtype=np.int32)
        key_of[[i for i, label in enumerate(label_set) if label.thing]] = label_set.ignore_index
        keys = key_of[segmentation.label_map]
    # Ids of the label map that are no class move out of the way of the objects' numbers.
    keys[keys >= len(label_set)] += len(objects)
    for region, key in sorted(painted, key=lambda pair: -pair[0].area_px):
        x0, y0, _, y1 = region.box
        paint(keys, region.mask.counts, x0, y0, y1 - y0, key)
    return _named(_scan(keys, confidence, pixels, objects), label_set)


def _scan(
    ids: np.ndarray, confidence: np.ndarray | None, pixels: np.ndarray | None, objects: tuple[Region, ...] = ()
) -> Scan:
    """The runs of (H, W) ids, which become their keys as they are."""
    if confidence is not None and (confidence.shape, confidence.dtype) != (ids.shape, np.float32):
        raise InputError(f"confidence must be float32 of shape {ids.shape}, got {confidence.dtype} {confidence.shape}")
    if pixels is not None and (pixels.shape, pixels.dtype) != ((*ids.shape, 3), np.uint8):
        raise InputError(f"pixels must be uint8 of shape {(*ids.shape, 3)}, got {pixels.dtype} {pixels.shape}")
    ids = np.ascontiguousarray(ids)
    first = np.empty(ids.shape[0] + 1, np.int64)
    count_runs(ids, first)
    x0, key = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    fill_runs(ids, x0, key)

    def sums(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        totals = np.empty((len(x0), values.shape[2]))
        sum_runs(np.ascontiguousarray(values), first, x0, totals)
        return totals

    of_confidence = sums(None if confidence is None else confidence[..., None])
    return Scan(
        ids.shape, first, x0, key, objects, None if of_confidence is None else of_confidence[:, 0], sums(pixels)
    )


def _named(scan: Scan, label_set: LabelSet) -> Scan:
    """Make the ids of a scan keys, in place; those of no class lie behind the objects."""
    num_keys = len(label_set) + len(scan.objects)
    nameless = scan.key >= num_keys
    if not nameless.any():
        return scan
    if (wrong := nameless & (scan.key != label_set.ignore_index + len(scan.objects))).any():
        run = int(np.argmax(wrong))
        y = int(np.searchsorted(scan.first, run, "right")) - 1
        raise InputError(
            f"label map holds id {scan.key[run] - len(scan.objects)} (first at x {scan.x0[run]}, y {y}), but label set "
            f"{label_set.name!r} has ids 0…{len(label_set) - 1} and ignore index {label_set.ignore_index}"
        )
    scan.key[nameless] = VOID
    return scan


def _tile_rows(tiles: Iterable[Tile | tuple[Any, ...]], size: tuple[int, int]) -> Iterator[list[Tile]]:
    """The tiles row by row, each row complete."""
    height, width = size
    y, x = 0, 0
    row: list[Tile] = []
    for given in tiles:
        tile = given if isinstance(given, Tile) else Tile(*given)
        if tile.label_map.ndim != 2:
            raise InputError(
                f"tile at x {tile.x0}, y {tile.y0}: its label map must be (h, w), got {tile.label_map.shape}"
            )
        rows, columns = tile.label_map.shape
        if (tile.y0, tile.x0) != (y, x) or (row and rows != len(row[0].label_map)):
            wanted = f" of height {len(row[0].label_map)}" if row else ""
            raise InputError(
                f"tile at x {tile.x0}, y {tile.y0} of height {rows}: the next one must be at x {x}, y {y}{wanted}; "
                "tiles come in rows of one height from the top, each from left to right"
            )
        row.append(tile)
        x += columns
        if x > width or y + rows > height or not rows or not columns:
            raise InputError(
                f"tile at x {tile.x0}, y {y} of {rows} × {columns}: leaves the image of {height} × {width}"
            )
        if x == width:
            yield row
            row, x, y = [], 0, y + rows
    if row or y != height:
        raise InputError(f"tiles end at x {x}, y {y}, before they fill the image of {height} × {width}")


def _all_or_none(parts: Sequence[np.ndarray | None], name: str) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    if there and len(there) != len(parts):
        raise InputError(f"some rows of tiles have {name} and some have not")
    return np.concatenate(there) if there else None

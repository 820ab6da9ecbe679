"""From a label map to its regions: connected pieces of one class, in time linear in the pixels."""

from __future__ import annotations

import numpy as np

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.masks import RunLengths, ranges
from segscape.result import Region
from segscape.runtime.inference import SampledConfidence

# For `street` on photos of 12 megapixels, scores differ from the exact mean by 0.0006 on average, 0.008 at most.
_FEW_POINTS = 256
_PIXELS_AT_ONCE = 2**20


def regions_from_label_map(
    label_map: np.ndarray,
    label_set: LabelSet,
    confidence: np.ndarray | SampledConfidence | None = None,
    min_area_px: int = 1,
) -> tuple[Region, ...]:
    """Every 8-connected piece of one class in a label map.

    Args:
        label_map: (H, W) uint8 or uint16 class ids; pixels of the label set's ignore index belong to no region.
        label_set: what the ids mean.
        confidence: (H, W) float32, 0…1, or None; a region's score is the mean over its pixels. Sampled, it is the mean
            over the lattice's points in the region, and of one that holds fewer than 256 of them over all its pixels.
        min_area_px: smaller pieces are left out.

    Returns:
        Regions with ids 1…N, by falling area, then by the top and the left of their boxes. They do not overlap, and
        with ``min_area_px=1`` they cover every pixel that is not ignored.

    Raises:
        InputError: the label map is of another type or shape, holds an id that is neither a class nor the ignore
            index, or the confidence does not fit it.
    """
    pieces = _pieces(label_map, label_set)
    if confidence is not None:
        size = confidence.scores.size if isinstance(confidence, SampledConfidence) else confidence.shape
        if size != label_map.shape:
            raise InputError(f"confidence of shape {size} does not fit a label map of {label_map.shape}")
    height = label_map.shape[0]

    # One pass over the pixels column by column: runs of one piece, cut at each column's top.
    flat = pieces.reshape(-1)
    change = np.empty(flat.shape, bool)
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::height] = True
    starts = np.flatnonzero(change)
    ends = np.append(starts[1:], flat.size)
    owner = flat[starts]
    means = None
    if isinstance(confidence, SampledConfidence):
        means = _sampled_means(confidence, pieces, starts, ends, owner)
    elif confidence is not None:
        columns = _transposed(confidence.astype(np.float32, copy=False)).reshape(-1)
        sums = np.bincount(owner, weights=np.add.reduceat(columns, starts, dtype=np.float64))
        means = sums / np.maximum(np.bincount(owner, weights=ends - starts), 1)
    # From here on everything is per run. Sorted by piece, runs keep their column order within it.
    order = np.argsort(owner, kind="stable")
    order = order[np.searchsorted(owner[order], 1) :]
    if not len(order):
        return ()
    starts, ends, owner = starts[order], ends[order], owner[order]
    x, top = np.divmod(starts, height)
    lengths = ends - starts
    begin = np.flatnonzero(np.diff(owner, prepend=0))
    end = np.append(begin[1:], len(owner))
    areas = np.add.reduceat(lengths, begin)
    x0, x1 = x[begin], x[end - 1] + 1
    y0, y1 = np.minimum.reduceat(top, begin), np.maximum.reduceat(top + lengths, begin)
    labels = label_map[top[begin], x[begin]]
    scores = [None] * len(begin) if means is None else np.clip(means[owner[begin]], 0, 1).tolist()

    regions = []
    for i in np.lexsort((x0, y0, -areas)):
        if areas[i] < min_area_px:
            break
        box = (int(x0[i]), int(y0[i]), int(x1[i]), int(y1[i]))
        size = (box[3] - box[1], box[2] - box[0])
        run = slice(begin[i], end[i])
        first = (x[run] - box[0]) * size[0] + top[run] - box[1]
        mask = RunLengths.from_intervals(first, first + lengths[run], size)
        regions.append(Region(len(regions) + 1, int(labels[i]), scores[i], box, int(areas[i]), mask))
    return tuple(regions)


def _sampled_means(
    confidence: SampledConfidence, pieces: np.ndarray, starts: np.ndarray, ends: np.ndarray, owner: np.ndarray
) -> np.ndarray:
    """The mean confidence of each piece by its number, (N + 1,) float64, from runs ``starts`` to ``ends`` of it."""
    every, num = confidence.every, int(owner.max()) + 1
    points = pieces[every // 2 :: every, every // 2 :: every].reshape(-1)
    counts = np.bincount(points, minlength=num)
    sums = np.bincount(points, weights=confidence.lattice().T.reshape(-1), minlength=num)
    few = counts < _FEW_POINTS
    few[0] = False
    runs = np.flatnonzero(few[owner])
    counts[few], sums[few] = 0, 0
    num_pixels = int((ends[runs] - starts[runs]).sum())
    for part in np.array_split(runs, 1 + num_pixels // _PIXELS_AT_ONCE):
        lengths = ends[part] - starts[part]
        x, y = np.divmod(np.repeat(starts[part], lengths) + ranges(lengths), pieces.shape[1])
        owners = np.repeat(owner[part], lengths)
        counts += np.bincount(owners, minlength=num)
        sums += np.bincount(owners, weights=confidence.at(y, x), minlength=num)
    return sums / np.maximum(counts, 1)


def _pieces(label_map: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """The 8-connected pieces of a (H, W) label map, numbered from 1, 0 where it is ignored: (W, H), transposed."""
    import cc3d

    if label_map.ndim != 2 or label_map.dtype not in (np.uint8, np.uint16) or not label_map.size:
        raise InputError(f"a label map must be uint8 or uint16 (H, W), got {label_map.dtype} {label_map.shape}")
    num = len(label_set)
    dtype = np.uint8 if num < 256 else np.uint16
    # Transposed, so that what comes back lies column by column, as run lengths do.
    columns = _transposed(label_map)
    if label_map.max() < num:
        return cc3d.connected_components(np.add(columns, 1, dtype=dtype), connectivity=8)
    ids = np.arange(np.iinfo(label_map.dtype).max + 1)
    known = (ids < num) | (ids == label_set.ignore_index)
    if not (fits := known[label_map]).all():
        y, x = np.argwhere(~fits)[0]
        raise InputError(
            f"label map holds id {label_map[y, x]} (first at x {x}, y {y}), but label set {label_set.name!r} "
            f"has ids 0…{num - 1} and ignore index {label_set.ignore_index}"
        )
    return cc3d.connected_components(np.where(ids < num, ids + 1, 0).astype(dtype)[columns], connectivity=8)


def _transposed(array: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.transpose(np.ascontiguousarray(array))  # numpy's copy of a transposed view takes many times longer

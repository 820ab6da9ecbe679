"""What `segscape.masks` gives of one mask, of many at once: regions are often small, and calls of numpy dear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segscape.errors import InputError
from segscape.masks import Box, RunLengths, checked_size, ranges


def column_spans(masks: Sequence[RunLengths]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The vertical spans of masks, none longer than a column, mask by mask as `RunLengths.column_spans` gives them.

    Returns:
        owner, x, y0, y1: (N,) int64 each; pixels y0 ≤ y < y1 of column x of ``masks[owner]`` are foreground.
    """
    if not masks:
        none = np.zeros(0, np.int64)
        return none, none, none, none
    lengths = np.array([len(mask.counts) for mask in masks])
    counts = np.concatenate([mask.counts for mask in masks]).astype(np.int64)
    ends = np.cumsum(counts)
    runs = np.flatnonzero(ranges(lengths) % 2)
    owner = np.repeat(np.arange(len(masks)), lengths // 2)
    heights = np.array([mask.size[0] for mask in masks])
    areas = np.array([mask.size[0] * mask.size[1] for mask in masks])
    ends = ends[runs] - (np.cumsum(areas) - areas)[owner]
    starts, height = ends - counts[runs], heights[owner]
    first = starts // height
    pieces = (ends - 1) // height - first + 1
    x = np.repeat(first, pieces) + ranges(pieces)
    owner, top, height = np.repeat(owner, pieces), x * np.repeat(height, pieces), np.repeat(height, pieces)
    y0, y1 = np.repeat(starts, pieces) - top, np.repeat(ends, pieces) - top
    return owner, x, np.maximum(y0, 0), np.minimum(y1, height)


def to_coco_counts(masks: Sequence[RunLengths], boxes: Sequence[Box], size: tuple[int, int]) -> list[list[int]]:
    """`segscape.masks.to_coco_counts` of each mask, cropped to its box, over the whole image of ``size`` (H, W).

    Raises:
        InputError: a mask does not fill its box, or a box leaves the image.
    """
    height, width = checked_size(size)
    for mask, box in zip(masks, boxes, strict=True):
        x0, y0, x1, y1 = box
        if mask.size != (y1 - y0, x1 - x0):
            raise InputError(f"mask of size {mask.size} does not fill its box {tuple(box)}")
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise InputError(f"box {tuple(box)} leaves the image of height {height} and width {width}")
    owner, x, y0, y1 = column_spans(masks)
    corners = np.array([box[:2] for box in boxes], np.int64).reshape(-1, 2)
    column = (x + corners[owner, 0]) * height + corners[owner, 1]
    starts, ends = column + y0, column + y1
    # A span that begins where the last one of its mask ended, at the foot of the column before, goes on with it.
    begins = np.ones(len(owner), bool)
    begins[1:] = (starts[1:] > ends[:-1]) | (owner[1:] != owner[:-1])
    stops = np.append(begins[1:], True)[: len(begins)]
    edges = np.stack((starts[begins], ends[stops]), 1).reshape(-1)
    last = np.cumsum(np.bincount(owner[begins], minlength=len(masks))) * 2
    gaps, places, total = np.diff(edges, prepend=0).tolist(), edges.tolist(), height * width
    counts, begin = [], 0
    for end in last.tolist():
        if begin == end:
            counts.append([total])
            continue
        own = [places[begin], *gaps[begin + 1 : end]]
        if (rest := total - places[end - 1]) > 0:
            own.append(rest)
        counts.append(own)
        begin = end
    return counts

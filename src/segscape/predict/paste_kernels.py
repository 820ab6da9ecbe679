"""The loops of `segscape.predict.paste`, compiled by numba.

Their float32 arithmetic is that of torch's bilinear interpolation on CPUs with fused multiply-add, step by step: where
torch's compiler fused, `fma` stands here, and nowhere else. Torch has two kernels, one for small pictures and one for
others, that differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np

from segscape.compiled import compiled, fma

SMALL = 128  # height + width up to which torch takes its kernel for small pictures
MARGIN = np.float32(1e-5)  # more than a value in 0…1 can be off by rounding


@compiled
def paste(masks, corners, height, width, threshold):  # type: ignore[no-untyped-def]
    """Resize each mask to its corners, cut it at the border, threshold it, and count its runs within its tight box.

    Args:
        masks: (N, S, S) float32, 0…1, with a rim of zeros; transposed: (x, y).
        corners: (N, 4) int64 x0, y0, x1, y1, the last two included.
        height, width: of the image.
        threshold: float32.

    Returns:
        boxes (N, 4) int64, half-open, x0 = x1 where no pixel is set; counts (R,) uint32 as `RunLengths` has them, of
        all masks; offsets (N + 1,) int64: those of mask i are counts[offsets[i]:offsets[i + 1]].
    """
    side = masks.shape[1]
    boxes = np.zeros((len(masks), 4), np.int64)
    offsets = np.zeros(len(masks) + 1, np.int64)
    counts = np.empty(1024, np.uint32)
    edges = np.empty((1024, 2), np.int64)
    for i in range(len(masks)):
        x0, y0 = corners[i, 0], corners[i, 1]
        whole_width, whole_height = max(corners[i, 2] - x0 + 1, 1), max(corners[i, 3] - y0 + 1, 1)
        left, right = max(x0, 0), min(corners[i, 2] + 1, width)
        top, bottom = max(y0, 0), min(corners[i, 3] + 1, height)
        offsets[i + 1] = offsets[i]
        if left >= right or top >= bottom:
            continue
        small = whole_height + whole_width <= SMALL
        across, share_x = _places(left - x0, right - x0, whole_width, side, small)
        down, share_y = _places(top - y0, bottom - y0, whole_height, side, small)
        edges, num = _edges(masks[i], across, share_x, down, share_y, small, threshold, edges)
        if num:
            counts = _longer(counts, offsets[i] + num + 2)
            box, stop = _count_runs(edges[:num], counts, offsets[i])
            offsets[i + 1] = stop
            boxes[i] = box[0] + left, box[1] + top, box[2] + left, box[3] + top
    return boxes, counts[: offsets[-1]], offsets


@compiled
def _places(start, stop, length, side, fused):  # type: ignore[no-untyped-def]
    """Where pixels start…stop of ``length`` lie on an axis of ``side``: the place before, and the share of the next."""
    before, share = np.empty(stop - start, np.int64), np.empty(stop - start, np.float32)
    half = np.float32(0.5)
    scale = np.float32(side) / np.float32(length)
    for i in range(start, stop):
        centre = np.float32(i) + half
        place = fma(scale, centre, -half) if fused else scale * centre - half
        place = max(place, np.float32(0))
        before[i - start] = min(math.floor(place), side - 1)
        share[i - start] = min(max(place - np.float32(before[i - start]), np.float32(0)), np.float32(1))
    return before, share


@compiled
def _edges(mask, across, share_x, down, share_y, small, threshold, edges):  # type: ignore[no-untyped-def]
    """Where pixels change between out and in, going down each column: (x, y) in ``edges``, and how many.

    Small pictures weight four neighbours at once, others go along the rows first and then down the columns. Between
    two places of the mask that are both clearly below the threshold, or both clearly above it, the first pixel speaks
    for all.
    """
    side, one = len(mask), np.float32(1)
    low, high = threshold - MARGIN, threshold + MARGIN
    first = np.searchsorted(down, np.arange(side + 1))
    column = np.empty(side, np.float32)
    used = 0
    for x in range(len(across)):
        edges = _longer(edges, used + len(down) + 1)
        before, after, wb = mask[across[x]], mask[min(across[x] + 1, side - 1)], share_x[x]
        wa = one - wb
        for k in range(side):
            column[k] = fma(before[k], wa, after[k] * wb)
        inside = False
        for k in range(side):
            start, stop = first[k], first[k + 1]
            if start == stop:
                continue
            following = min(k + 1, side - 1)
            above, below = column[k], column[following]
            if (above < low and below < low) or (above > high and below > high):
                stop = start + 1
            for y in range(start, stop):
                wd = share_y[y]
                wc = one - wd
                if small:
                    value = fma(before[k], wc * wa, after[k] * (wc * wb))
                    value = fma(after[following], wd * wb, fma(before[following], wd * wa, value))
                else:
                    value = fma(above, wc, below * wd)
                if (value > threshold) != inside:
                    inside = not inside
                    edges[used, 0], edges[used, 1] = x, y
                    used += 1
        if inside:
            edges[used, 0], edges[used, 1] = x, len(down)
            used += 1
    return edges, used


@compiled
def _count_runs(edges, counts, start):  # type: ignore[no-untyped-def]
    """The tight box of pairs of edges, and their runs within it into ``counts`` from ``start`` on, up to where."""
    left, right = edges[0, 0], edges[-1, 0] + 1
    top, bottom = edges[:, 1].min(), edges[:, 1].max()
    height = bottom - top
    end, stop = 0, start  # where the last run ended, as a pixel number
    for j in range(0, len(edges), 2):
        column = (edges[j, 0] - left) * height - top
        begin = column + edges[j, 1]
        if begin == end and stop > start:  # it goes on from the foot of one column to the head of the next
            stop -= 1
            begin = end - np.int64(counts[stop])
        else:
            counts[stop] = begin - end
            stop += 1
        end = column + edges[j + 1, 1]
        counts[stop] = end - begin
        stop += 1
    rest = (right - left) * height - end
    if rest:
        counts[stop] = rest
        stop += 1
    return (left, top, right, bottom), stop


@compiled
def _longer(array, least):  # type: ignore[no-untyped-def]
    """The array itself, or a copy that is long enough."""
    if least <= len(array):
        return array
    longer = np.empty((max(2 * len(array), least), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer

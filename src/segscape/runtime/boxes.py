"""What both stages of Mask R-CNN do with boxes: decode, clip, drop doubles; as torchvision does, in numpy and numba."""

from __future__ import annotations

import math

import numpy as np

from segscape.compiled import compiled

_MOST_GROWTH = np.float32(math.log(1000 / 16))
_MOST_SHIFTED = 1000


def decode_boxes(
    offsets: np.ndarray, boxes: np.ndarray, weights: tuple[float, float, float, float] = (1, 1, 1, 1)
) -> np.ndarray:
    """Boxes moved and grown by what a head says (Ren et al. 2015, eq. 2, solved for x, y, w, h).

    Args:
        offsets: (N, 4·K) float32: t_x t_y t_w t_h for each of K classes.
        boxes: (N, 4) float32 x0 y0 x1 y1 that they are relative to.
        weights: by which the four were multiplied in training.

    Returns:
        (N, K, 4) float32 x0 y0 x1 y1.
    """
    x, y, w, h = np.moveaxis(
        offsets.reshape(len(offsets), offsets.shape[1] // 4, 4) / np.asarray(weights, np.float32), 2, 0
    )
    size = boxes[:, 2:] - boxes[:, :2]
    center = boxes[:, :2] + np.float32(0.5) * size
    center_x, center_y = x * size[:, :1] + center[:, :1], y * size[:, 1:] + center[:, 1:]
    half_w = np.float32(0.5) * (np.exp(np.minimum(w, _MOST_GROWTH)) * size[:, :1])
    half_h = np.float32(0.5) * (np.exp(np.minimum(h, _MOST_GROWTH)) * size[:, 1:])
    return np.stack((center_x - half_w, center_y - half_h, center_x + half_w, center_y + half_h), axis=2)


def clip_boxes(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., 4) boxes cut at the border of an image of ``size`` (height, width)."""
    height, width = size
    return np.clip(boxes, np.float32(0), np.array([width, height, width, height], np.float32))


def large_enough(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """(N,) bool: those of (N, 4) boxes of which both sides are at least ``min_size``."""
    return np.all(boxes[:, 2:] - boxes[:, :2] >= np.float32(min_size), axis=1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x)), float32 for float32, without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, np.float32(1), e) / (1 + e)


def nms(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, max_iou: float) -> np.ndarray:
    """Non-maximum suppression within groups, `torchvision.ops.batched_nms`.

    Args:
        boxes: (N, 4) float32 x0 y0 x1 y1, at least 0.
        scores: (N,) float32; of equal ones the first counts as higher.
        groups: (N,) int64, 0 or more: boxes of different groups leave each other alone.
        max_iou: a box is dropped if its IoU with a kept one of its group is above.

    Returns:
        the places of the boxes kept, by falling score.
    """
    if not len(boxes):
        return np.empty(0, np.int64)
    if len(boxes) <= _MOST_SHIFTED:
        # torchvision moves groups apart when there are few boxes. That rounds coordinates, and IoUs with them.
        boxes = boxes + (groups.astype(np.float32) * (boxes.max() + np.float32(1)))[:, None]
    order = np.argsort(-scores, kind="stable")
    grouped = order[np.argsort(groups[order], kind="stable")]
    limit = np.float32(max_iou)
    if float(limit) > max_iou:  # comparing with the next lower float32 is comparing with the double
        limit = np.nextafter(limit, np.float32(0))
    columns = np.ascontiguousarray(boxes[grouped].T, np.float32)
    kept = np.zeros(len(boxes), bool)
    kept[grouped] = _survivors(columns, groups[grouped], limit)
    return order[kept[order]]


@compiled
def _survivors(columns, groups, limit):  # type: ignore[no-untyped-def]
    """(N,) bool of boxes (4, N) that come group by group, each by falling score."""
    x0, y0, x1, y1 = columns[0], columns[1], columns[2], columns[3]
    area = (x1 - x0) * (y1 - y0)
    alive = np.ones(groups.size, np.bool_)
    end = 0
    zero, one = np.float32(0), np.float32(1)
    for i in range(groups.size):
        if i == end:
            while end < groups.size and groups[end] == groups[i]:
                end += 1
        if alive[i]:
            left, top, right, bottom, mine = x0[i], y0[i], x1[i], y1[i], area[i]
            for j in range(i + 1, end):
                w = max(zero, min(right, x1[j]) - max(left, x0[j]))
                h = max(zero, min(bottom, y1[j]) - max(top, y0[j]))
                shared = w * h
                union = mine + area[j] - shared
                # numba raises at x / 0; there is nothing to share with a box without area
                alive[j] &= not shared / (union if union > zero else one) > limit
    return alive

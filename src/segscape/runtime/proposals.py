"""The first stage's answer made into boxes: what torchvision's RegionProposalNetwork does behind its head.

Only the anchors that are taken are ever made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segscape.runtime.boxes import clip_boxes, decode_boxes, large_enough, nms, sigmoid

_MIN_SIZE = 1e-3


def proposals(
    objectness: Sequence[np.ndarray],
    offsets: Sequence[np.ndarray],
    anchors: Sequence[np.ndarray],
    padded: tuple[int, int],
    size: tuple[int, int],
    *,
    most_per_level: int = 1000,
    most: int = 1000,
    max_iou: float = 0.7,
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of one image worth looking into.

    Args:
        objectness: (h, w, A) float32 logits of each level.
        offsets: (h, w, 4·A) float32 of each level.
        anchors: (A, 4) float32 of each level: x0 y0 x1 y1 around 0.
        padded: (height, width) of the network's input.
        size: (height, width) of the image in it, to which boxes are clipped.
        most_per_level, most: boxes kept before and after non-maximum suppression.
        max_iou: of two boxes of one level that both stay.

    Returns:
        boxes (N, 4) float32 x0 y0 x1 y1 and their scores (N,) float32 in 0…1, falling.
    """
    boxes, scores, levels = [], [], []
    for number, (logits, moves, cells) in enumerate(zip(objectness, offsets, anchors, strict=True)):
        height, width, num = logits.shape
        flat = logits.reshape(-1)
        best = _highest(flat, most_per_level)
        place, shape = np.divmod(best, num)
        y, x = np.divmod(place, width)
        corner = np.stack((x * (padded[1] // width), y * (padded[0] // height)), axis=1).astype(np.float32)
        boxes.append(decode_boxes(moves.reshape(-1, 4)[best], cells[shape] + np.tile(corner, 2))[:, 0])
        scores.append(sigmoid(flat[best]))
        levels.append(np.full(len(best), number))
    found, score, level = clip_boxes(np.concatenate(boxes), size), np.concatenate(scores), np.concatenate(levels)
    large = large_enough(found, _MIN_SIZE)
    found, score, level = found[large], score[large], level[large]
    kept = nms(found, score, level, max_iou)[:most]
    return found[kept], score[kept]


def _highest(values: np.ndarray, most: int) -> np.ndarray:
    """The places of the ``most`` highest values, falling; of equal ones the first."""
    if len(values) > most:
        least = np.partition(values, len(values) - most)[len(values) - most]
        candidates = np.flatnonzero(values >= least)
    else:
        candidates = np.arange(len(values))
    return candidates[np.argsort(-values[candidates], kind="stable")][:most]

"""The second stage's answers made into objects: what torchvision's RoIHeads does behind its heads."""

from __future__ import annotations

import numpy as np

from segscape.runtime.boxes import clip_boxes, decode_boxes, large_enough, nms, sigmoid

_BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_MIN_SIZE = 1e-2


def detections(
    class_logits: np.ndarray,
    offsets: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    *,
    min_score: float = 0.05,
    max_iou: float = 0.5,
    most: int = 100,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects of one image, without their masks.

    Args:
        class_logits: (N, C + 1) float32, background first.
        offsets: (N, 4·(C + 1)) float32, relative to the boxes.
        boxes: (N, 4) float32, the proposals.
        size: (height, width) of the image, to which boxes are clipped.
        min_score: of an object, exceeded.
        max_iou: of two boxes of one class that both stay.
        most: objects.

    Returns:
        boxes (K, 4) float32 x0 y0 x1 y1, class ids (K,) int64 from 0 on, and scores (K,) float32, falling.
    """
    e = np.exp(class_logits - class_logits.max(axis=1, keepdims=True))
    probability = (e / e.sum(axis=1, keepdims=True))[:, 1:]
    which, labels = np.nonzero(probability > np.float32(min_score))
    scores = probability[which, labels]
    # Only the boxes of those classes are decoded.
    moves = offsets.reshape(len(offsets), class_logits.shape[1], 4)[which, labels + 1]
    found = clip_boxes(decode_boxes(moves, boxes[which], _BOX_WEIGHTS)[:, 0], size)
    large = large_enough(found, _MIN_SIZE)
    found, labels, scores = found[large], labels[large], scores[large]
    # torchvision counts background as class 0, which matters where it shifts boxes by class.
    kept = nms(found, scores, labels + 1, max_iou)[:most]
    return found[kept], labels[kept], scores[kept]


def object_masks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, M, M) float32 in 0…1 of logits (K, C + 1, M, M), background first: those of each object's own class."""
    return sigmoid(logits[np.arange(len(labels)), labels + 1])

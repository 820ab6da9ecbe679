"""From the mask head straight to run lengths: each mask is resized within its box, and nothing is ever image-sized."""

from __future__ import annotations

import numpy as np

from segscape.errors import InputError
from segscape.masks import Box, RunLengths, checked_size

_FURTHEST = 2.0**30  # pixels from the origin: there float32 still fits an integer, and sums of integers an int64


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float = 0.5
) -> list[tuple[Box, RunLengths] | None]:
    """Masks of a mask head, in their places in the image (He et al. 2017, section 3.1, "inference").

    A mask is given a rim of zeros one place wide, its box is widened by as much, the mask is resized to the box
    bilinearly, cut off at the image's border, and only then thresholded. The result is that of torchvision's
    ``paste_masks_in_image(masks, boxes, size, padding=1) > threshold``, to the pixel, where torch has a CPU with
    fused multiply-add; where it has none a pixel may differ whose value is within 1e-6 of the threshold. Where
    torchvision raises, for boxes that lie outside the image, there is no pixel.

    Takes memory for the edges of one mask and the runs of all of them; time grows with the boxes' width and with the
    length of the outlines, not with their area.

    Args:
        masks: (N, M, M) float32, probabilities in 0…1, each over its box.
        boxes: (N, 4) float32 (x0, y0, x1, y1) in pixels of the image; they may leave it.
        size: (height, width) of the image.
        threshold: in 0 ≤ t < 1; pixels above it are foreground.

    Returns:
        for each mask its tight box and its run lengths cropped to it; None for a mask without a pixel in the image.

    Raises:
        InputError: an array is of another shape or type, or a value is out of range.
    """
    from segscape.predict.paste_kernels import paste  # numba takes a while to import

    height, width = checked_size(size)
    _check(masks, boxes, threshold)
    if not len(masks):
        return []
    padded = np.ascontiguousarray(np.pad(masks.transpose(0, 2, 1), ((0, 0), (1, 1), (1, 1))))
    corners = _widened(boxes, padded.shape[1] / masks.shape[1])
    places, counts, offsets = paste(padded, corners, height, width, np.float32(threshold))
    results: list[tuple[Box, RunLengths] | None] = []
    ends = offsets.tolist()
    for (x0, y0, x1, y1), start, stop in zip(places.tolist(), ends[:-1], ends[1:], strict=True):
        found = start < stop
        results.append(((x0, y0, x1, y1), RunLengths((y1 - y0, x1 - x0), counts[start:stop])) if found else None)
    return results


def _widened(boxes: np.ndarray, factor: float) -> np.ndarray:
    """About their centres, and cut to integers towards 0: (N, 4) int64, both corners included."""
    half, scale = np.float32(0.5), np.float32(factor)
    low, high = boxes[:, :2], boxes[:, 2:]
    reach, centre = (high - low) * half * scale, (high + low) * half
    return np.concatenate((centre - reach, centre + reach), axis=1).astype(np.int64)


def _check(masks: np.ndarray, boxes: np.ndarray, threshold: float) -> None:
    if masks.ndim != 3 or masks.shape[1] != masks.shape[2] or not masks.shape[1] or masks.dtype != np.float32:
        raise InputError(f"masks must be float32 of shape (N, M, M), got {masks.dtype} {masks.shape}")
    if boxes.shape != (len(masks), 4) or boxes.dtype != np.float32:
        raise InputError(f"boxes must be float32 of shape ({len(masks)}, 4), got {boxes.dtype} {boxes.shape}")
    if not 0 <= threshold < 1:
        raise InputError(f"a mask's threshold must be in 0 ≤ t < 1, got {threshold!r}")
    if not ((masks >= 0) & (masks <= 1)).all():
        raise InputError("masks must be probabilities in 0…1; some are not")
    if not (np.abs(boxes) <= _FURTHEST).all():
        raise InputError("boxes must be finite and within 2³⁰ pixels; some are not")

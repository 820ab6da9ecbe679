"""Measuring a model: `semantic` (label maps), `boundary` (contours), `instance` (objects), `panoptic` (both at once).

`report` and `instance_report` are what people read of it.
"""

from __future__ import annotations

import numpy as np

from segscape.errors import InputError
from segscape.ignore import valid_mask


def valid_pixels(truth: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_index: int) -> np.ndarray:
    """The pixels that count, as a bool mask of the shape of ``truth``; every metric here starts with it.

    Args:
        truth: integers, class ids 0…C-1 or ``ignore_index``.
        prediction: integers of the same shape; class ids 0…C-1 wherever ``truth`` is not ignored.

    Raises:
        InputError: shapes differ, an array is not of integers, or a counted pixel holds an id outside 0…C-1.
    """
    if truth.shape != prediction.shape:
        raise InputError(f"truth of shape {truth.shape} and prediction of shape {prediction.shape} must be the same")
    valid = valid_mask(truth, ignore_index)
    for what, ids in (("truth", truth), ("prediction", prediction)):
        if ids.dtype.kind not in "iu":
            raise InputError(f"{what} must hold integer class ids, got {ids.dtype}")
        wrong = valid & ((ids < 0) | (ids >= num_classes))
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise InputError(
                f"{what} holds class id {ids[place]} at {place}, but there are {num_classes} classes "
                f"(0…{num_classes - 1}) and {ignore_index} means ignore; map it to one of these"
            )
    return valid


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole`` as float64, NaN where ``whole`` is 0: not a score of 0, but nothing to score."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def mean_defined(scores: np.ndarray) -> np.ndarray:
    """The mean over the last axis, (..., C) -> (...), of the scores that are not NaN; NaN where all are."""
    defined = ~np.isnan(scores)
    return ratio(np.where(defined, scores, 0).sum(-1), defined.sum(-1))

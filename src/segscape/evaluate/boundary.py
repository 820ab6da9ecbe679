"""How well contours are met: boundary F-score and boundary IoU.

Both see one label map, not C binary masks: a pixel lies on (or near) the contour of its class exactly where a
window around it holds another class, so one minimum and one maximum filter serve all classes at once. Ignored
pixels belong to no class: they neither make a contour nor are counted, in the truth and in the prediction.
"""

from __future__ import annotations

import math

import numpy as np

from segscape.evaluate import mean_defined, ratio, valid_pixels

TOLERANCE = 0.0075
DILATION_RATIO = 0.02
_NO_CLASS = np.int32(-1)


class BoundaryScores:
    """Boundary F-score and boundary IoU, gathered image by image.

    **Boundary F-score** (Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?"):
    for each class of each image, precision is the share of predicted contour pixels that lie nearer than the
    tolerance to a true contour pixel of the class, recall the share of true ones near a predicted one, and
    F = 2PR / (P + R). Contour pixels are those of the class with a 4-neighbour of another class; the image's edge
    is no contour. A class is scored in an image when its contour occurs in truth or prediction, and gets 0 when in
    one of them only.

    **Boundary IoU** (Cheng et al. 2021, eq. 2): the IoU of the bands of pixels that lie inside the class within
    distance d of its contour (chessboard distance; as in the authors' code the image's edge is contour too),
    intersections and unions summed over all images before dividing.

    Args:
        num_classes: C; ids in 0…C-1.
        ignore_index: id in the truth that is not counted.
        tolerance: of the F-score, as a share of the image's diagonal (0.75 %: 4.5 px at 480 × 360).
        dilation_ratio: d as a share of the image's diagonal, rounded, at least 1 px (2 %: 12 px at 480 × 360).
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int,
        *,
        tolerance: float = TOLERANCE,
        dilation_ratio: float = DILATION_RATIO,
    ) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.tolerance = tolerance
        self.dilation_ratio = dilation_ratio
        self._f_sum = np.zeros(num_classes)
        self._f_images = np.zeros(num_classes, np.int64)
        self._image_f: list[float] = []
        self._intersection = np.zeros(num_classes, np.int64)
        self._union = np.zeros(num_classes, np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add one image: (H, W) integers each, ids as `segscape.evaluate.valid_pixels` checks them."""
        valid = valid_pixels(truth, prediction, self.num_classes, self.ignore_index)
        dtype = np.uint8 if self.num_classes <= 256 else np.uint16
        truth, prediction = (np.where(valid, ids, 0).astype(dtype) for ids in (truth, prediction))
        diagonal = math.hypot(*truth.shape)
        f = _boundary_f(truth, prediction, valid, self.num_classes, self.tolerance * diagonal)
        scored = ~np.isnan(f)
        self._f_sum[scored] += f[scored]
        self._f_images += scored
        self._image_f.append(float(mean_defined(f)))
        intersection, union = _band_overlap(
            truth, prediction, valid, self.num_classes, max(1, round(self.dilation_ratio * diagonal))
        )
        self._intersection += intersection
        self._union += union

    def f_per_class(self) -> np.ndarray:
        """(C,) float64: the mean over the images where the class is scored; NaN where it never is."""
        return ratio(self._f_sum, self._f_images)

    def f(self) -> float:
        """The mean over images of each image's mean over its scored classes; NaN when no image has a contour."""
        return float(mean_defined(np.array(self._image_f)))

    def iou_per_class(self) -> np.ndarray:
        """(C,) float64; NaN for a class that occurs nowhere."""
        return ratio(self._intersection, self._union)

    def iou(self) -> float:
        """The mean over the classes that occur; NaN when none does."""
        return float(mean_defined(self.iou_per_class()))


def _near_other_class(ids: np.ndarray, valid: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(H, W) bool: valid pixels with a valid one of another class in the ``window`` about them; others hold id 0."""
    import cv2

    # What is not valid must never win, so it is the highest id for the minimum and 0, as it comes, for the maximum;
    # OpenCV treats what lies outside the image the same way.
    lowest = cv2.erode(np.where(valid, ids, np.iinfo(ids.dtype).max), window)
    highest = cv2.dilate(ids, window)
    return (lowest != highest) & valid


def _boundary_f(
    truth: np.ndarray, prediction: np.ndarray, valid: np.ndarray, num_classes: int, tolerance_px: float
) -> np.ndarray:
    """(C,) float64: the F-score of each class in one image; NaN where it has no contour in either."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    true_contour = np.where(_near_other_class(truth, valid, cross), truth, _NO_CLASS)
    predicted_contour = np.where(_near_other_class(prediction, valid, cross), prediction, _NO_CLASS)
    precision = _share_met(predicted_contour, true_contour, num_classes, tolerance_px)
    recall = _share_met(true_contour, predicted_contour, num_classes, tolerance_px)
    f = ratio(2 * precision * recall, precision + recall)
    # Both 0, or the contour in one of them only: nothing is met.
    return np.where(np.isnan(f) & ~(np.isnan(precision) & np.isnan(recall)), 0.0, f)


def _share_met(contour: np.ndarray, other: np.ndarray, num_classes: int, tolerance_px: float) -> np.ndarray:
    """The share of each class's contour pixels with one of ``other``'s of the class nearer than the tolerance.

    Contours are thin, so walking outwards from their pixels alone, all classes at once, is several times faster than
    a distance transform of the whole image for each class.

    Args:
        contour, other: (H, W) int32, the class of each contour pixel, `_NO_CLASS` elsewhere.

    Returns:
        (C,) float64; NaN for a class without pixels in ``contour``.
    """
    reach = max(0, math.ceil(tolerance_px) - 1)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    steps = steps[(steps**2).sum(1) < tolerance_px**2]
    padded = np.pad(other, reach, constant_values=_NO_CLASS)
    jumps = steps[np.argsort((steps**2).sum(1), kind="stable")] @ [padded.shape[1], 1]

    rows, columns = np.nonzero(contour != _NO_CLASS)
    classes = contour[rows, columns]
    total = np.bincount(classes, minlength=num_classes)
    places = (rows + reach) * padded.shape[1] + columns + reach
    around = padded.ravel()
    for jump in jumps:
        unmet = around[places + jump] != classes
        places, classes = places[unmet], classes[unmet]
    return ratio(total - np.bincount(classes, minlength=num_classes), total)


def _band_overlap(
    truth: np.ndarray, prediction: np.ndarray, valid: np.ndarray, num_classes: int, distance_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union, (C,) int64 each, of the bands along the inside of every class's contour."""
    window = np.ones((2 * distance_px + 1, 2 * distance_px + 1), np.uint8)
    edge = np.ones(truth.shape, bool)
    edge[distance_px:-distance_px, distance_px:-distance_px] = False
    true_band = _near_other_class(truth, valid, window) | (edge & valid)
    predicted_band = _near_other_class(prediction, valid, window) | (edge & valid)
    both = true_band & predicted_band & (truth == prediction)
    intersection = np.bincount(truth[both], minlength=num_classes)
    in_truth = np.bincount(truth[true_band], minlength=num_classes)
    in_prediction = np.bincount(prediction[predicted_band], minlength=num_classes)
    return intersection, in_truth + in_prediction - intersection

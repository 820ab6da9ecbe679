"""Touching objects told apart without boxes: a semantic network's inside and border classes, and a watershed.

The baseline of the nuclei literature (Caicedo et al. 2019, Nature Methods 16:1247; Schmidt et al. 2018, StarDist,
section 3.2): a U-Net says background, inside or border of each pixel. Where inside clearly beats border lie the seeds,
one an object; from them the foreground is flooded, the surest inside first, so that objects meet where border is
surest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.refine.parameters import Parameters, Ranges
from segscape.result import Region

if TYPE_CHECKING:
    from segscape.data.objects import Objects

# Least and largest value of each parameter.
RANGES: Ranges = {"seed_threshold": (-1.0, 1.0), "foreground_threshold": (0.0, 1.0), "min_area_px": (1, 10**9)}


@dataclass(frozen=True, slots=True)
class WatershedParameters(Parameters):
    """What is a seed, what is flooded and what is kept.

    Attributes:
        seed_threshold: 8-connected pieces where P(inside) − P(border) is above it are seeds, -1…1.
        foreground_threshold: pixels where P(inside) + P(border) is below it belong to no object, 0…1.
        min_area_px: smaller objects are dropped, at least 1.

    Raises:
        ConfigError: a value is no number or out of its range.
    """

    what: ClassVar[str] = "watershed"
    ranges: ClassVar[Ranges] = RANGES

    seed_threshold: float = 0.5
    foreground_threshold: float = 0.5
    min_area_px: int = 10


def objects_from_probabilities(
    probabilities: np.ndarray, label_set: LabelSet, parameters: WatershedParameters, label: int = 0
) -> tuple[Region, ...]:
    """The objects in the probabilities of a network with an inside and a border class, in time linear in the pixels.

    Args:
        probabilities: (C, H, W) float32 in 0…1, of each class at each pixel.
        label_set: of the network: C classes, among them "inside" and "border".
        parameters: see `WatershedParameters`.
        label: class id that the regions get.

    Returns:
        Regions with ids 1…N, by falling area, then by the top and the left of their boxes. They do not overlap; a seed
        makes one, so each is connected. The score is the mean of P(inside) + P(border) over the object.

    Raises:
        InputError: the probabilities are of another shape, type or range, or the label set has no such classes.
    """
    inside, border = _inside_and_border(probabilities, label_set)
    foreground = inside + border
    numbers = _flooded(inside - border, foreground, parameters.seed_threshold, parameters.foreground_threshold)
    return _regions(numbers, foreground, parameters.min_area_px, label)


Score = Callable[[Sequence[tuple[tuple[Region, ...], "Objects"]]], float]


def fit(
    samples: Sequence[tuple[np.ndarray, Objects]],
    label_set: LabelSet,
    score: Score,
    *,
    seed_thresholds: Sequence[float] = (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8),
    foreground_thresholds: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7),
    min_areas_px: Sequence[int] = (1, 10, 20, 40),
) -> tuple[WatershedParameters, tuple[tuple[WatershedParameters, float], ...]]:
    """Try every combination of parameters on validation images.

    Args:
        samples: (probabilities, true objects) of each image; read once for each pair of thresholds, so a sequence that
            loads them when asked keeps memory small.
        label_set: see `objects_from_probabilities`.
        score: what to raise, from (objects found, true objects) of all images: say the mean of TP / (TP + FP + FN) over
            IoU 0.5…0.9.
        seed_thresholds, foreground_thresholds, min_areas_px: the values to combine.

    Returns:
        the best parameters, the first of equally good ones; and all that were tried, each with its score.

    Raises:
        InputError: there are no samples, or see `objects_from_probabilities`.
        ConfigError: a value is out of its range.
    """
    if not len(samples):
        raise InputError("fitting the watershed needs at least one image with its objects; there is none")
    trials: list[tuple[WatershedParameters, float]] = []
    for seed, foreground in itertools.product(seed_thresholds, foreground_thresholds):
        every = WatershedParameters(seed, foreground, 1)
        found = [(objects_from_probabilities(p, label_set, every), truth) for p, truth in samples]
        for least in min_areas_px:
            kept = [(tuple(r for r in regions if r.area_px >= least), truth) for regions, truth in found]
            trials.append((WatershedParameters(seed, foreground, least), score(kept)))
    return max(trials, key=lambda trial: trial[1])[0], tuple(trials)


def _flooded(
    surplus: np.ndarray, foreground: np.ndarray, seed_threshold: float, foreground_threshold: float
) -> np.ndarray:
    """(H, W) int32: the number of its object for each pixel, 0 where there is none."""
    import cv2

    from segscape.refine.watershed_kernels import NUM_LEVELS, flood  # numba takes a while to import

    dry = foreground < foreground_threshold
    seeds = (surplus > seed_threshold) & ~dry
    numbers = cv2.connectedComponents(seeds.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]
    numbers[dry] = -1
    levels = np.clip((1 - surplus) * ((NUM_LEVELS - 1) / 2), 0, NUM_LEVELS - 1).astype(np.uint8)
    flood(levels, numbers)
    return np.maximum(numbers, 0, out=numbers)


def _regions(numbers: np.ndarray, foreground: np.ndarray, min_area_px: int, label: int) -> tuple[Region, ...]:
    from segscape.data.objects import objects_from_numbers  # brings all readers of data sets along

    areas = np.bincount(numbers.ravel())
    sums = np.bincount(numbers.ravel(), weights=foreground.ravel())
    small = areas < min_area_px
    if small.any():
        numbers[small[numbers]] = 0
    objects = objects_from_numbers(numbers, label)
    order = np.lexsort((objects.boxes[:, 0], objects.boxes[:, 1], -areas[objects.ids]))
    regions = []
    for i in order.tolist():
        area = int(areas[objects.ids[i]])
        mean = min(float(sums[objects.ids[i]]) / area, 1.0)
        x0, y0, x1, y1 = objects.boxes[i].tolist()
        regions.append(Region(len(regions) + 1, label, mean, (x0, y0, x1, y1), area, objects.masks[i]))
    return tuple(regions)


def _inside_and_border(probabilities: np.ndarray, label_set: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    channels = [label_set.index(name) for name in ("inside", "border")]
    if probabilities.ndim != 3 or len(probabilities) != len(label_set) or probabilities.dtype != np.float32:
        raise InputError(
            f"probabilities must be float32 of shape ({len(label_set)}, H, W) for label set {label_set.name!r}, got "
            f"{probabilities.dtype} {probabilities.shape}"
        )
    inside, border = (probabilities[channel] for channel in channels)
    if not probabilities.size or not all(((p >= 0) & (p <= 1.0001)).all() for p in (inside, border)):
        raise InputError("probabilities must lie in 0…1, and there must be at least one pixel")
    return inside, border

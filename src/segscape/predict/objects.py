"""From an image to its objects: what stands before and behind a network that finds them, for every engine alike."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from segscape.errors import ModelError, SegscapeWarning
from segscape.masks import Box, RunLengths, crop_to_box
from segscape.predict.paste import paste_masks
from segscape.preprocess import Preprocess
from segscape.refine.watershed import objects_from_probabilities
from segscape.result import Region
from segscape.runtime.engine import Detections, ObjectEngine
from segscape.runtime.inference import Scores, probabilities

if TYPE_CHECKING:
    from segscape.models.card import ModelCard

LOWEST_SCORE = 0.05  # the network gives none below
_MOST_TAKEN = 0.5
_GOOD = 0.5
MAX_OBJECTS = 100
"""That a detector gives of an image if its card says nothing, as COCO's evaluation takes them."""


def detect(
    engine: ObjectEngine, preprocess: Preprocess, pixels: np.ndarray, size: tuple[int, int] | None = None
) -> Detections:
    """The objects of one image (H, W, 3) uint8, their boxes in its own pixels.

    ``size`` is the image's own (height, width) if it was decoded smaller.

    Raises:
        ModelError: the network's boxes, scores or masks are not finite.
        ResourceError, MemoryError: out of memory.
    """
    size = size or (pixels.shape[0], pixels.shape[1])
    batch = preprocess.batch(pixels, size=size)
    found = engine.detect(batch)
    if not all(np.isfinite(part).all() for part in (found.boxes, found.scores, found.masks)):
        raise ModelError("the network's objects are not finite: its weights are damaged, or its training diverged")
    down, across = (full / seen for full, seen in zip(size, batch.shape[2:], strict=True))
    return replace(found, boxes=found.boxes * np.array([across, down, across, down], np.float32))


def object_regions(
    found: Detections, size: tuple[int, int], min_score: float = LOWEST_SCORE, *, overlap: bool = True
) -> tuple[Region, ...]:
    """Detections as regions with ids 1…N, by falling score; those whose mask has no pixel are left out.

    Args:
        found: boxes in the image's pixels.
        size: (height, width) of the image.
        min_score: lower ones are left out.
        overlap: whether masks may overlap. If not, a pixel belongs to the object of highest score that claims it, and
            an object that keeps less than half of its mask is dropped: it was another one's double.
    """
    kept = np.flatnonzero(found.scores >= min_score)
    regions = [
        Region(i, int(found.labels[k]), float(np.clip(found.scores[k], 0, 1)), box, mask.area, mask)
        for i, (k, (box, mask)) in enumerate(_pasted(found, kept, size), start=1)
    ]
    if overlap:
        return tuple(regions)
    owners, stayed = claim_pixels(regions, size, _MOST_TAKEN)
    return tuple(replace(region, id=i) for i, region in enumerate(cut_to_owned(owners, stayed), start=1))


def warn_if_full(found: Detections, card: ModelCard, min_score: float, where: str) -> None:
    """Warn if a detector may have left objects out: it gave as many as it gives at most, and all of them are good.

    Not by ``min_score`` alone: measuring takes them from 0 on, of which there always are as many.
    """
    most = card.options.get("max_objects", MAX_OBJECTS)
    if len(found.scores) >= most and found.scores.min() >= max(min_score, _GOOD):
        warnings.warn(
            f"{where}: {card.name} found {most} objects, the most it gives at once, so others may be missing; have it "
            "look at smaller parts (`segscape predict --tiled`, `segscape.predict_huge` with a smaller tile)",
            SegscapeWarning,
            stacklevel=2,
        )


def watershed_regions(scores: Scores, card: ModelCard, min_score: float) -> tuple[Region, ...]:
    """The objects that the watershed on a model's card makes of its scores, from ``min_score`` on.

    Raises:
        MemoryError: the scores at the image's own size do not fit.
    """
    assert card.watershed is not None
    regions = objects_from_probabilities(probabilities(scores), card.label_set, card.watershed)
    return tuple(region for region in regions if (region.score or 0.0) >= min_score)


def _pasted(found: Detections, kept: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[int, tuple[Box, RunLengths]]]:
    """Place in ``found``, box and mask of those that have a pixel."""
    for k, place in zip(kept.tolist(), paste_masks(found.masks[kept], found.boxes[kept], size), strict=True):
        if place is not None:
            yield k, place


def certainty(region: Region) -> float:
    """An object's score; 1 where it has none."""
    return 1.0 if region.score is None else region.score


def claim_pixels(regions: Iterable[Region], size: tuple[int, int], max_taken: float) -> tuple[np.ndarray, list[Region]]:
    """Give every pixel to the object of highest score that claims it.

    Args:
        regions: objects; one without a score comes first.
        size: (height, width) of the image.
        max_taken: 0…1: an object of which a larger share is taken already is dropped, another one's double.

    Returns:
        (H, W) int32, k + 1 on the pixels of object k of those that stay, 0 elsewhere; and these, uncut.
    """
    owners = np.zeros(size, np.int32)
    kept: list[Region] = []
    for region in sorted(regions, key=certainty, reverse=True):
        x0, y0, x1, y1 = region.box
        before = owners[y0:y1, x0:x1]
        free = region.mask.to_dense()
        free &= before == 0
        num_free = np.count_nonzero(free)
        if num_free and region.area_px - num_free <= max_taken * region.area_px:
            kept.append(region)
            before[free] = len(kept)
    return owners, kept


def cut_to_owned(owners: np.ndarray, kept: Sequence[Region]) -> Iterator[Region]:
    """The objects of `claim_pixels`, each with the pixels it owns."""
    for number, region in enumerate(kept, start=1):
        left, top, right, bottom = region.box
        (x0, y0, x1, y1), mask = crop_to_box(owners[top:bottom, left:right] == number)
        box = (left + x0, top + y0, left + x1, top + y1)
        yield replace(region, box=box, area_px=mask.area, mask=mask)

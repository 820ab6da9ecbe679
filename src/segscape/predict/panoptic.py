"""Any semantic and any instance result of an image joined into one, where each pixel has one owner.

The rule is that of Kirillov et al. 2019, "Panoptic Segmentation" (arXiv:1801.00868, "Machine performance baselines"):
objects by falling score, each without the pixels that are taken, and none of which too much is taken; then stuff
wherever no object is; and of "Panoptic Feature Pyramid Networks" (arXiv:1901.02446, "Inference") that stuff of too
small an area is dropped.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from segscape.errors import ConfigError, InputError
from segscape.predict.label_mapping import LabelMapping
from segscape.predict.objects import certainty, claim_pixels, cut_to_owned
from segscape.predict.regions import regions_from_label_map
from segscape.refine.parameters import Parameters, Ranges
from segscape.result import Segmentation

# Least and largest value of each parameter.
RANGES: Ranges = {"min_score": (0.0, 1.0), "max_taken": (0.0, 1.0), "min_stuff_px_share": (0.0, 1.0)}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PanopticParameters(Parameters):
    """Which objects and which stuff enter.

    Attributes:
        min_score: objects of a lower score are dropped, 0…1; one without score has score 1.
        max_taken: an object is dropped when more than this share of its pixels belongs to objects of higher score, 0…1.
        min_stuff_px_share: stuff classes that cover less than this share of the image are dropped, 0…1, and their
            pixels get the class of the nearest pixel of stuff that stays; where none would stay, none is dropped.

    Raises:
        ConfigError: a value is no number or out of its range.
    """

    what: ClassVar[str] = "panoptic"
    ranges: ClassVar[Ranges] = RANGES

    min_score: float = 0.5
    max_taken: float = 0.5
    min_stuff_px_share: float = 0.002


def fuse(
    semantic: Segmentation,
    objects: Segmentation,
    mapping: LabelMapping,
    parameters: PanopticParameters = PanopticParameters(),
) -> Segmentation:
    """One segmentation of an image from a semantic and an instance result.

    A semantic class that the instance model can find as well is left to it: its pixels which no object claims keep
    their class in the label map, but belong to no region; panoptic quality calls them void. All other semantic classes
    are stuff here.

    Args:
        semantic: with a label map; its confidence, if there, gives the stuff's scores, else they are None.
        objects: its regions that are objects; they may overlap.
        mapping: from `join_label_sets` of the two label sets.
        parameters: see `PanopticParameters`.

    Returns:
        label map, uint8 or uint16, and regions of the joint label set: each object that stays, with its score, and each
        8-connected piece of stuff, largest first. Regions do not overlap. Confidence and image are the semantic ones;
        timings are those of both, as "semantic …" and "objects …".

    Raises:
        InputError: sizes differ, label sets are not those of the mapping, or there is no label map.
    """
    if semantic.size != objects.size:
        raise InputError(f"a semantic result of {semantic.size} and objects of {objects.size} are not of one image")
    if semantic.label_map is None:
        raise InputError("the semantic result has no label map; the first model of A+B must be a semantic one")
    if semantic.label_set != mapping.semantic or objects.label_set != mapping.objects:
        raise InputError(
            f"results of label sets {semantic.label_set.name!r} and {objects.label_set.name!r} do not fit a mapping of "
            f"{mapping.semantic.name!r} and {mapping.objects.name!r}; make it by join_label_sets from these two"
        )
    able = [region for region in objects.regions if certainty(region) >= parameters.min_score]
    owners, kept = claim_pixels(able, objects.size, parameters.max_taken)
    label_map = mapping.semantic_to_joint(semantic.label_map)
    stuff = _stuff_only(label_map, owners, mapping, parameters)

    regions = [replace(r, label=mapping.from_objects[r.label]) for r in cut_to_owned(owners, kept)]
    regions += regions_from_label_map(stuff, mapping.joint, semantic.confidence)
    regions.sort(key=lambda r: (-r.area_px, r.box[1], r.box[0]))
    joint = np.array(mapping.from_objects, label_map.dtype)
    painted = np.array([0, *(joint[region.label] for region in kept)], label_map.dtype)
    label_map = np.where(owners > 0, painted[owners], np.where(stuff != mapping.joint.ignore_index, stuff, label_map))
    return Segmentation(
        size=semantic.size,
        label_set=mapping.joint,
        label_map=label_map,
        regions=tuple(replace(region, id=i) for i, region in enumerate(regions, start=1)),
        confidence=semantic.confidence,
        model=f"{semantic.model}+{objects.model}",
        timings_ms={
            f"{part} {stage}": ms
            for part, result in (("semantic", semantic), ("objects", objects))
            for stage, ms in result.timings_ms.items()
        },
        image=objects.image if semantic.image is None else semantic.image,
        single_objects=True,
    )


def fit_parameters(
    images: Sequence[tuple[Segmentation, Segmentation, _T]],
    mapping: LabelMapping,
    score: Callable[[Iterable[tuple[Segmentation, _T]]], float],
    *,
    min_scores: Sequence[float] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    max_taken: Sequence[float] = (0.3, 0.5, 0.7),
    min_stuff_px_shares: Sequence[float] = (0.0, 0.001, 0.002, 0.005, 0.01),
) -> tuple[PanopticParameters, tuple[tuple[PanopticParameters, float], ...]]:
    """Try every combination of parameters on validation images.

    Args:
        images: (semantic result, objects, truth) of each.
        mapping: see `fuse`.
        score: what to raise, from (result, truth) of each image, made as they are asked for: say panoptic quality.
        min_scores, max_taken, min_stuff_px_shares: the values to combine.

    Returns:
        the best parameters, the first of equally good ones; and all that were tried, each with its score.

    Raises:
        InputError: there are no images, or see `fuse`.
        ConfigError: a value is out of its range.
    """
    if not len(images):
        raise InputError("fitting the panoptic fusion needs at least one image with its truth; there is none")
    trials: list[tuple[PanopticParameters, float]] = []
    for values in itertools.product(min_scores, max_taken, min_stuff_px_shares):
        parameters = PanopticParameters(*values)
        fused = ((fuse(semantic, objects, mapping, parameters), truth) for semantic, objects, truth in images)
        trials.append((parameters, score(fused)))
    return max(trials, key=lambda trial: trial[1])[0], tuple(trials)


def _stuff_only(
    label_map: np.ndarray, owners: np.ndarray, mapping: LabelMapping, parameters: PanopticParameters
) -> np.ndarray:
    """The label map where it is stuff that stays, small classes filled in; the ignore index elsewhere."""
    import cv2

    ignore = mapping.joint.ignore_index
    ids = np.arange(np.iinfo(label_map.dtype).max + 1)
    is_stuff = (ids < len(mapping.joint)) & ~np.isin(ids, mapping.from_objects)
    stuff = np.where(is_stuff[label_map] & (owners == 0), label_map, label_map.dtype.type(ignore))
    areas = np.bincount(stuff.ravel(), minlength=len(ids))
    small = is_stuff & (areas > 0) & (areas < parameters.min_stuff_px_share * label_map.size)
    dropped = small[stuff]
    stays = (stuff != ignore) & ~dropped
    if not dropped.any() or not stays.any():
        return stuff
    _, nearest = cv2.distanceTransformWithLabels(
        (~stays).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    class_of = np.zeros(nearest.max() + 1, label_map.dtype)
    class_of[nearest[stays]] = stuff[stays]
    stuff[dropped] = class_of[nearest[dropped]]
    return stuff


def read_fusion(path: Path) -> PanopticParameters:
    """The parameters in a file that ``segscape tune-objects SEMANTIC+INSTANCE`` wrote.

    Raises:
        ConfigError: no such file, or it is none of these.
    """
    try:
        return PanopticParameters.from_dict(json.loads(path.read_text(encoding="utf-8"))["panoptic"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{str(path)!r} is not of `segscape tune-objects SEMANTIC+INSTANCE` ({error})") from error

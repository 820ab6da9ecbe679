"""The one result type of every model and every route: a `Segmentation` with its `Region`s."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.many_masks import to_coco_counts
from segscape.masks import RunLengths
from segscape.polygons import to_polygons_of

_FEW_CLASSES = 32

if TYPE_CHECKING:
    from segscape.image import Image
    from segscape.scene.scene import Scene


@dataclass(frozen=True, slots=True)
class Region:
    """One connected piece of stuff, or one object.

    Attributes:
        id: 1, 2, 3, … unique within its segmentation.
        label: class id in the segmentation's label set.
        score: 0…1: for a piece of stuff the mean confidence over its pixels, for an object the detector's
            score; None when the model gave no confidence. If the image has k ≥ 2 times the pixels a side of what the
            network saw, and the confidence itself is not asked for, the mean is over every k-th pixel of every k-th
            row, k rounded down; of a piece that holds fewer than 256 of them it is over all its pixels.
        box: (x0, y0, x1, y1), integer pixels of the whole image, half-open: x0 ≤ x < x1.
        area_px: number of pixels in the mask.
        mask: run lengths cropped to ``box``.
    """

    id: int
    label: int
    score: float | None
    box: tuple[int, int, int, int]
    area_px: int
    mask: RunLengths

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            raise InputError(f"region {self.id}: box {self.box} is empty or outside the image")
        if self.mask.size != (y1 - y0, x1 - x0):
            raise InputError(f"region {self.id}: mask of size {self.mask.size} does not fill its box {self.box}")
        if self.mask.area != self.area_px or self.area_px < 1:
            raise InputError(f"region {self.id}: area {self.area_px} is not that of its mask ({self.mask.area})")
        if self.score is not None and not 0 <= self.score <= 1:
            raise InputError(f"region {self.id}: score {self.score} is not in 0…1")


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a model saw in one image.

    Attributes:
        size: (height, width) of the image in pixels.
        label_set: what the class ids mean.
        label_map: (H, W) uint8 or uint16 class ids, or None for a model that only finds objects.
        regions: every connected piece of stuff and every object, largest first.
        confidence: (H, W) float32, 0…1, the probability of each pixel's class; None unless asked for.
        model: name and hash of the model, e.g. "street@3fa9c1d2".
        timings_ms: milliseconds by stage, e.g. {"decode": 4.1, "network": 95.0}.
        image: the input, kept for `plot` and `save`; None when the caller did not want it kept.
        single_objects: whether each region of a thing is one object; if not, it is a connected piece of its class, in
            which objects that touch are one.
    """

    size: tuple[int, int]
    label_set: LabelSet
    label_map: np.ndarray | None
    regions: tuple[Region, ...] = ()
    confidence: np.ndarray | None = None
    model: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    image: Image | None = None
    single_objects: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", tuple(self.regions))
        if min(self.size) < 1:
            raise InputError(f"a segmentation needs a size of at least 1 × 1, got {self.size}")
        if self.label_map is not None and (
            self.label_map.shape != self.size or self.label_map.dtype not in (np.uint8, np.uint16)
        ):
            raise InputError(
                f"label map must be uint8 or uint16 of shape {self.size}, "
                f"got {self.label_map.dtype} {self.label_map.shape}"
            )
        if self.confidence is not None and (self.confidence.shape, self.confidence.dtype) != (self.size, np.float32):
            raise InputError(
                f"confidence must be float32 of shape {self.size}, got {self.confidence.dtype} {self.confidence.shape}"
            )
        if self.image is not None and self.image.pixels.shape[:2] != self.size:
            raise InputError(f"image of shape {self.image.pixels.shape} does not fit a segmentation of {self.size}")
        height, width = self.size
        for region in self.regions:
            if region.box[2] > width or region.box[3] > height:
                raise InputError(f"region {region.id}: box {region.box} leaves the image of size {self.size}")
            if not 0 <= region.label < len(self.label_set):
                raise InputError(
                    f"region {region.id}: label {region.label} is not in label set {self.label_set.name!r} "
                    f"(0…{len(self.label_set) - 1})"
                )
        if len({region.id for region in self.regions}) != len(self.regions):
            raise InputError("regions must have unique ids")

    def class_areas(self) -> dict[str, int]:
        """Pixels of each class that occurs, by English name, in the order of the class ids."""
        if self.label_map is not None:
            num = max(len(self.label_set), int(self.label_map.max()) + 1)
            # In bands, for the cache. With few classes, comparing is quicker than the int64 copy that bincount makes.
            rows = max(1, 2**18 // self.size[1])
            counts = np.zeros(num, np.int64)
            for y in range(0, self.size[0], rows):
                band = self.label_map[y : y + rows].ravel()
                few = num <= _FEW_CLASSES
                counts += [np.count_nonzero(band == i) for i in range(num)] if few else np.bincount(band, minlength=num)
        else:
            counts = np.zeros(len(self.label_set), np.int64)
            for region in self.regions:
                counts[region.label] += region.area_px
        return {label.name: int(counts[i]) for i, label in enumerate(self.label_set) if counts[i]}

    def scene(self, *, min_area_px: int | None = None) -> Scene:
        """What the masks mean: regions, relations, sentences; see `segscape.scene.build.build_scene`."""
        from segscape.scene.build import build_scene

        return build_scene(self, min_area_px=min_area_px)

    def to_dict(self, *, polygons: bool = True) -> dict[str, Any]:
        """As plain JSON types.

        Masks are COCO run lengths over the whole image (``{"size": [h, w], "counts": [...]}``, column-major,
        starting with background), so pycocotools reads them; ``polygons`` adds outlines: a list of parts, each
        a list of rings, the first the outside and the rest holes, each ring [[x, y], …] on pixel corners.
        """
        height, width = self.size
        masks, boxes = [r.mask for r in self.regions], [r.box for r in self.regions]
        outlines = to_polygons_of(masks, boxes) if polygons else ()
        regions = []
        for i, (r, counts) in enumerate(zip(self.regions, to_coco_counts(masks, boxes, self.size), strict=True)):
            entry: dict[str, Any] = {
                "id": r.id,
                "label": self.label_set[r.label].name,
                "label_id": r.label,
                "score": None if r.score is None else round(r.score, 4),
                "box": list(r.box),
                "area_px": r.area_px,
                "area_share": round(r.area_px / (height * width), 6),
                "mask": {"size": [height, width], "counts": counts},
            }
            if polygons:
                entry["polygons"] = outlines[i]
            regions.append(entry)
        areas = self.class_areas()
        return {
            "size": {"height": height, "width": width},
            "source": None if self.image is None else self.image.source,
            "model": self.model,
            "label_set": self.label_set.to_dict(),
            "single_objects": self.single_objects,
            "classes": [
                {"label": name, "area_px": area, "area_share": round(area / (height * width), 6)}
                for name, area in areas.items()
            ],
            "regions": regions,
            "timings_ms": {k: round(v, 2) for k, v in self.timings_ms.items()},
        }

    def plot(self, *, alpha: float = 0.55) -> np.ndarray:
        """The overlay with its legend as an RGB uint8 array; needs the image to have been kept."""
        from segscape.render import overlay

        if self.image is None:
            raise InputError("this segmentation was made without keeping its image; pass keep_image=True to predict")
        return overlay(self.image.pixels, self, alpha=alpha)

    def save(self, folder: str | os.PathLike[str], stem: str | None = None) -> dict[str, Path]:
        """Write STEM.overlay.jpg, STEM.labels.png and STEM.json into ``folder``; returns the paths by kind."""
        from segscape.result_files import save_segmentation

        return save_segmentation(self, Path(folder), stem)

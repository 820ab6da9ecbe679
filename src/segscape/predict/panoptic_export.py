"""Segmentations in COCO's panoptic format: a PNG an image whose colours number the segments, and one JSON file.

See https://cocodataset.org/#format-data, "Panoptic Segmentation". Category ids are class ids
plus 1, as COCO counts from 1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from segscape.errors import InputError
from segscape.files import write_text
from segscape.labels import LabelSet
from segscape.result import Region, Segmentation
from segscape.result_files import safe_stem, write_png

JSON_NAME, PNG_FOLDER = "panoptic.json", "panoptic"


def to_coco_panoptic(segmentation: Segmentation, image_id: int, file_name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """One image's annotation. Each thing region is a segment, and all regions of a stuff class together are one.

    Args:
        segmentation: regions do not overlap; pixels of none are void.
        image_id: COCO's id of the image.
        file_name: of the PNG.

    Returns:
        (H, W, 3) uint8 RGB: pixels of the segment with id r + 256 g + 65536 b, 0 where void; and ``{"image_id",
        "file_name", "segments_info": [{"id", "category_id", "area", "bbox": [x, y, width, height], "iscrowd"}, …]}``.

    Raises:
        InputError: regions overlap, or there are more than 2²⁴ - 1 segments.
    """
    segments: dict[tuple[int, int], list[Region]] = {}
    for region in segmentation.regions:
        thing = segmentation.label_set[region.label].thing
        segments.setdefault((region.label, region.id if thing else 0), []).append(region)
    if len(segments) >= 2**24:
        raise InputError(f"COCO's panoptic PNG holds up to 2²⁴ - 1 segments, and here are {len(segments)}")
    ids = np.zeros(segmentation.size, np.int32)
    infos = []
    for number, ((label, _), regions) in enumerate(segments.items(), start=1):
        for region in regions:
            x0, y0, x1, y1 = region.box
            mask, before = region.mask.to_dense(), ids[y0:y1, x0:x1]
            if before[mask].any():
                raise InputError(f"region {region.id} overlaps another, which COCO's panoptic format cannot say")
            before[mask] = number
        left, top = min(r.box[0] for r in regions), min(r.box[1] for r in regions)
        right, bottom = max(r.box[2] for r in regions), max(r.box[3] for r in regions)
        infos.append(
            {
                "id": number,
                "category_id": label + 1,
                "area": sum(r.area_px for r in regions),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    png = np.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    return png, {"image_id": image_id, "file_name": file_name, "segments_info": infos}


def save_coco_panoptic(results: Iterable[tuple[int, str, Segmentation]], folder: str | os.PathLike[str]) -> Path:
    """Write panoptic.json and panoptic/STEM.png for each image, STEM that of the image's file.

    Each file is there whole or not at all.

    Args:
        results: (image id, file name, segmentation) of each image; taken one at a time, each written before the next.
        folder: made if missing.

    Returns:
        the path of panoptic.json, which is written last.

    Raises:
        InputError: two images have the same id or stem, label sets differ, there is no image, or see
            `to_coco_panoptic` and `segscape.files.atomic_write`.
        ResourceError: see `segscape.files.atomic_write`.
    """
    folder = Path(folder)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    taken: set[str | int] = set()
    label_set: LabelSet | None = None
    for image_id, file_name, segmentation in results:
        png_name = f"{safe_stem(Path(file_name).stem)}.png"
        if taken & {image_id, png_name.casefold()}:
            raise InputError(f"image {image_id} ({file_name!r}): another one has this id or name; make them unique")
        taken |= {image_id, png_name.casefold()}
        label_set = label_set or segmentation.label_set
        if segmentation.label_set != label_set:
            raise InputError(
                f"image {image_id} ({file_name!r}) has label set {segmentation.label_set.name!r} and those before it "
                f"{label_set.name!r}; write them to different folders"
            )
        png, annotation = to_coco_panoptic(segmentation, image_id, png_name)
        write_png(folder / PNG_FOLDER / png_name, png)
        height, width = segmentation.size
        images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        annotations.append(annotation)
    if label_set is None:
        raise InputError("there is no image to write; give at least one")
    categories = [
        {"id": i + 1, "name": label.name, "supercategory": "", "isthing": int(label.thing), "color": list(label.color)}
        for i, label in enumerate(label_set)
    ]
    document = {"images": images, "annotations": annotations, "categories": categories}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / JSON_NAME, text)
    return folder / JSON_NAME

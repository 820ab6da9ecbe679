"""Writers of formats whose masks are text: COCO, LabelMe, YOLO."""

from __future__ import annotations

import base64
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from segscape.data.coco import CocoObjects
from segscape.data.object_masks import joined, outlines
from segscape.data.objects import Objects
from segscape.data.public_sets import COCO, COCO_IDS
from segscape.data.sample import Item
from segscape.data.writing import Target, stem_of, write_file, write_json, write_labels
from segscape.masks import Box, RunLengths, to_coco_string, uncrop
from segscape.polygons import to_polygons


class CocoWriter:
    """COCO (`segscape.data.coco`): ROOT/SPLIT/a.jpg and ROOT/annotations/instances_SPLIT.json.

    Ids of images and categories are those of the COCO file that was read, those of COCO where its classes are written,
    else counted from 1. Ids of objects are kept where no two images share one, else counted from 1.
    """

    holds_crowds = True

    def __init__(self, target: Target) -> None:
        self.target = target
        dataset = target.dataset
        self.source = dataset.objects if isinstance(dataset.objects, CocoObjects) else None
        if self.source is not None:
            self.categories = self.source.categories
        else:
            own = dataset.label_set.names == COCO.names
            self.categories = COCO_IDS if own else tuple(range(1, len(dataset.label_set) + 1))
        self.images: dict[str, list[dict[str, Any]]] = {}
        self.annotations: dict[str, list[dict[str, Any]]] = {}
        self.count = itertools.count(1)

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        number = self.source.record(item).id if self.source is not None else next(self.count)
        name = f"{stem_of(item)}{item.image.suffix}"
        height, width = objects.size
        image = {"id": number, "file_name": name, "width": width, "height": height}
        self.images.setdefault(split, []).append(image)
        written = self.annotations.setdefault(split, [])
        for i, (mask, box) in enumerate(zip(objects.masks, map(tuple, objects.boxes.tolist()), strict=True)):
            x0, y0, x1, y1 = box
            written.append(
                {
                    "id": int(objects.ids[i]),
                    "image_id": number,
                    "category_id": self.categories[int(objects.labels[i])],
                    "iscrowd": int(objects.crowd[i]),
                    "area": mask.area,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": self._segmentation(mask, box, objects.size, bool(objects.crowd[i])),
                }
            )
        return self.target.root / split / name

    def _segmentation(self, mask: RunLengths, box: Box, size: tuple[int, int], crowd: bool) -> Any:
        if self.target.polygons and not crowd:
            return [[x for point in ring for x in point] for ring in outlines(mask, (box[0], box[1]))]
        return {"size": list(size), "counts": to_coco_string(uncrop(mask, box, size))}

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        everything = [annotation for part in self.annotations.values() for annotation in part]
        if len({annotation["id"] for annotation in everything}) < len(everything):
            for number, annotation in enumerate(everything, start=1):
                annotation["id"] = number
        names = self.target.dataset.label_set.names
        categories = [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in zip(self.categories, names, strict=True)
        ]
        for split, images in self.images.items():
            content = {"images": images, "annotations": self.annotations[split], "categories": categories}
            write_json(self.target.root / "annotations" / f"instances_{split}.json", content)
        write_labels(self.target)


class LabelmeWriter:
    """LabelMe (`segscape.data.labelme`): ROOT/SPLIT/a.jpg beside ROOT/SPLIT/a.json.

    An object is a polygon a part on pixel corners, or, if it has holes, a mask. Its id is its shapes' ``group_id``.
    """

    holds_crowds = True

    def __init__(self, target: Target) -> None:
        self.target = target

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        image = self.target.root / f"{item.name}{item.image.suffix}"
        names = self.target.dataset.label_set.names
        shapes = [
            {
                "label": names[label],
                **geometry,
                "group_id": number,
                "description": "",
                "flags": {"crowd": True} if crowd else {},
            }
            for mask, box, label, crowd, number in zip(
                objects.masks,
                objects.boxes.tolist(),
                objects.labels.tolist(),
                objects.crowd.tolist(),
                objects.ids.tolist(),
                strict=True,
            )
            for geometry in _labelme_shapes(mask, box)
        ]
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": image.name,
            "imageData": None,
            "imageHeight": objects.size[0],
            "imageWidth": objects.size[1],
        }
        write_json(self.target.root / f"{item.name}.json", content)
        return image

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        write_labels(self.target)


def _labelme_shapes(mask: RunLengths, box: list[int]) -> list[dict[str, Any]]:
    x0, y0, x1, y1 = box
    parts = to_polygons(mask, (x0, y0))
    if all(len(rings) == 1 for rings in parts):
        return [{"points": rings[0], "shape_type": "polygon", "mask": None} for rings in parts]
    from PIL import Image as PilImage

    content = io.BytesIO()
    PilImage.fromarray(mask.to_dense().astype(np.uint8)).save(content, "PNG")
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return [{"points": [[x0, y0], [x1 - 1, y1 - 1]], "shape_type": "mask", "mask": encoded}]


class YoloWriter:
    """YOLO (`segscape.data.yolo`): images/SPLIT/a.jpg, labels/SPLIT/a.txt and data.yaml."""

    holds_crowds = False

    def __init__(self, target: Target) -> None:
        self.target = target
        self.splits: dict[str, None] = {}

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        height, width = objects.size
        lines = []
        for mask, (x0, y0, _, _), label in zip(
            objects.masks, objects.boxes.tolist(), objects.labels.tolist(), strict=True
        ):
            ring = joined([ring for part in to_polygons(mask, (x0, y0)) for ring in part])
            # Six digits are less than a third of a pixel in images of up to 300,000 pixels a side.
            words = [f"{x / width:.6f} {y / height:.6f}" for x, y in ring]
            lines.append(f"{label} {' '.join(words)}\n")
        write_file(self.target.root / "labels" / f"{item.name}.txt", "".join(lines))
        self.splits[split] = None
        return self.target.root / "images" / f"{item.name}{item.image.suffix}"

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        names = self.target.dataset.label_set.names
        text = "".join(f"{split}: images/{split}\n" for split in self.splits)
        text += "names:\n" + "".join(f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(names))
        write_file(self.target.root / "data.yaml", text)
        write_labels(self.target)

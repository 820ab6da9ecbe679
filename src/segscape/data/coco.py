"""Reader for COCO's instance format (Lin et al. 2014; https://cocodataset.org/#format-data): one JSON a split.

::

    ROOT/annotations/instances_train2017.json    ROOT/train2017/a.jpg            as COCO itself, or
    ROOT/train.json  ROOT/val.json               ROOT/images/train/a.jpg         or
    ROOT/train/_annotations.coco.json            ROOT/train/a.jpg                as Roboflow, or
    ROOT/instances.json                          ROOT/images/a.jpg               one file for all

Images are looked for in ROOT and in images/, there and in a folder of the split's name, and beside the JSON. Splits are
named by the files. In a single file an image's own "split" decides; without that and without a split's name, images are
split by a hash of their name (`segscape.data.splits.split_by_hash`).

Category ids may have gaps: class ids are the places of the categories in order of their ids. A mask is polygons, run
lengths as a list or run lengths as a string, and comes out as pycocotools reads it, pixel for pixel. Objects without a
pixel are left out. Images without objects are kept. ``iscrowd`` is `Objects.crowd`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segscape.data.coco_document import Document, ImageRecord, load_document
from segscape.data.object_masks import rasterise_as_coco, ring_points
from segscape.data.objects import ObjectList, ObjectScan
from segscape.data.public_sets import things_called
from segscape.data.sample import Dataset, Fault, Item
from segscape.data.splits import SPLIT_NAMES, split_by_hash, split_order
from segscape.errors import DataError, InputError
from segscape.image import IMAGE_SUFFIXES
from segscape.masks import RunLengths, from_coco_counts, from_coco_string

KIND = "coco"
_FIRST_KEY = re.compile(rb'\s*\{\s*"(info|licenses|images|annotations|categories|type)"\s*:')
_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")


@dataclass(frozen=True, slots=True)
class CocoObjects:
    """Reads the objects of an item from the COCO file that is its ``labels``.

    Attributes:
        categories: COCO's category id of each class.
    """

    categories: tuple[int, ...]

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        record = self.record(item)
        classes = {category: i for i, category in enumerate(self.categories)}
        found = ObjectList(record.size)
        for annotation in load_document(item.labels or Path()).annotations[record.id]:
            number, category = annotation["id"], annotation.get("category_id")
            if _box_fits(annotation.get("bbox"), found, number):
                if not isinstance(category, int) or category not in classes:
                    found.fault("unknown-category", "error", number, f"category {category!r} is not in the file's list")
                elif (mask := _mask(annotation.get("segmentation"), found, number)) is not None:
                    found.add(number, classes[category], mask, bool(annotation.get("iscrowd")))
        return found.scan()

    def files(self, item: Item) -> tuple[Path, ...]:
        """See `segscape.data.objects.ObjectSource`."""
        return ()

    def record(self, item: Item) -> ImageRecord:
        """What the file says of the item's image.

        Raises:
            DataError: the file cannot be read, or no longer lists the image.
        """
        path = item.labels or Path()
        record = load_document(path).images.get(item.name.partition("/")[2])
        if record is None:
            raise DataError(f"{str(path)!r}: does not list the image {item.name!r}; open the data set again")
        return record


def detect(root: Path) -> bool:
    """Whether a JSON in one of the layout's places begins as COCO's do, and there are no label PNGs in labels/."""
    return not (root / "labels").is_dir() and bool(_files(root))


def open_coco(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: there is no file in COCO's form, or files contradict one another.
    """
    paths = _files(root)
    if not paths:
        raise DataError(f"data set {str(root)!r} holds no JSON in COCO's form; put it there or into annotations/")
    documents = {split: load_document(path) for split, path in _split_names(paths).items()}
    categories: dict[int, str] = {}
    for document in documents.values():
        for number, name in document.categories.items():
            if categories.setdefault(number, name) != name:
                raise DataError(
                    f"data set {str(root)!r}: category id {number} is called {categories[number]!r} in one file and "
                    f"{name!r} in {document.path.name!r}"
                )
    if not categories:
        raise DataError(f"data set {str(root)!r}: {paths[0].name!r} lists no category, so there is nothing to learn")
    categories = dict(sorted(categories.items()))
    faults: list[Fault] = [fault for document in documents.values() for fault in document.faults]
    splits: dict[str, list[Item]] = {}
    used: set[Path] = set()
    for name, document in documents.items():
        images = _find_images(root, name, document, faults)
        used.update(images.values())
        for split, stems in _members(name, document, images, single=len(documents) == 1).items():
            splits[split] = [Item(f"{split}/{stem}", images[stem], document.path) for stem in stems]
    for split in [split for split, items in splits.items() if not items] or ([] if splits else ["train"]):
        faults.append(Fault("empty-split", "error", (), f"split {split!r} is empty", "add its images, or remove it"))
    faults += _unused(root, used)
    return Dataset(
        KIND,
        root,
        things_called(root, list(categories.values())),
        {split: tuple(splits[split]) for split in sorted(splits, key=split_order)},
        faults=tuple(faults),
        objects=CocoObjects(tuple(categories)),
    )


def _files(root: Path) -> list[Path]:
    places = [root, root / "annotations", *sorted(p for p in root.iterdir() if p.is_dir() and p.name in SPLIT_NAMES)]
    found = [
        path
        for place in places
        if place.is_dir()
        for path in sorted(place.glob("*.json"))
        if not path.name.startswith(_OTHER_TASKS) and path.is_file() and _FIRST_KEY.match(_head(path))
    ]
    instances = [path for path in found if path.name.startswith("instances_")]
    return instances or found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256).removeprefix(b"\xef\xbb\xbf")


def _split_names(paths: Sequence[Path]) -> dict[str, Path]:
    """What each file's split is called: "train" for instances_train2017.json and train/_annotations.coco.json."""
    full = [
        path.parent.name if path.name == "_annotations.coco.json" else path.stem.removeprefix("instances_")
        for path in paths
    ]
    short = [re.sub(r"[-_]?20\d\d$", "", name) or name for name in full]
    return dict(zip(short if len(set(short)) == len(short) else full, paths, strict=True))


def _members(name: str, document: Document, images: Iterable[str], single: bool) -> dict[str, list[str]]:
    own = {document.images[stem].split for stem in images}
    if single and own - {""}:
        return {
            split: [stem for stem in images if document.images[stem].split == split] for split in sorted(own - {""})
        }
    return {name: list(images)} if not single or name in SPLIT_NAMES else split_by_hash(images)


def _find_images(root: Path, split: str, document: Document, faults: list[Fault]) -> dict[str, Path]:
    """The image files of a document by stem; those that are not there become a fault."""
    full = document.path.stem.removeprefix("instances_")
    tops = [root / "images" / full, root / full, root / "images" / split, root / split, root / "images", root]
    tops = [top for top in dict.fromkeys([*tops, document.path.parent]) if top.is_dir()]
    found, missing = {}, []
    for stem, record in document.images.items():
        names = dict.fromkeys((record.file_name, record.file_name.rpartition("/")[2]))
        path = next((top / name for name in names for top in tops if (top / name).is_file()), None)
        if path is None:
            missing.append(record.file_name)
            continue
        found[stem] = path
        top = path.parent
        if top in tops[1:]:
            tops = [top, *(other for other in tops if other != top)]  # the others will be there too
    if missing:
        message = f"images that {document.path.name!r} lists are not there, {len(missing)} of {len(document.images)}"
        fix = "add them, or ignore this: they are not used"
        faults.append(Fault("missing-image", "warning", tuple(missing), message, fix))
    return found


def _unused(root: Path, used: set[Path]) -> list[Fault]:
    stray = [
        path
        for folder in sorted({path.parent for path in used})
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path not in used
    ]
    if not stray:
        return []
    message = f"images that no JSON lists, {len(stray)}, are not used"
    files = tuple(path.relative_to(root).as_posix() for path in stray)
    return [Fault("not-in-split", "warning", files, message, "add them to a JSON, or ignore this")]


def _box_fits(box: Any, found: ObjectList, number: int) -> bool:
    """Whether a box (x, y, width, height) may stand; a missing one may, as the mask says where the object is."""
    if box is None:
        return True
    try:
        x, y, w, h = (float(value) for value in box)
    except (TypeError, ValueError):
        x = y = w = h = float("nan")
    if not all(np.isfinite((x, y, w, h))) or w < 0 or h < 0:
        found.fault("bad-box", "error", number, f"box {box} is not four finite numbers x, y, width, height")
        return False
    found.check_inside(np.array([(x, y), (x + w, y + h)]), number)
    return True


def _mask(segmentation: Any, found: ObjectList, number: int) -> RunLengths | None:
    height, width = found.size
    if not segmentation:
        found.fault("no-mask", "error", number, "has no segmentation")
        return None
    runs = isinstance(segmentation, dict)
    try:
        if not runs:
            flat = isinstance(segmentation, list) and isinstance(segmentation[0], (int, float))
            rings = [ring_points(ring) for ring in ([segmentation] if flat else segmentation)]
            found.check_inside(np.concatenate(rings), number)
            return rasterise_as_coco(rings, found.size)
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if not isinstance(size, list) or size != [height, width]:
            raise InputError(f"run lengths of size {size}, in an image of [{height}, {width}] (height, width)")
        if isinstance(counts, str):
            return from_coco_string(counts, found.size)
        return from_coco_counts(counts or [], found.size)
    except (InputError, TypeError) as error:
        found.fault("bad-mask" if runs else "bad-polygon", "error", number, str(error))
        return None

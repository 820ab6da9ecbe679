"""Reader for Cityscapes' object masks (Cordts et al. 2016; cityscapesscripts, ``helpers/labels.py``).

::

    ROOT/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
    ROOT/gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png      16-bit

A pixel of 1000 or more belongs to object number ``pixel``, of class ``pixel // 1000``. A smaller pixel is a class
without objects, or, in one of the 8 classes that have them, a group that nobody told apart: that is a crowd. The
names of items are "train/aachen_000000_000019". In the split "test",
whose truth Cityscapes keeps to itself, every pixel is void: it has no objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segscape.data.numbered import read_numbers
from segscape.data.objects import Objects, ObjectScan, objects_from_numbers
from segscape.data.public_sets import CITYSCAPES, CITYSCAPES_IDS
from segscape.data.sample import UNLABELLED_SPLITS, Dataset, Fault, Item
from segscape.data.splits import split_order
from segscape.errors import DataError

KIND = "cityscapes"
PER_CLASS = 1000
IMAGES, TRUTH = "leftImg8bit", "gtFine"
IMAGE_END, TRUTH_END = "_leftImg8bit.png", "_gtFine_instanceIds.png"


@dataclass(frozen=True, slots=True)
class CityscapesObjects:
    """Reads the objects of an item from its image of instance ids."""

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        numbers = read_numbers(item)
        classes = np.where(numbers < PER_CLASS, numbers, numbers // PER_CLASS)
        found = objects_from_numbers(np.where(np.isin(classes, CITYSCAPES_IDS), numbers, 0))
        crowd = found.ids < PER_CLASS
        labels = np.searchsorted(CITYSCAPES_IDS, np.where(crowd, found.ids, found.ids // PER_CLASS))
        return ObjectScan(Objects(found.size, labels, found.boxes, found.masks, crowd, found.ids))

    def files(self, item: Item) -> tuple[Path, ...]:
        """See `segscape.data.objects.ObjectSource`."""
        return ()


def detect(root: Path) -> bool:
    """Whether ``root`` has leftImg8bit/ and gtFine/."""
    return (root / IMAGES).is_dir() and (root / TRUTH).is_dir()


def open_cityscapes(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set.
    """
    images = _by_name(root / IMAGES, IMAGE_END)
    labels = _by_name(root / TRUTH, TRUTH_END)
    if not images:
        raise DataError(f"{str(root / IMAGES)!r} holds no image SPLIT/CITY/*{IMAGE_END}; unpack leftImg8bit there")
    faults: list[Fault] = []
    splits: dict[str, tuple[Item, ...]] = {}
    for split in sorted({name.partition("/")[0] for name in images}, key=split_order):
        items = [Item(name, path, labels.get(name)) for name, path in images.items() if name.startswith(f"{split}/")]
        splits[split] = tuple(items)
        bare = tuple(item.image.relative_to(root).as_posix() for item in items if item.labels is None)
        if bare and split not in UNLABELLED_SPLITS:
            message = f"images without instance ids, {len(bare)} of {len(items)} in split {split!r}"
            faults.append(Fault("missing-labels", "error", bare, message, "unpack gtFine beside leftImg8bit"))
    if orphans := sorted(set(labels) - set(images)):
        files = tuple(labels[name].relative_to(root).as_posix() for name in orphans)
        message = f"instance ids without an image, {len(orphans)} of {len(labels)}, are not used"
        faults.append(Fault("missing-image", "warning", files, message, "add the images, or ignore this"))
    return Dataset(KIND, root, CITYSCAPES, splits, faults=tuple(faults), objects=CityscapesObjects())


def _by_name(top: Path, end: str) -> dict[str, Path]:
    """The files, as "train/aachen_000000_000019" -> file."""
    paths = sorted(top.glob(f"*/*/*{end}")) if top.is_dir() else []
    return {f"{path.parent.parent.name}/{path.name.removesuffix(end)}": path for path in paths}

"""Reader for Pascal VOC's object masks (Everingham et al. 2010; VOC 2012 development kit, section 5).

::

    ROOT/JPEGImages/a.jpg   ROOT/SegmentationObject/a.png   palette PNG: 0 background, each number one object, 255 void
                            ROOT/SegmentationClass/a.png    palette PNG: the class of each pixel, 255 void
    ROOT/ImageSets/Segmentation/train.txt val.txt           names, one a line; without lists, a split by hash

ROOT is the folder VOC2012. An object's class is the one that most of its pixels have; pixels of 255, the border that
VOC draws around objects, belong to none. Classes are VOC's 20, or those of ROOT/labels.json, or of ROOT/class_names.txt
as labelme2voc writes it (its first line, "_background_", is the background); class i is i + 1 in the files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segscape.data.label_files import read_label_file
from segscape.data.label_sets import find_label_set
from segscape.data.numbered import read_numbers
from segscape.data.objects import ObjectFault, ObjectScan, objects_from_numbers
from segscape.data.public_sets import VOC, things_called
from segscape.data.sample import Dataset, Item
from segscape.data.splits import list_splits
from segscape.errors import DataError
from segscape.labels import LabelSet

KIND = "voc"
VOID = 255
IMAGES, OBJECTS, CLASSES, LISTS = "JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"


@dataclass(frozen=True, slots=True)
class VocObjects:
    """Reads the objects of an item from its two label images.

    Attributes:
        num_classes: how many classes there are.
    """

    num_classes: int

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        numbers = read_numbers(item)
        (path,) = self.files(item)
        classes = read_label_file(path)
        if classes.shape != numbers.shape:
            raise DataError(
                f"{str(path)!r}: is of {classes.shape[::-1]} pixels and {str(item.labels)!r} of {numbers.shape[::-1]}; "
                "export both as palette PNG of one size"
            )
        numbers = np.where(numbers == VOID, 0, numbers)
        objects = objects_from_numbers(numbers)
        known = (classes > 0) & (classes <= self.num_classes) & (numbers > 0)
        votes = np.zeros((int(numbers.max()) + 1, self.num_classes + 1), np.int64)
        np.add.at(votes, (numbers[known], classes[known]), 1)
        votes = votes[objects.ids]
        labels = votes.argmax(axis=1) - 1
        faults = [
            ObjectFault("unknown-category", "error", number, f"has no pixel of a class in {path.name!r}")
            for number in objects.ids[labels < 0].tolist()
        ]
        faults += [
            ObjectFault("mixed-classes", "warning", number, f"has pixels of several classes in {path.name!r}")
            for number in objects.ids[np.count_nonzero(votes, axis=1) > 1].tolist()
        ]
        named = replace(objects, labels=np.maximum(labels, 0)).chosen(labels >= 0)
        return ObjectScan(named, tuple(faults))

    def files(self, item: Item) -> tuple[Path, ...]:
        """The image of the classes."""
        if item.labels is None:
            return ()
        top = next(parent for parent in item.labels.parents if parent.name == OBJECTS)
        return (top.parent / CLASSES / item.labels.relative_to(top),)


def detect(root: Path) -> bool:
    """Whether ``root`` has JPEGImages/ and SegmentationObject/."""
    return (root / IMAGES).is_dir() and (root / OBJECTS).is_dir()


def open_voc(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set.
    """
    splits, faults = list_splits(root, images=IMAGES, labels=OBJECTS, lists=LISTS)
    label_set = _label_set(root)
    return Dataset(KIND, root, label_set, splits, faults=faults, objects=VocObjects(len(label_set)))


def _label_set(root: Path) -> LabelSet:
    if (root / "labels.json").is_file() and (stated := find_label_set(root)):
        return things_called(root, stated[0].names)
    if (path := root / "class_names.txt").is_file():
        names = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
        names = [name for name in names if name and name not in ("__ignore__", "_background_")]
        return things_called(root, names)
    return VOC

"""Reader for folders of numbered objects: images beside label PNGs that give every object a number of its own.

::

    ROOT/images/train/a.jpg   ROOT/labels/train/a.png     8- or 16-bit: 0 background, each other number one object

The layouts are those of mask folders (`segscape.data.mask_folder`). There is one class; ROOT/labels.json or
ROOT/classes.txt with one label names it, else it is called "object". The numbers say nothing by themselves, may have
gaps and start again in each image; all pixels of a number are one object, in however many parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segscape.data.label_files import read_label_file
from segscape.data.label_sets import find_label_set
from segscape.data.objects import ObjectScan, objects_from_numbers
from segscape.data.sample import NO_LABELS, Dataset, Item
from segscape.data.splits import list_splits
from segscape.errors import DataError
from segscape.labels import Label, LabelSet

KIND = "numbered"
_OBJECT = LabelSet("objects", (Label("object", (255, 170, 40), "物体", thing=True),))
_PROBES = 6


@dataclass(frozen=True, slots=True)
class NumberedPng:
    """Reads the objects of an item from its label image."""

    label: int = 0

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        return ObjectScan(objects_from_numbers(read_numbers(item), self.label))

    def files(self, item: Item) -> tuple[Path, ...]:
        """See `segscape.data.objects.ObjectSource`."""
        return ()


def read_numbers(item: Item) -> np.ndarray:
    """The label image of an item: uint8 or uint16 (H, W).

    Raises:
        DataError: it is missing, cannot be read, or is coloured.
    """
    if item.labels is None:
        raise DataError(NO_LABELS.format(str(item.image)))
    numbers = read_label_file(item.labels)
    if numbers.ndim != 2:
        raise DataError(f"{str(item.labels)!r}: is coloured; numbered objects are grey PNG of 8 or 16 bits")
    return numbers


def detect(root: Path) -> bool:
    """Whether label files are 16-bit and number their values 0, 1, 2, … with another end in nearly every file.

    A folder that states more than one class is not of this kind.
    """
    if not ((root / "images").is_dir() and (root / "labels").is_dir()):
        return False
    try:
        stated = find_label_set(root)
        splits, _ = list_splits(root)
    except DataError:
        return False
    if stated is not None and len(stated[0]) != 1:
        return False
    files = [item.labels for items in splits.values() for item in items if item.labels is not None]
    probes = files[:: max(1, len(files) // _PROBES)][:_PROBES]
    ends = [_last_number(path) for path in probes]
    counted = [end for end in ends if end is not None]
    return len(counted) * 2 > len(probes) and len(set(counted)) * 2 > len(counted)


def open_numbered(root: Path, kind: str = KIND, label_set: LabelSet | None = None) -> Dataset:
    """Open the folder ``root``; its label set is the stated one, ``label_set`` or "object".

    Raises:
        DataError: the layout makes no data set, or more than one class is stated.
    """
    stated = find_label_set(root)
    labels = label_set or (stated[0] if stated is not None else _OBJECT)
    if len(labels) != 1:
        raise DataError(f"{str(root)!r}: numbered objects are of one class, but {len(labels)} are stated")
    labels = replace(labels, labels=tuple(replace(label, thing=True) for label in labels))
    splits, faults = list_splits(root)
    return Dataset(kind, root, labels, splits, faults=faults, objects=NumberedPng())


def _last_number(path: Path) -> int | None:
    """The highest of the numbers in a 16-bit file if they go on without a gap; else None."""
    try:
        numbers = read_label_file(path)
    except DataError:
        return None
    if numbers.dtype != np.uint16:
        return None
    present = np.flatnonzero(np.bincount(numbers.ravel()))
    return int(present[-1]) if len(present) == present[-1] + (present[0] == 0) else None

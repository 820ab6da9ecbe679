"""A data set as the rest of Segscape sees it: named items in splits, read one at a time and checked when read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from segscape.data.faults import Fault, some
from segscape.data.label_files import LabelCoder, RawValue, read_label_file, show_value
from segscape.data.objects import Objects, ObjectSource
from segscape.errors import DataError
from segscape.image import read_image
from segscape.labels import LabelSet

_FOLD = re.compile(r"(.+)\[(-?)(\d{1,4})/(\d{1,4})\]")
UNLABELLED_SPLITS = ("predict", "unlabelled", "unlabeled")  # here an image may come without truth
NO_LABELS = f"{{!r}}: has no labels; add them, or put the image into a split called {UNLABELLED_SPLITS[0]!r}"


@dataclass(frozen=True, slots=True)
class Item:
    """One image with its labels, not yet read.

    Attributes:
        name: unique in the data set: split and stem, "train/0001TP_006690".
        image: the image file.
        labels: the label file, or None for an image without truth.
    """

    name: str
    image: Path
    labels: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image with its truth.

    Attributes:
        name: that of its item.
        pixels: uint8 (H, W, 3) RGB, upright.
        labels: uint8 or uint16 (H, W) class ids, the label set's ``ignore_index`` where there is no truth.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class InstanceSample:
    """An image with its objects.

    Attributes:
        name: that of its item.
        pixels: uint8 (H, W, 3) RGB, upright.
        objects: what is to be found in it.
    """

    name: str
    pixels: np.ndarray
    objects: Objects


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with labels, in splits.

    Attributes:
        kind: the reader that opened it: "camvid", "folder".
        root: its folder.
        label_set: what the class ids mean.
        splits: split name -> items, sorted by name.
        value_map: what label files hold -> class id (or ignore index), where the two differ: keys are pixel
            values, or (r, g, b) for colour-coded masks.
        faults: found while the folder was listed (`segscape.data.checks.check_dataset` adds those in the files).
        objects: reads the single objects; None for a data set that only has label maps.
        coder: turns the content of label files into class ids, by ``label_set`` and ``value_map``.
    """

    kind: str
    root: Path
    label_set: LabelSet
    splits: Mapping[str, tuple[Item, ...]]
    value_map: Mapping[RawValue, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    objects: ObjectSource | None = None
    coder: LabelCoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        splits = {name: tuple(sorted(items, key=lambda item: item.name)) for name, items in self.splits.items()}
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "splits", MappingProxyType(splits))
        object.__setattr__(self, "value_map", MappingProxyType(dict(self.value_map)))
        object.__setattr__(self, "faults", tuple(self.faults))
        object.__setattr__(self, "coder", LabelCoder(self.label_set, self.value_map))

    def __reduce__(self) -> tuple[Any, ...]:
        # Loader processes get the data set pickled, which a mapping proxy cannot be.
        plain = (self.kind, self.root, self.label_set, dict(self.splits), dict(self.value_map), self.faults)
        return Dataset, (*plain, self.objects)

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of the split called ``name``, or a part of it.

        ``train[2/5]`` is the third of five folds of "train": every item whose place, counted from 0 in order of the
        names, leaves the remainder 2 when divided by 5. ``train[-2/5]`` is all the rest.

        Raises:
            DataError: there is no such split or fold.
        """
        if name not in self.splits and (fold := _FOLD.fullmatch(name)):
            items, without, k, n = self.split(fold[1]), bool(fold[2]), int(fold[3]), int(fold[4])
            if not 0 <= k < n <= len(items) or n < 2:
                raise DataError(
                    f"split {name!r}: fold k/n needs 0 <= k < n and n from 2 to {len(items)}, the number of images"
                )
            return tuple(item for place, item in enumerate(items) if (place % n == k) != without)
        if name not in self.splits:
            there = ", ".join(repr(s) for s in self.splits) or "none"
            raise DataError(f"data set {str(self.root)!r} has no split {name!r}; it has {there}")
        return self.splits[name]

    def read(self, item: Item) -> Sample:
        """Read an item's image and labels.

        Raises:
            ImageError: the image cannot be read.
            DataError: the labels are missing, cannot be read, are not of the image's size, or hold a value that
                is neither a class nor the ignore index; or the data set holds objects and no label maps.
        """
        labels = self.read_labels(item)
        pixels = read_image(item.image).pixels
        if pixels.shape[:2] != labels.shape:
            raise DataError(
                f"{str(item.labels)!r}: labels of {labels.shape[1]} × {labels.shape[0]} pixels do not fit their image "
                f"{str(item.image)!r} of {pixels.shape[1]} × {pixels.shape[0]}; export both at the same size"
            )
        return Sample(item.name, pixels, labels)

    def read_labels(self, item: Item) -> np.ndarray:
        """Read an item's labels alone: uint8 or uint16 (H, W), as in `Sample`.

        Raises:
            DataError: as `read`, sizes excepted.
        """
        if self.objects is not None:
            raise DataError(
                f"data set {str(self.root)!r} ({self.kind}) has single objects but no label maps; train a network that "
                "finds objects, or make label maps of it with `segscape data convert`"
            )
        if item.labels is None:
            raise DataError(NO_LABELS.format(str(item.image)))
        labels, strays = self.coder.encode(read_label_file(item.labels))
        if strays:
            found = some([f"{show_value(v)} ({n} px)" for v, n in strays.items()])
            ids = f"0…{len(self.label_set) - 1}, and {self.label_set.ignore_index} for 'ignore'"
            raise DataError(
                f"{str(item.labels)!r}: holds the value {found}, but label set {self.label_set.name!r} has "
                f"{ids}; `segscape data check` proposes a mapping"
            )
        return labels

    def read_objects(self, item: Item) -> Objects:
        """Read an item's objects alone.

        Raises:
            DataError: the data set has none, or they are missing or cannot be read.
        """
        if self.objects is None:
            raise DataError(
                f"data set {str(self.root)!r} ({self.kind}) has label maps but no single objects; a network that finds "
                "objects needs one of: numbered label PNGs, COCO, VOC SegmentationObject, Cityscapes, LabelMe, YOLO"
            )
        return self.objects.scan(item).strict(item.labels or item.image)

    def read_instances(self, item: Item) -> InstanceSample:
        """Read an item's image and objects.

        Raises:
            ImageError: the image cannot be read.
            DataError: as `read_objects`, or the objects belong to an image of another size.
        """
        objects = self.read_objects(item)
        pixels = read_image(item.image).pixels
        if pixels.shape[:2] != objects.size:
            raise DataError(
                f"{str(item.labels)!r}: objects of an image of {objects.size[1]} × {objects.size[0]} pixels do not fit "
                f"{str(item.image)!r} of {pixels.shape[1]} × {pixels.shape[0]}; export both at the same size"
            )
        return InstanceSample(item.name, pixels, objects)

    def fingerprint(self, split: str | None = None) -> str:
        """SHA-256 (64 hex digits) over the names and the contents of the files of one split, or of all.

        It depends on nothing else: not on where the folder lies, on times, or on the order of listing.

        Raises:
            DataError: there is no such split, or a file cannot be read.
        """
        items = self.split(split) if split is not None else [i for s in sorted(self.splits) for i in self.splits[s]]
        total = hashlib.sha256()
        digests: dict[Path, bytes] = {}  # many images may share one file of annotations
        for item in items:
            # Fixed-length digests, so that no name can run into the content that follows it.
            total.update(hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).digest())
            for path in (item.image, item.labels, *(self.objects.files(item) if self.objects is not None else ())):
                if path is not None and path not in digests:
                    digests[path] = _file_digest(path)
                total.update(digests[path] if path is not None else bytes(32))
        return total.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error.strerror}); restore the file") from error

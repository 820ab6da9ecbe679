"""A data set as the rest of Segscape sees it: named items in splits, read one at a time and checked when read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from segscape.data.label_files import LabelCoder, RawValue, read_label_file, show_value
from segscape.errors import DataError
from segscape.image import read_image
from segscape.labels import LabelSet

_FOLD = re.compile(r"(.+)\[(-?)(\d{1,4})/(\d{1,4})\]")
UNLABELLED_SPLITS = ("predict", "unlabelled", "unlabeled")  # here an image may come without truth


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a data set.

    Attributes:
        kind: a fixed word for programs, e.g. "size-mismatch" (`segscape.data.checks` lists them).
        severity: "error" stops training; "warning" does not.
        files: the files it is about, relative to the data set's root.
        message: what is wrong, in one line.
        fix: what to do about it, in one line; "" where the message says it.
    """

    kind: str
    severity: Literal["error", "warning"]
    files: tuple[str, ...]
    message: str
    fix: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "files": list(self.files),
            "message": self.message,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        where = f": {some([repr(name) for name in self.files])}" if self.files else ""
        return f"{self.message}{where}" + (f"; {self.fix}" if self.fix else "")


def some(words: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are: "a, b and 3 more"."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


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
        coder: turns the content of label files into class ids, by ``label_set`` and ``value_map``.
    """

    kind: str
    root: Path
    label_set: LabelSet
    splits: Mapping[str, tuple[Item, ...]]
    value_map: Mapping[RawValue, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
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
        return Dataset, (self.kind, self.root, self.label_set, dict(self.splits), dict(self.value_map), self.faults)

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
                is neither a class nor the ignore index.
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
        if item.labels is None:
            raise DataError(
                f"{str(item.image)!r}: has no labels; add them, or put the image into a split called "
                f"{UNLABELLED_SPLITS[0]!r}"
            )
        labels, strays = self.coder.encode(read_label_file(item.labels))
        if strays:
            found = some([f"{show_value(v)} ({n} px)" for v, n in strays.items()])
            ids = f"0…{len(self.label_set) - 1}, and {self.label_set.ignore_index} for 'ignore'"
            raise DataError(
                f"{str(item.labels)!r}: holds the value {found}, but label set {self.label_set.name!r} has "
                f"{ids}; `segscape data check` proposes a mapping"
            )
        return labels

    def fingerprint(self, split: str | None = None) -> str:
        """SHA-256 (64 hex digits) over the names and the contents of the files of one split, or of all.

        It depends on nothing else: not on where the folder lies, on times, or on the order of listing.

        Raises:
            DataError: there is no such split, or a file cannot be read.
        """
        items = self.split(split) if split is not None else [i for s in sorted(self.splits) for i in self.splits[s]]
        total = hashlib.sha256()
        for item in items:
            # Fixed-length digests, so that no name can run into the content that follows it.
            total.update(hashlib.sha256(item.name.encode("utf-8", "surrogateescape")).digest())
            for path in (item.image, item.labels):
                total.update(_file_digest(path) if path is not None else bytes(32))
        return total.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error.strerror}); restore the file") from error

"""The objects of an image as data sets give them: class, box and mask of each, and whether it is a crowd."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from segscape.data.object_masks import cropped
from segscape.errors import DataError, InputError
from segscape.masks import Box, RunLengths

if TYPE_CHECKING:
    from pathlib import Path

    from segscape.data.sample import Item


_SLACK = 1.0  # px


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of one image, masks as run lengths cropped to their boxes.

    Attributes:
        size: (height, width) of the image in pixels.
        labels: (N,) int64 class ids.
        boxes: (N, 4) int64 (x0, y0, x1, y1), half-open pixels of the whole image; the mask's own tight box.
        masks: N run lengths, each of its box's size.
        crowd: (N,) bool; True for a region that holds many objects that nobody told apart (COCO's ``iscrowd``): it is
            neither learned from nor counted, and what is found in it is no mistake.
        ids: (N,) int64, unique: what the data set calls them (COCO's annotation id, the number in a label PNG).
    """

    size: tuple[int, int]
    labels: np.ndarray
    boxes: np.ndarray
    masks: tuple[RunLengths, ...]
    crowd: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.masks)
        shapes = {"labels": (n,), "boxes": (n, 4), "crowd": (n,), "ids": (n,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"objects: {name} must have the shape {shape}, got {getattr(self, name).shape}")
        height, width = self.size
        for mask, (x0, y0, x1, y1) in zip(self.masks, self.boxes.tolist(), strict=True):
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or mask.size != (y1 - y0, x1 - x0):
                raise InputError(
                    f"objects: box {(x0, y0, x1, y1)} with a mask of {mask.size} does not fit an image of {self.size}"
                )

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        rows: Iterable[tuple[int, Box, RunLengths]],
        crowd: Sequence[bool] = (),
        ids: Sequence[int] = (),
    ) -> Objects:
        """From rows of (class id, box, mask); no crowds and ids 1…N unless given."""
        rows = list(rows)
        n = len(rows)
        return cls(
            size,
            np.array([label for label, _, _ in rows], np.int64),
            np.array([box for _, box, _ in rows], np.int64).reshape(n, 4),
            tuple(mask for _, _, mask in rows),
            np.array(crowd, bool) if len(crowd) else np.zeros(n, bool),
            np.array(ids, np.int64) if len(ids) else np.arange(1, n + 1),
        )

    def chosen(self, which: np.ndarray) -> Objects:
        """Some of the objects: ``which`` is (N,) bool, or their places as integers."""
        places = np.arange(len(self))[which]
        masks = tuple(self.masks[i] for i in places.tolist())
        return Objects(self.size, self.labels[places], self.boxes[places], masks, self.crowd[places], self.ids[places])

    def numbered(self) -> np.ndarray:
        """(H, W) int32: 0 where there is no object, i + 1 on the pixels of object i.

        Where objects overlap, the smaller one covers the larger, and any covers a crowd.
        """
        canvas = np.zeros(self.size, np.int32)
        areas = [mask.area for mask in self.masks]
        for i in sorted(range(len(self)), key=lambda i: (not self.crowd[i], -areas[i])):
            x0, y0, x1, y1 = self.boxes[i].tolist()
            canvas[y0:y1, x0:x1][self.masks[i].to_dense()] = i + 1
        return canvas


def objects_from_numbers(numbers: np.ndarray, label: int = 0) -> Objects:
    """The objects of a label image (H, W) of integers: 0 is background, every other number one object of class
    ``label``, in all its parts. Its ids are the numbers, ascending. Linear in the pixels.
    """
    height, width = numbers.shape
    # One pass column by column: the runs of each number, as run lengths count them.
    flat = np.ascontiguousarray(numbers.T).reshape(-1)
    change = np.empty(flat.shape, bool)
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::height] = True  # a run ends with its column, so that runs can be cropped to a box
    starts = np.flatnonzero(change)
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    kept = values != 0
    starts, ends, values = starts[kept], ends[kept], values[kept].astype(np.int64)
    order = np.argsort(values, kind="stable")
    starts, ends, values = starts[order], ends[order], values[order]
    ids, first = np.unique(values, return_index=True)
    rows: list[tuple[int, Box, RunLengths]] = []
    for s, e in zip(np.split(starts, first[1:]), np.split(ends, first[1:]), strict=True) if len(ids) else ():
        x = s // height
        top, bottom = s - x * height, e - x * height
        box = (int(x[0]), int(top.min()), int(x[-1]) + 1, int(bottom.max()))
        h = box[3] - box[1]
        offset = (x - box[0]) * h - box[1]
        rows.append((label, box, RunLengths.from_intervals(offset + top, offset + bottom, (h, box[2] - box[0]))))
    return Objects.of((height, width), rows, ids=ids.tolist())


@dataclass(frozen=True, slots=True)
class ObjectFault:
    """Something wrong with one object of an image.

    Attributes:
        kind: as in `segscape.data.sample.Fault`.
        severity: an "error" keeps the image from being read; with a "warning" it is read.
        number: the object's id.
        message: what is wrong, in one line.
    """

    kind: str
    severity: Literal["error", "warning"]
    number: int
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScan:
    """What could be read of an image's objects, and what is wrong with it."""

    objects: Objects
    faults: tuple[ObjectFault, ...] = ()

    def strict(self, where: object) -> Objects:
        """The objects.

        Raises:
            DataError: there is an error among the faults; it says ``where``.
        """
        for fault in self.faults:
            if fault.severity == "error":
                raise DataError(f"{str(where)!r}: object {fault.number}: {fault.message}; correct or remove it")
        return self.objects


@dataclass(slots=True)
class ObjectList:
    """The objects of an image as they are read one after another."""

    size: tuple[int, int]
    faults: list[ObjectFault] = field(default_factory=list)
    _rows: dict[int, tuple[int, Box, RunLengths, bool]] = field(default_factory=dict)

    def add(self, number: int, label: int, mask: RunLengths, crowd: bool = False) -> None:
        """Add an object by its mask over the whole image. One without a pixel is left out, with a warning."""
        tight = cropped(mask)
        if number in self._rows:
            self.fault("duplicate-id", "error", number, "two objects have this id")
        elif tight is None:
            self.fault("empty-object", "warning", number, "has no pixel in the image")
        else:
            self._rows[number] = (label, *tight, crowd)

    def fault(self, kind: str, severity: Literal["error", "warning"], number: int, message: str) -> None:
        """Note a fault."""
        self.faults.append(ObjectFault(kind, severity, number, message))

    def check_inside(self, points: np.ndarray, number: int) -> None:
        """Warn where an outline's points (N, 2), in pixels, leave the image by more than tools round."""
        height, width = self.size
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        if min(left, top) < -_SLACK or right > width + _SLACK or bottom > height + _SLACK:
            message = f"reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) in an image of {width} × {height}"
            self.fault("outside-image", "warning", number, message)

    def scan(self) -> ObjectScan:
        """All of it."""
        rows = self._rows.values()
        objects = Objects.of(self.size, [row[:3] for row in rows], [row[3] for row in rows], list(self._rows))
        return ObjectScan(objects, tuple(self.faults))


class ObjectSource(Protocol):
    """What a data set of objects reads them with; one frozen dataclass a format, picklable."""

    def scan(self, item: Item) -> ObjectScan:
        """All objects of an item that can be read, and the faults of the others.

        Raises:
            DataError: the file as a whole is missing or cannot be read.
        """
        ...

    def files(self, item: Item) -> tuple[Path, ...]:
        """The files, beside the item's own two, that its objects are read from."""
        ...

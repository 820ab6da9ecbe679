"""What a check of a data set found, as data and as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segscape.data.frequencies import ClassFrequencies
from segscape.data.sample import Fault
from segscape.labels import LabelSet
from segscape.text import printable

_SIZES_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class ObjectStats:
    """The objects of one split in numbers; crowds are left out of all but ``num_crowds`` and ``num_without``.

    Attributes:
        num_objects: objects in it.
        num_crowds: crowd regions in it.
        num_without: images with neither.
        per_image: the smallest number of objects in an image, the median, and the largest; None without images.
        diameters: percentile (5, 25, 50, 75, 95) -> diameter in pixels of a disc of the object's area; empty without
            objects.
        class_objects: int64 (C,), objects of each class.
    """

    num_objects: int
    num_crowds: int
    num_without: int
    per_image: tuple[int, float, int] | None
    diameters: Mapping[int, float]
    class_objects: np.ndarray

    def to_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """As plain JSON types."""
        low, middle, high = self.per_image or (0, 0.0, 0)
        return {
            "objects": self.num_objects,
            "crowds": self.num_crowds,
            "images_without": self.num_without,
            "per_image": {"min": low, "median": middle, "max": high},
            "diameter_px": {f"p{percent:02}": round(value, 2) for percent, value in self.diameters.items()},
            "classes": {label.name: int(n) for label, n in zip(label_set, self.class_objects, strict=True)},
        }

    def __str__(self) -> str:
        crowds = f" and {_count(self.num_crowds, 'crowd')}" if self.num_crowds else ""
        text = f"{_count(self.num_objects, 'object')}{crowds}"
        if self.per_image is not None:
            text += f", {self.per_image[0]} to {self.per_image[2]} in an image, median {self.per_image[1]:g}"
        if self.num_without:
            text += f", {_count(self.num_without, 'image')} without"
        if self.diameters:
            text += ", diameters {:.0f} to {:.0f} px (5th to 95th percentile), median {:.0f}".format(
                *(self.diameters[percent] for percent in (5, 95, 50))
            )
        return text


@dataclass(frozen=True, slots=True)
class SplitStats:
    """One split in numbers.

    Attributes:
        num_images: images in it.
        num_labelled: those with labels.
        sizes: (width, height) of the readable images -> how many, most first.
        frequencies: over the label files that could be read; pixels outside the label set are left out. Of objects,
            the pixels of their masks.
        objects: numbers of the objects; None for a data set of label maps.
    """

    num_images: int
    num_labelled: int
    sizes: Mapping[tuple[int, int], int]
    frequencies: ClassFrequencies
    objects: ObjectStats | None = None

    def to_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """As plain JSON types."""
        f = self.frequencies
        total = max(1, int(f.class_pixels.sum()))
        return {
            "images": self.num_images,
            "labelled": self.num_labelled,
            "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in self.sizes.items()],
            "ignored_pixels": f.ignored_pixels,
            "classes": {
                label.name: {
                    "pixels": int(f.class_pixels[i]),
                    "share": round(int(f.class_pixels[i]) / total, 6),
                    "images": int(f.class_images[i]),
                }
                for i, label in enumerate(label_set)
            },
            **({"objects": self.objects.to_dict(label_set)} if self.objects is not None else {}),
        }


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything a check found; ``ok`` when nothing of it stops training.

    Attributes:
        root: the data set's folder as it was given.
        kind: the reader's kind, or None where the data set could not be opened.
        label_set: what the labels mean, or None.
        splits: numbers of each split.
        faults: errors first.
        proposed_map: a ``"map"`` for labels.json that would give every stray label value a meaning (what a label
            file holds -> class id or ignore index); empty where there are no strays.
    """

    root: str
    kind: str | None
    label_set: LabelSet | None
    splits: Mapping[str, SplitStats] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    proposed_map: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = sorted(self.faults, key=lambda fault: fault.severity != "error")
        object.__setattr__(self, "faults", tuple(order))

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that stop training."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The faults that do not."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")

    @property
    def ok(self) -> bool:
        """No errors; there may be warnings."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        label_set = self.label_set
        return {
            "ok": self.ok,
            "root": self.root,
            "kind": self.kind,
            "label_set": label_set.to_dict() if label_set else None,
            "splits": {name: stats.to_dict(label_set) for name, stats in self.splits.items()} if label_set else {},
            "errors": [fault.to_dict() for fault in self.errors],
            "warnings": [fault.to_dict() for fault in self.warnings],
            "proposed_map": dict(self.proposed_map),
        }

    def lines(self) -> list[str]:
        """As lines of plain text: numbers first, then errors, then warnings, then the verdict."""
        out = []
        if self.label_set is not None:
            out.append(f"{self.root}: kind {self.kind}, {len(self.label_set)} classes ({self.label_set.name})")
            for name, stats in self.splits.items():
                out.append(f"  {name}: {_describe(stats)}")
                if stats.objects is not None:
                    out.append(f"  {' ' * len(name)}  {stats.objects}")
            out += _class_table(self.label_set, self.splits)
        for fault in self.faults:
            out.append(f"{fault.severity}: {fault}")
        verdict = "ready to train" if self.ok else "not ready to train"
        out.append(f"{verdict}: {_count(len(self.errors), 'error')}, {_count(len(self.warnings), 'warning')}")
        # Names come from the user's disk: a newline or a terminal's control code in one stays harmless.
        return [printable(line) for line in out]


def _describe(stats: SplitStats) -> str:
    shown = [f"{w} × {h}" + (f" ({n})" if len(stats.sizes) > 1 else "") for (w, h), n in stats.sizes.items()]
    more = f" and {len(shown) - _SIZES_SHOWN} more sizes" if len(shown) > _SIZES_SHOWN else ""
    unlabelled = stats.num_images - stats.num_labelled
    without = f", {unlabelled} without labels" if unlabelled else ""
    sizes = ", ".join(shown[:_SIZES_SHOWN]) + more
    return f"{_count(stats.num_images, 'image')}{without}" + (f", {sizes}" if sizes else "")


def _class_table(label_set: LabelSet, splits: Mapping[str, SplitStats]) -> list[str]:
    """Share of labelled pixels, or number of objects, of each class; a column a split."""
    labelled = {name: stats for name, stats in splits.items() if stats.num_labelled}
    if not labelled:
        return []
    title = "objects" if any(stats.objects is not None for stats in labelled.values()) else "share of pixels"
    width = max(len(title), *(len(label.name) for label in label_set))
    columns = {name: max(len(name), 8) for name in labelled}
    rows = ["  " + title.ljust(width) + "".join(f"  {name:>{w}}" for name, w in columns.items())]
    for i, label in enumerate(label_set):
        cells = [f"  {_cell(stats, i):>{w}}" for stats, w in zip(labelled.values(), columns.values(), strict=True)]
        rows.append("  " + label.name.ljust(width) + "".join(cells))
    return rows


def _cell(stats: SplitStats, i: int) -> str:
    if stats.objects is not None:
        return str(int(stats.objects.class_objects[i]))
    f = stats.frequencies
    return f"{100 * f.class_pixels[i] / max(1, f.class_pixels.sum()):.3f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

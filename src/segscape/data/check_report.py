"""What a check of a data set found, as data and as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segscape.data.frequencies import ClassFrequencies
from segscape.data.sample import Fault
from segscape.labels import LabelSet

_SIZES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SplitStats:
    """One split in numbers.

    Attributes:
        num_images: images in it.
        num_labelled: those with labels.
        sizes: (width, height) of the readable images -> how many, most first.
        frequencies: over the label files that could be read; pixels outside the label set are left out.
    """

    num_images: int
    num_labelled: int
    sizes: Mapping[tuple[int, int], int]
    frequencies: ClassFrequencies

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
            out += [f"  {name}: {_describe(stats)}" for name, stats in self.splits.items()]
            out += _class_table(self.label_set, self.splits)
        for fault in self.faults:
            out.append(f"{fault.severity}: {fault}")
        verdict = "ready to train" if self.ok else "not ready to train"
        out.append(f"{verdict}: {_count(len(self.errors), 'error')}, {_count(len(self.warnings), 'warning')}")
        # Names come from the user's disk: a newline or a terminal's control code in one stays harmless.
        return ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in out]


def _describe(stats: SplitStats) -> str:
    shown = [f"{w} × {h}" + (f" ({n})" if len(stats.sizes) > 1 else "") for (w, h), n in stats.sizes.items()]
    more = f" and {len(shown) - _SIZES_SHOWN} more sizes" if len(shown) > _SIZES_SHOWN else ""
    unlabelled = stats.num_images - stats.num_labelled
    without = f", {unlabelled} without labels" if unlabelled else ""
    sizes = ", ".join(shown[:_SIZES_SHOWN]) + more
    return f"{_count(stats.num_images, 'image')}{without}" + (f", {sizes}" if sizes else "")


def _class_table(label_set: LabelSet, splits: Mapping[str, SplitStats]) -> list[str]:
    """Share of labelled pixels of each class, a column a split."""
    labelled = {name: stats.frequencies for name, stats in splits.items() if stats.num_labelled}
    if not labelled:
        return []
    width = max(len("share of pixels"), *(len(label.name) for label in label_set))
    columns = {name: max(len(name), 8) for name in labelled}
    rows = ["  " + "share of pixels".ljust(width) + "".join(f"  {name:>{w}}" for name, w in columns.items())]
    for i, label in enumerate(label_set):
        shares = [100 * f.class_pixels[i] / max(1, f.class_pixels.sum()) for f in labelled.values()]
        cells = [f"  {share:{w - 2}.3f} %" for share, w in zip(shares, columns.values(), strict=True)]
        rows.append("  " + label.name.ljust(width) + "".join(cells))
    return rows


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

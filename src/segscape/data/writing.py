"""What the writers of data sets share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segscape.data.objects import Objects
from segscape.data.sample import Dataset, Item, some
from segscape.errors import DataError


@dataclass(frozen=True, slots=True)
class Target:
    """What a writer is to write.

    Attributes:
        root: the folder to write into.
        dataset: what is written.
        items: all items that will be, in their order.
        polygons, border_px: see `segscape.data.convert.convert`.
    """

    root: Path
    dataset: Dataset
    items: tuple[Item, ...]
    polygons: bool = False
    border_px: int = 2


class Writer(Protocol):
    """Writes one format; made from a `Target`."""

    holds_crowds: bool

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """Write an item's objects, and say where its image goes.

        Raises:
            DataError: the format cannot hold them.
        """
        ...

    def finish(self) -> None:
        """Write what belongs to the whole data set."""
        ...


def stem_of(item: Item) -> str:
    """The name without its split: "a" of "train/a"."""
    return item.name.partition("/")[2]


def write_json(path: Path, data: Any) -> None:
    """As JSON in UTF-8; folders are made."""
    write_file(path, json.dumps(data, ensure_ascii=False, allow_nan=False))


def write_file(path: Path, text: str) -> None:
    """As UTF-8; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_labels(target: Target) -> None:
    """The label set as labels.json, which keeps Chinese names and colours in any format."""
    write_json(target.root / "labels.json", target.dataset.label_set.to_dict())


def name_objects(ids: Iterable[int] | np.ndarray) -> str:
    """ "objects 3, 4 and 2 more"."""
    return "objects " + some([str(number) for number in ids])


def kept_ids(objects: Objects, most: int) -> np.ndarray:
    """The ids where all are from 1 to ``most``; else 1…N."""
    fits = not len(objects) or (objects.ids.min() >= 1 and objects.ids.max() <= most)
    return objects.ids if fits else np.arange(1, len(objects) + 1)


def painted(item: Item, objects: Objects, values: Sequence[int] | np.ndarray, kind: str) -> np.ndarray:
    """(H, W) uint16: value i on the pixels of object i, 0 elsewhere.

    Raises:
        DataError: two objects share a pixel.
    """
    canvas = np.zeros(objects.size, np.int64)
    shared: set[int] = set()
    for i, (mask, (x0, y0, x1, y1)) in enumerate(zip(objects.masks, objects.boxes.tolist(), strict=True)):
        part, bits = canvas[y0:y1, x0:x1], mask.to_dense()
        if below := set(np.unique(part[bits]).tolist()) - {0}:
            shared |= {*below, i + 1}
        part[bits] = i + 1
    if shared:
        raise DataError(
            f"{item.name!r}: {name_objects(objects.ids[np.array(sorted(shared)) - 1])} overlap, and in the format "
            f"{kind!r} a pixel belongs to one object; coco, labelme and yolo can hold them"
        )
    return np.concatenate(([0], np.asarray(values, np.int64))).astype(np.uint16)[canvas]

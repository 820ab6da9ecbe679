"""Reader for the membranes of the ISBI 2012 challenge: 30 sections of fly nerve cord, electron microscopy, 512 × 512.

::

    ROOT/images/00.png … 29.png   grey     ROOT/labels/00.png … 29.png   0 inside of a cell, 1 membrane

It is one split, "train": the challenge kept the truth of its test sections. Measure by folds of it, ``train[0/5]``.

Cardona et al. 2010, PLoS Biology 8(10); Arganda-Carreras et al. 2015, Frontiers in Neuroanatomy 9:142.
"""

from __future__ import annotations

import re
from pathlib import Path

from segscape.data.label_sets import MEMBRANES
from segscape.data.sample import Dataset, Item
from segscape.data.splits import list_splits
from segscape.errors import DataError

KIND = "membranes"
_SECTIONS = {f"{i:02}" for i in range(30)}
_SECTION = re.compile(r"\d\d")


def detect(root: Path) -> bool:
    """Whether ``root`` holds the 30 numbered sections side by side, and states no label set of its own."""
    if any((root / name).is_file() for name in ("labels.json", "classes.txt")):
        return False
    return (root / "images").is_dir() and {path.stem for path in (root / "images").iterdir()} == _SECTIONS


def open_membranes(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set.
    """
    splits, faults = list_splits(root)
    items = {item.image.stem: item for part in splits.values() for item in part}
    if odd := sorted(stem for stem in items if not _SECTION.fullmatch(stem)):
        raise DataError(f"{str(root)!r}: sections are called 00 to 29, but there is {odd[0]!r}; open it as folder:PATH")
    train = tuple(Item(f"train/{stem}", item.image, item.labels) for stem, item in items.items())
    return Dataset(KIND, root, MEMBRANES, {"train": train}, faults=faults)

"""Reader for YOLO's segmentation format: a text file an image, a polygon a line.

::

    ROOT/data.yaml   ROOT/images/train/a.jpg   ROOT/labels/train/a.txt      "class x y x y x y …", or
                     ROOT/train/images/a.jpg   ROOT/train/labels/a.txt      as Roboflow

x and y are shares of the image's width and height, 0…1. Class names are the "names" of data.yaml (or another .yaml in
ROOT), or ROOT/classes.txt, one a line. Splits are those of mask folders (`segscape.data.mask_folder`). An image without
a text file, or with an empty one, has no objects.

A line is one object. The format has neither holes nor parts; tools join them by bridges of no width, and as polygons
are filled by the even–odd rule (a pixel is in one when its centre is), that gives holes and parts back. An object's id
is the number of its line.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from segscape.data.image_size import upright_size
from segscape.data.label_sets import find_label_set
from segscape.data.object_masks import ring_points
from segscape.data.objects import ObjectList, ObjectScan
from segscape.data.public_sets import things_called
from segscape.data.sample import Dataset, Fault, Item
from segscape.data.splits import SPLIT_NAMES, by_stem, list_splits
from segscape.errors import DataError, InputError
from segscape.image import IMAGE_SUFFIXES
from segscape.polygons import from_polygons

KIND = "yolo"
_LINE = re.compile(r"\s*(\d+(\s+[-+.\deE]+)+\s*)?")
_PROBES = 20
_QUOTED = r"""(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")"""


@dataclass(frozen=True, slots=True)
class YoloObjects:
    """Reads the objects of an item from its text file.

    Attributes:
        num_classes: how many classes there are.
    """

    num_classes: int

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        height, width = upright_size(item.image)
        found = ObjectList((height, width))
        try:
            lines = item.labels.read_text("utf-8-sig").splitlines() if item.labels is not None else []
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{str(item.labels)!r}: cannot be read as text ({error}); restore the file") from error
        for number, words in ((i, line.split()) for i, line in enumerate(lines, start=1) if line.strip()):
            label = int(words[0]) if words[0].isascii() and words[0].isdecimal() else -1
            try:
                if len(words) == 5:
                    raise InputError("a line of 5 numbers, which is a box; export it for segmentation")
                points = ring_points([float(word) for word in words[1:]]) * (width, height)
            except ValueError as error:  # an InputError is one
                found.fault("bad-polygon", "error", number, str(error))
                continue
            if not 0 <= label < self.num_classes:
                found.fault(
                    "unknown-category", "error", number, f"class {words[0]!r} is none of 0…{self.num_classes - 1}"
                )
                continue
            found.check_inside(points, number)
            found.add(number, label, from_polygons([[points.tolist()]], found.size))
        return found.scan()

    def files(self, item: Item) -> tuple[Path, ...]:
        """See `segscape.data.objects.ObjectSource`."""
        return ()


def detect(root: Path) -> bool:
    """Whether text files of numbers are the labels of images, and no label PNGs are."""
    places = [root / "labels", *(root / name / "labels" for name in SPLIT_NAMES)]
    files = [path for place in places if place.is_dir() for path in islice(place.rglob("*"), _PROBES) if path.is_file()]
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
        return False
    texts = [path for path in files if path.suffix == ".txt" and path.name != "classes.txt"]
    return bool(texts) and all(_LINE.fullmatch(_first_line(path)) for path in texts)


def open_yolo(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set, or nothing says what the classes are called.
    """
    label_set = things_called(root, _names(root))
    folders = [name for name in SPLIT_NAMES if (root / name / "images").is_dir()]
    splits, faults = _list_folders(root, folders) if folders else list_splits(root, suffixes=(".txt",))
    faults = tuple(
        replace(fault, severity="warning", fix="they count as images without objects; add the files if they have some")
        if fault.kind == "missing-labels"
        else fault
        for fault in faults
    )
    return Dataset(KIND, root, label_set, splits, faults=faults, objects=YoloObjects(len(label_set)))


def _list_folders(root: Path, folders: Iterable[str]) -> tuple[dict[str, tuple[Item, ...]], tuple[Fault, ...]]:
    """The splits of ROOT/train/images beside ROOT/train/labels."""
    faults: list[Fault] = []
    splits: dict[str, tuple[Item, ...]] = {}
    for split in folders:
        images = by_stem(root, f"{split}/images", IMAGE_SUFFIXES, faults)
        labels = by_stem(root, f"{split}/labels", (".txt",), faults)
        splits[split] = tuple(Item(f"{split}/{stem}", path, labels.get(stem)) for stem, path in images.items())
        if not images:
            faults.append(Fault("empty-split", "error", (), f"split {split!r} is empty", "add images, or remove it"))
    return splits, tuple(faults)


def _first_line(path: Path) -> str:
    with path.open("r", encoding="utf-8", errors="replace") as file:
        return file.readline(100_000).rstrip("\n")


def _names(root: Path) -> list[str]:
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml")), key=lambda p: (p.stem != "data", p.name)):
        if names := yaml_names(path.read_text("utf-8-sig", errors="replace")):
            return names
    if (stated := find_label_set(root)) is not None:
        return list(stated[0].names)
    raise DataError(
        f"data set {str(root)!r}: nothing names its classes; write data.yaml with a line like names: [car, person]"
    )


def yaml_names(text: str) -> list[str]:
    """The class names that a data.yaml lists under "names", in the order of their ids; [] where it lists none.

    Of YAML, only the forms in which such files are written are known: a list or a mapping from ids, in one line or in
    a block of lines, names plain or quoted.
    """
    start = re.search(r"^names[ \t]*:[ \t]*", text, re.MULTILINE)
    if start is None:
        return []
    rest = text[start.end() :]
    if rest[:1] in ("[", "{"):
        inside = re.match(rf"[\[{{]((?:{_QUOTED}|[^'\"\]}}])*)[\]}}]", rest)
        entries = re.findall(rf"\s*((?:\d+\s*:\s*)?(?:{_QUOTED}|[^,'\"]+))\s*(?:,|$)", inside[1] if inside else "")
    else:
        block = re.match(r"(?:[ \t]*(?:#.*)?\n)*((?:[ \t]*(?:-[ \t]|\d+[ \t]*:|#).*(?:\n|$)|[ \t]*\n)*)", rest)
        entries = [line.strip().removeprefix("- ") for line in (block[1] if block else "").splitlines()]
    found: dict[int, str] = {}
    for entry in entries:
        match = re.fullmatch(rf"(?:(\d+)\s*:)?\s*({_QUOTED}|[^#]*?)\s*(?:#.*)?", entry.strip())
        if match and (name := _unquoted(match[2].strip())):
            found[int(match[1]) if match[1] else len(found)] = name
    return [found[i] for i in sorted(found)]


def _unquoted(name: str) -> str:
    if name.startswith("'"):
        return name[1:-1].replace("''", "'")
    if name.startswith('"'):
        with contextlib.suppress(ValueError):
            return json.loads(name)
    return name

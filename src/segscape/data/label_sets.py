"""Label sets of data sets: the CamVid classes, label set files, and sets inferred from the labels themselves."""

from __future__ import annotations

import colorsys
import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from segscape.data.label_files import RawValue, raw_counts, read_label_file
from segscape.errors import DataError, InputError
from segscape.labels import Label, LabelSet

CAMVID = LabelSet(
    "camvid",
    (
        Label("sky", (128, 128, 128), "天空"),
        Label("building", (128, 0, 0), "建筑"),
        Label("pole", (192, 192, 128), "杆"),
        Label("road", (128, 64, 128), "道路"),
        Label("pavement", (60, 40, 222), "人行道"),
        Label("tree", (128, 128, 0), "树木"),
        Label("sign", (192, 128, 128), "标志"),
        Label("fence", (64, 64, 128), "围栏"),
        Label("car", (64, 0, 128), "汽车", thing=True),
        Label("pedestrian", (64, 64, 0), "行人", thing=True),
        Label("bicyclist", (0, 128, 192), "骑车人", thing=True),
    ),
    ignore_index=11,
)
"""The 11 classes of Brostow et al. 2009 as SegNet grouped them (Badrinarayanan et al. 2017), in SegNet's colours."""

MEMBRANES = LabelSet(
    "membranes",
    (Label("cell", (235, 235, 235), "细胞内部"), Label("membrane", (200, 30, 60), "细胞膜")),
    ignore_index=255,
)
"""Neuron membranes and what they enclose (ISBI 2012 challenge)."""

NUCLEI = LabelSet("nuclei", (Label("nucleus", (255, 170, 40), "细胞核", thing=True),))
"""Cell nuclei (Data Science Bowl 2018)."""

MAX_INFERRED = 256


def distinct_colors(count: int) -> list[tuple[int, int, int]]:
    """``count`` RGB colours, 0…255, that differ clearly; the same ones every time, the first ones black-free.

    Hues step by the golden angle, so any prefix is spread evenly; lightness alternates.
    """
    colors = []
    for i in range(count):
        lightness = (0.5, 0.35, 0.65)[i % 3]
        r, g, b = colorsys.hls_to_rgb((0.02 + i * 0.61803398875) % 1.0, lightness, 0.75)
        colors.append((round(r * 255), round(g * 255), round(b * 255)))
    return colors


def find_label_set(root: Path) -> tuple[LabelSet, dict[RawValue, int]] | None:
    """The label set a folder states in ``labels.json`` or ``classes.txt``, and its value map; None without either.

    ``labels.json`` is `LabelSet.to_dict`'s form, and may hold ``"map"``: what label files hold -> class id or
    ignore index, as in ``{"255": 1, "2-9": 0, "#ff0000": 3}``. ``classes.txt`` has a class name a line, in the
    order of the ids, each with a colour after it or none ("car 64 0 128").

    Raises:
        DataError: the file is not of that form.
    """
    if (path := root / "labels.json").is_file():
        try:
            data = json.loads(path.read_text("utf-8-sig"))
            label_set = LabelSet.from_dict(data)
            return label_set, _parse_map(data.get("map", {}), label_set)
        except (OSError, ValueError) as error:
            raise DataError(f"{str(path)!r}: {error}; write it as the label set of a model card is written") from error
    if (path := root / "classes.txt").is_file():
        try:
            lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
            return _parse_classes([line for line in lines if line], root.name or "folder"), {}
        except (OSError, ValueError) as error:
            raise DataError(f"{str(path)!r}: {error}; write one class name a line, 'name' or 'name r g b'") from error
    return None


def infer_label_set(name: str, files: Iterable[Path]) -> tuple[LabelSet, dict[RawValue, int]]:
    """A label set from the values that occur in label files, all of which are read: "class 0" up to the largest.

    255 (in 16-bit files that hold it, 65535) is taken as 'ignore', except where only 0 and 255 occur, which is
    how two-class masks are saved: there 255 becomes class 1. Colour-coded masks give each colour a class, in
    ascending order, so black comes first. Colours are those of the first palette PNG, else `distinct_colors`.
    Files that cannot be read are passed over (checks name them).

    Raises:
        DataError: no file holds a class, some files hold numbers and some colours, or there are more than 256
            classes.
    """
    found: set[RawValue] = set()
    palette: list[tuple[int, int, int]] = []
    for path in files:
        with contextlib.suppress(DataError):
            raw = read_label_file(path)
            found.update(raw_counts(raw))
            palette = palette or (_palette_of(path) if raw.ndim == 2 else [])
    numbers = {v for v in found if isinstance(v, int)}
    colors = sorted(v for v in found if isinstance(v, tuple))
    say = "state the classes in labels.json or classes.txt"
    if numbers and colors:
        raise DataError(f"data set {name!r}: some label files hold numbers and some hold colours; {say}")
    if len(colors) > MAX_INFERRED:
        raise DataError(f"data set {name!r}: label files hold {len(colors)} colours, too many for classes; {say}")
    if colors:
        return LabelSet(name, tuple(Label(f"class {i}", c) for i, c in enumerate(colors)), max(255, len(colors))), {}
    value_map: dict[RawValue, int] = {255: 1} if numbers == {0, 255} else {}
    if value_map:
        numbers = {0, 1}
    ignore = 65535 if 65535 in numbers else 255
    count = max(numbers - {ignore}, default=-1) + 1
    if not count:
        raise DataError(f"data set {name!r}: no label file holds a class; {say}")
    if count > MAX_INFERRED:
        raise DataError(
            f"data set {name!r}: label values reach {count - 1}, which look like numbered objects, not classes; "
            f'{say}, for objects on a background two classes with "map": {{"1-65535": 1}}'
        )
    chosen = palette if len(palette) >= count else distinct_colors(count)
    labels = tuple(Label(f"class {i}", chosen[i]) for i in range(count))
    return LabelSet(name, labels, max(ignore, count)), value_map


def _palette_of(path: Path) -> list[tuple[int, int, int]]:
    from PIL import Image as PilImage

    with PilImage.open(path) as file:
        flat = file.getpalette("RGB") if file.mode == "P" else None
    return [(r, g, b) for r, g, b in zip(*[iter(flat or [])] * 3, strict=True)]


def _parse_classes(lines: list[str], name: str) -> LabelSet:
    spare = distinct_colors(len(lines))
    labels = []
    for line, color in zip(lines, spare, strict=True):
        words = line.split()
        if len(words) > 3 and all(word.isdecimal() for word in words[-3:]):
            labels.append(Label(" ".join(words[:-3]), (int(words[-3]), int(words[-2]), int(words[-1]))))
        else:
            labels.append(Label(" ".join(words), color))
    return LabelSet(name, tuple(labels), max(255, len(labels)))


def _parse_map(data: Mapping[str, int], label_set: LabelSet) -> dict[RawValue, int]:
    """Keys are "37", "2-9" (both ends meant) or "#rrggbb"."""
    if not isinstance(data, dict):
        raise InputError(f'"map" must be an object such as {{"255": 1}}, got {data!r}')
    parsed: dict[RawValue, int] = {}
    for key, target in data.items():
        if not isinstance(target, int) or not (0 <= target < len(label_set) or target == label_set.ignore_index):
            raise InputError(f'"map" sends {key!r} to {target!r}, which is neither a class id nor the ignore index')
        if key.startswith("#") and len(key) == 7:
            rgb = bytes.fromhex(key[1:])
            parsed[rgb[0], rgb[1], rgb[2]] = target
            continue
        first, _, last = key.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 65535:
            raise InputError(f'"map" has the range {key!r}; ranges lie in 0-65535')
        parsed |= dict.fromkeys(range(low, high + 1), target)
    return parsed

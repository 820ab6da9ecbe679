"""Reader for LabelMe (https://github.com/wkentaro/labelme): a JSON of shapes beside each image.

::

    ROOT/train/a.jpg  ROOT/train/a.json     splits as folders, or
    ROOT/a.jpg        ROOT/a.json           flat, with lists or a split by hash; either also in ROOT/images/

Splits are those of mask folders (`segscape.data.mask_folder`). Shapes are "polygon", "rectangle" (two corners),
"circle" (centre and a point on it) and "mask" (first and last pixel, and a PNG of what is between); a pixel is in a
shape when its centre is. Shapes of one label that share a ``group_id`` are one object; where every object has one of
its own, that is its id, else objects are numbered in their order. The flag "crowd" is `Objects.crowd`.

Classes are the names in ROOT/labels.json, or in ROOT/labels.txt (one a line), or all labels that occur, by name;
"__ignore__" and "_background_" are no classes, and such shapes are passed over.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from segscape.data.image_size import upright_size
from segscape.data.label_sets import find_label_set
from segscape.data.object_masks import ring_points, union
from segscape.data.objects import ObjectList, ObjectScan
from segscape.data.public_sets import things_called
from segscape.data.sample import NO_LABELS, Dataset, Item
from segscape.data.splits import list_splits
from segscape.errors import DataError, InputError
from segscape.masks import RunLengths, uncrop
from segscape.polygons import from_polygons

KIND = "labelme"
_NO_CLASSES = ("__ignore__", "_background_")
_PROBES = 50


@dataclass(frozen=True, slots=True)
class LabelmeObjects:
    """Reads the objects of an item from its JSON.

    Attributes:
        names: of the classes, in the order of their ids.
    """

    names: tuple[str, ...]

    def scan(self, item: Item) -> ObjectScan:
        """See `segscape.data.objects.ObjectSource`."""
        if item.labels is None:
            raise DataError(NO_LABELS.format(str(item.image)))
        data = _load(item.labels)
        size = data.get("imageHeight"), data.get("imageWidth")
        fits = all(isinstance(x, int) and 1 <= x < 2**20 for x in size)
        found = ObjectList((int(size[0] or 0), int(size[1] or 0)) if fits else upright_size(item.image))
        classes = {name: i for i, name in enumerate(self.names)}
        for number, shapes in _objects(data["shapes"]).items():
            label = shapes[0].get("label")
            masks = [mask for shape in shapes if (mask := _mask(shape, found, number)) is not None]
            if label not in classes:
                found.fault("unknown-category", "error", number, f"label {label!r} is not among the stated classes")
            elif masks:
                flags = shapes[0].get("flags")
                crowd = isinstance(flags, dict) and bool(flags.get("crowd"))
                found.add(number, classes[label], union(masks), crowd)
        return found.scan()

    def files(self, item: Item) -> tuple[Path, ...]:
        """See `segscape.data.objects.ObjectSource`."""
        return ()


def detect(root: Path) -> bool:
    """Whether JSONs of shapes lie beside images, and there is no folder labels/."""
    if (root / "labels").is_dir():
        return False
    paths = (path for place in (root / _images(root), *_below(root / _images(root))) for path in place.glob("*.json"))
    return any(b'"shapes"' in _head(path) for path in islice(paths, _PROBES))


def open_labelme(root: Path) -> Dataset:
    """Open the folder ``root``; where no classes are stated, every JSON is read.

    Raises:
        DataError: the layout makes no data set, or nothing says what the classes are.
    """
    top = _images(root)
    splits, faults = list_splits(root, images=top, labels=top, suffixes=(".json",))
    names = _stated(root) or _occurring(item.labels for items in splits.values() for item in items)
    if not names:
        raise DataError(f"data set {str(root)!r}: no shape has a label, so there is nothing to learn; name the classes")
    label_set = things_called(root, names)
    return Dataset(KIND, root, label_set, splits, faults=faults, objects=LabelmeObjects(label_set.names))


def _images(root: Path) -> str:
    return "images" if (root / "images").is_dir() else "."


def _below(top: Path) -> list[Path]:
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _stated(root: Path) -> list[str]:
    if (root / "labels.json").is_file() and (stated := find_label_set(root)):
        return list(stated[0].names)
    path = root / "labels.txt"
    lines = path.read_text("utf-8-sig").splitlines() if path.is_file() else []
    return [name for name in map(str.strip, lines) if name and name not in _NO_CLASSES]


def _occurring(paths: Iterable[Path | None]) -> list[str]:
    names: set[str] = set()
    for path in paths:
        with contextlib.suppress(DataError):  # checks name the files that cannot be read
            names |= {str(shape.get("label")) for shape in (_load(path)["shapes"] if path else ())}
    return sorted(names - {*_NO_CLASSES, "None", ""})


def _load(path: Path) -> dict[str, Any]:
    """A LabelMe JSON whose "shapes" is a list of dicts.

    Raises:
        DataError: it is not.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error.strerror}); restore the file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r}: is no JSON ({error}); save it again in LabelMe") from error
    shapes = data.get("shapes") if isinstance(data, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DataError(f"{str(path)!r}: has no list of 'shapes' as LabelMe writes it; save it again in LabelMe")
    return data


def _objects(shapes: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """The shapes of each object, by the object's id."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for place, shape in enumerate(shapes):
        label, group = shape.get("label"), shape.get("group_id")
        if label not in _NO_CLASSES:
            found.setdefault((str(label), group) if isinstance(group, int) else (place,), []).append(shape)
    groups = [key[1] for key in found if len(key) == 2]
    own = len(set(groups)) == len(found) and all(abs(group) < 2**63 for group in groups)
    return dict(zip(groups if own else range(1, len(found) + 1), found.values(), strict=True))


def _mask(shape: dict[str, Any], found: ObjectList, number: int) -> RunLengths | None:
    kind = shape.get("shape_type", "polygon")
    if kind not in ("polygon", "rectangle", "circle", "mask"):
        found.fault("no-mask", "warning", number, f"is a {kind!r}, which covers no pixels, and is left out")
        return None
    try:
        points = np.array(shape.get("points"), np.float64)
        if kind == "polygon":
            points = ring_points(points.ravel().tolist() if points.ndim == 2 and points.shape[1] == 2 else [])
        elif points.shape != (2, 2) or not (np.abs(points) < 1e8).all():
            raise InputError(f"a {kind} of points {str(shape.get('points'))[:80]}; it has two, x and y finite")
    except (TypeError, ValueError) as error:  # an InputError is a ValueError
        found.fault("bad-polygon", "error", number, str(error))
        return None
    if kind == "mask":
        return _bitmap(points, shape.get("mask"), found, number)
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        found.check_inside(np.stack((points[0] - radius, points[0] + radius)), number)
        return _disc(float(points[0, 0]), float(points[0, 1]), radius, found.size)
    found.check_inside(points, number)
    (xa, ya), (xb, yb) = points[:2].tolist()
    ring = points.tolist() if kind == "polygon" else [[xa, ya], [xb, ya], [xb, yb], [xa, yb]]
    return from_polygons([[ring]], found.size)


def _disc(x: float, y: float, radius: float, size: tuple[int, int]) -> RunLengths:
    """The pixels whose centres are in a circle."""
    height, width = size
    column = np.arange(width)
    reach = radius**2 - (column + 0.5 - x) ** 2
    half = np.sqrt(np.maximum(reach, 0))
    top = np.clip(np.ceil(y - half - 0.5), 0, height).astype(np.int64)
    bottom = np.where(reach < 0, top, np.clip(np.floor(y + half - 0.5) + 1, 0, height).astype(np.int64))
    return RunLengths.from_intervals(column * height + top, column * height + bottom, size)


def _bitmap(points: np.ndarray, content: Any, found: ObjectList, number: int) -> RunLengths | None:
    from PIL.PngImagePlugin import PngImageFile

    (x0, y0), (x1, y1) = points.astype(np.int64).tolist()
    try:
        file = PngImageFile(io.BytesIO(base64.b64decode(content, validate=True)))
        if file.size != (x1 - x0 + 1, y1 - y0 + 1):
            raise ValueError(f"its PNG is of {file.size}, its points are those of {(x1 - x0 + 1, y1 - y0 + 1)} pixels")
        bits = np.asarray(file)
        bits = (bits if bits.ndim == 2 else bits[..., 0]) > 0
    except Exception as error:  # decoders throw everything on damaged content
        found.fault("bad-mask", "error", number, f"mask cannot be read ({error})")
        return None
    found.check_inside(np.array([(x0, y0), (x1 + 1, y1 + 1)]), number)
    height, width = found.size
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1 + 1, width), min(y1 + 1, height)
    if left >= right or top >= bottom:
        return RunLengths(found.size, np.array([height * width]))
    bits = np.ascontiguousarray(bits[top - y0 : bottom - y0, left - x0 : right - x0])
    return uncrop(RunLengths.from_dense(bits), (left, top, right, bottom), found.size)

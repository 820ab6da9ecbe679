"""One COCO instances file, read and indexed: images by name, annotations by image, and what is wrong with the file."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segscape.data.sample import Fault
from segscape.errors import DataError


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One entry of ``images``: its id, file name ("/" between folders, none above), (height, width), "split" or ""."""

    id: int | str
    file_name: str
    size: tuple[int, int]
    split: str

    @property
    def stem(self) -> str:
        """The file name without its suffix; unique in a document."""
        return self.file_name.removesuffix(PurePosixPath(self.file_name).suffix)


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A file in the form of COCO's instances.

    Attributes:
        path: the file.
        images: by stem, in the order of the file.
        annotations: image id -> its annotations as they stand there; each is a dict with an integer "id" that no other
            one has.
        categories: id -> name, ascending.
        faults: of the file as a whole.
    """

    path: Path
    images: dict[str, ImageRecord]
    annotations: dict[int | str, list[dict[str, Any]]]
    categories: dict[int, str]
    faults: tuple[Fault, ...]


def load_document(path: Path) -> Document:
    """Read a file, once as long as it does not change.

    Raises:
        DataError: it cannot be read, is no JSON, or has no lists of images, annotations and categories.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error.strerror}); restore the file") from error
    return _load(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=8)
def _load(path: Path, _changed: int, _size: int) -> Document:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error.strerror}); restore the file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r}: is no JSON ({error}); export it again") from error
    parts = [data.get(key) if isinstance(data, dict) else None for key in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) for part in parts):
        raise DataError(
            f"{str(path)!r}: is not in the form of COCO's instances, which has lists 'images', 'annotations' and "
            "'categories'; export it as COCO instance segmentation"
        )
    faults: list[Fault] = []
    images = _images(path, parts[0] or [], faults)
    categories = _categories(path, parts[2] or [])
    annotations = _annotations(path, parts[1] or [], {record.id for record in images.values()}, faults)
    return Document(path, images, annotations, categories, tuple(faults))


def _images(path: Path, entries: list[Any], faults: list[Fault]) -> dict[str, ImageRecord]:
    images: dict[str, ImageRecord] = {}
    ids: set[int | str] = set()
    broken, doubled = [], []
    for place, entry in enumerate(entries):
        record = _image(entry)
        if record is None:
            broken.append(f"images[{place}]")
        elif record.id in ids or record.stem in images:
            doubled.append(f"{record.file_name} (id {record.id})")
        else:
            ids.add(record.id)
            images[record.stem] = record
    if broken:
        message = f"{path.name!r} holds images without id, file_name, width and height, {len(broken)}"
        faults.append(Fault("bad-record", "error", (), message, "write these four for every image", tuple(broken)))
    if doubled:
        message = f"{path.name!r} holds images whose id or name another one has, {len(doubled)}"
        faults.append(Fault("duplicate-id", "error", (), message, "give each its own, or remove them", tuple(doubled)))
    return images


def _image(entry: Any) -> ImageRecord | None:
    if not isinstance(entry, dict):
        return None
    number, name, split = entry.get("id"), entry.get("file_name"), entry.get("split")
    size = entry.get("height"), entry.get("width")
    if not (isinstance(number, (int, str)) and isinstance(name, str) and all(_is_length(x) for x in size)):
        return None
    # A path that leads out of the folder, as some tools write them, is of another machine: its name counts.
    pure = PurePosixPath(name.replace("\\", "/"))
    elsewhere = pure.is_absolute() or ".." in pure.parts or any(part.endswith(":") for part in pure.parts)
    name = pure.name if elsewhere else pure.as_posix()
    if not name or name == "." or "\0" in name:
        return None
    height, width = (int(x) for x in size if x is not None)
    return ImageRecord(number, name, (height, width), split if isinstance(split, str) and "/" not in split else "")


def _is_length(x: Any) -> bool:
    return isinstance(x, (int, float)) and x == x and 1 <= x < 2**20 and int(x) == x


def _categories(path: Path, entries: list[Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in entries:
        number, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if not isinstance(number, int) or not isinstance(name, str) or not name:
            raise DataError(f"{str(path)!r}: holds a category without an integer id and a name: {str(entry)[:80]}")
        if found.setdefault(number, name) != name:
            raise DataError(f"{str(path)!r}: category id {number} is called {found[number]!r} and {name!r}")
    return dict(sorted(found.items()))


def _annotations(
    path: Path, entries: list[Any], images: set[int | str], faults: list[Fault]
) -> dict[int | str, list[dict[str, Any]]]:
    found: dict[int | str, list[dict[str, Any]]] = {number: [] for number in images}
    ids: set[int] = set()
    broken, doubled, lost = [], [], []
    for place, entry in enumerate(entries):
        number = entry.get("id") if isinstance(entry, dict) else None
        image = entry.get("image_id") if isinstance(entry, dict) else None
        if not isinstance(number, int) or abs(number) >= 2**63 or not isinstance(image, (int, str)):
            broken.append(f"annotations[{place}]")
        elif number in ids:
            doubled.append(f"#{number}")
        elif image not in images:
            lost.append(f"#{number} (image {image})")
        else:
            ids.add(number)
            found[image].append(entry)
    say = f"of the {len(entries)} objects that {path.name!r} holds, {{}} {{}}".format
    if broken:
        message = say(len(broken), "have no integer id or no image_id")
        faults.append(Fault("bad-record", "error", (), message, "write both for every object", tuple(broken)))
    if doubled:
        message = say(len(doubled), "have an id that another one has")
        faults.append(Fault("duplicate-id", "error", (), message, "give each its own", tuple(dict.fromkeys(doubled))))
    if lost:
        message = say(len(lost), "are of images that it does not list")
        faults.append(Fault("unknown-image", "warning", (), message, "list these images, or remove them", tuple(lost)))
    return found

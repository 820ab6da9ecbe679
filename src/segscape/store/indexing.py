"""Photos into a store: only what is new is looked at by the model, what moved keeps what is known of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from segscape.errors import ImageError, InputError, ResourceError
from segscape.image import MAX_PIXELS
from segscape.store.photos import Photo, photo_path
from segscape.store.store import Store

if TYPE_CHECKING:
    from segscape.predict.panoptic_predictor import PanopticPredictor
    from segscape.predict.predictor import Predictor


@dataclass(slots=True)
class Plan:
    """What is to be done with the files of a folder.

    Attributes:
        new: files whose content the store does not have from this model, with what is known of them.
        kept: how many it has.
        moved: how many of these were under another name before.
        doubles: how many have the same content as another of the files.
        removed: how many images were taken out because their file has another content now.
        failed: files that cannot be read, with the error.
    """

    new: list[tuple[Path, Photo]] = field(default_factory=list)
    kept: int = 0
    moved: int = 0
    doubles: int = 0
    removed: int = 0
    failed: list[tuple[Path, InputError | ResourceError]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one new file: added (num_regions and num_relations say what), or the error."""

    source: Path
    num_regions: int = 0
    num_relations: int = 0
    removed: int = 0
    error: InputError | ResourceError | None = None


def identify(path: Path, store: Store) -> Photo:
    """A photo's content and place. A file of a place, size and time that the store knows is not read again.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        status = path.stat()
        name = photo_path(path)
        for known in store.at(name):
            if (known.photo.file_bytes, known.photo.modified_ns) == (status.st_size, status.st_mtime_ns):
                return known.photo
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"{str(path)!r}: cannot be read ({error.strerror or error}); check the file") from error
    return Photo(name, digest, status.st_size, status.st_mtime_ns)


def plan(store: Store, files: Iterable[Path], model: str) -> Plan:
    """Find out what is new, note what moved, take out what was replaced.

    Args:
        store: open for writing.
        files: see `segscape.image.image_files`.
        model: name and hash, as scenes carry it.

    Raises:
        InputError, ResourceError: the store cannot be written.
    """
    result, by_content = Plan(), defaultdict[str, list[tuple[Path, Photo]]](list)
    for path in files:
        try:
            photo = identify(path, store)
            by_content[photo.content_hash].append((path, photo))
        except ImageError as error:
            result.failed.append((path, error))
    known = {content: image for content in by_content if (image := store.find(content, model))}
    for content, same in by_content.items():
        result.doubles += len(same) - 1
        if (image := known.get(content)) is None:
            result.new.append(same[0])
            continue
        result.kept += 1
        places = {photo.path: photo for _, photo in same}
        if image.photo.path in places:
            store.place(image.id, places[image.photo.path])
        elif not _unchanged(Path(image.photo.path), image.photo):
            result.moved += 1
            store.place(image.id, same[0][1])
    # Only when all are in their new places: two photos may have changed their names with one another.
    for content in known:
        result.removed += sum(store.drop_replaced(photo, model) for _, photo in by_content[content])
    return result


def index_new(
    store: Store,
    predictor: Predictor | PanopticPredictor,
    new: Sequence[tuple[Path, Photo]],
    *,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Step]:
    """Segment new photos, and add their scenes.

    Args:
        store: open for writing.
        predictor: the model.
        new: of a `Plan`.
        max_pixels: larger images are refused.

    Yields:
        one `Step` a file, in their order.

    Raises:
        InputError, ResourceError: the store cannot be written.
    """
    from segscape.predict.files import predict_files
    from segscape.scene.build import build_scene

    outcomes = predict_files(predictor, [path for path, _ in new], None, max_pixels=max_pixels)
    for (path, photo), outcome in zip(new, outcomes, strict=True):
        if outcome.segmentation is None:
            yield Step(path, error=outcome.error)
        elif not _unchanged(path, photo):
            yield Step(path, error=ImageError(f"{str(path)!r}: changed while it was looked at; run it again"))
        else:
            scene = build_scene(outcome.segmentation)
            before = len(store)
            store.add(
                scene, content_hash=photo.content_hash, file_bytes=photo.file_bytes, modified_ns=photo.modified_ns
            )
            yield Step(path, len(scene.regions), len(scene.relations), before + 1 - len(store))


def _unchanged(path: Path, photo: Photo) -> bool:
    """Whether the file is there as it was."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    return (status.st_size, status.st_mtime_ns) == (photo.file_bytes, photo.modified_ns)

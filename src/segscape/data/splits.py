"""Listing a folder of images and labels: which files belong together, and to which split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from segscape.data.sample import UNLABELLED_SPLITS, Fault, Item, some
from segscape.errors import DataError
from segscape.image import IMAGE_SUFFIXES

SPLIT_NAMES = ("train", "val", "valid", "validation", "test", "trainval", *UNLABELLED_SPLITS)
_TEST_SHARE, _VAL_SHARE = 0.15, 0.15


def list_splits(
    root: Path,
    images: str = "images",
    labels: str = "labels",
    suffixes: Collection[str] = IMAGE_SUFFIXES,
    lists: str = "splits",
) -> tuple[dict[str, tuple[Item, ...]], tuple[Fault, ...]]:
    """The items of a folder that holds images and label files of the same stem, by split, and the listing's faults.

    The layouts are those of `segscape.data.mask_folder`.

    Args:
        root: the folder.
        images: the folder in it that holds the images; "." for itself.
        labels: the folder in it that holds the label files.
        suffixes: of the label files.
        lists: the folder in it where every text file is a list of a split.

    Raises:
        DataError: there is no such folder of images or of labels, or not one image.
        OSError: a folder cannot be listed.
    """
    if not (root / images).is_dir() or not ((root / labels).is_dir() or _only_unlabelled(root / images)):
        needed = labels if (root / images).is_dir() else images
        raise DataError(
            f"data set {str(root)!r} has no folder '{needed}'; a mask folder holds images/ and labels/ "
            f"(for example images/train/a.jpg beside labels/train/a.png)"
            if (images, labels) == ("images", "labels")
            else f"data set {str(root)!r} has no folder '{needed}'; images are in {images}/, their labels in {labels}/"
        )
    faults: list[Fault] = []
    image_of = by_stem(root, images, IMAGE_SUFFIXES, faults)
    labels_of = by_stem(root, labels, suffixes, faults)
    if not image_of:
        raise DataError(f"{str(root / images)!r} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); add some")
    members, inside = _members(root, images, lists, image_of, faults)
    splits = {}
    for split in sorted(members, key=split_order):
        items = [
            Item(f"{split}/{stem.removeprefix(f'{split}/') if inside else stem}", image_of[stem], labels_of.get(stem))
            for stem in members[split]
        ]
        splits[split] = tuple(sorted(items, key=lambda item: item.name))
        faults += _split_faults(root, split, splits[split])
    used = {stem for stems in members.values() for stem in stems}
    if unused := sorted(set(image_of) - used):
        message = f"images in no split, {len(unused)} of {len(image_of)}, are not used"
        fix = "add them to a split list or folder, or ignore this"
        faults.append(Fault("not-in-split", "warning", _relative(root, [image_of[k] for k in unused]), message, fix))
    if orphans := sorted(set(labels_of) - set(image_of)):
        message = f"label files without an image of the same stem, {len(orphans)} of {len(labels_of)}, are not used"
        fix = "add the images, or remove the label files"
        faults.append(Fault("missing-image", "warning", _relative(root, [labels_of[k] for k in orphans]), message, fix))
    return splits, tuple(faults)


def split_order(name: str) -> tuple[int, str]:
    """A key that sorts splits as they are used: train, val, test, …, then others by name."""
    return (SPLIT_NAMES.index(name) if name in SPLIT_NAMES else len(SPLIT_NAMES), name)


def split_by_hash(stems: Iterable[str]) -> dict[str, list[str]]:
    """A fixed random split: 70 % train, 15 % val, 15 % test, by SHA-256 of each name.

    A name stays in its split when others come or go. Only in tiny sets the borders move, so that no split is
    left empty: from three images on each split has one, two give train and val, one gives train.
    """

    def place(stem: str) -> float:
        return int.from_bytes(hashlib.sha256(stem.encode("utf-8", "surrogateescape")).digest()[:6]) / 2**48

    ordered = sorted(stems, key=lambda s: (place(s), s))
    n, most = len(ordered), max(1, len(ordered) // 3)
    test = min(max(sum(place(s) < _TEST_SHARE for s in ordered), 1), most) if n > 2 else 0
    val = min(max(sum(place(s) < _TEST_SHARE + _VAL_SHARE for s in ordered) - test, 1), most) if n > 1 else 0
    parts = {"train": ordered[test + val :], "val": ordered[test : test + val], "test": ordered[:test]}
    return {split: sorted(part) for split, part in parts.items() if part}


def _folders(top: Path) -> list[Path]:
    """The folders in ``top``, links to folders among them, except links that lead back to ``top`` or above it."""
    here = top.resolve()
    folders = sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [p for p in folders if not (p.is_symlink() and here.is_relative_to(p.resolve()))]


def _only_unlabelled(images: Path) -> bool:
    names = {path.name for path in _folders(images)}
    return bool(names) and names <= set(UNLABELLED_SPLITS)


def _members(
    root: Path, part: str, listed: str, images: Mapping[str, Path], faults: list[Fault]
) -> tuple[dict[str, list[str]], bool]:
    """The stems of each split, and whether splits are folders (so that stems begin with their split)."""
    lists = {name: root / f"{name}.txt" for name in SPLIT_NAMES if (root / f"{name}.txt").is_file()}
    if (root / listed).is_dir():
        lists |= {path.stem: path for path in (root / listed).glob("*.txt") if path.is_file()}
    if lists:
        return {split: _read_list(root, path, part, images, faults) for split, path in lists.items()}, False
    folders = [path.name for path in _folders(root / part)]
    if any("/" not in stem for stem in images):
        # Images lie beside the folders: only those named as splits are named on purpose.
        folders = [name for name in folders if name in SPLIT_NAMES]
    if folders:
        return {name: [stem for stem in images if stem.startswith(f"{name}/")] for name in folders}, True
    return split_by_hash(images), False


def by_stem(root: Path, part: str, suffixes: Collection[str], faults: list[Fault]) -> dict[str, Path]:
    """Files of these suffixes under ``root/part`` by their path below it ("train/a"); doubles become faults."""

    def fail(error: OSError) -> None:
        raise error

    top = root / part
    found: dict[str, list[Path]] = {}
    # os.walk follows no links to folders, so it ends; a split's own folder may be one.
    starts = [top, *(path for path in _folders(top) if path.is_symlink())] if top.is_dir() else []
    for start in starts:
        for folder, below, files in os.walk(start, onerror=fail):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for path in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
                if path.suffix.lower() in suffixes and path != root / "labels.json":
                    found.setdefault(path.relative_to(top).with_suffix("").as_posix(), []).append(path)
    for stem, paths in found.items():
        if len(paths) > 1:
            message = f"{len(paths)} files in {part}/ share the stem {stem!r}"
            fix = "keep one of them, or rename the others"
            faults.append(Fault("double-stem", "error", _relative(root, paths), message, fix))
    return {stem: paths[0] for stem, paths in found.items()}


def _read_list(root: Path, path: Path, part: str, images: Mapping[str, Path], faults: list[Fault]) -> list[str]:
    """The stems a split list names; names without an image and repeated ones become faults."""
    where = path.relative_to(root).as_posix()
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"split list {str(path)!r} is not text ({error}); save it as UTF-8") from error
    stems: dict[str, None] = {}
    missing, repeated = [], []
    for line in filter(None, map(str.strip, lines)):
        name = line.removeprefix("./").removeprefix(f"{part}/")
        bare = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
        stem = name if name in images else bare
        if stem not in images:
            missing.append(line)
        elif stem in stems:
            repeated.append(line)
        stems[stem] = None
    if missing:
        named = some([repr(line) for line in missing])
        message = f"split list {where!r} names {len(missing)} images that are not in {part}/, {named}"
        faults.append(Fault("split-list", "error", (), message, "correct those lines, or add the images"))
    if repeated:
        named = some([repr(line) for line in repeated])
        message = f"split list {where!r} names {len(repeated)} images more than once, {named}"
        faults.append(Fault("split-list", "warning", (), message, "remove the repeated lines; each is used once"))
    return [stem for stem in stems if stem in images]


def _split_faults(root: Path, split: str, items: tuple[Item, ...]) -> list[Fault]:
    if not items:
        return [Fault("empty-split", "error", (), f"split {split!r} is empty", "add images to it, or remove it")]
    bare = [item.image for item in items if item.labels is None]
    if not bare or split in UNLABELLED_SPLITS:
        return []
    message = f"images without a label file of the same stem, {len(bare)} of {len(items)} in split {split!r}"
    fix = f"add the label files, or move the images to a split called {UNLABELLED_SPLITS[0]!r}"
    return [Fault("missing-labels", "error", _relative(root, bare), message, fix)]


def _relative(root: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(path.relative_to(root).as_posix() for path in paths)

"""Data sets of objects from any format into another; what a format cannot hold is refused, never changed.

==========  ==========================  ==========  =======  =======  ==================
written     classes                     overlaps    crowds   ids      objects an image
==========  ==========================  ==========  =======  =======  ==================
coco        any                         yes         yes      yes      any
labelme     any                         yes         yes      yes      any
yolo        any                         yes         no       no       any
numbered    one                         no          no       yes      65535
voc         254                         no          no       yes      254
cityscapes  Cityscapes' own             no          yes      its own  1000 of a class
borders     none: see `segscape.data.borders`, label maps for a semantic network
==========  ==========================  ==========  =======  =======  ==================

Reading what was written gives the same masks, pixel for pixel, the same classes, crowds and names of images, and where
the format has ids the same ids, as long as they fit it: else objects are numbered from 1.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from segscape.data import open_dataset
from segscape.data.frequencies import ProgressCall
from segscape.data.image_size import upright_size
from segscape.data.mask_writers import BorderWriter, CityscapesWriter, NumberedWriter, VocWriter
from segscape.data.objects import Objects
from segscape.data.outline_writers import CocoWriter, LabelmeWriter, YoloWriter
from segscape.data.sample import UNLABELLED_SPLITS, Dataset, Item
from segscape.data.writing import Target, Writer, name_objects
from segscape.errors import DataError, InputError
from segscape.files import explain_os_error

WRITERS: dict[str, Callable[[Target], Writer]] = {
    "coco": CocoWriter,
    "labelme": LabelmeWriter,
    "yolo": YoloWriter,
    "numbered": NumberedWriter,
    "voc": VocWriter,
    "cityscapes": CityscapesWriter,
    "borders": BorderWriter,
}


def convert(
    dataset: Dataset,
    kind: str,
    out: str | os.PathLike[str],
    progress: ProgressCall | None = None,
    *,
    polygons: bool = False,
    drop_crowds: bool = False,
    border_px: int = 2,
) -> Dataset:
    """Write a data set of objects in another format; images are copied as they are.

    The folder is written beside ``out`` and renamed at the end: it is there whole, or not at all. Images without truth
    in splits like "predict" are left out.

    Args:
        dataset: as `segscape.data.open_dataset` gives it.
        kind: one of `WRITERS`.
        out: a folder that does not exist or is empty.
        progress: shows how far it is (`segscape.progress.Progress` is one).
        polygons: for "coco": masks as polygons on pixel corners, holes joined to their outline by bridges of no width;
            else as compressed run lengths. Both are exact; crowds are run lengths always.
        drop_crowds: leave crowds out for a format that cannot hold them.
        border_px: for "borders": how near two objects are to have a border between them, in pixels.

    Returns:
        What was written, opened.

    Raises:
        DataError: there is no such kind, the data set holds no objects or cannot be read, or it holds what the format
            cannot; the message names the image and the objects.
        InputError: ``out`` is not empty or cannot be written.
        ResourceError: the disk is full.
    """
    if kind not in WRITERS:
        raise DataError(f"there is no kind {kind!r} to write; there are {', '.join(WRITERS)}")
    if border_px < 1:
        raise InputError(f"border_px must be at least 1 pixel, got {border_px}")
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{str(target)!r}: is there already; name a folder that does not exist or is empty")
    items = [
        (split, item)
        for split, members in dataset.splits.items()
        for item in members
        if item.labels is not None or split not in UNLABELLED_SPLITS
    ]
    if not items:
        raise DataError(f"data set {str(dataset.root)!r} has no image with truth, so there is nothing to write")
    temporary = target.parent / f".writing-{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        writer = WRITERS[kind](Target(temporary, dataset, tuple(item for _, item in items), polygons, border_px))
        for split, item in progress(items, len(items), f"writing {kind}") if progress else items:
            image = writer.write(split, item, _objects(dataset, item, kind, writer, drop_crowds))
            image.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.image, image)
        writer.finish()
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    except OSError as error:
        raise explain_os_error(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_dataset(f"{'folder' if kind == 'borders' else kind}:{target}", strict=False)


def _objects(dataset: Dataset, item: Item, kind: str, writer: Writer, drop_crowds: bool) -> Objects:
    objects = dataset.read_objects(item)
    if objects.size != (size := upright_size(item.image)):
        raise DataError(
            f"{item.name!r}: objects of an image of {objects.size[1]} × {objects.size[0]} pixels do not fit "
            f"{str(item.image)!r} of {size[1]} × {size[0]}; export both at the same size"
        )
    if writer.holds_crowds or not objects.crowd.any():
        return objects
    if not drop_crowds:
        raise DataError(
            f"{item.name!r}: {name_objects(objects.ids[objects.crowd])} are crowds, which the format {kind!r} cannot "
            "hold; write coco, labelme or cityscapes, or leave the crowds out (--drop-crowds)"
        )
    return objects.chosen(~objects.crowd)

"""Data sets: opened by `open_dataset`, listed and read as a `Dataset`, checked by `segscape.data.checks`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from segscape.data import (
    ade20k,
    camvid,
    cityscapes,
    coco,
    labelme,
    mask_folder,
    membranes,
    nuclei,
    numbered,
    voc,
    yolo,
)
from segscape.data.objects import Objects
from segscape.data.sample import Dataset, Fault, InstanceSample, Item, Sample
from segscape.errors import DataError

__all__ = ["READERS", "Dataset", "Fault", "InstanceSample", "Item", "Objects", "Sample", "open_dataset"]

# kind -> (whether a folder is of it, its opener); a folder is asked in this order.
READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Dataset]]] = {
    camvid.KIND: (camvid.detect, camvid.open_camvid),
    membranes.KIND: (membranes.detect, membranes.open_membranes),
    nuclei.KIND: (nuclei.detect, nuclei.open_nuclei),
    numbered.KIND: (numbered.detect, numbered.open_numbered),
    cityscapes.KIND: (cityscapes.detect, cityscapes.open_cityscapes),
    voc.KIND: (voc.detect, voc.open_voc),
    ade20k.KIND: (ade20k.detect, ade20k.open_ade20k),
    coco.KIND: (coco.detect, coco.open_coco),
    labelme.KIND: (labelme.detect, labelme.open_labelme),
    yolo.KIND: (yolo.detect, yolo.open_yolo),
    mask_folder.KIND: (mask_folder.detect, mask_folder.open_folder),
}


def open_dataset(spec: str | os.PathLike[str], *, strict: bool = True) -> Dataset:
    """Open a data set.

    Args:
        spec: a folder, whose kind is detected and then said by ``dataset.kind``; or "kind:path".
        strict: raise on errors in the listing (an image without labels, a split list naming a missing file, …).
            Otherwise they stay in ``dataset.faults``.

    Raises:
        DataError: there is no such folder, it is of no known kind, or the listing has errors.
    """
    kind, root = _parse(spec)
    if not root.is_dir():
        there = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"data set {str(root)!r} {there}; give the folder of images and their labels")
    try:
        if kind is None:
            kind = next((name for name, (detect, _) in READERS.items() if detect(root)), None)
        if kind is None:
            raise DataError(
                f"data set {str(root)!r}: its kind cannot be told; a mask folder holds images/ and labels/, "
                "docs/data.md shows the other layouts, and a kind can be stated as KIND:PATH "
                f"(kinds are {', '.join(READERS)})"
            )
        dataset = READERS[kind][1](root)
    except OSError as error:
        raise DataError(f"data set {str(root)!r} cannot be listed ({error}); check its rights and links") from error
    if strict and (errors := [fault for fault in dataset.faults if fault.severity == "error"]):
        more = f" (and {len(errors) - 3} more faults)" if len(errors) > 3 else ""
        raise DataError(f"data set {str(root)!r}: " + ". ".join(str(fault) for fault in errors[:3]) + more)
    return dataset


def _parse(spec: str | os.PathLike[str]) -> tuple[str | None, Path]:
    text = os.fspath(spec)
    kind, colon, path = text.partition(":")
    if isinstance(spec, str) and colon and not Path(text).exists():
        if kind in READERS:
            return kind, Path(path).expanduser()
        if kind.isalpha() and len(kind) > 1:  # one letter is a Windows drive
            raise DataError(f"data set {text!r}: there is no kind {kind!r}; kinds are {', '.join(READERS)}")
    return None, Path(text).expanduser()

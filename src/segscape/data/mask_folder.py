"""Reader for mask folders: images beside label maps of the same stem.

::

    ROOT/images/train/a.jpg   ROOT/labels/train/a.png      splits as folders, or
    ROOT/images/a.jpg         ROOT/labels/a.png            flat, with
    ROOT/train.txt                                         a list a split (also ROOT/splits/train.txt), or
                                                           none: a fixed split by a hash of the name

Splits. Where there is a list (``train.txt``, ``val.txt``, ``test.txt``, ``predict.txt`` … in ROOT, any name in
``splits/``), the lists decide: one stem or file name a line, relative to ``images/``. Otherwise each folder in
``images/`` is a split. Otherwise names are split 70 / 15 / 15 into train, val and test by their SHA-256
(`segscape.data.splits.split_by_hash`): the same names give the same split everywhere.

Matching. An image and its labels share the path below ``images/`` and ``labels/`` without the suffix. Files of
other types and hidden files are not looked at, and links to folders are followed for a split's own folder only.
Only splits called "predict" or "unlabelled" may lack labels.

Labels. Grey PNG (1, 8, 16 bit) and palette PNG hold class ids; colour-coded RGB masks are read through the
colours of the label set. The label set is ROOT/labels.json or ROOT/classes.txt
(`segscape.data.label_sets.find_label_set`), or is inferred from the labels (`infer_label_set`), for which every
label file is read once.
"""

from __future__ import annotations

from pathlib import Path

from segscape.data.label_sets import find_label_set, infer_label_set
from segscape.data.sample import Dataset
from segscape.data.splits import list_splits

KIND = "folder"


def detect(root: Path) -> bool:
    """Whether ``root`` looks like a mask folder: it has ``images/`` or ``labels/`` (opening says what is missing)."""
    return (root / "images").is_dir() or (root / "labels").is_dir()


def open_folder(root: Path) -> Dataset:
    """Open the mask folder ``root``; see the module for its layout.

    Raises:
        DataError: the layout, the label set file or the labels make no data set.
    """
    stated = find_label_set(root)
    splits, faults = list_splits(root)
    files = [item.labels for items in splits.values() for item in items if item.labels is not None]
    label_set, value_map = stated or infer_label_set(root.resolve().name or KIND, files)
    return Dataset(KIND, root, label_set, splits, value_map, faults)

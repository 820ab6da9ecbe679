"""Reader for CamVid: street scenes filmed from a car (Brostow et al. 2009), 11 classes and void.

The folder is laid out as in `segscape.data.mask_folder`; labels are PNGs of the ids 0…10, 11 is void.
"""

from __future__ import annotations

import re
from pathlib import Path

from segscape.data.label_files import LabelCoder, read_label_file
from segscape.data.label_sets import CAMVID
from segscape.data.sample import Dataset
from segscape.data.splits import list_splits
from segscape.errors import DataError

KIND = "camvid"
# The four sequences the labelled frames come from.
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?\d{5,6}")
_PROBES = 5


def detect(root: Path) -> bool:
    """Whether ``root`` is CamVid with the 11 classes: by the frames' names and by what some label files hold.

    A folder that states its own label set is not, whatever its files are called.
    """
    if any((root / name).is_file() for name in ("labels.json", "classes.txt")):
        return False
    try:
        splits, _ = list_splits(root)
    except DataError:
        return False
    items = [item for part in splits.values() for item in part]
    if not all(_FRAME.fullmatch(item.image.stem) for item in items):
        return False
    files = [item.labels for item in items if item.labels is not None]
    # Most of a few, not each: one damaged file must be reported as such, not change the kind.
    probes = files[:: max(1, len(files) // _PROBES)][:_PROBES]
    return sum(_fits(path) for path in probes) * 2 > len(probes)


def open_camvid(root: Path) -> Dataset:
    """Open the CamVid folder ``root``.

    Raises:
        DataError: the layout makes no data set.
    """
    splits, faults = list_splits(root)
    return Dataset(KIND, root, CAMVID, splits, faults=faults)


def _fits(path: Path) -> bool:
    try:
        raw = read_label_file(path)
    except DataError:
        return False
    return raw.ndim == 2 and not LabelCoder(CAMVID, {}).encode(raw)[1]

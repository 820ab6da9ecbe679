"""Reader for the nuclei of the Data Science Bowl 2018: numbered objects in a folder called "nuclei".

Caicedo et al. 2019, Nature Methods 16:1247 (stage 1, with the corrections of its community). Layout and reading are
those of `segscape.data.numbered`; this kind adds the class's name.
"""

from __future__ import annotations

from pathlib import Path

from segscape.data import numbered
from segscape.data.label_sets import NUCLEI
from segscape.data.sample import Dataset

KIND = "nuclei"


def detect(root: Path) -> bool:
    """Whether ``root`` is a folder of numbered objects that is called "nuclei" and states no label set."""
    stated = any((root / name).is_file() for name in ("labels.json", "classes.txt"))
    return root.resolve().name.lower() == KIND and not stated and numbered.detect(root)


def open_nuclei(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set.
    """
    return numbered.open_numbered(root, KIND, NUCLEI)

"""The nuclei of the Data Science Bowl 2018 are numbered objects in a folder of that name."""

from pathlib import Path

import pytest
from object_sets import write_numbered

from segscape.data import open_dataset

REAL = Path(__file__).parents[2].parent / "shared/data/nuclei"
NUMBERS = {"train/a": [[0, 1, 1], [2, 0, 0]], "train/b": [[3, 1, 1], [2, 0, 1]]}


@pytest.mark.parametrize(
    ("folder", "classes", "kind", "name"),
    [
        ("nuclei", "", "nuclei", "nucleus"),
        ("Nuclei", "", "nuclei", "nucleus"),
        ("cells", "", "numbered", "object"),
        ("nuclei", "cell\n", "numbered", "cell"),
    ],
)
def test_they_are_known_by_their_folder(tmp_path, folder, classes, kind, name):
    root = write_numbered(tmp_path / folder, NUMBERS)
    if classes:
        (root / "classes.txt").write_text(classes)
    dataset = open_dataset(root)
    assert (dataset.kind, dataset.label_set.names) == (kind, (name,))
    assert len(dataset.read_objects(dataset.split("train")[1])) == 3


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/nuclei is not there")
def test_the_real_ones():
    dataset = open_dataset(REAL)
    assert {split: len(items) for split, items in dataset.splits.items()} == {"train": 473, "val": 60, "test": 62}
    sample = dataset.read_instances(dataset.split("train")[0])
    assert sample.pixels.shape[:2] == sample.objects.size
    assert len(sample.objects) > 0

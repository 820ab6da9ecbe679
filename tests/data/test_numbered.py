"""Folders of numbered objects are known by their numbers and read object by object."""

import numpy as np
import pytest
from object_sets import dense, picture, save, write_numbered

from segscape.data import open_dataset
from segscape.errors import DataError

TWO = [[0, 1, 1], [2, 0, 0]]
THREE = [[3, 1, 1], [2, 0, 1]]


def test_they_are_detected_and_read(tmp_path):
    dataset = open_dataset(write_numbered(tmp_path, {"train/a": TWO, "train/b": THREE, "val/c": [[0, 9, 40000]]}))
    assert (dataset.kind, dataset.label_set.names, list(dataset.splits)) == ("numbered", ("object",), ["train", "val"])
    assert dataset.label_set[0].thing
    f, t = False, True
    assert dense(dataset.read_objects(dataset.split("train")[1])) == {
        1: (0, f, [[f, t, t], [f, f, t]]),
        2: (0, f, [[f, f, f], [t, f, f]]),
        3: (0, f, [[t, f, f], [f, f, f]]),
    }
    assert dataset.read_objects(dataset.split("val")[0]).ids.tolist() == [9, 40000]


@pytest.mark.parametrize(
    ("numbers", "dtype", "classes", "kind"),
    [
        ([TWO, THREE], np.uint16, "", "numbered"),
        ([TWO, THREE], np.uint16, "cell\n", "numbered"),
        ([TWO, THREE], np.uint16, "a\nb\nc\nd\n", "folder"),
        ([TWO, THREE], np.uint8, "", "folder"),
        ([THREE, THREE, THREE], np.uint16, "", "folder"),
        ([[[0, 1, 5]], [[2, 0, 9]]], np.uint16, "", "folder"),
    ],
    ids=["16 bits", "one class stated", "classes stated", "8 bits", "as many in each", "gaps"],
)
def test_class_ids_are_not_taken_for_numbers(tmp_path, numbers, dtype, classes, kind):
    for i, content in enumerate(numbers):
        save(tmp_path / f"images/train/{i}.png", picture(i, 2, 3))
        save(tmp_path / f"labels/train/{i}.png", np.array(content, dtype))
    if classes:
        (tmp_path / "classes.txt").write_text(classes)
    dataset = open_dataset(tmp_path)
    assert dataset.kind == kind
    if kind == "numbered" and classes:
        assert [(label.name, label.thing) for label in dataset.label_set] == [("cell", True)]


def test_one_damaged_file_does_not_change_the_kind(tmp_path):
    write_numbered(tmp_path, {"train/a": TWO, "train/b": THREE, "train/c": [[1, 2, 0]]})
    (tmp_path / "labels/train/a.png").write_bytes(b"no PNG")
    assert open_dataset(tmp_path).kind == "numbered"


def test_more_than_one_class_is_refused(tmp_path):
    write_numbered(tmp_path, {"train/a": TWO})
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="of one class, but 2 are stated"):
        open_dataset(f"numbered:{tmp_path}")


def test_what_is_no_label_image_is_refused(tmp_path):
    dataset = open_dataset(f"numbered:{write_numbered(tmp_path, {'train/a': TWO, 'predict/b': TWO})}")
    save(tmp_path / "labels/train/a.png", picture(1, 2, 3))
    with pytest.raises(DataError, match="is coloured; numbered objects are grey PNG"):
        dataset.read_objects(dataset.split("train")[0])
    (tmp_path / "labels/predict/b.png").unlink()
    bare = open_dataset(f"numbered:{tmp_path}").split("predict")[0]
    with pytest.raises(DataError, match="has no labels; add them"):
        dataset.read_objects(bare)

"""Cityscapes' instance ids: objects from 1000 on, groups of a class below, all else no object."""

import numpy as np
import pytest
from object_sets import dense, picture, save

from segscape.data import open_dataset
from segscape.data.public_sets import CITYSCAPES
from segscape.errors import DataError

F, T = False, True
IDS = [[7, 26000, 26001, 24], [7, 26000, 23, 33007]]


def write(root, name="train/aachen/aachen_0_1", ids=IDS, truth=True):
    save(root / f"leftImg8bit/{name}_leftImg8bit.png", picture(len(name), 2, 4))
    if truth:
        save(root / f"gtFine/{name}_gtFine_instanceIds.png", np.array(ids, np.uint16))
    return root


def test_objects_and_groups(tmp_path):
    dataset = open_dataset(write(tmp_path))
    assert (dataset.kind, dataset.label_set, dataset.faults) == ("cityscapes", CITYSCAPES, ())
    sample = dataset.read_instances(dataset.split("train")[0])
    assert sample.name == "train/aachen_0_1"
    names = [CITYSCAPES.names[label] for label in sample.objects.labels]
    assert names == ["person", "car", "car", "bicycle"]
    assert dense(sample.objects) == {
        24: (0, T, [[F, F, F, T], [F, F, F, F]]),
        26000: (2, F, [[F, T, F, F], [F, T, F, F]]),
        26001: (2, F, [[F, F, T, F], [F, F, F, F]]),
        33007: (7, F, [[F, F, F, F], [F, F, F, T]]),
    }


def test_cities_are_joined_and_splits_are_in_order(tmp_path):
    for name in ("test/kiel/kiel_0_1", "val/ulm/ulm_0_1", "train/bonn/bonn_0_1", "train/aachen/aachen_0_1"):
        write(tmp_path, name)
    dataset = open_dataset(tmp_path)
    assert [(s, [i.name for i in items]) for s, items in dataset.splits.items()] == [
        ("train", ["train/aachen_0_1", "train/bonn_0_1"]),
        ("val", ["val/ulm_0_1"]),
        ("test", ["test/kiel_0_1"]),
    ]


@pytest.mark.parametrize("ids", [[[0, 1], [23, 29]], [[29000, 23001], [1000, 65535]]])
def test_classes_without_objects_give_none(tmp_path, ids):
    dataset = open_dataset(write(tmp_path, ids=ids))
    assert len(dataset.read_objects(dataset.split("train")[0])) == 0


def test_missing_files_are_named(tmp_path):
    write(tmp_path)
    write(tmp_path, "val/ulm/ulm_0_1", truth=False)
    write(tmp_path, "train/bonn/bonn_0_1")
    (tmp_path / "leftImg8bit/train/bonn/bonn_0_1_leftImg8bit.png").unlink()
    faults = open_dataset(tmp_path, strict=False).faults
    assert [(f.kind, f.severity, f.files) for f in faults] == [
        ("missing-labels", "error", ("leftImg8bit/val/ulm/ulm_0_1_leftImg8bit.png",)),
        ("missing-image", "warning", ("gtFine/train/bonn/bonn_0_1_gtFine_instanceIds.png",)),
    ]
    with pytest.raises(DataError, match="unpack gtFine"):
        open_dataset(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "leftImg8bit").mkdir()
    (tmp_path / "gtFine").mkdir()
    with pytest.raises(DataError, match="holds no image SPLIT/CITY"):
        open_dataset(tmp_path)

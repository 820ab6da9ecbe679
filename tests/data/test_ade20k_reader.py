"""ADE20K: its layout, its 150 classes, and the Chinese name that every class of every known set has."""

import numpy as np
import pytest
from object_sets import picture, save

from segscape.data import label_sets, open_dataset, public_sets
from segscape.data.ade20k import ADE20K, scene_categories
from segscape.data.public_sets import CITYSCAPES, CITYSCAPES_19
from segscape.errors import DataError
from segscape.labels import LabelSet

KNOWN = [
    *{
        id(x): x for module in (label_sets, public_sets) for x in vars(module).values() if isinstance(x, LabelSet)
    }.values(),
    ADE20K,
]


def write(root, **splits):
    for split, stems in splits.items():
        for i, stem in enumerate(stems):
            save(root / f"images/{split}/{stem}.jpg", picture(i, 2, 3))
            save(root / f"annotations/{split}/{stem}.png", np.array([[0, 1, 150], [2, 255, 21]], np.uint8))
    return root


def info(names):
    rows = "".join(f"{i}\t0.1\t9\t9\t{name}, other name\n" for i, name in enumerate(names, 1))
    return f"Idx\tRatio\tTrain\tVal\tName\n{rows}"


def test_splits_are_called_as_everywhere(tmp_path):
    dataset = open_dataset(write(tmp_path, training=["ADE_train_1", "ADE_train_2"], validation=["ADE_val_1"]))
    assert (dataset.kind, dataset.label_set) == ("ade20k", ADE20K)
    assert {split: [item.name for item in items] for split, items in dataset.splits.items()} == {
        "train": ["train/ADE_train_1", "train/ADE_train_2"],
        "val": ["val/ADE_val_1"],
    }


def test_labels_count_from_0_and_other_is_ignored(tmp_path):
    dataset = open_dataset(write(tmp_path, training=["a"]))
    assert dataset.read(dataset.split("train")[0]).labels.tolist() == [[255, 0, 149], [1, 255, 20]]


def test_a_value_above_150_is_an_error(tmp_path):
    dataset = open_dataset(write(tmp_path, training=["a"]))
    save(tmp_path / "annotations/training/a.png", np.full((2, 3), 151, np.uint8))
    with pytest.raises(DataError, match=r"holds the value 151 \(6 px\)"):
        dataset.read(dataset.split("train")[0])


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (ADE20K.names, None),
        (("wall ", *ADE20K.names[1:]), None),
        (("building", "wall", *ADE20K.names[2:]), 2),
        ((*ADE20K.names[:7], "cot", *ADE20K.names[8:]), 9),
        (ADE20K.names[:149], 151),
        ((*ADE20K.names, "cloud"), 152),
    ],
)
def test_the_list_of_classes_must_be_the_known_one(tmp_path, names, line):
    write(tmp_path, training=["a"])
    (tmp_path / "objectInfo150.txt").write_text(info(names))
    if line is None:
        assert open_dataset(tmp_path).label_set is ADE20K
    else:
        with pytest.raises(DataError, match=f"line {line}: these are not the 150 classes"):
            open_dataset(tmp_path)


def test_scene_categories(tmp_path):
    assert scene_categories(tmp_path) == {}
    (tmp_path / "sceneCategories.txt").write_text("ADE_train_1 airport_terminal\n\nADE_val_1 street\n")
    assert scene_categories(tmp_path) == {"ADE_train_1": "airport_terminal", "ADE_val_1": "street"}
    (tmp_path / "sceneCategories.txt").write_text("ADE_train_1 airport terminal\n")
    with pytest.raises(DataError, match="line 1: not 'IMAGE CATEGORY'"):
        scene_categories(tmp_path)
    (tmp_path / "sceneCategories.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        scene_categories(tmp_path)


@pytest.mark.parametrize("folders", [{"training": ["a"]}, {"validation": ["a"]}])
def test_one_split_is_enough(tmp_path, folders):
    assert open_dataset(write(tmp_path, **folders)).kind == "ade20k"


@pytest.mark.parametrize(
    ("index", "name", "zh", "color", "thing"),
    [
        (0, "wall", "墙壁", (120, 120, 120), False),
        (2, "sky", "天空", (6, 230, 230), False),
        (8, "windowpane", "窗户", (230, 230, 230), True),
        (12, "person", "人", (150, 5, 61), True),
        (20, "car", "汽车", (0, 102, 200), True),
        (44, "chest of drawers", "抽屉柜", (6, 51, 255), True),
        (89, "television", "电视", (0, 255, 194), True),
        (100, "poster", "海报", (143, 255, 0), False),
        (127, "bicycle", "自行车", (255, 245, 0), True),
        (149, "flag", "旗帜", (92, 0, 255), True),
    ],
)
def test_classes(index, name, zh, color, thing):
    label = ADE20K[index]
    assert (label.name, label.zh, label.color, label.thing) == (name, zh, color, thing)


def test_150_classes_of_which_100_are_things():
    assert (len(ADE20K), sum(label.thing for label in ADE20K)) == (150, 100)
    assert len({label.zh for label in ADE20K}) == 150


def test_the_semantic_classes_of_cityscapes():
    assert CITYSCAPES_19.names[:3] == ("road", "sidewalk", "building")
    assert (len(CITYSCAPES_19), CITYSCAPES_19.labels[11:]) == (19, CITYSCAPES.labels)
    assert len({label.color for label in CITYSCAPES_19}) == 19


@pytest.mark.parametrize("label_set", KNOWN, ids=[label_set.name for label_set in KNOWN])
def test_every_class_of_every_known_set_has_a_chinese_name(label_set):
    assert [label.name for label in label_set if not label.zh or label.zh.isascii()] == []
    assert len(KNOWN) == 8

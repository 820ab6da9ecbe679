"""Label sets of COCO, VOC and Cityscapes, and the names of a user's own classes."""

import json

import pytest

from segscape.data.public_sets import CITYSCAPES, CITYSCAPES_IDS, COCO, COCO_IDS, VOC, things_called, voc_color
from segscape.errors import DataError


@pytest.mark.parametrize(
    ("label_set", "count", "first", "last"),
    [
        (COCO, 80, ("person", "人"), ("toothbrush", "牙刷")),
        (VOC, 20, ("aeroplane", "飞机"), ("tvmonitor", "显示器")),
        (CITYSCAPES, 8, ("person", "行人"), ("bicycle", "自行车")),
    ],
)
def test_all_are_things_with_chinese_names_and_colours_of_their_own(label_set, count, first, last):
    assert len(label_set) == count
    assert [(label_set[i].name, label_set[i].zh) for i in (0, -1)] == [first, last]
    assert all(label.thing and label.zh and not label.zh.isascii() for label in label_set)
    assert len({label.color for label in label_set}) == len({label.zh for label in label_set}) == count


def test_ids():
    assert (len(COCO_IDS), list(COCO_IDS), COCO_IDS[-1]) == (80, sorted(set(COCO_IDS)), 90)
    assert COCO_IDS[COCO.index("stop sign")] == 13
    assert (len(CITYSCAPES_IDS), CITYSCAPES_IDS[CITYSCAPES.index("train")]) == (8, 31)


@pytest.mark.parametrize(
    ("index", "color"),
    [(0, (0, 0, 0)), (1, (128, 0, 0)), (15, (192, 128, 128)), (20, (0, 64, 128)), (255, (224, 224, 192))],
)
def test_vocs_palette(index, color):
    assert voc_color(index) == color


def test_known_names_bring_their_chinese_ones(tmp_path):
    assert things_called(tmp_path, COCO.names) is COCO
    assert [(label.name, label.zh) for label in things_called(tmp_path, ["dog", "cat"])] == [
        ("dog", "狗"),
        ("cat", "猫"),
    ]
    assert [label.zh for label in things_called(tmp_path, ["dog", "gizmo"])] == ["", ""]


@pytest.mark.parametrize(("names", "zh"), [(["dog", "gizmo"], "小狗"), (["gizmo", "dog"], "")])
def test_a_stated_label_set_of_the_same_names_counts(tmp_path, names, zh):
    labels = [{"name": "dog", "zh": "小狗", "color": [1, 2, 3]}, {"name": "gizmo", "zh": "", "color": [4, 5, 6]}]
    (tmp_path / "labels.json").write_text(json.dumps({"name": "mine", "ignore_index": 255, "labels": labels}))
    found = things_called(tmp_path, names)
    assert found.names == tuple(names)
    assert found[names.index("dog")].zh == zh
    assert all(label.thing for label in found)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""]])
def test_names_that_are_none(tmp_path, names):
    with pytest.raises(DataError, match="correct the names"):
        things_called(tmp_path, names)

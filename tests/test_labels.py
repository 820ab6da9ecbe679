import time

import numpy as np
import pytest

from segscape.errors import InputError
from segscape.labels import Label, LabelSet

SKY = Label("sky", (128, 128, 255), zh="天空")
CAR = Label("car", (0, 0, 142), zh="汽车", thing=True)
STREET = LabelSet("street", (SKY, CAR))


@pytest.mark.parametrize(
    ("name", "color", "says"),
    [
        ("", (0, 0, 0), "needs a name"),
        (3, (0, 0, 0), "needs a name"),
        (None, (0, 0, 0), "needs a name"),
        ("sky", (0, 0), "colour"),
        ("sky", (0, 0, 0, 0), "colour"),
        ("sky", (0, 0, 256), "colour"),
        ("sky", (-1, 0, 0), "colour"),
        ("sky", (0.5, 0, 0), "colour"),
        ("sky", "red", "colour"),
        ("sky", 7, "colour"),
        ("sky", None, "colour"),
    ],
)
def test_labels_that_are_refused(name, color, says):
    with pytest.raises(InputError, match=says):
        Label(name, color)


def test_a_color_becomes_a_tuple_of_int():
    label = Label("sky", np.array([1, 2, 3], np.uint8))
    assert label.color == (1, 2, 3)
    assert [type(c) for c in label.color] == [int, int, int]


@pytest.mark.parametrize(
    ("labels", "ignore_index", "says"),
    [
        ((), 255, "needs 1 to 65535"),
        ((SKY, CAR, SKY), 255, r"unique.*\['sky'\]"),
        ((SKY, CAR), 0, "ignore index 0"),
        ((SKY, CAR), 1, "ignore index 1"),
        ((SKY, CAR), -1, "ignore index -1"),
        ((SKY, CAR), 65536, "ignore index 65536"),
    ],
)
def test_label_sets_that_are_refused(labels, ignore_index, says):
    with pytest.raises(InputError, match=says):
        LabelSet("street", labels, ignore_index)


def test_a_label_set_is_a_sequence_of_its_labels():
    assert len(STREET) == 2
    assert list(STREET) == [SKY, CAR]
    assert STREET[1] is CAR
    assert STREET.names == ("sky", "car")
    assert LabelSet("street", [SKY, CAR]) == STREET
    assert STREET.ignore_index == 255


def test_index_finds_a_name_or_says_what_there_is():
    assert STREET.index("car") == 1
    with pytest.raises(InputError, match=r"'street' has no 'boat'; it has sky, car"):
        STREET.index("boat")


@pytest.mark.parametrize(
    ("num", "ignore_index", "rows"),
    [(1, 1, 256), (2, 255, 256), (255, 255, 256), (2, 256, 65536), (256, 256, 65536), (257, 65535, 65536)],
)
def test_palette_covers_every_id(num, ignore_index, rows):
    colors = [(i % 256, i // 256, 7) for i in range(num)]
    labels = LabelSet("t", tuple(Label(str(i), c) for i, c in enumerate(colors)), ignore_index)
    palette = labels.palette()
    assert palette.shape == (rows, 3)
    assert palette.dtype == np.uint8
    np.testing.assert_array_equal(palette[:num], colors)
    assert not palette[num:].any()


def test_dict_round_trip():
    labels = LabelSet("street", (SKY, CAR), ignore_index=11)
    assert labels.to_dict() == {
        "name": "street",
        "ignore_index": 11,
        "labels": [
            {"name": "sky", "zh": "天空", "color": [128, 128, 255], "thing": False},
            {"name": "car", "zh": "汽车", "color": [0, 0, 142], "thing": True},
        ],
    }
    assert LabelSet.from_dict(labels.to_dict()) == labels


GOOD = {"name": "s", "ignore_index": 255, "labels": [{"name": "sky", "color": [1, 2, 3]}]}


def test_from_dict_needs_neither_chinese_nor_thing():
    assert LabelSet.from_dict(GOOD) == LabelSet("s", (Label("sky", (1, 2, 3)),))


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        {**GOOD, "labels": None},
        {**GOOD, "labels": []},
        {**GOOD, "labels": ["sky"]},
        {**GOOD, "labels": [{"name": "sky"}]},
        {**GOOD, "labels": [{"name": "sky", "color": None}]},
        {**GOOD, "labels": [{"name": "sky", "color": [1, 2]}]},
        {**GOOD, "labels": [{"name": "", "color": [1, 2, 3]}]},
        {**GOOD, "ignore_index": "none"},
        {**GOOD, "ignore_index": None},
        {**GOOD, "ignore_index": 0},
    ],
)
def test_from_dict_refuses_what_is_no_label_set(data):
    with pytest.raises(InputError):
        LabelSet.from_dict(data)


def test_a_label_set_of_the_largest_size_is_made_at_once():
    start = time.process_time()
    labels = LabelSet("t", tuple(Label(str(i), (0, 0, 0)) for i in range(65535)), 65535)
    assert len(labels.palette()) == 65536
    assert time.process_time() - start < 2

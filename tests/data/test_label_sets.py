"""Label sets stated in files, and inferred from the labels."""

import json

import numpy as np
import pytest
from PIL import Image

from segscape.data.label_sets import CAMVID, distinct_colors, find_label_set, infer_label_set
from segscape.errors import DataError


def save(path, values, palette=None):
    image = Image.fromarray(np.array(values))
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


def test_camvid():
    assert " ".join(CAMVID.names) == "sky building pole road pavement tree sign fence car pedestrian bicyclist"
    assert CAMVID.ignore_index == 11
    assert [label.name for label in CAMVID if label.thing] == ["car", "pedestrian", "bicyclist"]
    assert all(label.zh for label in CAMVID)
    assert len({label.color for label in CAMVID}) == 11


def test_no_file_no_label_set(tmp_path):
    assert find_label_set(tmp_path) is None


def test_labels_json_comes_back_with_its_map(tmp_path):
    data = CAMVID.to_dict() | {"map": {"255": 11, "20-22": 3, "#ff0080": 8}}
    (tmp_path / "labels.json").write_text(json.dumps(data))
    assert find_label_set(tmp_path) == (CAMVID, {255: 11, 20: 3, 21: 3, 22: 3, (255, 0, 128): 8})


def test_classes_txt_with_and_without_colours(tmp_path):
    (tmp_path / "classes.txt").write_text("\ufeffroad 1 2 3\n\ntraffic light\nlane 2\n", "utf-8")
    label_set, value_map = find_label_set(tmp_path)
    assert label_set.names == ("road", "traffic light", "lane 2")
    assert label_set[0].color == (1, 2, 3)
    assert (label_set.ignore_index, value_map) == (255, {})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.json", "{", "labels.json"),
        ("labels.json", '{"name": "x"}', "not a label set"),
        ("labels.json", json.dumps(CAMVID.to_dict() | {"map": {"255": 12}}), "'255' to 12"),
        ("labels.json", json.dumps(CAMVID.to_dict() | {"map": {"red": 1}}), "red"),
        ("labels.json", json.dumps(CAMVID.to_dict() | {"map": {"9-3": 1}}), "9-3"),
        ("labels.json", json.dumps(CAMVID.to_dict() | {"map": [1]}), "must be an object"),
        ("classes.txt", "a\na\n", "more than once"),
        ("classes.txt", "a 300 0 0\n", "0…255"),
        ("classes.txt", "\n", "needs 1 to"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, name, text, words):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(DataError, match=words) as caught:
        find_label_set(tmp_path)
    assert name in str(caught.value)


U8, U16 = np.uint8, np.uint16


@pytest.mark.parametrize(
    ("files", "count", "ignore", "value_map"),
    [
        ([np.array([[0, 1]], U8), np.array([[3]], U8)], 4, 255, {}),
        ([np.array([[0, 1, 255]], U8)], 2, 255, {}),
        ([np.array([[0, 255]], U8), np.array([[0]], U8)], 2, 255, {255: 1}),
        ([np.array([[0, 1, 65535]], U16)], 2, 65535, {}),
        ([np.array([[[9, 0, 0], [0, 0, 0]]], U8)], 2, 255, {}),
    ],
)
def test_inferred(tmp_path, files, count, ignore, value_map):
    paths = [save(tmp_path / f"{i}.png", values) for i, values in enumerate(files)]
    label_set, mapped = infer_label_set("mine", paths)
    assert label_set.names == tuple(f"class {i}" for i in range(count))
    assert (label_set.name, label_set.ignore_index, mapped) == ("mine", ignore, value_map)


def test_inferred_colours_come_from_the_palette_or_the_mask(tmp_path):
    grey = save(tmp_path / "a.png", np.array([[0, 1]], U8))
    palette = save(tmp_path / "b.png", np.array([[0, 1]], U8), [9, 8, 7, 6, 5, 4])
    rgb = save(tmp_path / "c.png", np.array([[[9, 0, 0], [0, 0, 7]]], U8))
    assert [x.color for x in infer_label_set("x", [grey])[0]] == distinct_colors(2)
    assert [x.color for x in infer_label_set("x", [grey, palette])[0]] == [(9, 8, 7), (6, 5, 4)]
    assert [x.color for x in infer_label_set("x", [rgb])[0]] == [(0, 0, 7), (9, 0, 0)]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no label file holds a class"),
        ([np.full((1, 1), 255, U8)], "no label file holds a class"),
        ([np.array([[0, 400]], U16)], "numbered objects"),
        ([np.array([[0, 1]], U8), np.zeros((1, 1, 3), U8)], "some hold colours"),
        ([np.stack(np.meshgrid(*[np.arange(17) * 10] * 2, [0]), -1)[:, :, 0].astype(U8)], "289 colours"),
    ],
)
def test_what_makes_no_classes(tmp_path, files, words):
    paths = [save(tmp_path / f"{i}.png", values) for i, values in enumerate(files)]
    with pytest.raises(DataError, match=words):
        infer_label_set("mine", paths)


def test_colours_are_distinct_and_a_prefix_of_longer_lists():
    colors = distinct_colors(60)
    assert len(set(colors)) == 60
    assert distinct_colors(7) == colors[:7]

"""Scene, its look-ups, and the words for relations."""

import numpy as np
import pytest

from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.result import Segmentation
from segscape.scene.build import build_scene_of_tiles
from segscape.scene.predicates import PREDICATES, predicate_called
from segscape.scene.scene import Relation

LABELS = LabelSet(
    "tiny",
    (
        Label("sky", (1, 1, 1), "天空"),
        Label("road", (2, 2, 2), "道路"),
        Label("car", (3, 3, 3), "汽车", thing=True),
        Label("tree", (4, 4, 4)),
    ),
)
# sky above road; a car on the road at the left, a tree on it at the right.
PICTURE = """
00000000000000000000
00000000000000000000
00000000000000003330
00000000000000003330
00222000000000003330
00222000000000003330
11222111111111113331
11111111111111111111
11111111111111111111
11111111111111111111
"""


@pytest.fixture(scope="module")
def scene():
    label_map = np.array([[int(c) for c in row] for row in PICTURE.split()], np.uint8)
    return Segmentation(label_map.shape, LABELS, label_map, model="test@1").scene(min_area_px=1)


def names(regions):
    return [region.name for region in regions]


def test_what_is_in_it(scene):
    assert names(scene.regions) == ["sky", "road", "tree", "car"]
    assert [region.id for region in scene.regions] == [1, 2, 3, 4]
    assert scene.counts() == {"sky": 1, "road": 1, "tree": 1, "car": 1}
    assert list(scene.shares) == ["sky", "road", "tree", "car"]
    assert sum(scene.shares.values()) == pytest.approx(1)
    assert scene.shares["car"] == 9 / 200
    assert scene.region(4).box == (2, 4, 5, 7)
    assert scene.region(4).place == "left"
    assert scene.region(2).frame == ("left", "right", "bottom")
    assert scene.layout["top left"] == {"sky": 1.0}
    assert (scene.model, scene.source, scene.single_objects) == ("test@1", "<array>", False)


@pytest.mark.parametrize("number", [0, 5, -1])
def test_no_such_region(scene, number):
    with pytest.raises(InputError, match="has regions 1…4"):
        scene.region(number)


@pytest.mark.parametrize(
    ("name", "relations", "found"),
    [
        ("car", {}, ["car"]),
        ("汽车", {}, ["car"]),
        (None, {}, ["sky", "road", "tree", "car"]),
        ("car", {"touching": "road"}, ["car"]),
        ("car", {"on": "道路"}, ["car"]),
        ("car", {"on": 2}, ["car"]),
        ("car", {"on": np.int64(2)}, ["car"]),
        ("car", {"on": "sky"}, []),
        (None, {"on": "road"}, ["tree", "car"]),
        (None, {"left_of": "tree"}, ["car"]),
        (None, {"left_of": "tree", "touching": "sky"}, ["car"]),
        ("tree", {"right_of": "car"}, ["tree"]),
        ("road", {"under": "car"}, ["road"]),
        ("car", {"left_of": "tree", "inside": "sky"}, []),
    ],
)
def test_find(scene, name, relations, found):
    assert names(scene.find(name, **relations)) == found


@pytest.mark.parametrize(
    ("name", "relations", "message"),
    [
        ("bus", {}, "has no 'bus'; it has sky, road, car, tree"),
        ("car", {"on": "bus"}, "has no 'bus'"),
        ("car", {"on": 99}, "has regions 1…4, not 99"),
        ("car", {"on": True}, "not True"),
        ("car", {"beside_of": "road"}, "no relation 'beside_of'; it knows touching, on,"),
    ],
)
def test_find_refuses(scene, name, relations, message):
    with pytest.raises(InputError, match=message):
        scene.find(name, **relations)


def test_in_tiles_it_is_the_same_scene(scene):
    label_map = np.array([[int(c) for c in row] for row in PICTURE.split()], np.uint8)
    tiles = [(y, x, label_map[y : y + 5, x : x + 10]) for y in (0, 5) for x in (0, 10)]
    tiled = build_scene_of_tiles(tiles, label_map.shape, LABELS, min_area_px=1, model="test@1")
    assert tiled.to_dict() == scene.to_dict()


@pytest.mark.parametrize("least", [0, -3, 1.5, "a"])
def test_the_least_area_is_a_whole_number(least):
    with pytest.raises(InputError, match="whole number of at least 1"):
        Segmentation((1, 1), LABELS, np.zeros((1, 1), np.uint8)).scene(min_area_px=least)


def test_only_scenes_of_the_same_classes_are_compared(scene):
    other = LabelSet("other", (Label("ground", (1, 1, 1)),))
    later = Segmentation(scene.size, other, np.zeros(scene.size, np.uint8)).scene()
    with pytest.raises(InputError, match=r"classes of 'tiny' .* and of 'other' .* cannot be compared"):
        scene.diff(later)


def test_related(scene):
    on = list(scene.related("on"))
    assert {(r.subject, r.object) for r in on} == {(3, 2), (4, 2)}
    assert {r.subject for r in scene.related(subject=4)} == {4}
    assert list(scene.related("inside")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, "hates", 2, 0.5), "unknown relation 'hates'"),
        ((1, "on", 2, 1.5), "strength 1.5 not in 0…1"),
        ((1, "between", 2, 0.5), "third region"),
        ((1, "on", 2, 0.5, {}, 3), "third region"),
    ],
)
def test_a_relation_is_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        Relation(*arguments)


def test_inverses_are_mutual():
    for name, predicate in PREDICATES.items():
        if predicate.inverse is not None:
            assert PREDICATES[predicate.inverse].inverse == name
        assert predicate.symmetric == (predicate.inverse == name)
        assert predicate.zh


def test_every_word_means_one_relation():
    for name, predicate in PREDICATES.items():
        for words in (name, *predicate.words):
            for typed in (words, words.upper(), words.replace(" ", "_"), f" {words} "):
                assert predicate_called(typed) == name
    assert predicate_called("beside of") is None

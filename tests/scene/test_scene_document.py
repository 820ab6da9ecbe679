"""The JSON document of a scene: by its schema, and back without loss; wrong documents are refused, with the place."""

import copy
import dataclasses
import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from small_scenes import LABELS, scenes, small_scene

from segscape.errors import InputError
from segscape.scene.document import from_dict, schema, to_dict
from segscape.scene.document_check import check_of
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import PLACES, SIDES, Relation, Scene

FIRST_FAULT = check_of(schema())
VALIDATOR = jsonschema.Draft202012Validator(schema())
RELATIONS = (
    Relation(2, "on", 1, 0.75, {"border_px": 2, "share": 0.5}),
    Relation(1, "supports", 2, 0.75),
    Relation(3, "between", 1, 0.1, {}, other=2),
)
SCENE = small_scene([[0, 0, 0, 0], [1, 1, 1, 1], [1, 2, 2, 1]], RELATIONS)


def fields(scene):
    """What a scene holds, as values that can be compared."""
    return {field.name: getattr(scene, field.name) for field in dataclasses.fields(scene)}


def test_the_schema_is_one_and_says_the_same_words_as_the_code():
    jsonschema.Draft202012Validator.check_schema(schema())
    parts = schema()["$defs"]
    assert parts["place"]["enum"] == list(PLACES)
    assert parts["relation"]["properties"]["predicate"]["enum"] == list(PREDICATES)
    assert parts["region"]["properties"]["frame"]["items"]["enum"] == list(SIDES)
    assert schema()["properties"]["segscape_scene"]["const"] == to_dict(SCENE)["segscape_scene"]
    assert schema()["$id"] == "urn:segscape:scene:1"


def test_every_object_of_the_schema_is_closed():
    def objects(part):
        if isinstance(part, dict):
            if part.get("type") == "object":
                yield part
            for inner in part.values():
                yield from objects(inner)

    assert all("additionalProperties" in part for part in objects(schema()))
    assert all(set(part["required"]) == set(part["properties"]) for part in objects(schema()) if "properties" in part)


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_random_scenes_are_by_the_schema_and_come_back(scene):
    document = json.loads(json.dumps(to_dict(scene), allow_nan=False))
    VALIDATOR.validate(document)
    back = Scene.from_dict(document)
    assert fields(back) == fields(scene)
    assert back.to_dict() == document
    assert json.dumps(back.to_dict()) == json.dumps(document)  # order too


def test_a_document_read_by_eye():
    document = to_dict(SCENE)
    assert [document[key] for key in ("segscape_scene", "size", "source", "counts")] == [
        1,
        {"height": 3, "width": 4},
        "photos/a b.jpg",
        {"road": 1, "sky": 1, "car": 1},
    ]
    road = document["regions"][0]
    assert (road["label"], road["label_id"], road["area_px"], road["box"]) == ("road", 1, 6, [0, 1, 4, 3])
    assert (road["place"], road["frame"], road["distance"]) == (
        "centre",
        ["left", "right", "bottom"],
        "near",
    )
    assert document["relations"][0] == {
        "subject": 2,
        "predicate": "on",
        "object": 1,
        "other": None,
        "strength": 0.75,
        "evidence": {"border_px": 2.0, "share": 0.5},
    }


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_masks_are_read_by_pycocotools():
    label_map = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 2, 2, 1]])
    for entry in to_dict(SCENE)["regions"]:
        assert (coco.decode(entry["mask"]) == (label_map == entry["label_id"])).all()


def test_numpy_numbers_become_plain_ones():
    region = dataclasses.replace(SCENE.regions[0], area_px=np.int64(6), share=np.float32(0.5), color=(np.uint8(3),) * 3)
    scene = dataclasses.replace(SCENE, regions=(region, *SCENE.regions[1:]), single_objects=np.bool_(True))
    VALIDATOR.validate(json.loads(json.dumps(to_dict(scene))))


def test_the_photo_is_not_in_it(tmp_path):
    assert from_dict(to_dict(SCENE)).image is None


def put(document, path, value):
    *way, last = path
    part = document
    for step in way:
        part = part[step]
    if value is DELETE:
        del part[last]
    else:
        part[last] = value


DELETE = object()
WRONG = [
    (("segscape_scene",), 2, "version 2: this Segscape reads up to 1; update it"),
    (("segscape_scene",), 0, "segscape_scene: must be 1, not 0"),
    (("segscape_scene",), True, "segscape_scene: must be 1, not True"),
    (("extra",), 1, "extra: is not known"),
    (("size",), DELETE, "the document: 'size' is missing"),
    (("size", "height"), 0, "size.height: must be at least 1, not 0"),
    (("size", "height"), 4, r"regions\[0\] has the box .* do not fit the image of height 4"),
    (("size", "width"), "4", "size.width: must be of type integer, not '4'"),
    (("label_set", "ignore_index"), 2, "label set 'small': ignore index 2"),
    (("label_set", "labels", 0, "color"), [1, 2], r"label_set.labels\[0\].color: must have 3 entries, not 2"),
    (("label_set", "labels", 1, "name"), "river", r"shares speaks of 'road'|regions\[0\] is of class 'road'"),
    (("kind", "strength"), 1.5, "kind.strength: must be at most 1, not 1.5"),
    (("shares", "river"), 0.1, "shares speaks of 'river', which is not in the label set"),
    (("layout", "centre"), {"river": 0.1}, "layout.centre speaks of 'river'"),
    (("layout", "middle"), {}, "layout.middle: must be 'top left' or"),
    (("counts", "road"), 2, "counts are .*, but the regions make"),
    (("regions", 1, "id"), 3, r"regions\[1\].id is 3, but ids are 1, 2, 3"),
    (("regions", 1, "label"), "road", r"regions\[1\] is of class 'road' with the id 0"),
    (("regions", 1, "label_id"), 4, r"regions\[1\] is of class 'sky' with the id 4"),
    (("regions", 0, "area_px"), 5, r"regions\[0\].area_px is 5, but its mask has 6 pixels"),
    (("regions", 0, "box"), [0, 1, 4, 4], r"regions\[0\] has the box \[0, 1, 4, 4\]"),
    (("regions", 0, "box"), [1, 1, 4, 3], r"regions\[0\].mask: it leaves its box"),
    (("regions", 0, "box"), [0, 1, 3, 3], r"regions\[0\].mask: it leaves its box"),
    (("regions", 0, "box"), [0, 1, 4, 2], r"regions\[0\].mask: it leaves its box"),
    (("regions", 0, "box"), [0, 2, 4, 3], r"regions\[0\].mask: it leaves its box"),
    (("regions", 0, "box"), [2, 1, 2, 3], r"regions\[0\] has the box \[2, 1, 2, 3\]"),
    (("regions", 0, "mask", "size"), [4, 3], r"regions\[0\] has the box"),
    (("regions", 0, "mask", "counts"), "0", r"regions\[0\].mask: COCO counts add up to 0"),
    (("regions", 0, "mask", "counts"), "é", r"regions\[0\].mask: compressed COCO counts are ASCII"),
    (("regions", 0, "nearness"), 2, r"regions\[0\].nearness: must be at most 1, not 2 or must be of type null"),
    (("regions", 0, "nearness"), 0.1, r"regions\[0\].distance is 'near', but its nearness makes it 'far'"),
    (("regions", 0, "solidity"), 0, r"regions\[0\].solidity: must be above 0, not 0"),
    (("regions", 0, "elongation"), float("nan"), r"regions\[0\].elongation: must be of type number, not nan"),
    (("regions", 0, "frame"), ["left", "left"], r"regions\[0\].frame: must not repeat an entry"),
    (("regions", 0, "label"), "", r"regions\[0\].label: must not be empty"),
    (("relations", 0, "predicate"), "eats", r"relations\[0\].predicate: must be 'touches' or"),
    (("relations", 0, "object"), 9, r"relations\[0\] is between the regions \[2, 9\], but needs different ones of 1…3"),
    (("relations", 0, "object"), 2, r"relations\[0\] is between the regions \[2, 2\]"),
    (("relations", 0, "other"), 3, r"relations\[0\]: relation 2 on: a third region goes with 'between' alone"),
    (("relations", 0, "evidence"), {"gap_px": "3"}, r"relations\[0\].evidence.gap_px: must be of type number"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_wrong_documents_are_refused_with_the_place(path, value, words):
    document = copy.deepcopy(to_dict(SCENE))
    put(document, path, value)
    with pytest.raises(InputError, match=words):
        from_dict(document)


@pytest.mark.parametrize("document", [None, [], "scene", {}, {"segscape_scene": "1"}, {1: 2}])
def test_what_is_no_document_at_all(document):
    with pytest.raises(InputError, match=r"not a scene document: (the document|segscape_scene): "):
        from_dict(document)


PATHS = [path for path, _, _ in WRONG] + [("relations", 2, "other"), ("regions",), ("regions", 2, "color"), ("kind",)]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
    st.lists(st.integers(-1, 256) | st.sampled_from(["left", "top"]), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(-1, 2), max_size=2),
    st.just(DELETE),
)


@given(st.sampled_from(PATHS), VALUES)
@settings(max_examples=300, deadline=None)
def test_our_check_agrees_with_jsonschema(path, value):
    document = copy.deepcopy(to_dict(SCENE))
    if value is DELETE and path in (("extra",), ("shares", "river"), ("layout", "middle")):
        return
    put(document, path, value)
    assert (FIRST_FAULT(document) is None) == VALIDATOR.is_valid(document)


def test_odd_names_come_back():
    scene = small_scene([[3, 2], [3, -1]], labels=LABELS)
    assert fields(from_dict(json.loads(json.dumps(to_dict(scene))))) == fields(scene)

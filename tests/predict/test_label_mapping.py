import numpy as np
import pytest

from segscape.data.label_sets import CAMVID
from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.predict.label_mapping import LabelMapping, join_label_sets

COCO_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "dog")


def of(name: str, *names: str, thing: bool = False) -> LabelSet:
    return LabelSet(name, tuple(Label(n, (0, 0, 0), thing=thing) for n in names), 999)


COCO = of("coco", *COCO_NAMES, thing=True)


@pytest.mark.parametrize(
    ("semantic", "objects", "aliases", "joint", "from_objects"),
    [
        (of("a", "sky", "car"), of("b", "car"), None, "sky car", (1,)),
        (of("a", "sky"), of("b", "car", "dog"), None, "sky car dog", (1, 2)),
        (of("a", "sky"), of("b", "car", "Car_"), None, "sky car", (1, 1)),
        (of("a", "Traffic-Light"), of("b", "traffic light"), None, "Traffic-Light", (0,)),
        (of("a", "pedestrian"), of("b", "person"), None, "pedestrian", (0,)),
        (of("a", "pedestrian", "person"), of("b", "person"), None, "pedestrian person", (1,)),  # its own name first
        (of("a", "pedestrian"), of("b", "person"), {}, "pedestrian person", (1,)),
        (of("a", "car"), of("b", "lorry"), {"Lorry": "CAR"}, "car", (0,)),
        (of("a", "car"), of("b", "lorry"), {"lorry": "vehicle"}, "car lorry", (1,)),
        (of("a", "car"), of("b", "truck"), None, "car truck", (1,)),  # not in CamVid's classes
        (of("a", "aeroplane", "tvmonitor"), of("b", "tv", "airplane"), None, "aeroplane tvmonitor", (1, 0)),
    ],
)
def test_classes_are_joined_by_name_and_alias(semantic, objects, aliases, joint, from_objects):
    mapping = join_label_sets(semantic, objects, aliases)
    assert " ".join(n for n in mapping.joint.names).replace("_", "") == joint
    assert mapping.from_objects == from_objects


def test_coco_on_camvid():
    mapping = join_label_sets(CAMVID, COCO)
    joined = {name: mapping.joint[i].name for name, i in zip(COCO_NAMES, mapping.from_objects, strict=True)}
    assert joined == {
        "person": "pedestrian",
        "bicycle": "bicyclist",
        "car": "car",
        "motorcycle": "bicyclist",
        "bus": "car",
        "truck": "car",
        "traffic light": "traffic light",
        "dog": "dog",
    }
    assert mapping.joint.names == (*CAMVID.names, "traffic light", "dog")
    assert mapping.joint.ignore_index == 255  # CamVid's own, 11, is a class now
    assert (
        mapping.joint[CAMVID.index("pedestrian")] == CAMVID[CAMVID.index("pedestrian")]
    )  # its colour and Chinese name


def test_what_objects_are_found_of_is_a_thing():
    mapping = join_label_sets(of("a", "sky", "pole", "car"), of("b", "pole", "dog"))
    assert [label.thing for label in mapping.joint] == [False, True, False, True]


def test_label_maps_are_translated():
    label_map = np.array([[0, 10, 11]], np.uint8)
    mapped = join_label_sets(CAMVID, COCO).semantic_to_joint(label_map)
    assert (mapped.dtype, mapped.tolist()) == (np.uint8, [[0, 10, 255]])
    mapped = join_label_sets(of("a", "sky"), of("b", *map(str, range(300)))).semantic_to_joint(label_map)
    assert (mapped.dtype, mapped.tolist()) == (np.uint16, [[0, 65535, 65535]])


def test_mappings_are_checked():
    a, b = of("a", "sky"), of("b", "car", "dog")
    with pytest.raises(InputError, match="one each"):
        LabelMapping(a, b, b, (0,))
    with pytest.raises(InputError, match="too few classes"):
        LabelMapping(a, b, a, (0, 1))

import pytest

from segscape.scene.kind import KINDS_ZH, LEAST_STRENGTH, RULES, kind_of
from segscape.scene.vocabulary import ROLES, word_of


@pytest.mark.parametrize(
    ("shares", "counts", "kind", "strength"),
    [
        ({}, {}, "unknown", 0),
        ({"road": 0.27, "building": 0.3, "sky": 0.1, "car": 0.05}, {"car": 3, "pole": 2}, "street", 0.9),
        ({"road": 0.27, "building": 0.3, "pavement": 0.1, "car": 0.05}, {"car": 3, "pole": 2}, "street", 1),
        ({"road": 0.9}, {"road": 1}, "street", 0.4),
        ({"car": 0.1, "traffic light": 0.01}, {"car": 3, "traffic light": 1}, "street", 0.4),
        ({"car": 0.1}, {"car": 3}, "unknown", 0.2),
        ({"tree": 0.3, "building": 0.2, "car": 0.001}, {"car": 2, "sign": 3}, "unknown", 0.3),
        ({"nucleus": 0.2}, {"nucleus": 57}, "microscopy", 1),
        ({"cell": 0.8, "membrane": 0.2}, {"cell": 50, "membrane": 1}, "membranes", 1),
        ({"wall": 0.5, "floor": 0.2, "bed": 0.2}, {"wall": 1, "floor": 1, "bed": 1, "book": 2}, "indoor", 1),
        ({"couch": 0.2, "cat": 0.1}, {"couch": 1, "cat": 1}, "indoor", 0.4444),
        ({"bench": 0.2}, {"bench": 1}, "unknown", 0),
        ({"pizza": 0.2, "dining table": 0.5}, {"pizza": 1, "dining table": 1}, "meal", 1),
        ({"person": 0.2, "tennis racket": 0.01}, {"person": 1, "tennis racket": 1}, "sports", 0.8333),
        ({"sea": 0.4, "sky": 0.4, "sand": 0.2}, {"boat": 1}, "waterside", 1),
        ({"grass": 0.5, "sky": 0.4}, {}, "nature", 1),
        ({"building": 0.5, "sky": 0.4}, {}, "buildings", 1),
        ({"zebra": 0.2}, {"zebra": 3}, "animals", 1),
        ({"person": 0.2}, {"person": 3}, "people", 1),
        ({"class 0": 0.5, "class 1": 0.5}, {"class 0": 1, "class 1": 3}, "unknown", 0),
    ],
)
def test_kind(shares, counts, kind, strength):
    found = kind_of(shares, counts)
    assert (found.name, found.strength) == (kind, pytest.approx(strength, abs=1e-4))
    assert bool(found.reasons) == (kind != "unknown")


def test_reasons_carry_their_numbers():
    shares = {"road": 0.27, "building": 0.3, "pavement": 0.004, "car": 0.01}
    kind = kind_of(shares, {"car": 3, "pedestrian": 1, "pole": 2})
    assert kind.reasons == (
        "road covers 27% of the picture",
        "car covers 1% of the picture",
        "pole occurs twice",
        "building covers 30% of the picture",
    )
    assert kind.reasons_zh == ("道路占画面的 27%", "汽车占画面的 1%", "杆出现 2 次", "建筑占画面的 30%")


@pytest.mark.parametrize("share", [0.05, 0.3 - 0.2 - 0.05])
def test_a_bound_that_is_reached_up_to_rounding_counts(share):
    assert kind_of({"road": share}, {}).name == "street"
    assert kind_of({"road": share - 0.001}, {}).name == "unknown"


def test_rules_speak_of_classes_that_are_known():
    for conditions in RULES.values():
        assert any(not condition.below for condition in conditions)
        for condition in conditions:
            words = [word.strip() for word in condition.of.replace(" - ", ",").split(",")]
            assert {word[1:] for word in words if word[0] == "@"} <= set(ROLES)
            assert all(word_of(word).role != "unknown" for word in words if word[0] != "@")
            assert condition.measure in ("share", "count", "labelled")
            assert condition.bound > 0
            assert condition.weight > 0


def test_no_kind_is_named_below_the_least_strength():
    assert LEAST_STRENGTH == 0.4
    assert kind_of({"road": 0.04, "building": 0.03}, {"car": 1}).name == "unknown"


def test_every_kind_has_a_chinese_name():
    assert KINDS_ZH.keys() == {*RULES, "unknown"}

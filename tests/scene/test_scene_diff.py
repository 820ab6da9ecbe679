"""Two scenes compared: what appeared, vanished, moved and grew, by masks computed again from the label maps."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from small_scenes import scenes, small_scene

from segscape.errors import ConfigError, InputError
from segscape.labels import Label, LabelSet
from segscape.scene.diff import diff
from segscape.scene.diff_pairs import KEPT_IOU
from segscape.scene.scene import Relation

SKY, ROAD, CAR, ODD = range(4)


def street(*cars, height=40, width=60, relations=(), horizon=20):
    """Sky over road, with cars as boxes (x0, y0, x1, y1)."""
    label_map = np.full((height, width), SKY)
    label_map[horizon:] = ROAD
    for x0, y0, x1, y1 in cars:
        label_map[y0:y1, x0:x1] = CAR
    return small_scene(label_map, relations)


def kept(difference, name="car"):
    return [(c.before, c.after) for c in difference.kept if c.name == name]


EMPTY, ONE = street(), street((10, 22, 20, 30))


# --- which region is which --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "pairs", "appeared", "vanished"),
    [
        (ONE, ONE, [(3, 3)], (), ()),
        (EMPTY, ONE, [], (3,), ()),
        (ONE, EMPTY, [], (), (3,)),
        # slid over half of itself, then beside itself, then too far: a width is 8.9 px, the limit 26.8 px
        (ONE, street((15, 22, 25, 30)), [(3, 3)], (), ()),
        (ONE, street((30, 22, 40, 30)), [(3, 3)], (), ()),
        (ONE, street((36, 22, 46, 30)), [(3, 3)], (), ()),
        (ONE, street((37, 22, 47, 30)), [], (3,), (3,)),
        # beside itself and twice as large, and over that
        (ONE, street((25, 22, 45, 30)), [(3, 3)], (), ()),
        (ONE, street((25, 22, 46, 30)), [], (3,), (3,)),
        # the larger overlap wins, the other one is new
        (ONE, street((8, 22, 12, 30), (13, 22, 20, 30)), [(3, 3)], (4,), ()),
        # two cars in a row move on by a car's length: by overlap each takes the place of the one before
        (
            street((10, 22, 20, 30), (24, 22, 34, 30)),
            street((16, 22, 26, 30), (30, 22, 40, 30)),
            [(3, 3), (4, 4)],
            (),
            (),
        ),
    ],
)
def test_cars(before, after, pairs, appeared, vanished):
    difference = before.diff(after)
    assert kept(difference) == pairs
    assert (difference.appeared, difference.vanished) == (appeared, vanished)


def test_the_sum_counts_not_the_best_pair():
    # The best pair, 1 with 1 at 0.43, would leave the others alone; crosswise both have 0.3.
    before = small_scene([[CAR] * 10 + [ROAD] + [CAR] * 3 + [ROAD] * 6])
    after = small_scene([[CAR] * 3 + [ROAD] + [CAR] * 10 + [ROAD] * 6])
    assert kept(diff(before, after)) == [(3, 1), (1, 3)]


def test_of_equally_good_pairings_the_same_one_is_taken_both_ways():
    before, after = small_scene([[ROAD, ROAD, CAR, ROAD, ROAD, CAR]]), small_scene([[CAR, ROAD, ROAD, CAR, ROAD, ROAD]])
    there, back = diff(before, after), diff(after, before)
    assert {(c.before, c.after) for c in there.kept} == {(c.after, c.before) for c in back.kept}


def test_classes_do_not_mix():
    before, after = small_scene([[CAR, CAR, ROAD]]), small_scene([[ODD, ODD, ROAD]])
    difference = diff(before, after)
    assert (difference.appeared, difference.vanished) == ((1,), (1,))


def test_classes_go_by_their_names():
    other = LabelSet("other", (Label("car", (1, 1, 1), thing=True), Label("road", (2, 2, 2))))
    difference = diff(small_scene([[CAR, CAR, ROAD]]), small_scene([[0, 0, 1]], labels=other))
    assert [(c.before, c.after, c.iou) for c in difference.kept] == [(1, 1, 1.0), (2, 2, 1.0)]


def test_stuff_is_not_followed():
    before, after = np.full((10, 40), SKY), np.full((10, 40), SKY)
    before[2:8, 2:8] = after[2:8, 12:18] = ROAD
    difference = diff(small_scene(before), small_scene(after))
    assert (difference.appeared, difference.vanished) == ((2,), (2,))


def test_sizes_must_agree():
    with pytest.raises(InputError, match=r"60 × 40 pixels .* and 60 × 41 .* cannot be compared; scale both photos"):
        diff(EMPTY, street(height=41))


@st.composite
def two_scenes(draw):
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return draw(scenes(shape=shape)), draw(scenes(shape=shape))


def dense(scene):
    masks = np.zeros((len(scene.regions), *scene.size), bool)
    for mask, region in zip(masks, scene.regions, strict=True):
        x0, y0, x1, y1 = region.box
        mask[y0:y1, x0:x1] = region.mask.to_dense()
    return masks


@given(two_scenes())
@settings(max_examples=80, deadline=None)
def test_each_way_round_is_the_same(pair):
    before, after = pair
    there, back = diff(before, after), diff(after, before)
    assert there.appeared == back.vanished
    assert there.vanished == back.appeared
    assert {(c.before, c.after, c.iou) for c in there.kept} == {(c.after, c.before, c.iou) for c in back.kept}
    turned = {(c.after, c.before): c for c in back.kept}
    for c in there.kept:
        b = turned[c.before, c.after]
        assert (c.moved, c.grew, c.shrank) == (b.moved, b.shrank, b.grew)
        assert c.moved_px == (-b.moved_px[0], -b.moved_px[1])
    assert {(r.predicate, r.strength) for r in there.began} == {(r.predicate, r.strength) for r in back.ended}
    assert {name: (b, a) for name, (a, b) in there.shares.items()} == back.shares


@given(two_scenes())
@settings(max_examples=80, deadline=None)
def test_ious_are_those_of_the_masks_and_their_sum_is_the_greatest(pair):
    before, after = pair
    difference = diff(before, after)
    assert {c.after for c in difference.kept} | set(difference.appeared) == {r.id for r in after.regions}
    assert {c.before for c in difference.kept} | set(difference.vanished) == {r.id for r in before.regions}
    first, second = dense(before), dense(after)
    table = np.zeros((len(first), len(second)))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if before.regions[i].name == after.regions[j].name:
                table[i, j] = (a & b).sum() / (a | b).sum()
    for c in difference.kept:
        assert c.iou == table[c.before - 1, c.after - 1]
    table[table < KEPT_IOU] = 0
    best = table[linear_sum_assignment(table, maximize=True)].sum() if table.size else 0
    assert sum(c.iou for c in difference.kept if c.iou >= KEPT_IOU) == pytest.approx(best)


@given(scenes())
@settings(max_examples=50, deadline=None)
def test_nothing_is_otherwise_in_the_same_scene(scene):
    difference = diff(scene, scene)
    assert (difference.appeared, difference.vanished, difference.began, difference.ended) == ((), (), (), ())
    assert [(c.before, c.iou, c.changed) for c in difference.kept] == [(r.id, 1.0, False) for r in scene.regions]
    assert (difference.text(), difference.text("zh")) == ("Nothing changed.", "没有变化。")


# --- what became of them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "moved_px", "growth", "flags"),
    [
        ((10, 22, 20, 30), (0, 0), 1.0, ""),
        ((11, 22, 21, 30), (1, 0), 1.0, ""),
        ((12, 22, 22, 30), (2, 0), 1.0, "moved"),
        ((10, 24, 20, 32), (0, 2), 1.0, "moved"),
        ((9, 20, 21, 28), (0, -2), 1.2, "moved"),
        ((9, 21, 21, 31), (0, 0), 1.5, "grew"),
        ((10, 22, 20, 32), (0, 1), 1.25, "grew"),
        ((11, 23, 19, 29), (0, 0), 0.6, "shrank"),
        ((20, 22, 24, 32), (7, 1), 0.5, "moved shrank"),
    ],
)
def test_moving_and_growing(after, moved_px, growth, flags):
    (change,) = [c for c in diff(ONE, street(after)).kept if c.name == "car"]
    assert change.moved_px == pytest.approx(moved_px)
    assert change.growth == pytest.approx(growth)
    assert " ".join(name for name in ("moved", "grew", "shrank") if getattr(change, name)) == flags
    assert change.changed == bool(flags)


def test_a_large_thing_has_to_go_farther_to_have_moved():
    before = street((0, 0, 40, 36))
    moved = [diff(before, street((dx, 0, 40 + dx, 36))).kept for dx in (3, 4)]  # a tenth of the width is 3.8 px
    assert [[c.moved for c in changes if c.name == "car"] for changes in moved] == [[False], [True]]


def test_stuff_grows_but_does_not_move():
    changes = {c.name: c for c in diff(street(horizon=20), street(horizon=30)).kept}
    assert [(c.moved, c.grew, c.shrank) for c in (changes["sky"], changes["road"])] == [
        (False, True, False),
        (False, False, True),
    ]


def test_shares_by_their_change():
    difference = diff(street(horizon=20), street((10, 22, 20, 30), horizon=16))
    assert list(difference.shares) == ["sky", "road", "car"]
    assert difference.shares["car"] == pytest.approx((0, 80 / 2400))
    assert difference.shares["sky"] == pytest.approx((0.5, 0.4))


TWO = ((4, 22, 16, 30), (40, 30, 50, 38))  # car 3 on the left, car 4 on the right


def rel(subject, predicate, object_, other=None):
    return Relation(subject, predicate, object_, 0.5, other=other)


@pytest.mark.parametrize(
    ("before", "after", "began", "ended"),
    [
        ([], [rel(3, "on", 2), rel(2, "supports", 3)], ["3 on 2"], []),
        ([rel(3, "on", 2), rel(2, "supports", 3)], [], [], ["3 on 2"]),
        ([rel(3, "on", 2)], [rel(3, "on", 2)], [], []),
        ([rel(3, "near", 4)], [rel(4, "near", 3), rel(3, "near", 4)], [], []),
        ([rel(3, "left_of", 4)], [rel(4, "left_of", 3)], ["4 left_of 3"], ["3 left_of 4"]),
        ([rel(1, "between", 3, 4)], [rel(1, "between", 4, 3)], [], []),
        ([rel(1, "between", 3, 4)], [rel(1, "between", 2, 4)], ["1 between 2"], ["1 between 3"]),
    ],
)
def test_relations_that_began_and_ended(before, after, began, ended):
    difference = diff(street(*TWO, relations=before), street(*TWO, relations=after))
    assert [f"{r.subject} {r.predicate} {r.object}" for r in difference.began] == began
    assert [f"{r.subject} {r.predicate} {r.object}" for r in difference.ended] == ended


def test_relations_follow_the_regions_not_their_ids():
    # The car that was the larger one, 3, shrinks and becomes 4.
    after = street((4, 22, 12, 30), TWO[1], relations=[rel(4, "near", 3), rel(3, "near", 4), rel(4, "on", 2)])
    difference = diff(street(*TWO, relations=[rel(3, "near", 4), rel(4, "near", 3), rel(3, "on", 2)]), after)
    assert kept(difference) == [(4, 3), (3, 4)]
    assert (difference.began, difference.ended) == ((), ())


def test_relations_of_what_came_or_went_are_not_listed():
    difference = diff(EMPTY, street((10, 22, 20, 30), relations=[rel(3, "on", 2)]))
    assert difference.began == ()


# --- told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "en", "zh"),
    [
        (
            EMPTY,
            street((2, 16, 12, 24)),
            "A car (3) appeared on the left. Road covers 48% of the picture, 50% before."
            " Sky covers 48% of the picture, 50% before.",
            "画面左侧出现了汽车（3）。道路占画面的比例由 50% 变为 48%。天空占画面的比例由 50% 变为 48%。",
        ),
        (
            street((2, 22, 8, 26)),
            EMPTY,
            "The car (3) on the left is gone. Road covers 50% of the picture, 49% before.",
            "左侧的汽车（3）不见了。道路占画面的比例由 49% 变为 50%。",
        ),
        (
            EMPTY,
            street((2, 22, 4, 26), (50, 22, 52, 26)),
            "Cars in two places (3, 4) appeared.",
            "画面中出现了两处汽车（3、4）。",
        ),
        (
            street((10, 22, 20, 30), (40, 22, 48, 30)),
            street((13, 22, 23, 30), (38, 20, 50, 28)),
            "The car (4 → 3) moved 2 px up and grew by 50%. The car (3 → 4) moved 3 px to the right."
            " Cars cover 7% of the picture, 6% before. Road covers 43% of the picture, 44% before.",
            "汽车（4 → 3）向上移动了 2 像素，面积增大了 50%。汽车（3 → 4）向右移动了 3 像素。"
            "汽车占画面的比例由 6% 变为 7%。道路占画面的比例由 44% 变为 43%。",
        ),
        (
            ONE,
            street((15, 26, 19, 30)),
            "The car (3) moved 3 px to the lower right and shrank by 80%."
            " Road covers 49% of the picture, 47% before. Cars cover 0.7% of the picture, 3% before.",
            "汽车（3）向右下方移动了 3 像素，面积缩小了 80%。道路占画面的比例由 47% 变为 49%。"
            "汽车占画面的比例由 3% 变为 0.7%。",
        ),
        (
            street((20, 22, 26, 26)),
            street((16, 22, 28, 28)),
            "The car (3) grew to 3.0 times its area. Road covers 47% of the picture, 49% before."
            " Cars cover 3% of the picture, 1% before.",
            "汽车（3）面积增至原来的 3.0 倍。道路占画面的比例由 49% 变为 47%。汽车占画面的比例由 1% 变为 3%。",
        ),
        (
            street(*TWO, relations=[rel(2, "touches", 3), rel(1, "left_of", 3), rel(2, "near", 3)]),
            street(*TWO, relations=[rel(3, "on", 2), rel(3, "between", 1, 4), rel(3, "near", 4)]),
            "The car (3) is now on the road (2). The car (3) is now between the sky (1) and the car (4)."
            " The car (3) is now near the car (4). The car (3) is no longer touching the road (2).",
            "汽车（3）现在在道路（2）上。汽车（3）现在在天空（1）和汽车（4）之间。汽车（3）现在靠近汽车（4）。"
            "汽车（3）不再接触道路（2）。",
        ),
        (
            small_scene([[SKY] * 200]),
            small_scene([[SKY] * 199 + [ROAD]]),
            "The road (2) appeared on the right.",
            "画面右侧出现了道路（2）。",
        ),
        (
            small_scene([[SKY, ROAD] * 99]),
            small_scene([[SKY, ROAD] * 98 + [SKY, SKY]]),
            "Nothing changed.",
            "没有变化。",
        ),
    ],
)
def test_sentences(before, after, en, zh):
    difference = diff(before, after)
    assert difference.text() == str(difference) == en
    assert difference.text("zh") == zh


@pytest.mark.parametrize(
    ("vary", "en", "zh"),
    [
        (0.6, "Two cars (3, 4) appeared.", "画面中出现了两辆汽车（3、4）。"),
        (0.5, "Cars in two places (3, 4) appeared.", "画面中出现了两处汽车（3、4）。"),
    ],
)
def test_only_single_objects_are_counted(vary, en, zh):
    before, after = np.full((40, 60), SKY), np.full((40, 60), SKY)
    before[20:] = after[20:] = ROAD
    after[22:26, 2:4] = after[22:26, 50:52] = CAR
    before, after = (small_scene(label_map, vary=vary) for label_map in (before, after))
    assert diff(before, after).text() == en
    assert diff(before, after).text("zh") == zh
    gone = diff(after, before)
    assert gone.text() == en.replace("appeared", "are gone")
    assert gone.text("zh") == zh.replace("画面中出现了", "").replace("。", "不见了。")


def test_stuff_in_two_places_is_some_of_it():
    after = [[CAR] * 3 + [ROAD] * 2 + [CAR] + [ROAD] * 2]
    assert "Road in two places (2, 3) is gone." in diff(small_scene(after), small_scene([[CAR] * 8])).text()


def test_a_list_of_classes_ends():
    names = [f"kind {chr(ord('a') + i)}" for i in range(20)]
    labels = LabelSet("many", tuple(Label(name, (i, 1, 1), thing=True) for i, name in enumerate(names)))
    before, after = small_scene([[0] * 20], labels=labels), small_scene([list(range(20))], labels=labels)
    assert "Regions of eight other classes appeared." in diff(before, after).text()
    assert "另有八类的区域不见了。" in diff(after, before).text("zh")


def test_many_are_counted_not_listed():
    def row(*places):
        label_map = np.full((40, 400), ROAD)
        for x in places:
            label_map[10:14, x : x + 4] = CAR
        return small_scene(label_map)

    places = range(20, 380, 36)
    text = diff(row(*places), row(*(x + 2 for x in places))).text()
    assert text.count("moved 2 px to the right.") == 6
    assert "4 more regions moved, grew or shrank." in text
    assert "Cars in ten places (2, 3, 4, 5, 6, 7, 8, 9, …) appeared." in diff(row(), row(*places)).text()
    assert "出现了十处汽车（2、3、4、5、6、7、8、9、…）。" in diff(row(), row(*places)).text("zh")


def test_a_difference_as_json():
    after = street((12, 22, 22, 30), relations=[rel(3, "on", 2)])
    data = json.loads(json.dumps(diff(ONE, after).to_dict(), allow_nan=False))
    assert (data["before"], data["appeared"], data["vanished"]) == ("photos/a b.jpg", [], [])
    assert data["kept"][-1] == {
        "before": 3,
        "after": 3,
        "label": "car",
        "iou": 64 / 96,
        "moved_px": [2.0, 0.0],
        "growth": 1.0,
        "moved": True,
        "grew": False,
        "shrank": False,
    }
    assert [r["predicate"] for r in data["began"]] == ["on"]
    assert data["shares"]["car"] == {"before": 80 / 2400, "after": 80 / 2400}


def test_only_two_languages():
    with pytest.raises(ConfigError, match="'en' or 'zh', not in 'fr'"):
        diff(ONE, ONE).text("fr")


def test_thousands_of_regions_are_paired_at_once():
    label_map = np.full((400, 400), ROAD)
    for y in range(0, 400, 8):
        for x in range(0, 396, 8):
            label_map[y + 1 : y + 6, x + 1 : x + 6] = CAR
    before, after = small_scene(label_map), small_scene(np.roll(label_map, 2, axis=1))
    difference = diff(before, after)
    assert len(difference.kept) == 2501
    assert all(c.moved_px == (2, 0) for c in difference.kept if c.name == "car")

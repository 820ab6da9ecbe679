import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stated_numbers import unfounded

from segscape.data.ade20k import ADE20K
from segscape.data.label_sets import CAMVID, MEMBRANES, NUCLEI
from segscape.data.public_sets import COCO
from segscape.errors import ConfigError
from segscape.labels import Label, LabelSet
from segscape.masks import crop_to_box
from segscape.result import Region, Segmentation
from segscape.scene.build import build_scene
from segscape.scene.describe import describe
from segscape.scene.predicates import PREDICATES
from segscape.scene.say_en import English
from segscape.scene.say_zh import Chinese
from segscape.scene.scene import Relation
from segscape.scene.vocabulary import number_en, number_zh, percent

OTHER = LabelSet(
    "other", (Label("class 0", (0, 0, 0)), Label("spaceship", (1, 0, 0), "", True), Label("绿洲", (2, 0, 0)))
)


def painted(label_set, size, *boxes, ground=None):
    """A scene of a label map: ``ground`` everywhere (None for no class), then boxes (name, x0, y0, x1, y1) over it."""
    labels = np.full(size, label_set.ignore_index if ground is None else label_set.index(ground), np.uint8)
    for name, x0, y0, x1, y1 in boxes:
        labels[y0:y1, x0:x1] = label_set.index(name)
    return build_scene(Segmentation(size, label_set, labels), min_area_px=1)


def objects(label_set, size, *boxes):
    """A scene of single objects (name, x0, y0, x1, y1) and no label map."""
    regions = []
    for number, (name, x0, y0, x1, y1) in enumerate(boxes, 1):
        mask = np.zeros(size, bool)
        mask[y0:y1, x0:x1] = True
        box, runs = crop_to_box(mask)
        regions.append(Region(number, label_set.index(name), 0.9, box, runs.area, runs))
    return build_scene(Segmentation(size, label_set, None, tuple(regions), single_objects=True))


ROAD = ("road", 0, 30, 90, 60)  # below the middle of a street of 90 × 60


def street(*boxes):
    return painted(CAMVID, (60, 90), ROAD, *boxes, ground="sky")


STREET = street(
    ("pavement", 0, 40, 12, 60), ("car", 62, 36, 84, 56), ("car", 43, 30, 47, 34), ("bicyclist", 20, 26, 24, 40)
)
ROOM = painted(
    ADE20K,
    (60, 80),
    ("floor", 0, 40, 80, 60),
    ("bed", 5, 30, 35, 50),
    ("painting", 42, 5, 58, 20),
    ("pillow", 15, 26, 20, 30),
    ground="wall",
)
TABLE = objects(
    COCO,
    (60, 90),
    ("dining table", 5, 30, 85, 58),
    ("cup", 20, 22, 28, 32),
    ("cup", 60, 22, 68, 32),
    ("cat", 1, 2, 11, 12),
)


@pytest.mark.parametrize(
    ("scene", "lang", "length", "text"),
    [
        (
            STREET,
            "en",
            "short",
            "A street with cars in two places and a bicyclist; the road takes up 36% of the view, and the way ahead is "
            "clear up to the car far ahead.",
        ),
        (
            STREET,
            "en",
            "normal",
            "The road takes up 36% of the view, with pavement mostly on the left (4%). In view are cars in two places "
            "(close by on the right and far ahead) and a bicyclist on the left. The way ahead is clear up to the car "
            "far ahead. The sky fills 50% of the picture.",
        ),
        (STREET, "zh", "short", "街景：有两处汽车和一处骑车人，道路占画面的 36%；前方道路畅通，远处有汽车。"),
        (
            STREET,
            "zh",
            "normal",
            "道路占画面的 36%，人行道占 4%，多在左侧。视野中有两处汽车（右侧近处和前方远处）和左侧的骑车人。"
            "前方道路畅通，远处有汽车。天空占画面的 50%。",
        ),
        (
            ROOM,
            "en",
            "normal",
            "An indoor scene with a bed at the bottom left, a painting at the top and a pillow on the left. The bed "
            "takes up 13% of the picture. The painting is on the wall; the bed is on the floor; the pillow is on the "
            "bed. Walls cover 55% of the picture and the floor 27%.",
        ),
        (ROOM, "zh", "short", "室内场景：画面中有床、画和枕头。"),
        (TABLE, "en", "short", "An indoor scene with a dining table, two cups and a cat."),
        (TABLE, "zh", "short", "室内场景：画面中有一张餐桌、两个杯子和一只猫。"),
        (
            street(),
            "en",
            "short",
            "A street with no one on it; the road takes up 50% of the view, and the way ahead is clear.",
        ),
        (
            street(),
            "en",
            "normal",
            "The road takes up 50% of the view. No car, pedestrian or bicyclist is in view. The way ahead is clear. "
            "The sky fills 50% of the picture.",
        ),
        (street(), "zh", "short", "街景：路上空无一人，道路占画面的 50%；前方道路畅通。"),
        (painted(CAMVID, (1, 1), ground="sky"), "en", "full", "The sky fills the whole picture."),
        (painted(CAMVID, (1, 1), ground="sky"), "zh", "full", "天空占满整个画面。"),
        (painted(CAMVID, (3, 3)), "en", "normal", "Nothing in the picture belongs to a known class."),
        (painted(CAMVID, (3, 3)), "zh", "normal", "画面中没有任何已知类别。"),
        (painted(NUCLEI, (10, 20)), "en", "short", "No nuclei are seen in a field of 20 × 10 px."),
        (painted(NUCLEI, (10, 20)), "zh", "short", "20 × 10 像素的视野中未见细胞核。"),
        (
            painted(OTHER, (20, 20), ("spaceship", 2, 2, 6, 6), ("绿洲", 0, 15, 20, 20), ground="class 0"),
            "en",
            "normal",
            "In the picture is a spaceship at the top left. Class 0 covers 71% of the picture and 绿洲 25%.",
        ),
        (
            painted(OTHER, (20, 20), ("spaceship", 2, 2, 6, 6), ("绿洲", 0, 15, 20, 20), ground="class 0"),
            "zh",
            "normal",
            "画面中有左上角的 spaceship。class 0 占画面的 71%，绿洲占 25%。",
        ),
        (
            painted(ADE20K, (30, 30), ("grass", 0, 10, 30, 30), ground="sky"),
            "en",
            "normal",
            "A landscape: grass covers 67% of the picture and the sky 33%.",
        ),
    ],
)
def test_description(scene, lang, length, text):
    assert str(describe(scene, lang, length)) == text


NUCLEI_MAP = np.full((40, 50), 255, np.uint8)
CELLS = [("nucleus", 2, 2, 8, 8), ("nucleus", 12, 2, 30, 8), ("nucleus", 44, 10, 50, 16), ("nucleus", 5, 20, 15, 30)]
MORE = [("nucleus", 15, 20, 20, 25), ("nucleus", 30, 30, 34, 34)]


@pytest.mark.parametrize(
    ("cells", "lang", "text"),
    [
        (
            CELLS[:1],
            "en",
            "The field of 50 × 40 px holds one nucleus, 500 per megapixel, which covers 2% of it. Its area is 36 px.",
        ),
        (
            CELLS[:3],
            "en",
            "The field of 50 × 40 px holds three nuclei, 1,500 per megapixel, which cover 9% of it. Their areas are "
            "36, 36 and 108 px. One is elongated (at least twice as long as wide) and one touches the frame and may be "
            "cut off.",
        ),
        (
            CELLS + MORE,
            "en",
            "The field of 50 × 40 px holds six nuclei, 3,000 per megapixel, which cover 16% of it. The median area is "
            "36 px, with quartiles at 28 and 84 px; the smallest has 16 px, the largest 108 px. One is elongated (at "
            "least twice as long as wide) and one touches the frame and may be cut off. Two nuclei touch and form a "
            "cluster.",
        ),
        (
            CELLS + MORE,
            "zh",
            "50 × 40 像素的视野中有六个细胞核，密度为每百万像素 3,000 个，覆盖视野的 16%。面积中位数为 36 像素，"
            "四分位数为 28 和 84 像素；最小 16 像素，最大 108 像素。其中一个呈长形（长宽比不小于 2），"
            "一个触及视野边缘，可能不完整。有两个相互接触，聚成一簇。",
        ),
    ],
)
def test_lab_note(cells, lang, text):
    assert str(describe(objects(NUCLEI, (40, 50), *cells), lang)) == text


def test_touching_nuclei_that_are_not_told_apart_are_called_regions():
    scene = painted(NUCLEI, (40, 50), *CELLS, *MORE)
    assert str(describe(scene, "en", "short")).startswith("Five nucleus regions cover 16% of a field of 50 × 40 px")
    assert str(describe(scene, "zh", "short")).startswith("50 × 40 像素的视野中有五处细胞核，覆盖 16%")


def test_membranes_come_after_what_they_enclose():
    scene = painted(MEMBRANES, (20, 41), ("membrane", 20, 0, 21, 20), ground="cell")
    text = str(describe(scene))
    assert text.startswith("The field of 41 × 20 px holds two cell regions")
    assert text.endswith("Membranes cover 2% of the field, in one connected piece.")


@pytest.mark.parametrize(
    ("box", "en", "zh"),
    [
        ((40, 40, 50, 58), "The car close ahead is in the way.", "前方近处的汽车挡在路中。"),
        ((50, 40, 80, 58), "The car close by on the right reaches into the way ahead.", "右侧近处的汽车挡住部分去路。"),
        ((42, 38, 48, 42), "The way ahead is clear up to the car.", "前方道路畅通，不远处有汽车。"),
        ((44, 38, 80, 42), "The way ahead is clear up to the car.", "前方道路畅通，直至右侧的汽车。"),
        ((43, 30, 47, 34), "The way ahead is clear up to the car.", "前方道路畅通，远处有汽车。"),
        ((70, 40, 80, 58), "The way ahead is clear.", "前方道路畅通。"),
    ],
)
def test_what_blocks_the_way(box, en, zh):
    scene = street(("car", *box))
    assert f" {en} " in str(describe(scene))
    assert zh in str(describe(scene, "zh"))


@pytest.mark.parametrize(
    ("boxes", "en", "zh"),
    [
        ([("building", 30, 30, 60, 50)], "A building close ahead is in the way.", "前方近处有建筑挡住去路。"),
        ([("tree", 40, 10, 50, 34)], "The way ahead is clear up to a tree far ahead.", "前方道路畅通，远处有树木。"),
        ([("fence", 0, 32, 90, 38)], "The way ahead is clear up to a fence.", "前方道路畅通，不远处有围栏。"),
        (
            [("building", 46, 20, 90, 58)],
            "A building on the right reaches into the way ahead.",
            "右侧的建筑挡住部分去路。",
        ),
        # A pole is a fifteenth of the way's width; a kerb that only grazes it is not in it; nor is a wire's width.
        ([("pole", 44, 20, 46, 52)], "A pole close ahead is in the way.", "前方近处有杆挡住去路。"),
        ([("fence", 0, 50, 34, 52)], "The way ahead is clear.", "前方道路畅通。"),
        # Beyond the way there may be anything.
        ([("building", 0, 20, 20, 60), ("pole", 70, 20, 72, 60)], "The way ahead is clear.", "前方道路畅通。"),
    ],
)
def test_whatever_stands_in_the_way_is_named(boxes, en, zh):
    scene = street(*boxes)
    assert f" {en} " in str(describe(scene))
    assert zh in str(describe(scene, "zh"))


@pytest.mark.parametrize(
    "boxes",
    [
        [("building", 20, 30, 90, 60)],
        [("pavement", 0, 30, 90, 55)],
        [("pavement", 20, 30, 90, 60)],
        [("pavement", 0, 30, 90, 45)],
        [("pavement", 20, 30, 90, 60), ("car", 40, 30, 50, 42)],
        [("sky", 20, 30, 90, 60)],
    ],
)
def test_nothing_is_said_of_a_way_that_is_not_road(boxes):
    scene = street(("car", 2, 32, 6, 36), ("sign", 80, 4, 84, 8), *boxes)
    assert scene.kind.name == "street"
    assert "way" not in str(describe(scene))
    assert not {"畅通", "去路", "路中"} & {str(describe(scene, "zh"))[i : i + 2] for i in range(200)}


@pytest.mark.parametrize(
    ("hood", "box", "said"),
    [
        (50, None, "The way ahead is clear."),
        (50, (40, 36, 50, 50), "The car close ahead is in the way."),
        (40, None, None),
        (40, (43, 30, 47, 34), None),
    ],
)
def test_the_way_begins_beyond_the_bonnet(hood, box, said):
    labels = np.full((60, 90), CAMVID.index("sky"), np.uint8)
    labels[30:] = CAMVID.index("road")
    labels[hood:] = CAMVID.ignore_index
    if box is not None:
        labels[box[1] : box[3], box[0] : box[2]] = CAMVID.index("car")
    text = str(describe(build_scene(Segmentation(labels.shape, CAMVID, labels), min_area_px=1)))
    assert f" {said} " in text if said else "way" not in text


def test_a_road_is_found_however_it_is_spelt():
    names = LabelSet("own", tuple(replace(x, name=x.name.capitalize().replace("Lane", "LANE_")) for x in CAMVID))
    boxes = [("Road", 0, 30, 90, 60), ("Pavement", 0, 30, 20, 60), ("Bicyclist", 40, 30, 43, 44)]
    text = str(describe(painted(names, (60, 90), *boxes, ("Car", 80, 40, 86, 50), ground="Sky")))
    assert text.startswith("The Road takes up 3")
    assert "with Pavement mostly on the left" in text
    assert "On the road" not in text
    walker = painted(names, (60, 90), *boxes[:2], ("Pedestrian", 40, 30, 43, 44), ground="Sky")
    assert "On the road itself: a Pedestrian ahead." in str(describe(walker))


def test_someone_on_the_road_is_named():
    scene = street(("pavement", 0, 30, 20, 60), ("pedestrian", 5, 30, 8, 44), ("pedestrian", 40, 30, 43, 44))
    assert "On the road itself: a pedestrian ahead." in str(describe(scene))
    assert "路面上：前方有行人。" in str(describe(scene, "zh"))
    assert "On the road" not in str(describe(street(("bicyclist", 40, 30, 43, 44))))


def test_what_stands_on_two_grounds_is_said_to_be_on_one():
    scene = street(("pavement", 0, 30, 20, 60), ("pedestrian", 14, 30, 24, 44))
    assert (
        len([relation for relation in scene.related("on") if scene.region(relation.subject).name == "pedestrian"]) == 2
    )
    text = str(describe(scene, "en", "full"))
    assert "The pedestrian is on the pavement." in text
    assert "n the road" not in text


def test_everyone_in_one_place_shares_its_name():
    scene = street(("car", 40, 40, 50, 58), ("pedestrian", 32, 40, 35, 58))
    assert "Close ahead are a car and a pedestrian." in str(describe(scene))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_full_says_all_classes_colours_and_doubts(lang):
    scene = STREET
    first, *rest = (replace(region, confidence=0.9, color_name="red", color=(255, 0, 0)) for region in scene.regions)
    unsure = [replace(rest[-1], confidence=0.41)]
    scene = replace(scene, regions=(first, *rest[:-1], *unsure))
    text = str(describe(scene, lang, "full"))
    assert (
        "The model is unsure of the car far ahead (0.41)."
        if lang == "en"
        else "模型对前方远处的汽车（0.41）的判断把握不大。"
    ) in text
    assert ("the car close by on the right (red, 8%)" if lang == "en" else "右侧近处的汽车（红色，8%）") in text
    for label in CAMVID:
        assert ((label.zh if lang == "zh" else label.name) in text.lower()) == (label.name in scene.shares)


def test_a_thousand_objects_make_few_sentences():
    rng = np.random.default_rng(0)
    labels = np.full((400, 400), CAMVID.index("road"), np.uint8)
    for y in range(0, 400, 12):
        for x in range(0, 400, 12):
            labels[y : y + 6, x : x + 6] = rng.choice([CAMVID.index("car"), CAMVID.index("pedestrian")])
    scene = build_scene(Segmentation(labels.shape, CAMVID, labels))
    assert len(scene.regions) > 1000
    for lang, length in itertools.product(("en", "zh"), ("short", "normal", "full")):
        text = str(describe(scene, lang, length))
        assert len(text) < 700
        assert str(scene.counts()["car"]) in text


def test_cited_text_names_the_regions():
    cited = str(describe(STREET, cite=True))
    assert cited.startswith("The road takes up 36% of the view [")
    car = next(region for region in STREET.regions if region.name == "bicyclist")
    assert f"a bicyclist on the left [{car.id}]." in cited
    assert "[" not in str(describe(STREET))


@pytest.mark.parametrize(
    ("lang", "length", "said"), [("fr", "normal", "'fr'"), ("en", "long", "'long'"), ("EN", "short", "'EN'")]
)
def test_unknown_language_or_length(lang, length, said):
    with pytest.raises(ConfigError, match=said):
        describe(STREET, lang, length)


def box_lists(names, size):
    x, y = st.integers(0, size[1] - 1), st.integers(0, size[0] - 1)
    box = st.tuples(st.sampled_from(names), x, y, st.integers(1, 20), st.integers(1, 20))
    return st.lists(box, max_size=12).map(lambda found: [(n, a, b, a + w, b + h) for n, a, b, w, h in found])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_stated_number_is_carried_by_its_clause(data):
    label_set = data.draw(st.sampled_from([CAMVID, ADE20K, COCO, NUCLEI, MEMBRANES, OTHER]))
    names = list(label_set.names[:40])
    boxes = data.draw(box_lists(names, (40, 60)))
    ground = data.draw(st.sampled_from([None, *names[:12]]))
    make = data.draw(st.sampled_from([painted, objects])) if label_set in (COCO, NUCLEI) else painted
    scene = make(label_set, (40, 60), *boxes, **({"ground": ground} if make is painted else {}))
    ids = {region.id for region in scene.regions}
    for lang in ("en", "zh"):
        for length in ("short", "normal", "full"):
            description = describe(scene, lang, length)
            assert description.sentences
            assert len(description.sentences) == 1 or length != "short" or label_set is MEMBRANES
            for sentence in description.sentences:
                assert "".join(clause.text for clause in sentence).endswith("。" if lang == "zh" else ".")
                for clause in sentence:
                    assert not unfounded(clause, label_set.names), clause
                    assert set(clause.regions) <= ids
                    assert list(clause.regions) == sorted(set(clause.regions))
            assert not {"  ", " ,", "，，", "。，", "{", "}"} & {
                description.text[i : i + 2] for i in range(len(description.text))
            }


@settings(max_examples=40, deadline=None)
@given(boxes=box_lists(["car", "pedestrian", "pavement", "building", "tree"], (40, 60)))
def test_no_relation_is_said_twice_nor_its_inverse(boxes):
    scene = painted(CAMVID, (40, 60), ("road", 0, 20, 60, 40), *boxes, ground="sky")
    pairs = set()
    for sentence in describe(scene, "en", "full").sentences:
        for clause in sentence:
            for key in clause.numbers:
                predicate, _, rest = key.partition("(")
                if predicate in PREDICATES and rest.startswith("#"):
                    pair = frozenset(rest.rstrip(")").split(","))
                    assert pair not in pairs
                    pairs.add(pair)


@pytest.mark.parametrize(("label_set", "one"), [(CAMVID, "一处标志"), (NUCLEI, "一个细胞核")])
def test_beyond_the_tenth_largest_a_region_is_one_of_its_class_not_another_one(label_set, one):
    name = "sign" if label_set is CAMVID else "nucleus"
    boxes = [(name, 4 * i, 2, 4 * i + 2, 16 - i) for i in range(12)]
    if label_set is CAMVID:
        scene = painted(label_set, (20, 60), *boxes, ground="sky")
    else:
        scene = objects(label_set, (20, 60), *boxes)
    assert Chinese(scene).ref(scene.region(11 if label_set is NUCLEI else 12)) == one


@pytest.mark.parametrize(("count", "rest"), [(12, 0), (13, 0), (14, 2), (3600, 3588)])
def test_a_list_of_classes_ends(count, rest):
    side = int(np.ceil(np.sqrt(count)))
    labels = np.minimum(np.arange(side * side), count - 1).reshape(side, side)
    classes = tuple(Label(f"plain q{_letters(i)}", (i % 256, i // 256, 7)) for i in range(count))
    label_set = LabelSet("many", classes, ignore_index=9000)
    scene = build_scene(Segmentation(labels.shape, label_set, labels.astype(np.uint16)), min_area_px=1)
    for lang, length in itertools.product(("en", "zh"), ("short", "normal", "full")):
        assert len(str(describe(scene, lang, length))) < 800
    (*_, last), *_ = describe(scene, "en", "full").sentences
    together = sum(list(scene.shares.values())[12:])
    if rest:
        assert last.numbers == {"kinds(other)": rest, "share_together(other)": pytest.approx(together)}
        assert len(last.regions) == rest
    said = f", and {number_en(rest)} other classes {percent(together)} together."
    assert str(describe(scene, "en", "full")).endswith(said) == bool(rest)
    said = f"，其余{number_zh(rest)}类共占{percent(together, 'zh')}。".replace(" ", "")
    assert str(describe(scene, "zh", "full")).replace(" ", "").endswith(said) == bool(rest)


def _letters(number):
    return "".join(chr(ord("a") + number // 26**i % 26) for i in range(3))


@pytest.mark.parametrize("kind", ["car", "nucleus"])
def test_many_classes_of_things_make_a_short_text_too(kind):
    labels = np.full((121, 121), 200)
    for i in range(200):
        y, x = divmod(i, 15)
        labels[8 * y + 1 : 8 * y + 7, 8 * x + 1 : 8 * x + 7] = i
    classes = tuple(Label(f"{_letters(i)} {kind}", (i, 1, 1), "", True) for i in range(200))
    ground = Label("road" if kind == "car" else "membrane", (1, 2, 3))
    label_set = LabelSet("kinds", (*classes, ground), ignore_index=9000)
    scene = build_scene(Segmentation(labels.shape, label_set, labels.astype(np.uint16)))
    assert (scene.kind.name, len(scene.regions)) == ("street" if kind == "car" else "membranes", 201)
    for lang, length in itertools.product(("en", "zh"), ("short", "normal", "full")):
        text = str(describe(scene, lang, length))
        assert len(text) < 1600
        assert ("195" if kind == "car" and length == "short" else "188") in text
    for sentence in describe(scene, "en", "full").sentences:
        assert not any(unfounded(clause, label_set.names) for clause in sentence)


@pytest.mark.parametrize(
    ("name", "en", "zh"),
    [
        ("sky", "a patch of sky", "一片天空"),
        ("road", "a stretch of road", "一段道路"),
        ("sign", "the second-largest sign", "第二大的标志"),
    ],
)
def test_what_cannot_be_counted_has_no_rank(name, en, zh):
    boxes = [(name, 8 * i, 2, 8 * i + 4, 16 - i) for i in range(3)]
    scene = painted(CAMVID, (90, 90), *boxes, ground="building")
    region = [region for region in scene.regions if region.name == name][1]
    assert English(scene).ref(region) == en
    assert Chinese(scene).ref(region) == zh
    assert English(scene).another(region).startswith(f"another {en.rpartition(' of ')[0].removeprefix('a ')}"[:9])
    assert f"另一{zh[1:] if name != 'sign' else '处标志'}" in Chinese(scene).another(region)


@pytest.mark.parametrize(
    ("vehicle", "en", "zh"),
    [
        ("car", "The person is seen above the car.", "一个人出现在汽车上方。"),
        ("motorcycle", "The person is on the motorcycle.", "人在摩托车上。"),
    ],
)
def test_whose_legs_a_car_hides_is_not_on_it(vehicle, en, zh):
    scene = objects(COCO, (60, 90), (vehicle, 20, 30, 60, 56), ("person", 34, 12, 42, 30))
    scene = replace(scene, relations=(Relation(2, "on", 1, 0.9),))
    text = str(describe(scene))
    assert en in text, text
    assert zh.removeprefix("一个") in str(describe(scene, "zh"))
    numbers = {key for s in describe(scene).sentences for clause in s for key in clause.numbers}
    assert {"on(#2,#1)", "count(person,on)"} <= numbers


@pytest.mark.parametrize(("boxes", "one"), [(1, True), (2, False)])
def test_things_that_are_not_declared_as_things_are_spoken_of_alike(boxes, one):
    flat = LabelSet("flat", tuple(replace(label, thing=False) for label in CAMVID))
    cars = [("car", 10, 30, 30, 50), ("car", 60, 30, 80, 50)][:boxes]
    text = str(describe(painted(flat, (60, 90), *cars, ground="building"), "en", "full"))
    assert ("The car covers 7% of" if one else "The cars cover 15% of") in text
    assert "left of a car" not in text

import re

import pytest

from segscape.data.ade20k import ADE20K
from segscape.data.label_sets import CAMVID, MEMBRANES, NUCLEI
from segscape.data.public_sets import CITYSCAPES, CITYSCAPES_19, COCO, VOC
from segscape.scene.say_words import WORDS
from segscape.scene.vocabulary import (
    ROADS,
    ROLES,
    article,
    counted_en,
    counted_zh,
    is_one_of,
    measure_word,
    name_en,
    name_zh,
    number_en,
    number_zh,
    percent,
    plural,
    role_of,
    spaced,
    with_article,
    word_of,
)

SETS = (CAMVID, MEMBRANES, NUCLEI, COCO, VOC, CITYSCAPES, CITYSCAPES_19, ADE20K)
NAMES = sorted({label.name for label_set in SETS for label in label_set})


@pytest.mark.parametrize("name", NAMES)
def test_every_public_class_is_known(name):
    assert role_of(name) in set(ROLES) - {"unknown"}
    assert re.search(r"[\u4e00-\u9fff]", counted_zh(2, name, name_zh(name)))
    assert counted_en(2, name).startswith("two ")


@pytest.mark.parametrize("label_set", SETS, ids=lambda label_set: label_set.name)
def test_every_public_class_has_a_chinese_name_that_is_used(label_set):
    for label in label_set:
        assert label.zh
        assert counted_zh(3, label.name, label.zh) == f"三{measure_word(label.name, label.zh)}{label.zh}"


def test_the_table_names_each_class_once():
    entries = [e.strip() for text in WORDS.values() for line in text.strip().splitlines() for e in line.split("|")]
    names = [entry.partition(":")[0] for entry in entries]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z ]+:[\u4e00-\u9fff](:[A-Za-z ~]+)?(=[\u4e00-\u9fff]+)?", entry) for entry in entries)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("road", "ground"),
        ("Grass", "ground"),
        ("sky", "sky"),
        ("swimming pool", "water"),
        ("building", "structure"),
        ("fence", "structure"),
        ("tree", "vegetation"),
        ("car", "vehicle"),
        ("traffic_light", "item"),
        ("bicyclist", "person"),
        ("teddy bear", "item"),
        ("bear", "animal"),
        ("pool table", "furniture"),
        ("hot dog", "food"),
        ("dog", "animal"),
        ("nucleus", "cell"),
        ("membrane", "membrane"),
        ("background", "background"),
        ("police car", "vehicle"),
        ("汽车", "vehicle"),
        ("class 3", "unknown"),
        ("spaceship", "unknown"),
        ("", "unknown"),
    ],
)
def test_role(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("name", "plurals", "one"),
    [
        ("car", "cars", "a car"),
        ("person", "people", "a person"),
        ("bus", "buses", "a bus"),
        ("nucleus", "nuclei", "a nucleus"),
        ("bench", "benches", "a bench"),
        ("body", "bodies", "a body"),
        ("toy", "toys", "a toy"),
        ("sheep", "sheep", "a sheep"),
        ("knife", "knives", "a knife"),
        ("skis", "pairs of skis", "a pair of skis"),
        ("chest of drawers", "chests of drawers", "a chest of drawers"),
        ("grass", "patches of grass", "grass"),
        ("broccoli", "portions of broccoli", "broccoli"),
        ("sky", "patches of sky", "the sky"),
        ("road", "stretches of road", "the road"),
        ("stairs", "stairs", "stairs"),
        ("tv", "TVs", "a TV"),
        ("diningtable", "dining tables", "a dining table"),
        ("traffic_light", "traffic lights", "a traffic light"),
        ("police car", "police cars", "a police car"),
        ("vehicles", "vehicles", "vehicles"),
        ("umbrella", "umbrellas", "an umbrella"),
        ("class 3", "regions of class 3", "class 3"),
        ("汽车", "regions of 汽车", "汽车"),
    ],
)
def test_english_forms(name, plurals, one):
    assert (plural(name), with_article(name)) == (plurals, one)


@pytest.mark.parametrize(
    ("count", "name", "said"),
    [
        (0, "car", "no cars"),
        (1, "car", "one car"),
        (2, "car", "two cars"),
        (12, "person", "twelve people"),
        (13, "person", "13 people"),
        (1024, "nucleus", "1,024 nuclei"),
        (1, "grass", "one patch of grass"),
        (2, "scissors", "two pairs of scissors"),
        (1, "class 3", "one region of class 3"),
        (1, "sky", "one patch of sky"),
        (2, "road", "two stretches of road"),
        (1, "stairs", "stairs"),
    ],
)
def test_counted_in_english(count, name, said):
    assert counted_en(count, name) == said


@pytest.mark.parametrize(
    ("count", "name", "zh", "said"),
    [
        (1, "car", "", "一辆汽车"),
        (2, "car", "汽车", "两辆汽车"),
        (2, "car", "小汽车", "两辆小汽车"),
        (10, "person", "", "十个人"),
        (12, "person", "行人", "12 个行人"),
        (3, "pedestrian", "", "三名行人"),
        (2, "汽车", "", "两辆汽车"),
        (2, "bear", "", "两只熊"),
        (2, "spaceship", "", "两个 spaceship"),
        (2, "spaceship", "飞船", "两个飞船"),
        (2, "cyclist", "", "两名骑车人"),
    ],
)
def test_counted_in_chinese(count, name, zh, said):
    assert counted_zh(count, name, zh) == said


@pytest.mark.parametrize("name", ["road", "Road", "lane_marking", " Lane  Marking"])
def test_a_road_however_it_is_spelt(name):
    assert is_one_of(name, ROADS)
    assert not is_one_of("rail" + name, ROADS)


def test_an_unknown_label_stands_as_it_is():
    assert name_zh("spaceship") == "spaceship"
    assert name_en("Spaceship_Mk") == "Spaceship Mk"
    assert word_of("spaceship").form == "count"


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("car", "a"),
        ("orange", "an"),
        ("hour glass", "an"),
        ("unicycle", "a"),
        ("unit", "a"),
        ("unidentified object", "an"),
        ("umbrella", "an"),
        ("MRI scan", "an"),
        ("TV", "a"),
        ("8 px", "an"),
        ("11 px", "an"),
        ("18th", "an"),
        ("180 px", "a"),
        ("1 px", "a"),
        ("", "a"),
    ],
)
def test_article(phrase, said):
    assert article(phrase) == said


def test_number_words():
    assert [number_en(i) for i in (0, 1, 12, 13, 1000)] == ["no", "one", "twelve", "13", "1,000"]
    assert [number_zh(i) for i in (1, 2, 3, 10, 11, 1024)] == ["一", "两", "三", "十", "11", "1,024"]


@pytest.mark.parametrize(
    ("share", "en", "zh"),
    [
        (0, "0%", "0%"),
        (0.0004, "under 0.1%", "不到 0.1%"),
        (0.0005, "0.1%", "0.1%"),
        (0.0044, "0.4%", "0.4%"),
        (0.0094, "0.9%", "0.9%"),
        (0.0099, "1%", "1%"),
        (0.0149, "1%", "1%"),
        (0.125, "13%", "13%"),
        (0.2701, "27%", "27%"),
        (0.9949, "99%", "99%"),
        (0.996, "over 99%", "99% 以上"),
        (1, "100%", "100%"),
    ],
)
def test_percent(share, en, zh):
    assert (percent(share), percent(share, "zh")) == (en, zh)


def test_spaces_between_scripts():
    assert spaced("占27%,有12辆car和TV。") == "占 27%,有 12 辆 car 和 TV。"
    assert spaced("占 27% 的") == "占 27% 的"

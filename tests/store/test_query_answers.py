"""What a store answers is what a plain look through all scenes finds."""

import operator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_scenes import LABELS, random_scene, scene

from segscape.errors import ConfigError, InputError
from segscape.scene.predicates import PREDICATES
from segscape.store.sql import Vocabulary
from segscape.store.store import Store
from segscape.store.syntax import (
    MEASURES,
    Aggregate,
    AllOf,
    AnyOf,
    Compared,
    Exists,
    Kind,
    Not,
    Regions,
    Related,
    Term,
    written,
)

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# --- the plain look: tuples (subject, None) or (subject, relation) that match, by the definitions in docs/query.md


def is_a(scene, number, term):
    if number is None:
        return False
    if term.number is not None:
        return number == term.number
    label = LABELS[scene.region(number).label]
    return term.name is None or term.name.lower() in (label.name.lower(), label.zh)


def to_objects(scene, relation, objects):
    if len(objects) == 1:
        return is_a(scene, relation.object, objects[0])
    a, b = objects
    pairs = [(relation.object, relation.other), (relation.other, relation.object)]
    return any(is_a(scene, x, a) and is_a(scene, y, b) for x, y in pairs)


def fits(scene, subject, relation, condition):
    region = scene.region(subject)
    match condition:
        case AllOf(parts):
            return all(fits(scene, subject, relation, part) for part in parts)
        case AnyOf(parts):
            return any(fits(scene, subject, relation, part) for part in parts)
        case Not(part):
            return not fits(scene, subject, relation, part)
        case Related(predicate, objects):
            candidates = scene.related(predicate, subject=subject)
            if objects:
                return any(to_objects(scene, r, objects) for r in candidates)
            return any(r.object in (relation.object, relation.other) for r in candidates)
        case Compared(measure, sign, value):
            if measure == "place":
                return (set(value.split()) <= set(region.place.split())) == (sign == "=")
            if measure == "frame":
                return (value in region.frame) == (sign == "=")
            names = {"area": "share", "color": "color_name"}
            found = relation.strength if measure == "strength" else getattr(region, names.get(measure, measure))
            return found is not None and COMPARE[sign](found, value)


def matching(scene, regions):
    """(subject, relation or None) of every match."""
    relation = regions.relation
    if relation is None:
        found = [(r.id, None) for r in scene.regions]
    else:
        related = scene.related(relation.predicate)
        found = [(r.subject, r) for r in related if to_objects(scene, r, relation.objects)]
    return [
        (subject, relation)
        for subject, relation in found
        if is_a(scene, subject, regions.term)
        and (regions.where is None or fits(scene, subject, relation, regions.where))
    ]


def holds(scene, query):
    match query:
        case AllOf(parts):
            return all(holds(scene, part) for part in parts)
        case AnyOf(parts):
            return any(holds(scene, part) for part in parts)
        case Not(part):
            return not holds(scene, part)
        case Kind(sign, name):
            return (scene.kind.name == name) == (sign == "=")
        case Exists(regions):
            return bool(matching(scene, regions))
        case Aggregate(function, regions, sign, value):
            subjects = {subject for subject, _ in matching(scene, regions)}
            total = len(subjects) if function == "count" else sum(scene.region(s).share for s in subjects)
            return COMPARE[sign](total, value)


def evidence(scene, query):
    """Ids of the regions that an answer shows."""
    match query:
        case AllOf(parts):
            return set().union(*(evidence(scene, part) for part in parts))
        case AnyOf(parts):
            return set().union(*(evidence(scene, part) for part in parts if holds(scene, part)))
        case Exists(regions) | Aggregate(_, regions):
            found = set()
            for subject, relation in matching(scene, regions):
                found |= {subject} | ({relation.object, relation.other} - {None} if relation else set())
            return found
    return set()


# --- random queries of what the random scenes are made of

terms = st.one_of(
    st.sampled_from(["road", "car", "traffic light", "汽车", 'left of "x"', "Road"]).map(Term),
    st.integers(1, 4).map(lambda number: Term(number=number)),
    st.just(Term()),
)
signs = st.sampled_from(list(COMPARE))
equal = st.sampled_from(["=", "!="])
binary = sorted(set(PREDICATES) - {"between"})
words = {"color": ("red", "blue"), "place": ("left", "top", "centre", "top left", "bottom right")}
values = {
    "holes": (0.0, 1.0),
    "strength": (0.2, 0.5),
    "area": (0.0, 0.05, 0.25),
    "nearness": (0.0, 0.3),
    "confidence": (0.25,),
}


def compared(names):
    return st.sampled_from(names).flatmap(
        lambda name: (
            st.builds(Compared, st.just(name), equal, st.sampled_from(words.get(name, MEASURES[name].words)))
            if MEASURES[name].type == "word"
            else st.builds(Compared, st.just(name), signs, st.sampled_from(values[name]))
        )
    )


def related(most_objects_missing):
    one = st.builds(
        Related, st.sampled_from(binary), st.lists(terms, min_size=1 - most_objects_missing, max_size=1).map(tuple)
    )
    return st.one_of(one, one, st.builds(Related, st.just("between"), st.tuples(terms, terms)))


def joined(leaves, most):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(AllOf, st.tuples(inner, inner)),
            st.builds(AnyOf, st.tuples(inner, inner)),
        ),
        max_leaves=most,
    )


of_regions = ["place", "frame", "color", "distance", "nearness", "confidence", "area", "holes"]
alone = st.builds(Regions, terms, st.none(), st.none() | joined(compared(of_regions) | related(0), 3))
pairs = st.builds(Regions, terms, related(0), st.none() | joined(compared([*of_regions, "strength"]) | related(1), 3))
queries = joined(
    st.one_of(
        st.builds(Exists, alone | pairs),
        st.builds(Aggregate, st.just("count"), alone | pairs, signs, st.sampled_from([0.0, 1.0, 2.0])),
        st.builds(Aggregate, st.just("share"), alone | pairs, signs, st.sampled_from([0.0, 0.26, 0.6])),
        st.builds(Kind, equal, st.sampled_from(["street", "indoor"])),
    ),
    3,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Scenes by their number in the store, and the store."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("store") / "scenes.duckdb"
    scenes = {i: random_scene(rng, f"{i}.jpg") for i in range(1, 61)}
    with Store.open(path) as store:
        for number, one in scenes.items():
            assert store.add(one, content_hash=str(number))
    with Store.open(path, read_only=True) as store:
        yield scenes, store


@settings(max_examples=150, deadline=None)
@given(query=queries)
def test_answers_are_those_of_a_plain_look(stored, query):
    scenes, store = stored
    answer = store.query(written(query), limit=None)
    expected = {number: evidence(one, query) for number, one in scenes.items() if holds(one, query)}
    assert {found.image: set(found.regions) for found in answer.images} == expected
    assert answer.total == len(expected)


@pytest.fixture
def ask(tmp_path):
    """ask(text, *scenes): numbers of the scenes found, from 0, and why."""

    def go(text, *scenes, **options):
        with Store.open(tmp_path / "scenes.duckdb") as store:
            for i, one in enumerate(scenes):
                store.add(replace(one, source=f"{i}.jpg"), content_hash=str(i))
            answer = store.query(text, **options)
        return {found.image - 1: list(found.why) for found in answer.images}

    return go


EMPTY, ROAD, CARS = (
    scene(),
    scene("r"),
    scene("rcc", [(2, "on", 1), (1, "supports", 2), (3, "near", 2), (2, "near", 3)]),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("car", {2: ["car #2", "car #3"]}),
        ("car on road", {2: ["car #2 on road #1"]}),
        ("汽车 on 道路", {2: ["car #2 on road #1"]}),
        ("road supporting car where not touching", {2: ["road #1 supporting car #2"]}),
        ("car where not on road", {2: ["car #3"]}),
        ("not car", {0: [], 1: []}),
        ("count(car) < 2", {0: [], 1: []}),
        ("count(car) = 2 and road", {2: ["car #2", "car #3", "road #1"]}),
        ("count(any) <= 1", {0: [], 1: ["road #1"]}),
        ("car or road", {1: ["road #1"], 2: ["car #2", "car #3", "road #1"]}),
        ("traffic light", {}),
        ("kind = Street and not road", {0: []}),
        ("road where confidence >= 0 or confidence < 0", {}),  # not known of any
        ("road where not confidence >= 0 and not distance != far", {1: ["road #1"], 2: ["road #1"]}),
    ],
)
def test_small_scenes(ask, text, found):
    assert ask(text, EMPTY, ROAD, CARS) == found


def test_reasons_in_chinese(ask):
    between = scene("rcct", [(4, "between", 2, 3), (2, "on", 1), (2, "near", 3)])
    found = ask("any between any and any or car on road or any near any", between, lang="zh")
    assert found == {0: ["红绿灯 #4 在 汽车 #2和汽车 #3 之间", "汽车 #2 在 道路 #1 上", "汽车 #2 靠近 汽车 #3"]}


def test_limit_counts_all_and_gives_some(tmp_path):
    with Store.open(tmp_path / "scenes.duckdb") as store:
        for i in range(5):
            store.add(scene("r", source=f"{i}.jpg"), content_hash=str(i))
        answer = store.query("road", limit=2)
        assert (answer.total, [found.image for found in answer.images]) == (5, [1, 2])
        assert store.query("car", limit=2).total == 0
        sql = store.sql("SELECT id FROM images ORDER BY id", limit=2)
        assert (sql.total, sql.rows) == (None, ((1,), (2,)))
        with pytest.raises(ConfigError, match="at least 1"):
            store.query("road", limit=0)
        with pytest.raises(ConfigError, match="unknown language"):
            store.query("road", lang="fr")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caar on road", "column 1: no class 'caar' in this store\n  caar on road\n  ^\ndid you mean 'car'?"),
        ("car und road", "column 5: no relation 'und'"),
        ("car on raod", "column 8: no class 'raod'"),
        ("car touchin road", "column 5: no relation 'touchin'\n  car touchin road\n      ^\ndid you mean 'touching'"),
        ("kind = stret", "column 1: no scene of the store is of kind 'stret'"),
        ("car where near", "'near' needs a class"),
        ("car where strength > 0.5", "column 11: strength is of a relation"),
    ],
)
def test_names_that_the_store_does_not_know(ask, text, said):
    with pytest.raises(InputError) as error:
        ask(text, CARS)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("labels", "meant"),
    [
        ([("pedestrian", "行人"), ("bicyclist", "骑车人"), ("car", "")], ("pedestrian", "bicyclist")),
        ([("pedestrian", ""), ("person", "")], ("person",)),
        ([("car", "")], None),
    ],
)
def test_a_role_means_its_classes_unless_a_class_is_called_so(labels, meant):
    vocabulary = Vocabulary.of(labels, ())
    assert vocabulary.classes.get("person") == meant


def test_a_role_is_understood_where_a_class_is(ask):
    assert ask("vehicle", CARS) == ask("车辆", CARS) == ask("car", CARS)


def test_what_is_asked_never_becomes_sql(ask):
    hostile = "x') OR 1=1; DROP TABLE images; --"
    with pytest.raises(InputError, match="no class"):
        ask(f'"{hostile}"', CARS)
    assert ask("car", CARS) == {0: ["car #2", "car #3"]}


def test_sql_gives_plain_values(stored):
    _, store = stored
    answer = store.sql(
        "SELECT 1.5::DECIMAL(4,2) a, DATE '2020-01-02' b, 'x'::BLOB c, {'k': [1]} d, 'nan'::DOUBLE e, NULL f, $n AS g",
        {"n": "v"},
    )
    assert answer.rows == ((1.5, "2020-01-02", "78", {"k": [1]}, None, None, "v"),)
    assert store.sql("SELECT ?", [3]).rows == ((3,),)


def test_sql_with_images_can_be_drawn(stored):
    scenes, store = stored
    number = next(number for number, one in scenes.items() if len(one.regions) > 2)
    answer = store.sql(f"SELECT {number} AS image, 2 AS region UNION ALL SELECT {number}, 1 UNION ALL SELECT 999, 1")
    assert [(found.image, found.regions) for found in answer.images] == [(number, (1, 2))]
    (drawn,) = store.drawn(answer).values()
    assert [d.box for d in drawn] == [(1, 1, 3, 3), (2, 2, 4, 4)]
    assert drawn[0].color == LABELS[scenes[number].region(1).label].color
    assert drawn[0].mask == scenes[number].region(1).mask


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE images",
        "INSERT INTO labels SELECT * FROM labels",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "COPY images TO '{file}.out'",
        "ATTACH '{file}.duckdb'",
        "EXPORT DATABASE '{file}.dir'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT * FROM hostile_variable",
        "SELECT 1; DROP TABLE images",
        "SELEC 1",
        "",
    ],
)
def test_sql_reads_the_store_and_nothing_else(stored, tmp_path, sql):
    hostile_variable = {"a": np.arange(3)}  # DuckDB would find it by its name
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with pytest.raises(InputError) as error:
        stored[1].sql(sql.format(file=file))
    assert "\n" not in str(error.value)
    assert len(hostile_variable) == len(list(tmp_path.iterdir())) == 1
    assert stored[1].sql("SELECT count(*) FROM images").rows == ((60,),)

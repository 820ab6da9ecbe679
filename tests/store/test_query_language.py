"""Reading queries: what they mean, what is wrong with them and where, and that writing them out loses nothing."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segscape.errors import InputError
from segscape.scene.predicates import PREDICATES
from segscape.store.language import fault, parse, suggestion
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

CAR, ROAD = Term("car"), Term("road")
ON_ROAD = Related("on", (ROAD,))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("car", Exists(Regions(CAR))),
        ("  CAR on\n road ", Exists(Regions(Term("CAR"), ON_ROAD))),
        ("car standing on road", Exists(Regions(CAR, ON_ROAD))),
        ("car in_front_of road", Exists(Regions(CAR, Related("in_front_of", (ROAD,))))),
        ("traffic light next  to #3", Exists(Regions(Term("traffic light"), Related("touches", (Term(number=3),))))),
        ("any touching any", Exists(Regions(Term(), Related("touches", (Term(),))))),
        ("行人 on 道路", Exists(Regions(Term("行人"), Related("on", (Term("道路"),))))),
        ('"left of" above \'a "b"\'', Exists(Regions(Term("left of"), Related("above", (Term('a "b"'),))))),
        (r'"a\"b\\"', Exists(Regions(Term('a"b\\')))),
        ("online", Exists(Regions(Term("online")))),  # not "on", "line"
        ("in-line skate in car", Exists(Regions(Term("in-line skate"), Related("inside", (CAR,))))),
        ("car between road and car", Exists(Regions(CAR, Related("between", (ROAD, CAR))))),
        ("car and road or car", AnyOf((AllOf((Exists(Regions(CAR)), Exists(Regions(ROAD)))), Exists(Regions(CAR))))),
        ("car and (road or car)", AllOf((Exists(Regions(CAR)), AnyOf((Exists(Regions(ROAD)), Exists(Regions(CAR))))))),
        ("not not car", Not(Not(Exists(Regions(CAR))))),
        ("count(car) >= 3", Aggregate("count", Regions(CAR), ">=", 3.0)),
        ("SHARE ( road )>20 %", Aggregate("share", Regions(ROAD), ">", 0.2)),
        ("share(road) ≤ .5", Aggregate("share", Regions(ROAD), "<=", 0.5)),
        (
            "count(car on road where distance = near) = 0",
            Aggregate("count", Regions(CAR, ON_ROAD, Compared("distance", "=", "near")), "=", 0.0),
        ),
        ("kind = street and kind≠table top", AllOf((Kind("=", "street"), Kind("!=", "table top")))),
        ("place(car) = Left", Exists(Regions(CAR, None, Compared("place", "=", "left")))),
        ("area(car on road) > 2%", Exists(Regions(CAR, ON_ROAD, Compared("area", ">", 0.02)))),
        ("car on road where near", Exists(Regions(CAR, ON_ROAD, Related("near", ())))),
        (
            "car where near road and area > 2%",
            Exists(Regions(CAR, None, AllOf((Related("near", (ROAD,)), Compared("area", ">", 0.02))))),
        ),
        (  # what follows "and" says whether the condition goes on
            "car where area > 2% and road",
            AllOf((Exists(Regions(CAR, None, Compared("area", ">", 0.02))), Exists(Regions(ROAD)))),
        ),
        (
            "car where area > 2% and place(road) = top left",
            AllOf(
                (
                    Exists(Regions(CAR, None, Compared("area", ">", 0.02))),
                    Exists(Regions(ROAD, None, Compared("place", "=", "top left"))),
                )
            ),
        ),
        (
            "car where not (near road or not on road) or touching road",
            Exists(
                Regions(
                    CAR,
                    None,
                    AnyOf(
                        (
                            Not(AnyOf((Related("near", (ROAD,)), Not(Related("on", (ROAD,)))))),
                            Related("touches", (ROAD,)),
                        )
                    ),
                )
            ),
        ),
        (
            "car where between road and car and strength > 0.5",
            Exists(Regions(CAR, None, AllOf((Related("between", (ROAD, CAR)), Compared("strength", ">", 0.5))))),
        ),
    ],
)
def test_what_a_query_means(text, query):
    assert parse(text) == query
    assert parse(written(query)) == query


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("person touching", 16, "the query ends too early; expected a class name"),
        ("person touching road and", 25, "expected a class name"),
        ("car (road", 5, "a relation (touching"),
        ("car $ road", 5, "'$' cannot stand here"),
        ("car road )", 10, "')' cannot stand here"),
        ("car on on road", 8, "expected a class name"),
        ("car and near", 5, "stands after 'where'"),
        ("area > 2%", 6, "stands after 'where'"),
        ("car where", 10, "ends too early"),
        ("car between road", 17, "expected and"),
        ("count(car) > 20%", 14, "not a percentage"),
        ("share(road) > 20", 15, "in percent, as in 20%"),
        ("share(road) > -1", 15, "0…1"),
        ("share(road) > road", 15, "expected a number"),
        ("car where place = lef", 19, "did you mean 'left'?"),
        ("car where place > left", 17, "can be = or !="),
        ("car where color = rde", 19, "did you mean"),
        ("car where distance = 3", 22, "is a word"),
        ("car where area = big", 18, "compared with a number"),
        ("kind > street", 6, "expected"),
        ("kind = street and count(car", 28, "expected"),
        ("#0 on road", 1, "numbered from 1"),
        ("#99999999999 on road", 1, "numbered from 1"),
        ("place(car where near road) = left", 1, "write this as"),
        ("car and\n#0", 9, "numbered from 1"),
    ],
)
def test_an_error_says_where(text, column, said):
    with pytest.raises(InputError) as error:
        parse(text)
    assert str(error.value).startswith(f"column {column}: ")
    assert said in str(error.value)
    assert "\n  " + text.split("\n")[-1].rstrip() in str(error.value)


def test_the_caret_stands_below_the_place_also_after_wide_characters():
    assert str(fault("行人 ? x", 3, "what")) == "column 4: what\n  行人 ? x\n       ^"
    assert str(fault("a\nb\tc", 4, "what", "hint")) == "column 5: what\n  b c\n    ^\nhint"


def test_suggestions():
    assert suggestion("Tarffic light", ["traffic light", "car"]) == "did you mean 'traffic light'?"
    assert suggestion("xyz", ["b", "a"]) == "there is a, b"
    assert "(50 in all)" in suggestion("xyz", map(str, range(50)))


@pytest.mark.parametrize(
    "text",
    ["", " \n", "(" * 50 + "car" + ")" * 50, "not " * 50 + "car", " or ".join(["car"] * 100), "x" * 5000],
    ids=["empty", "blank", "nested", "not", "long", "longer"],
)
def test_what_is_too_little_or_too_much(text):
    with pytest.raises(InputError):
        parse(text)


def test_forty_negations_beside_one_another_are_fine():
    assert len(parse(" and ".join(["not car"] * 45)).parts) == 45


names = st.one_of(
    st.sampled_from(
        ["car", "traffic light", "行人", "left of", "any", "and", "Not", "near", "count", 'a "b" \\', "x'y", "1a"]
    ),
    st.text(min_size=1, max_size=6).filter(lambda name: name.split() == [name]),
)
terms = st.one_of(st.builds(Term, names), st.builds(lambda n: Term(number=n), st.integers(1, 99)), st.just(Term()))
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
shares = st.floats(0, 1)
numbers = st.floats(-1e6, 1e6)


def related(most):
    one = st.builds(
        Related,
        st.sampled_from([name for name in PREDICATES if name != "between"]),
        st.lists(terms, min_size=most - 1, max_size=1).map(tuple),
    )
    return st.one_of(one, st.builds(Related, st.just("between"), st.tuples(terms, terms)))


@st.composite
def compared(draw):
    name = draw(st.sampled_from([name for name, measure in MEASURES.items() if name != "color"]))
    if MEASURES[name].type == "word":
        return Compared(name, draw(st.sampled_from(["=", "!="])), draw(st.sampled_from(MEASURES[name].words)))
    return Compared(name, draw(operators), draw(shares if MEASURES[name].type == "share" else numbers))


def joined(leaves):
    """Leaves under and, or, not: as the parser gives them, joints have two parts at least."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=5,
    )


conditions = joined(st.one_of(compared(), related(1)))
regions = st.builds(Regions, terms, st.none() | related(2), st.none() | conditions)
queries = joined(
    st.one_of(
        st.builds(Exists, regions),
        st.builds(Aggregate, st.just("count"), regions, operators, numbers),
        st.builds(Aggregate, st.just("share"), regions, operators, shares),
        st.builds(Kind, st.sampled_from(["=", "!="]), names),
    )
)


@given(queries)
def test_a_query_written_out_reads_the_same(query):
    assert parse(written(query)) == query


def test_the_documentation_says_what_the_language_can():
    page = (Path(__file__).parents[2] / "docs" / "query.md").read_text("utf-8")
    table = page.split("| query | finds images with |")[1].split("\n\n")[0]
    examples = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(examples) > 8
    for example in examples:
        parse(example)
    for name, predicate in PREDICATES.items():
        assert f"| `{name}` | {', '.join(f'`{words}`' for words in predicate.words)}" in page
    for name, measure in MEASURES.items():
        assert f"| `{name}` | {measure.meaning} |" in page

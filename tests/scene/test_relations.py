"""What holds of the relations of any scene: the definitions, no contradiction, bounds, mirrored pictures, crowds."""

from __future__ import annotations

import itertools
from collections import defaultdict

import networkx
import numpy as np
import pytest
from generated_scenes import generated
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from relation_truth import Truth, strengths_of
from tiny_scenes import LETTERS, ROLES, THINGS, TINY, check, label_map, relate

from segscape.errors import InputError
from segscape.scene.predicates import PREDICATES
from segscape.scene.relation_kernels import containers


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """Up to 6 × 6 of few classes with all sorts of roles; as they are, or with room for the discs at junctions."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    letters = draw(st.lists(st.sampled_from([*LETTERS, "."]), min_size=1, max_size=4, unique=True))
    cells = draw(st.lists(st.sampled_from(letters), min_size=height * width, max_size=height * width))
    rows = ("".join(cells[i * width : (i + 1) * width]) for i in range(height))
    return label_map(" ".join(rows), draw(st.sampled_from([1, 1, 2, 13])))


def truth_of(dense: np.ndarray, classes: list[int]) -> Truth:
    return Truth(dense, len(classes), [ROLES[c] for c in classes], [bool(THINGS[c]) for c in classes], classes)


@settings(max_examples=150, deadline=None)
@given(label_maps())
def test_relations_are_those_of_the_definitions(labels):
    dense, classes, relations = relate(labels)
    assume(len(classes) <= 12)  # of more, not every pair is looked at
    found, expected = strengths_of(relations), truth_of(dense, classes).strengths()
    assert found == {key: pytest.approx(value, abs=1e-4) for key, value in expected.items()}


@settings(max_examples=100, deadline=None)
@given(label_maps(), st.integers(1, 4))
def test_relations_do_not_contradict_one_another_and_are_bounded(labels, most):
    _, classes, every = relate(labels)
    _, _, kept = relate(labels, most)
    check(every, len(classes), 1000)
    check(kept, len(classes), most)

    ranked = defaultdict(list)
    for r in every:
        ranked[r.subject, r.predicate].append((-r.strength, r.object))
    best = {key: {number for _, number in sorted(values)[:most]} for key, values in ranked.items()}
    expected = {
        r
        for r in strengths_of(every)
        if r[1] == "between" or r[2] in best[r[0], r[1]] or r[0] in best[r[2], PREDICATES[r[1]].inverse]
    }
    assert strengths_of(kept).keys() == expected


SWAPPED = {"left_of": "right_of", "right_of": "left_of"}


def check_mirrored(labels: np.ndarray) -> None:
    dense, _, relations = relate(labels)
    other, _, mirrored = relate(np.ascontiguousarray(labels[:, ::-1]))
    number = {int(a) + 1: int(b) + 1 for a, b in zip(dense.ravel(), other[:, ::-1].ravel(), strict=True)}
    expected = {
        (number[r.subject], SWAPPED.get(r.predicate, r.predicate), number[r.object]): pytest.approx(
            r.strength, abs=1e-4
        )
        for r in relations
        if r.predicate != "between"  # of equals, the lower numbers are kept
    }
    assert {(r.subject, r.predicate, r.object): r.strength for r in mirrored if r.predicate != "between"} == expected
    sides = [sorted((number[r.subject], r.strength) for r in relations if r.predicate == "between")]
    assert sides == [sorted((r.subject, r.strength) for r in mirrored if r.predicate == "between")]


@settings(max_examples=100, deadline=None)
@given(label_maps())
def test_a_mirrored_picture_swaps_left_and_right_alone(labels):
    assume(len(relate(labels)[1]) <= 12)
    check_mirrored(labels)


@pytest.mark.parametrize("seed", range(40, 50))
def test_a_mirrored_scene_swaps_left_and_right_alone(seed):
    owner = generated(seed).owner
    check_mirrored(np.array([TINY.index("w"), *map(TINY.index, "ABCDEFx")], np.uint8)[owner + 1])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.data())
def test_containers_are_the_dominators_of_the_graph(num, data):
    edges = [(i, data.draw(st.integers(0, i - 1))) for i in range(1, num)]
    edges += data.draw(st.lists(st.tuples(st.integers(0, num - 1), st.integers(0, num - 1)), max_size=12))
    graph = networkx.Graph([(a, b) for a, b in edges if a != b])
    graph.add_nodes_from(range(num))
    start = np.cumsum([0, *(graph.degree(i) for i in range(num))])
    neighbours = np.array([b for a in range(num) for b in graph[a]], np.int64)
    expected = {0: 0, **networkx.immediate_dominators(graph.to_directed(), 0)}
    expected[0] = 0  # networkx says None
    assert dict(enumerate(containers(start, neighbours, 0).tolist())) == expected


def test_in_a_crowd_the_nearest_have_directions_and_thin_things_part_no_neighbours():
    """Sixty boxes in a row, one pixel apart: far too many for all pairs."""
    labels = np.full((6, 240), TINY.index("w"), np.uint8)
    labels[2:5, np.arange(240) % 4 > 0] = TINY.index("A")
    _, classes, relations = relate(labels, most=4)
    check(relations, len(classes), 4)
    boxes = [i + 1 for i, label in enumerate(classes) if label == TINY.index("A")]
    assert len(boxes) == 60
    near = {(r.subject, r.object) for r in relations if r.predicate == "near"}
    right = {(r.subject, r.object) for r in relations if r.predicate == "left_of"}
    for one, following in itertools.pairwise(boxes):
        assert (one, following) in near & right
    assert len(right) < 60 * 11


def test_what_lies_across_a_strip_is_near_though_its_centre_is_far():
    """Specks take all places among the nearest by centroid of both."""
    labels = np.full((160, 200), TINY.index("w"), np.uint8)
    labels[2:6, 2:198:8] = TINY.index("A")
    labels[10:12] = TINY.index("x")
    labels[12:13] = TINY.index("y")
    labels[13:] = TINY.index("z")
    labels[80:84, 60:140:5] = TINY.index("B")
    _, classes, relations = relate(labels)
    x, z = (classes.index(TINY.index(letter)) + 1 for letter in "xz")
    assert (x, z) in {(r.subject, r.object) for r in relations if r.predicate == "near"}


def test_things_have_directions_across_any_number_of_stuff_pieces():
    _, classes, relations = relate(label_map(f"A{'wx' * 20}B"))
    a, b = (classes.index(TINY.index(letter)) + 1 for letter in "AB")
    assert len(classes) == 42
    assert (a, b) in {(r.subject, r.object) for r in relations if r.predicate == "left_of"}


@pytest.mark.parametrize("picture", ["A", ".", "A."])
def test_one_region_has_no_relations(picture):
    assert relate(label_map(picture))[2] == ()


def test_at_least_one_is_kept():
    with pytest.raises(InputError, match="at least 1 relation"):
        relate(label_map("AB"), most=0)

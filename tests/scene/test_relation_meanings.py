"""What each relation means, on tiny scenes."""

from __future__ import annotations

import math

import pytest
from tiny_scenes import DIRECTIONS, TINY, label_map, relate, said


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("AB", {"A touches B": 1 / 4, "B touches A": 1 / 4}),
        ("AAB", {"A touches B": 1 / 4, "B touches A": 1 / 4}),  # of the shorter border
        ("AAA ABA AAA", {"A touches B": 1, "B touches A": 1}),
        ("A. .B", {}),  # a corner
        ("A.B", {}),
    ],
)
def test_touches_is_to_have_edges_in_common(picture, expected):
    assert said(picture, "touches") == pytest.approx(expected, abs=1e-4)


def test_touches_says_how_long_and_what_share_of_the_subject():
    _, _, relations = relate(label_map("AA BB BB"))
    evidence = {r.subject: r.evidence for r in relations if r.predicate == "touches"}
    assert evidence == {1: {"border_px": 2, "share_of_subject": 0.25}, 2: {"border_px": 2, "share_of_subject": 0.3333}}


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("c g", {"c on g": 1}),
        ("cc gs", {"c on g": 0.5}),
        ("ccc .g.", {"c on g": 1 / 3}),
        ("cccc .g..", {}),  # below 0.3
        ("cg cg", {}),  # on the frame nothing supports it
        ("cg gg", {"c on g": 1}),
        ("s g", {}),
        ("g c", {}),
        ("b c", {}),  # hidden
        ("t b", {}),
        ("p b", {}),
        ("i b", {"i on b": 1}),
        ("t g", {"t on g": 1}),
        ("c ~", {"c on ~": 1}),
        ("n A", {}),  # a microscope looks down
        ("A m", {}),
        ("A o", {}),
        ("A B", {"A on B": 1}),
        ("p c", {"p on c": 1}),  # a rider
        (".p. ccc", {"p on c": 1}),
        ("p... cccc", {}),  # behind a car
        (".pp. .cg. gggg", {"p on g": 1 / 2, "c on g": 1}),  # what stands on the ground stands on nothing else
        ("pp cg", {"p on g": 1 / 2}),
        (".i. ibi .b.", {"i on b": 1 / 3}),
        ("AAA ABA ACA", {"B on C": 1}),
    ],
)
def test_on_is_to_rest_on(picture, expected):
    found = said(picture, "on")
    assert found == pytest.approx(expected, abs=1e-4)
    assert said(picture, "supports") == {" supports ".join(k.split(" on ")[::-1]): v for k, v in found.items()}


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("AAA ABA AAA", {"B inside A": 1}),
        ("AAA A.A AAA", {}),
        (".A. ABA .A.", {"B inside A": 1}),  # no way out over edges
        ("AAAAA A...A A.B.A A...A AAAAA", {"B inside A": 1}),  # void is not named
        ("AAAAA ABBBA ABCBA ABBBA AAAAA", {"B inside A": 1, "C inside B": 1}),  # the innermost
        ("AAAA ABCA AAAA", {"B inside A": 1, "C inside A": 1}),
        ("AAA ABA A.A", {}),
        ("AAA ABB AAA", {}),
        ("A.A ABA AAA", {}),
        ("BA AA", {}),  # the frame is open
        ("wwwww wAAAw wABAw wAAAw wwwww", {"A inside w": 1, "B inside A": 1}),
        ("AABBB ACCCB AABBB", {}),  # two close it in together
    ],
)
def test_inside_is_to_have_no_way_out(picture, expected):
    assert said(picture, "inside") == expected
    assert said(picture, "contains") == {" contains ".join(k.split(" inside ")[::-1]): 1 for k in expected}


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("ABA ABA AAA", {"A surrounds B": 5 / 6}),
        ("ABA AAA", {"A surrounds B": 3 / 4}),
        ("wB AA", {}),
        ("AAA ABA AAA", {}),  # that is inside
        (".BBBB. AAAAAA", {}),  # it lies on it
        ("ABC", {}),
    ],
)
def test_surrounds_is_most_of_the_border_but_not_all_around(picture, expected):
    assert said(picture, "surrounds") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("A.B", {"A left_of B": 1, "B right_of A": 1}),
        ("AB", {"A left_of B": 1, "B right_of A": 1}),
        ("A . B", {"A above B": 1, "B below A": 1}),
        ("A.. ..B", {"A left_of B": 3 / 5, "B right_of A": 3 / 5}),  # cos 2φ = (4 − 1) / 5
        ("A. .B", {}),  # 45°
        ("AAAA.... ...BBBBB", {"A left_of B": 3 / 4 * (3.5**2 - 1) / (3.5**2 + 1)}),
        ("AAAA... ..BBBBB", {}),  # half of A lies over B
        ("AAA ABA AAA", {}),  # inside
        ("A g", {}),  # on
        ("ABA ABA AAA", {}),  # surrounded
        ("Ao", {}),  # a background is not anywhere
    ],
)
def test_directions_lie_within_45_degrees(picture, expected):
    found = {k: v for k, v in said(picture, *DIRECTIONS).items() if "right_of" not in k or k in expected}
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("A...B", {"angle_deg": 0, "box_gap_px": 3, "overlap": 0}),
        ("B...A", {"angle_deg": 180, "box_gap_px": 3, "overlap": 0}),
        ("A . . B", {"angle_deg": -90, "box_gap_px": 2, "overlap": 0}),
        ("...A B...", {"angle_deg": -161.5651, "box_gap_px": 2, "overlap": 0}),
        ("AAAA.... ...BBBBB", {"angle_deg": -15.9454, "box_gap_px": 0, "overlap": 0.25}),
    ],
)
def test_directions_say_by_what_angle_and_gap(picture, expected):
    _, classes, relations = relate(label_map(picture))
    a = classes.index(TINY.index("A")) + 1
    assert [r.evidence for r in relations if r.subject == a and r.predicate in DIRECTIONS] == [expected]


@pytest.mark.parametrize(
    ("picture", "expected", "gap"),
    [
        ("AA.BB AA.BB", 1 / 2, 1),
        ("A.B", None, None),  # as far as they are wide
        ("AA.. AA.. ..BB ..BB", 1, 0),  # a corner
        ("AA... AA... ...BB ...BB", 1 / 2, 1),
        ("AAAA...... AAAA...... AAAA...... AAAA..BBBB ......BBBB ......BBBB ......BBBB", 1 / 2, 2),
        ("AAA... AAA... AAA... ......  ....BB ....BB", 1 - math.sqrt(2) / math.sqrt(6), math.sqrt(2)),
        ("AAAB", None, None),  # touching
        ("AAAAA A...A A.B.A A...A AAAAA", None, None),  # inside
        ("AA.oo AA.oo", None, None),
    ],
)
def test_near_is_closer_than_they_are_wide(picture, expected, gap):
    _, _, relations = relate(label_map(picture))
    found = [r for r in relations if r.predicate == "near"]
    assert len(found) == (0 if expected is None else 2)
    for relation in found:
        assert relation.strength == pytest.approx(expected, abs=1e-4)
        assert relation.evidence["gap_px"] == pytest.approx(gap, abs=1e-4)
        assert relation.evidence["gap_widths"] == pytest.approx(1 - expected, abs=1e-4)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("ACB", {"C between A B": 1}),
        ("AA.CC.BB AA.CC.BB", {"C between A B": 1 / 2}),
        ("AACCBB AACCBB ....BB", {"C between A B": (165.9638 - 150) / 30}),
        ("AC .B", {}),  # around the corner
        ("wCx", {}),  # neither things nor alike
        ("A....C....B", {}),  # far
        ("pbc", {"b between c p": 1}),
        (3 * ("A" + 11 * "w" + "B "), {}),  # at its edges, but too small to be its sides
    ],
)
def test_between_is_to_have_them_on_opposite_sides(picture, expected):
    found = {" ".join([*k.split()[:2], *sorted(k.split()[2:])]): v for k, v in said(picture, "between").items()}
    assert found == pytest.approx(expected, abs=1e-3)


def test_between_takes_two_of_one_class():
    _, _, relations = relate(label_map("wCw"))
    assert [(r.subject, r.object, r.other) for r in relations if r.predicate == "between"] == [(2, 1, 3)]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("ABB ACC", {"A in_front_of B": 1 / 2, "A in_front_of C": 1 / 2}),  # B's and C's outline ends at A's
        ("ABB ACC ADD", {"A in_front_of C": 2 / 3, "A in_front_of B": 1 / 2, "A in_front_of D": 1 / 2}),
        ("AB CD", {}),  # four meet
        ("AA BB", {}),
        ("BBBB BAAB BBBB", {}),  # inside
        ("gBB gCC", {}),  # ground is never in front
        ("sBB sCC", {}),
        ("Agg Ass", {"A in_front_of g": 1 / 2, "A in_front_of s": 1 / 2}),
        ("nBB nCC", {}),
        ("oBB oCC", {}),
        ("A.. ABB", {}),  # against void one junction is not enough
        ("A.. ABB A..", {"A in_front_of B": 1 / 2}),
        (
            "wAx BBB",
            {"B in_front_of w": 1 / 2, "B in_front_of A": 2 / 3, "B in_front_of x": 1 / 2},
        ),  # their feet are hidden
        ("wAx BAB BBB", {"A in_front_of w": 1 / 2, "A in_front_of x": 1 / 2}),  # A is on B
    ],
)
def test_in_front_is_whose_outline_runs_on_where_the_others_end(picture, expected):
    assert said(picture, "in_front_of", scale=12) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("pc pc gc gg", {"c in_front_of p": 2 / 3}),
        ("pc pc gg gg", {}),
        ("pc pc sc gg", {}),  # p stands on nothing that is seen
        ("bb cc gg", {"c in_front_of b": 2 / 3}),  # its foot is hidden
        ("cb gb gg", {}),  # the near corner of a building says nothing
        ("p c g", {}),  # on
        (5 * "pc " + 5 * "pc " + "gc gg", {"c in_front_of p": 1 / 2}),  # 1 of 10 is half of a full drop
    ],
)
def test_in_front_is_whose_foot_is_lower(picture, expected):
    assert said(picture, "in_front_of") == pytest.approx(expected, abs=1e-4)


def test_what_rests_on_another_is_in_front_of_it_but_what_is_behind_does_not_rest_there():
    assert said("wAx BAB BBB", "on", scale=12) == {"A on B": 1, "w on B": 1, "x on B": 1}
    assert said("wAx BBB", "on", scale=12) == {}

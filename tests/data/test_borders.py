"""Borders follow their formula; no object is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.data.borders import BACKGROUND, BORDER, BORDERS, INSIDE, border_classes
from segscape.data.objects import objects_from_numbers

unhurried = settings(deadline=None)  # other work may slow us


def numbers(rows):
    return np.array([[int(c) if c != "." else 0 for c in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "border_px", "expected"),
    [
        (
            # An object alone: its outline is border, except where the image cuts it off.
            ["1111...", "1111...", "1111...", "......."],
            2,
            ["iiib...", "iiib...", "bbbb...", "......."],
        ),
        (
            # Two that touch: two pixels on either side.
            ["11111122222", "11111122222", "11111122222"],
            2,
            ["iiiibbbbiii", "iiiibbbbiii", "iiiibbbbiii"],
        ),
        (
            # A gap of two columns is between them within two pixels, and of four is not.
            ["1111..2222", "1111..2222", "1111..2222"],
            2,
            ["iiibbbbiii", "iiibbbbiii", "iiibbbbiii"],
        ),
        (
            ["111....222", "111....222", "111....222"],
            2,
            ["iib....bii", "iib....bii", "iib....bii"],
        ),
        (
            ["111....222", "111....222", "111....222"],
            4,
            ["iibbbbbbii", "iibbbbbbii", "iibbbbbbii"],
        ),
        # Too small for an inside: all of it is inside.
        (["......", "..11..", "......"], 2, ["......", "..ii..", "......"]),
        # And beside another, what is away from that one; else all.
        (["11111112", "........"], 1, ["iiiiiibi", "......bb"]),
    ],
)
def test_by_hand(rows, border_px, expected):
    codes = {".": BACKGROUND, "i": INSIDE, "b": BORDER}
    classes = border_classes(objects_from_numbers(numbers(rows)), border_px)
    assert classes.dtype == np.uint8
    assert ["".join(".ib"[c] for c in row) for row in classes.tolist()] == expected
    assert {codes[c] for row in expected for c in row} == set(np.unique(classes).tolist())


LABELS = arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


@unhurried
@given(LABELS.map(lambda a: a.repeat(3, 0).repeat(3, 1)), st.integers(1, 4))
def test_the_formula(labels, border_px):
    classes = border_classes(objects_from_numbers(labels), border_px)
    height, width = labels.shape

    def around(y, x, r):
        return set(labels[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].ravel().tolist())

    meeting = np.array([[len(around(y, x, border_px) - {0}) >= 2 for x in range(width)] for y in range(height)])
    outline = np.array([[around(y, x, 1) != {labels[y, x]} for x in range(width)] for y in range(height)])
    border = ((labels > 0) & outline) | meeting
    inside = (labels > 0) & ~border
    for number in set(np.unique(labels).tolist()) - {0}:
        own = labels == number
        if not (inside & own).any():
            inside |= own & ~meeting if (own & ~meeting).any() else own
    assert np.array_equal(classes == INSIDE, inside)
    assert np.array_equal(classes == BORDER, border & ~inside)


def test_crowds_are_ignored_and_no_neighbours():
    objects = objects_from_numbers(numbers(["111222", "111222", "111222"]))
    objects.crowd[1] = True
    classes = border_classes(objects)
    assert (classes[:, 3:] == BORDERS.ignore_index).all()
    assert classes[:, :3].tolist() == [[INSIDE, INSIDE, BORDER]] * 3


def test_an_image_without_objects_is_background():
    assert not border_classes(objects_from_numbers(np.zeros((3, 4), int))).any()

"""Names of colours."""

from itertools import product

import pytest

from segscape.scene.colors import COLOR_NAMES, color_name


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((20, 20, 30), "black"),
        ((64, 64, 64), "dark grey"),
        ((128, 128, 128), "grey"),
        ((120, 125, 135), "grey"),
        ((211, 211, 211), "light grey"),
        ((255, 255, 255), "white"),
        ((225, 225, 220), "white"),
        ((255, 0, 0), "red"),
        ((128, 0, 0), "red"),
        ((220, 20, 60), "red"),
        ((200, 0, 50), "red"),
        ((255, 165, 0), "orange"),
        ((255, 127, 80), "orange"),
        ((139, 69, 19), "brown"),
        ((120, 80, 65), "brown"),
        ((110, 90, 40), "brown"),
        ((210, 180, 140), "beige"),
        ((255, 255, 0), "yellow"),
        ((255, 215, 0), "yellow"),
        ((0, 128, 0), "green"),
        ((154, 205, 50), "green"),
        ((0, 100, 0), "dark green"),
        ((80, 85, 60), "dark green"),
        ((0, 255, 255), "cyan"),
        ((0, 128, 128), "cyan"),
        ((135, 206, 235), "light blue"),
        ((0, 0, 255), "blue"),
        ((0, 0, 128), "blue"),
        ((128, 0, 128), "purple"),
        ((238, 130, 238), "purple"),
        ((100, 0, 65), "purple"),
        ((255, 192, 203), "pink"),
        ((250, 128, 114), "pink"),
        ((255, 20, 147), "pink"),
    ],
)
def test_color_names(rgb, name):
    assert color_name(rgb) == name


def test_every_colour_has_a_name_and_every_name_a_colour():
    found = {color_name(rgb) for rgb in product(range(0, 256, 17), repeat=3)}
    assert found == set(COLOR_NAMES)


def test_names_differ_in_both_languages():
    assert len(set(COLOR_NAMES.values())) == len(COLOR_NAMES)

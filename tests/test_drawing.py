"""Fonts for words in pictures."""

import pytest
from PIL import ImageFont

from segscape.drawing import font_for


class System:
    """Stands for the fonts of a machine."""

    def __init__(self, monkeypatch, *there):
        self.asked, self.pils_own = [], ImageFont.truetype
        monkeypatch.setattr(ImageFont, "truetype", self)
        self.there = there

    def __call__(self, name, size, *options, **more):
        if not isinstance(name, str):
            return self.pils_own(name, size, *options, **more)
        self.asked.append(name)
        if name in self.there:
            return (name, size)
        raise OSError(name)


@pytest.mark.parametrize("text", ["car", "Straße", "<0.1 %", "3 × 4 ≥ 2…"])
def test_latin_needs_no_font_of_the_machine(monkeypatch, text):
    system = System(monkeypatch, "msyh.ttc")
    assert font_for(12, ["car", text]).getlength("car") > 0
    assert system.asked == []


def test_chinese_takes_the_first_font_that_is_there(monkeypatch):
    system = System(monkeypatch, "simhei.ttf", "msyh.ttc")
    assert font_for(12, ["car", "汽车"]) == ("msyh.ttc", 12)
    assert system.asked[-1] == "msyh.ttc"


def test_without_one_there_are_boxes_and_no_error(monkeypatch):
    default = ImageFont.load_default(size=12)
    monkeypatch.setattr(ImageFont, "load_default", lambda size: default)
    System(monkeypatch)
    assert font_for(12, ["汽车"]) is default

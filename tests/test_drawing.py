"""Fonts for words in pictures."""

import pytest
from PIL import ImageFont

from segscape.drawing import LegendEntry, _own_font, font_for, legend


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
    _own_font.cache_clear()
    assert font_for(12, ["汽车"]) is default
    _own_font.cache_clear()


def test_what_a_font_remembers_looks_as_when_first_written():
    entries = [LegendEntry((200, 0, 0), "road", "27.1 %"), LegendEntry((0, 0, 200), "sky", "1.0 %")]
    _own_font.cache_clear()
    first = legend(entries, 100, 300, empty="none")
    again = legend(entries, 100, 300, empty="none")
    moved = legend(entries[::-1], 100, 300, empty="none")
    _own_font.cache_clear()
    assert (first == again).all()
    assert (moved == legend(entries[::-1], 100, 300, empty="none")).all()
    assert not (moved == first).all()

"""The numbers that stand in a description's text, and whether its clauses carry them."""

import re

from segscape.scene.say_parts import number
from segscape.scene.vocabulary import number_en, number_zh, percent

# Bounds that the grammar's words stand for; they are the same in every scene.
_CONSTANTS = re.compile(
    r"at least twice as long as wide|solidity below 0\.9|confidence below 0\.6|one another|[a-z]+-largest"
    r"|长宽比不小于 2|凸度低于 0\.9|置信度低于 0\.6|第.大"
)
_DIGITS = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?%?")
_EN_WORDS = {number_en(i): i for i in range(1, 13)}
_ZH_COUNTED = re.compile(
    r"([两三四五六七八九十])[处个辆名只把张台本块根条棵栋座头匹艘架份朵段片面级株盆支部列扇盏幅副级丛级类簇]"
)
_ZH_WORDS = {number_zh(i): i for i in range(2, 11)}


def stated(text: str) -> set[str]:
    """Every number in ``text``: digits with their % as they stand, number words as digits. "one" and 一 are articles as
    often as numbers, so they are left out."""
    text = _CONSTANTS.sub("", text)
    words = {str(_EN_WORDS[w]) for w in re.findall(r"[a-z]+", text.lower()) if _EN_WORDS.get(w, 1) > 1}
    return set(_DIGITS.findall(text)) | words | {str(_ZH_WORDS[w]) for w in _ZH_COUNTED.findall(text)}


def unfounded(clause, names=()) -> set[str]:
    """The numbers in a clause's text that none of its own numbers rounds to. ``names`` of classes may hold digits."""
    text = clause.text
    for name in names:
        text = text.lower().replace(name.lower(), "")
    carried = clause.numbers.values()
    found = {number(value) for value in carried if value >= 0} | {f"{value:.2f}" for value in carried}
    found |= {figure for value in carried if 0 <= value <= 1 for figure in _DIGITS.findall(percent(value))}
    return stated(text) - found

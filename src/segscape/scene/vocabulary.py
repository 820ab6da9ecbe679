"""Words for classes, in English and Chinese: roles, plurals, articles, number words, measure words.

A name that is not in the table (`segscape.scene.say_words.WORDS`) is looked up by the head of the compound, its last
word ("police car" is a car), and else has the role "unknown" and regular forms. Names are never translated by guess: a
class without a Chinese name keeps the one it has.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from segscape.labels import LabelSet
from segscape.scene.say_words import WORDS

ROLES = (*WORDS, "unknown")
"""What a class is in a scene: ground, sky, water, structure, vegetation, vehicle, person, animal, furniture, food,
item, cell, membrane, background or unknown."""

ROLES_ZH = {
    "ground": "地面",
    "sky": "天空",
    "water": "水面",
    "structure": "构筑物",
    "vegetation": "植物",
    "vehicle": "车辆",
    "person": "人",
    "animal": "动物",
    "furniture": "家具",
    "food": "食物",
    "item": "物品",
    "cell": "细胞",
    "membrane": "膜",
}
"""Chinese names of the roles that one can ask for."""

ROADS = ("road", "street", "lane", "lane marking", "crosswalk")
WALKS = ("pavement", "sidewalk")
RIDERS = ("bicyclist", "rider", "cyclist", "motorcyclist")
"""What is driven on, what is walked on, who rides; see `is_one_of`."""

_EN = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ZH = "零一二三四五六七八九十"
_LETTER_VOWELS = "AEFHILMNORSX"  # letters whose names begin with a vowel: an MRI


@dataclass(frozen=True, slots=True)
class Word:
    """What is known of a class name.

    Attributes:
        role: one of `ROLES`.
        measure: Chinese measure word.
        plural: English plural.
        form: "count" (a car), "mass" (some grass), "unique" (the sky), "pair" (a pair of skis), "plural" (stairs) or
            "name" for what has no English plural ("class 3", "汽车").
        zh: Chinese name, or "".
    """

    role: str
    measure: str
    plural: str
    form: str
    zh: str = ""


# Names as data sets spell them -> as they are read.
_SHOWN = {
    "tv": "TV",
    "crt screen": "CRT screen",
    "tvmonitor": "TV monitor",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "conveyer belt": "conveyor belt",
}
_FORMS = {"~": "mass", "the": "unique", "pair": "pair", "all": "plural"}


def _read_table() -> dict[str, Word]:
    table: dict[str, Word] = {}
    for role, text in WORDS.items():
        for entry in (entry for line in text.strip().splitlines() for entry in line.split("|")):
            spec, _, zh = entry.strip().partition("=")
            name, measure, *rest = spec.split(":")
            form = _FORMS.get(rest[0], "count") if rest else "count"
            shown = _SHOWN.get(name, name)
            fixed = shown if form in ("pair", "plural", "mass") else rest[0] if rest and form == "count" else None
            table[name] = Word(role, measure, fixed or _regular_plural(shown), form, zh)
    return table


def _regular_plural(name: str) -> str:
    lower = name.lower()
    if lower.endswith(("s", "x", "z", "ch", "sh")) and not name.isupper():
        return name + "es"
    if lower.endswith("y") and lower[-2:-1] not in ("", *"aeiou"):
        return name[:-1] + ("IES" if name.isupper() else "ies")
    return name + "s"


_TABLE = _read_table()


def normal_name(name: str) -> str:
    """As tables have it: lower case, words apart by one space."""
    return " ".join(name.replace("_", " ").lower().split())


@functools.lru_cache(maxsize=4096)
def word_of(name: str) -> Word:
    """What is known of the class called ``name`` (English, any case, "_" for a space, or Chinese); see `Word`."""
    said = normal_name(name)
    if said in _TABLE:
        return _TABLE[said]
    if (chinese := _by_chinese().get(name)) is not None:
        return replace(chinese, plural=name, form="name")
    head = _TABLE.get(said.rpartition(" ")[2]) if " " in said else None
    shown = name.replace("_", " ")
    if not (shown[-1:].isascii() and shown[-1:].isalpha()):
        return Word("unknown", "个", shown, "name")
    if head is not None:
        before, tail = said.rpartition(" ")[0], head.plural
        return Word(head.role, head.measure, f"{before} {tail}", head.form)
    # "vehicles" is a plural already, while "glass", "status" and "iris" are none.
    if shown.endswith("s") and not shown.endswith(("ss", "us", "is")):
        return Word("unknown", "个", shown, "plural")
    return Word("unknown", "个", _regular_plural(shown), "count")


def _known_sets() -> list[LabelSet]:
    from segscape.data import ade20k, label_sets, public_sets

    modules = (label_sets, public_sets, ade20k)
    return [x for module in modules for x in vars(module).values() if isinstance(x, LabelSet)]


@functools.cache
def _chinese() -> dict[str, str]:
    """English -> Chinese of every public label set; the first that knows a name decides."""
    names = {name: word.zh for name, word in _TABLE.items() if word.zh}
    for label_set in _known_sets():
        for label in label_set:
            if label.zh:
                names.setdefault(normal_name(label.name), label.zh)
    return names


@functools.cache
def _by_chinese() -> dict[str, Word]:
    table: dict[str, Word] = {}
    for name, zh in _chinese().items():
        if name in _TABLE:
            table.setdefault(zh, _TABLE[name])
    return table


def role_of(name: str) -> str:
    """The role of the class called ``name``, one of `ROLES`."""
    return word_of(name).role


def is_one_of(name: str, names: Collection[str]) -> bool:
    """Whether the class called ``name`` is among ``names``, however it is spelt: "Road", "lane_marking"."""
    return normal_name(name) in names


def name_zh(name: str, zh: str = "") -> str:
    """The Chinese name: ``zh`` (of the label set) if given, else what public label sets call it, else ``name``."""
    return zh or _chinese().get(normal_name(name), name)


def name_en(name: str) -> str:
    """The name as it is read in a sentence: "traffic light" for "traffic_light", "pair of skis" for "skis"."""
    shown = _SHOWN.get(normal_name(name), name.replace("_", " "))
    return f"pair of {shown}" if word_of(name).form == "pair" else shown


def plural(name: str) -> str:
    """The English plural: "cars", "people", "buses", "nuclei", "patches of sky", "regions of class 3"."""
    word = word_of(name)
    if piece := _piece(word):
        return f"{_regular_plural(piece)} of {name_en(name)}"
    return f"pairs of {word.plural}" if word.form == "pair" else word.plural


def _piece(word: Word) -> str:
    """What there is one or several of, where the class itself cannot be counted."""
    if word.form in ("mass", "unique"):
        return "portion" if word.role == "food" else "stretch" if word.measure == "段" else "patch"
    return "region" if word.form == "name" else ""


def piece_en(name: str) -> str:
    """One of several of it: "patch of sky", "stretch of road", "region of class 3", but "car"."""
    piece = _piece(word_of(name))
    return f"{piece} of {name_en(name)}" if piece else name_en(name)


def with_article(name: str) -> str:
    """One of it, new to the reader: "a car", "an airplane", "a pair of skis", "grass", "the sky", "stairs"."""
    shown, form = name_en(name), word_of(name).form
    if form == "unique":
        return f"the {shown}"
    if form in ("mass", "plural", "name"):
        return shown
    return f"{article(shown)} {shown}"


def article(phrase: str) -> str:
    """ "a" or "an", by how ``phrase`` is spoken: "an hour", "a unicycle", "an MRI scan"."""
    first = phrase.split()[0] if phrase.split() else ""
    if first[:1].isdigit():
        return "an" if re.match(r"8|1[18](?!\d)", first) else "a"
    if len(first) > 1 and first.isupper():
        return "an" if first[0] in _LETTER_VOWELS else "a"
    lower = first.lower()
    if re.match(r"uni(?![dmn])|us[eu]|eu|one|u-", lower):
        return "a"
    return "an" if lower[:1] in set("aeiou") or lower.startswith(("hour", "honest", "heir")) else "a"


def number_en(number: int) -> str:
    """ "no", "one" … "twelve", then digits with thousands apart: "13", "1,024"."""
    return _EN[number] if number < len(_EN) else f"{number:,}"


def number_zh(number: int) -> str:
    """Before a measure word: 一, 两, 三 … 十, then digits with thousands apart."""
    if number == 2:
        return "两"
    return _ZH[number] if number < len(_ZH) else f"{number:,}"


def counted_en(number: int, name: str) -> str:
    """ "one car", "two cars", "12 people", "two patches of grass"."""
    if number == 1:
        return name_en(name) if word_of(name).form == "plural" else f"one {piece_en(name)}"
    return f"{number_en(number)} {plural(name)}"


def percent(share: float, lang: str = "en") -> str:
    """A share as it is said: "27%", below one per cent "0.4%", "under 0.1%", and "over 99%" for nearly all."""
    if 0 < share < 0.0005:
        return "不到 0.1%" if lang == "zh" else "under 0.1%"
    if 0.995 <= share < 1:
        return "99% 以上" if lang == "zh" else "over 99%"
    # Half up, not half to even: 12.5 % is said as 13 %, as anyone would round it.
    return f"{int(1000 * share + 0.5) / 10}%" if 0 < share < 0.0095 else f"{int(100 * share + 0.5)}%"


def measure_word(name: str, zh: str = "") -> str:
    """The Chinese measure word of a class: 辆 for a car, 个 where none is known. ``zh`` is the Chinese name in use."""
    by_chinese = _by_chinese().get(zh) if zh else None
    own = _TABLE.get(normal_name(name))
    return (own or by_chinese or word_of(name)).measure


def counted_zh(number: int, name: str, zh: str = "") -> str:
    """ "一辆汽车", "两辆汽车", "12 辆汽车"; ``zh`` is the label set's Chinese name, if it has one."""
    said = name_zh(name, zh)
    count = number_zh(number)
    return spaced(f"{count}{measure_word(name, said)}{said}")


def spaced(text: str) -> str:
    """Chinese text with a space between Chinese characters and Latin letters or digits: "12 辆汽车", "占 27%"."""
    text = re.sub(r"([\u3400-\u9fff])([A-Za-z0-9#])", r"\1 \2", text)
    return re.sub(r"([A-Za-z0-9%])([\u3400-\u9fff])", r"\1 \2", text)

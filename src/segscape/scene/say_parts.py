"""What sentences are put together from: clauses, templates, lists, numbers in digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from segscape.scene.clauses import Clause
from segscape.scene.scene import SceneRegion
from segscape.scene.vocabulary import spaced

Sentence = tuple[Clause, ...]
_HOLE = re.compile(r"\{(\w+)\}")
_PAUSES = ",.;:，。；：、（）()"


def clause(text: str, regions: Iterable[SceneRegion] = (), numbers: Mapping[str, float] | None = None) -> Clause:
    """A clause about ``regions``."""
    return Clause(text, tuple(sorted(region.id for region in regions)), dict(numbers or {}))


def sentence(template: str, **parts: Clause | Sequence[Clause] | str) -> Sentence:
    """``template`` with each ``{name}`` replaced by its part: a clause, several, or plain text.

    Text between two clauses goes with the first up to its last punctuation mark, and with the second from there, so
    that what a reader points at is a phrase. In English the sentence gets its capital; in Chinese, spaces around
    Latin letters and digits.
    """
    clauses: list[Clause] = []
    text = ""
    for i, piece in enumerate(_HOLE.split(template)):
        part = parts[piece] if i % 2 else piece
        if isinstance(part, str):
            text += part
            continue
        for item in [part] if isinstance(part, Clause) else part:
            if clauses:
                cut = max((text.rfind(mark) + 1 for mark in _PAUSES), default=0)
                cut += len(text[cut:]) - len(text[cut:].lstrip()) if cut else 0
                clauses[-1] = replace(clauses[-1], text=clauses[-1].text + text[:cut])
                text = text[cut:]
            clauses.append(replace(item, text=text + item.text))
            text = ""
    if clauses:
        clauses[-1] = replace(clauses[-1], text=clauses[-1].text + text)
    else:
        clauses = [Clause(text)]
    return _tidied(clauses)


def _tidied(clauses: list[Clause]) -> Sentence:
    whole = "".join(c.text for c in clauses)
    chinese = whole.endswith("。")
    tidied, before = [], ""
    for item in clauses:
        text = spaced(before + item.text)[len(before) :] if chinese else item.text
        tidied.append(replace(item, text=text))
        before = text[-1:]
    if not chinese:
        tidied[0] = replace(tidied[0], text=tidied[0].text[:1].upper() + tidied[0].text[1:])
    return tuple(tidied)


def joined(items: Sequence[Clause], lang: str) -> tuple[Clause, ...]:
    """As a list: "a, b and c", "a、b 和 c"."""
    if lang == "zh":
        gaps = [""] + ["、"] * (len(items) - 2) + ["和"] * (len(items) > 1)
        listed = [replace(item, text=gap + item.text) for gap, item in zip(gaps, items, strict=True)]
    else:
        # A comma before "and" where items have parts of their own.
        heavy = len(items) > 2 and any(mark in item.text for item in items for mark in ",(")
        gaps = [""] + [", "] * (len(items) - 2) + [", and " if heavy else " and "] * (len(items) > 1)
        listed = [replace(item, text=gap + item.text) for gap, item in zip(gaps, items, strict=True)]
    return tuple(_commas_back(listed))


def _commas_back(clauses: list[Clause]) -> list[Clause]:
    """A comma belongs to what it follows."""
    for i in range(1, len(clauses)):
        text = clauses[i].text
        marks = len(text) - len(text.lstrip(", 、")) if text[:1] in ",、" else 0
        clauses[i - 1] = replace(clauses[i - 1], text=clauses[i - 1].text + text[:marks])
        clauses[i] = replace(clauses[i], text=text[marks:])
    return clauses


def listed(words: Sequence[str], lang: str) -> str:
    """Plain words as a list."""
    return "".join(item.text for item in joined([Clause(word) for word in words], lang))


def number(value: float) -> str:
    """ "1,240"; below ten with one decimal where it is not whole."""
    return f"{value:,.1f}" if value < 10 and round(value, 1) % 1 else f"{int(value + 0.5):,}"

"""What a description is made of: clauses that carry the regions and the numbers they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PUNCTUATION = " ,.;:，。；：、"
"""What may stand around a clause's words and is not its own."""
_MOST_PARTS = 24  # of a citation; the clause itself carries all ids


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of text and what it was made from.

    Attributes:
        text: as it stands in the sentence, spaces and punctuation included.
        regions: ids of the regions it speaks of, largest first.
        numbers: what was counted or measured for it, by how a query would ask for it: "count(car)": 3.0,
            "share(road)": 0.27, "share(#4)": 0.031, "nearness(#4)": 0.6, "gap_px(#4,#7)": 12.0.
    """

    text: str
    regions: tuple[int, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """Sentences of a scene.

    Attributes:
        lang: "en" or "zh".
        length: "short", "normal" or "full".
        sentences: each a tuple of clauses, whose texts put together are the sentence.
        cite: whether the text names the regions after each clause, as in "two cars [4, 7]".
    """

    lang: str
    length: str
    sentences: tuple[tuple[Clause, ...], ...]
    cite: bool = False

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """All sentences."""
        between = "" if self.lang == "zh" else " "
        return between.join("".join(self._shown(clause) for clause in sentence) for sentence in self.sentences)

    def _shown(self, clause: Clause) -> str:
        if not self.cite or not clause.regions:
            return clause.text
        body = clause.text.rstrip(PUNCTUATION)
        return f"{body} [{_ranges(clause.regions)}]{clause.text[len(body) :]}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "lang": self.lang,
            "length": self.length,
            "text": self.text,
            "sentences": [
                [{"text": c.text, "regions": list(c.regions), "numbers": dict(c.numbers)} for c in sentence]
                for sentence in self.sentences
            ],
        }


def _ranges(ids: tuple[int, ...]) -> str:
    """As in "2, 5–9": three or more in a row are a range; of many parts the first `_MOST_PARTS` and "…"."""
    parts: list[list[int]] = []
    for number in sorted(ids):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    shown = [f"{p[0]}–{p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in parts[:_MOST_PARTS]]
    return ", ".join([*shown, "…"] if len(parts) > _MOST_PARTS else shown)

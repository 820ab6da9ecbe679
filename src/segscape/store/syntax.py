"""What a query says, as a tree, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from segscape.scene.predicates import PREDICATES

# "at" is where it stands in the query's text, for messages: it makes no difference to what is asked.


@dataclass(frozen=True, slots=True)
class Term:
    """Which regions: of a class (its English or Chinese name), of an id, or any (neither)."""

    name: str | None = None
    number: int | None = None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Measure:
    """Something measured of a region that a condition may be about.

    Attributes:
        column: where it is: in regions, or (strength) in relations.
        type: "share" (0…1, also as percent), "number", or "word".
        words: what a word may be, where that is fixed.
        meaning: for the documentation.
    """

    column: str
    type: Literal["share", "number", "word"]
    meaning: str
    words: tuple[str, ...] = ()


_EDGES = ("left", "top", "right", "bottom")
MEASURES: Mapping[str, Measure] = {
    "area": Measure("share", "share", "share of the picture: `area > 2%`"),
    "area_px": Measure("area_px", "number", "number of pixels"),
    "place": Measure(
        "place", "word", "third of the picture: `left`, `top`, …; `top left` is one cell of nine", (*_EDGES, "centre")
    ),
    "distance": Measure("distance", "word", "`near`, `middle` or `far`", ("near", "middle", "far")),
    "nearness": Measure("nearness", "share", "0…1, by where it stands on the ground"),
    "frame": Measure("frame", "word", "side of the image that it touches: `left`, `top`, `right`, `bottom`", _EDGES),
    "color": Measure("color_name", "word", "name of its mean colour"),
    "confidence": Measure("confidence", "share", "0…1"),
    "elongation": Measure("elongation", "number", "longer axis over shorter axis"),
    "solidity": Measure("solidity", "share", "area over that of its hull"),
    "holes": Measure("holes", "number", "number of holes"),
    "parts": Measure("parts", "number", "number of pieces"),
    "strength": Measure("strength", "share", "of the relation before `where`"),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure of the region against a value."""

    measure: str
    operator: str
    value: float | str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Related:
    """The region stands so to others: one, two for "between", or (none given) to what the pattern's relation is to."""

    predicate: str
    objects: tuple[Term, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of a term, of a relation if one is given, for which a condition holds if one is given."""

    term: Term
    relation: Related | None = None
    where: Node | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    """There is such a region."""

    regions: Regions


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The number ("count") of such regions or their part of the picture ("share") against a number."""

    function: str
    regions: Regions
    operator: str
    value: float


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of scene is, or is not, the one named."""

    operator: str
    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All hold: of images, or of regions."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One holds at least."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: Node


Node = Exists | Aggregate | Kind | Compared | Related | AllOf | AnyOf | Not
"""Of images (a query) or of regions (a condition after "where"): what AllOf, AnyOf and Not join is of one sort."""

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_RESERVED = {"and", "or", "not", "where", "any", "between", "count", "share", "kind", *MEASURES}
_RESERVED |= {word for p in PREDICATES.values() for phrase in p.words for word in phrase.split()}


def written(query: Node) -> str:
    """The query as text; reading that gives the same query."""
    match query:
        case AllOf(parts) | AnyOf(parts):
            word = " and " if isinstance(query, AllOf) else " or "
            return word.join(_bracketed(part) for part in parts)
        case Not(part):
            return f"not {_bracketed(part)}"
        case Exists(regions):
            return _regions(regions)
        case Aggregate(function, regions, operator, value):
            return f"{function}({_regions(regions)}) {operator} {_number(value)}"
        case Kind(operator, name):
            return f"kind {operator} {_quoted(name)}"
        case Compared(measure, operator, value):
            return f"{measure} {operator} {value if isinstance(value, str) else _number(value)}"
        case Related():
            return _related(query)


def _bracketed(part: Node) -> str:
    text = written(part)
    return (
        f"({text})" if isinstance(part, (AllOf, AnyOf)) or (isinstance(part, Exists) and part.regions.where) else text
    )


def _regions(regions: Regions) -> str:
    parts = [_term(regions.term)]
    if regions.relation:
        parts.append(_related(regions.relation))
    if regions.where:
        parts.append(f"where {written(regions.where)}")
    return " ".join(parts)


def _related(related: Related) -> str:
    return " ".join([PREDICATES[related.predicate].words[0], " and ".join(map(_term, related.objects))]).rstrip()


def _term(term: Term) -> str:
    if term.number is not None:
        return f"#{term.number}"
    return "any" if term.name is None else _quoted(term.name)


def _number(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _quoted(name: str) -> str:
    plain = re.fullmatch(r"[^\W\d][\w-]*( [^\W\d][\w-]*)*", name)
    if plain and not _RESERVED.intersection(name.lower().split()):
        return name
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"'

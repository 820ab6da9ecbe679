"""Asking a store: from a query to the images it means, with the regions that matched."""

from __future__ import annotations

import datetime
import decimal
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segscape.errors import ConfigError, InputError
from segscape.masks import RunLengths, from_coco_string
from segscape.scene.predicates import PREDICATES
from segscape.store.language import parse
from segscape.store.parts import duckdb_module
from segscape.store.sql import Statement, Vocabulary, holds, plain
from segscape.store.syntax import Aggregate, AllOf, AnyOf, Exists, Kind, Node, Not, written

_OF_REGIONS = ("region", "subject", "object", "other")
"""Columns of an SQL result that, beside "image", name regions to be drawn."""


@dataclass(frozen=True, slots=True)
class Match:
    """Why an image was found: a region, or regions in a relation, by their ids and classes' English names."""

    subject: int
    subject_class: str
    predicate: str | None = None
    object: int | None = None
    object_class: str | None = None
    other: int | None = None
    other_class: str | None = None

    @property
    def regions(self) -> tuple[int, ...]:
        """All its regions."""
        return tuple(number for number in (self.subject, self.object, self.other) if number is not None)

    def text(self, zh: Mapping[str, str] | None = None) -> str:
        """As in "person #4 touching road #1"; in Chinese if given the Chinese names of classes."""

        def named(number: int | None, name: str | None) -> str:
            return f"{(zh or {}).get(str(name)) or name} #{number}"

        subject = named(self.subject, self.subject_class)
        if self.predicate is None:
            return subject
        objects = named(self.object, self.object_class)
        if self.other is not None:
            objects += (" and " if zh is None else "和") + named(self.other, self.other_class)
        predicate = PREDICATES[self.predicate]
        if zh is None:
            return f"{subject} {predicate.words[0]} {objects}"
        before, gap, after = predicate.zh.partition("…")
        return f"{subject} {before} {objects} {after}" if gap else f"{subject} {predicate.zh} {objects}"


@dataclass(frozen=True, slots=True)
class Found:
    """An image that was found.

    Attributes:
        image: its number in the store.
        path: of the photo.
        width, height: of the photo, in pixels.
        regions: ids of the regions that matched, ascending.
        why: in words, one for each match; empty for SQL.
        description: the scene in sentences; empty for SQL.
        matches: see `Match`; empty for SQL.
    """

    image: int
    path: str
    width: int
    height: int
    regions: tuple[int, ...] = ()
    why: tuple[str, ...] = ()
    description: str = ""
    matches: tuple[Match, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "image": self.image,
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "regions": list(self.regions),
            "found": list(self.why),
            "matches": [{k: v for k, v in asdict(match).items() if v is not None} for match in self.matches],
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region as it is drawn: its class and that class's colour (RGB), its box, its mask cropped to the box."""

    id: int
    name: str
    color: tuple[int, int, int]
    box: tuple[int, int, int, int]
    mask: RunLengths


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered.

    Attributes:
        question: the query; in the short language as it was understood.
        columns, rows: as a table of plain values (JSON types).
        images: what can be shown as pictures; of an SQL result only if it has a column "image".
        total: number of images (of rows, for SQL) that match, whatever the limit; None if an SQL result was cut off.
        sql: whether the question was SQL.
    """

    question: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    images: tuple[Found, ...]
    total: int | None
    sql: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        if self.sql:
            results = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        else:
            results = [found.to_dict() for found in self.images]
        return {"query": self.question, "total": self.total, "results": results}


def ask(connection: Any, text: str, *, limit: int | None, lang: str) -> Answer:
    """Answer a query in the short language; see `segscape.store.store.Store.query`."""
    if lang not in ("en", "zh"):
        raise ConfigError(f"unknown language {lang!r}; there are en, zh")
    query = parse(text)
    labels = connection.execute("SELECT DISTINCT class, zh FROM labels ORDER BY ALL").fetchall()
    kinds = connection.execute("SELECT DISTINCT kind FROM images ORDER BY ALL").fetchall()
    vocabulary = Vocabulary.of(labels, (kind for (kind,) in kinds))
    statement = Statement(text, vocabulary)
    condition = statement.images(query)
    most = "" if limit is None else f"LIMIT {statement.bind(limit)}"
    rows = connection.execute(
        f"SELECT i.id, count(*) OVER (), i.path, i.width, i.height, i.description_{lang}, i.kind FROM images i "
        f"WHERE {condition} ORDER BY i.id {most}",
        statement.parameters,
    ).fetchall()
    facts = _Facts(connection, text, vocabulary, [row[0] for row in rows])
    zh = None if lang == "en" else dict(labels)
    images = []
    for number, _, path, width, height, description, kind in rows:
        matches = tuple(dict.fromkeys(_evidence(query, number, kind, facts)))
        regions = tuple(sorted({region for match in matches for region in match.regions}))
        why = tuple(match.text(zh) for match in matches)
        images.append(Found(number, path, width, height, regions, why, description, matches))
    columns = ("image", "path", "regions", "found", "description")
    table = tuple((f.image, f.path, list(f.regions), list(f.why), f.description) for f in images)
    return Answer(written(query), columns, table, tuple(images), rows[0][1] if rows else 0)


def ask_sql(connection: Any, text: str, parameters: Sequence[Any] | Mapping[str, Any], *, limit: int | None) -> Answer:
    """Answer a query in SQL; see `segscape.store.store.Store.sql`."""
    duckdb = duckdb_module()
    try:
        connection.execute(text, parameters)
        if not connection.description:
            raise InputError("this SQL has no result; write a SELECT")
        columns = tuple(column[0] for column in connection.description)
        rows = connection.fetchall() if limit is None else connection.fetchmany(limit + 1)
    except duckdb.Error as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"the SQL was refused: {lines[0]}") from error
    more = limit is not None and len(rows) > limit
    values = tuple(tuple(_plain(value) for value in row) for row in rows[:limit])
    images = tuple(_pictured(connection, columns, values)) if "image" in columns else ()
    return Answer(text, columns, values, images, None if more else len(values), sql=True)


def drawn(connection: Any, answer: Answer) -> dict[int, list[Drawn]]:
    """The regions that matched; see `segscape.store.store.Store.drawn`."""
    wanted = [(found.image, region) for found in answer.images for region in found.regions]
    sql = (
        "SELECT r.image, r.id, r.class, coalesce(any_value(l.color), '#808080'), x0, y0, x1, y1, mask "
        "FROM (SELECT unnest($1::INTEGER[]) AS image, unnest($2::BIGINT[]) AS id) w "
        "JOIN regions r USING (image, id) JOIN images i ON i.id = r.image "
        "LEFT JOIN labels l ON l.label_set = i.label_set AND l.class = r.class GROUP BY ALL ORDER BY ALL"
    )
    result: dict[int, list[Drawn]] = {}
    lists = [[image for image, _ in wanted], [region for _, region in wanted]]
    for image, number, name, color, x0, y0, x1, y1, mask in connection.execute(sql, lists).fetchall():
        red, green, blue = bytes.fromhex(color[1:])
        run_lengths = from_coco_string(mask, (y1 - y0, x1 - x0))
        result.setdefault(image, []).append(Drawn(number, name, (red, green, blue), (x0, y0, x1, y1), run_lengths))
    return result


class _Facts:
    """What is asked about the regions of the images that were found, each question once."""

    def __init__(self, connection: Any, text: str, vocabulary: Vocabulary, images: list[int]) -> None:
        self.connection, self.text, self.vocabulary, self.images = connection, text, vocabulary, images
        self._matches: dict[int, dict[int, list[Match]]] = {}
        self._shares: dict[tuple[int, int], float] = {}

    def matches(self, leaf: Exists | Aggregate, image: int) -> list[Match]:
        """The matches of one part of the query in one image."""
        if id(leaf) not in self._matches:
            statement = Statement(self.text, self.vocabulary)
            found: defaultdict[int, list[Match]] = defaultdict(list)
            sql = f"SELECT * FROM ({statement.matches(leaf.regions)}) WHERE {self._here(statement)} ORDER BY ALL"
            relation = leaf.regions.relation
            for number, subject, name, *objects in self.connection.execute(sql, statement.parameters).fetchall():
                found[number].append(Match(subject, name, relation.predicate if relation else None, *objects))
            self._matches[id(leaf)] = found
        return self._matches[id(leaf)].get(image, [])

    def share(self, image: int, regions: set[int]) -> float:
        """The part of an image that regions take."""
        if not self._shares:
            statement = Statement(self.text, self.vocabulary)
            sql = f"SELECT image, id, share FROM regions WHERE {self._here(statement)}"
            rows = self.connection.execute(sql, statement.parameters).fetchall()
            self._shares = {(number, region): share for number, region, share in rows}
        return sum(self._shares[image, region] for region in regions)

    def _here(self, statement: Statement) -> str:
        # Rows lie in the order of the images: the range is what makes it quick.
        low, high = statement.bind(min(self.images)), statement.bind(max(self.images))
        return f"image BETWEEN {low} AND {high} AND image IN (SELECT unnest({statement.bind(self.images)}::INTEGER[]))"


def _evidence(query: Node, image: int, kind: str, facts: _Facts) -> Iterator[Match]:
    """The matches of those parts of a query that hold for an image and make it hold."""
    match query:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                if isinstance(query, AllOf) or _holds(part, image, kind, facts):
                    yield from _evidence(part, image, kind, facts)
        case Exists() | Aggregate():
            yield from facts.matches(query, image)


def _holds(query: Node, image: int, kind: str, facts: _Facts) -> bool:
    match query:
        case AllOf(parts):
            return all(_holds(part, image, kind, facts) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, image, kind, facts) for part in parts)
        case Not(part):
            return not _holds(part, image, kind, facts)
        case Exists():
            return bool(facts.matches(query, image))
        case Kind(operator, name):
            return (plain(name) == kind.lower()) == (operator == "=")
        case Aggregate(function, _, operator, value):
            subjects = {match.subject for match in facts.matches(query, image)}
            return holds(len(subjects) if function == "count" else facts.share(image, subjects), operator, value)
    raise TypeError(query)


def _pictured(connection: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[Found]:
    regions: defaultdict[int, set[int]] = defaultdict(set)
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        if isinstance(values["image"], int):
            regions[values["image"]] |= {values[c] for c in _OF_REGIONS if isinstance(values.get(c), int)}
    sql = "SELECT id, path, width, height FROM images WHERE id IN (SELECT unnest(?::BIGINT[]))"
    for number, path, width, height in connection.execute(f"{sql} ORDER BY id", [list(regions)]).fetchall():
        yield Found(number, path, width, height, tuple(sorted(regions[number])))


def _plain(value: Any) -> Any:
    """A value of DuckDB as a JSON type."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, decimal.Decimal)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)

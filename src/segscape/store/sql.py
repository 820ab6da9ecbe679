"""A query as parameterised SQL over a store's tables. Nothing that a user wrote ever becomes part of the SQL itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segscape.errors import InputError
from segscape.scene.predicates import PREDICATES
from segscape.scene.vocabulary import ROLES_ZH, role_of
from segscape.store.language import RELATION_WORDS, fault, suggestion
from segscape.store.syntax import (
    MEASURES,
    OPERATORS,
    Aggregate,
    AllOf,
    AnyOf,
    Compared,
    Exists,
    Kind,
    Node,
    Not,
    Regions,
    Related,
    Term,
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a store knows.

    Attributes:
        classes: what a class is called, in lower case with single spaces -> the English names meant. A role (person,
            vehicle) means all classes that have it, unless a class is called so.
        kinds: kinds of scenes that occur.
        names: as they are shown in suggestions.
    """

    classes: Mapping[str, tuple[str, ...]]
    kinds: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Sequence[tuple[str, str]], kinds: Iterable[str]) -> Vocabulary:
        """From (English, Chinese or "") names and kinds."""
        meant: dict[str, dict[str, None]] = {}
        shown: dict[str, None] = {}
        for name, zh in labels:
            for word in filter(None, (name, zh)):
                meant.setdefault(plain(word), {})[name] = None
                shown[word] = None
        for role, zh in ROLES_ZH.items():
            if of_role := {name: None for name, _ in labels if role_of(name) == role}:
                for word in (role, zh):
                    meant.setdefault(plain(word), of_role)
                    shown.setdefault(word)
        return cls({word: tuple(names) for word, names in meant.items()}, tuple(kinds), tuple(shown))


@dataclass(slots=True)
class Statement:
    """SQL while it is put together, with its parameters by name."""

    text: str
    vocabulary: Vocabulary
    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """A parameter that stands for ``value``."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def images(self, query: Node) -> str:
        """What must hold of a row ``i`` of images."""
        match query:
            case AllOf(parts):
                return "(" + " AND ".join(self.images(part) for part in parts) + ")"
            case AnyOf(parts):
                return "(" + " OR ".join(self.images(part) for part in parts) + ")"
            case Not(part):
                return f"(NOT {self.images(part)})"
            case Exists(regions):
                return f"i.id IN (SELECT image FROM ({self.matches(regions)}))"
            case Aggregate():
                return self._aggregate(query)
            case Kind(operator, name, at):
                if plain(name) not in map(plain, self.vocabulary.kinds):
                    hint = suggestion(name, self.vocabulary.kinds)
                    raise fault(self.text, at, f"no scene of the store is of kind {name!r}", hint)
                return f"(lower(i.kind) {_operator(operator)} {self.bind(plain(name))})"
        raise TypeError(query)

    def matches(self, regions: Regions) -> str:
        """A query for (image, subject, subject_class, object, object_class, other, other_class)."""
        head, where = regions.relation, regions.where
        if head is None:
            nothing = "NULL AS object, NULL AS object_class, NULL AS other, NULL AS other_class"
            columns = f"s.image, s.id AS subject, s.class AS subject_class, {nothing}"
            return f"SELECT {columns} FROM regions s WHERE {self._alone(regions)}"
        join = " JOIN regions s ON s.image = r.image AND s.id = r.subject" if _measures_regions(where) else ""
        condition = self._all(
            f"r.predicate = {self.bind(head.predicate)}",
            self._term("r.subject", "r.subject_class", regions.term),
            self._objects("r", head),
            *self._where(where, head),
        )
        columns = "r.image, r.subject, r.subject_class, r.object, r.object_class, r.other, r.other_class"
        return f"SELECT {columns} FROM relations r{join} WHERE {condition}"

    def _aggregate(self, query: Aggregate) -> str:
        regions, value = query.regions, "sum(s.share)" if query.function == "share" else "count(*)"
        if regions.relation is None:
            rows = f"regions s WHERE {self._alone(regions)}"
        else:
            rows = f"regions s SEMI JOIN ({self.matches(regions)}) m ON m.image = s.image AND m.subject = s.id"
        compared = f"{value} {_operator(query.operator)} {self.bind(query.value)}"
        if not holds(0.0, query.operator, query.value):
            return f"i.id IN (SELECT s.image FROM {rows} GROUP BY s.image HAVING {compared})"
        # Images without any such region are no group, and for them it holds.
        return f"i.id NOT IN (SELECT s.image FROM {rows} GROUP BY s.image HAVING NOT ({compared}))"

    def _alone(self, regions: Regions) -> str:
        """What must hold of region s where there is no relation."""
        return self._all(self._term("s.id", "s.class", regions.term), *self._where(regions.where, None))

    def _where(self, condition: Node | None, head: Related | None) -> Iterator[str]:
        if condition is not None:
            yield self._condition(condition, head)

    def _condition(self, condition: Node, head: Related | None) -> str:
        """What must hold of region s (without a relation) or of relation r whose subject is s."""
        match condition:
            case AllOf(parts):
                return "(" + " AND ".join(self._condition(part, head) for part in parts) + ")"
            case AnyOf(parts):
                return "(" + " OR ".join(self._condition(part, head) for part in parts) + ")"
            case Not(part):
                return f"(NOT {self._condition(part, head)})"
            case Related():
                return self._related(condition, head)
            case Compared():
                return f"coalesce({self._compared(condition, head)}, FALSE)"
        raise TypeError(condition)

    def _related(self, related: Related, head: Related | None) -> str:
        subject = "s.id" if head is None else "r.subject"
        image = "s.image" if head is None else "r.image"
        if related.objects:
            same = self._objects("q", related)
        elif head is None:
            words = PREDICATES[related.predicate].words[0]
            raise fault(
                self.text, related.at, f"{words!r} needs a class here, for there is no other region before 'where'"
            )
        else:
            same = (
                "(q.object = r.object OR q.object = r.other)" if head.predicate == "between" else "q.object = r.object"
            )
        predicate = self.bind(related.predicate)
        return (
            f"EXISTS (SELECT 1 FROM relations q WHERE q.image = {image} AND q.subject = {subject} "
            f"AND q.predicate = {predicate} AND {same})"
        )

    def _compared(self, compared: Compared, head: Related | None) -> str:
        measure = MEASURES[compared.measure]
        if compared.measure == "strength":
            if head is None:
                raise fault(self.text, compared.at, "strength is of a relation, and there is none before 'where'")
            return f"r.strength {_operator(compared.operator)} {self.bind(compared.value)}"
        if measure.type != "word":
            return f"s.{measure.column} {_operator(compared.operator)} {self.bind(compared.value)}"
        value, sign = str(compared.value), "" if compared.operator == "=" else "NOT "
        if compared.measure == "place":
            return f"{sign}list_has_all(string_split(s.place, ' '), {self.bind(value.split())})"
        if compared.measure == "frame":
            return f"{sign}list_contains(s.frame, {self.bind(value)})"
        return f"{sign}(s.{measure.column} = {self.bind(value)})"

    def _objects(self, relation: str, related: Related) -> str:
        objects, r = related.objects, relation
        first = self._term(f"{r}.object", f"{r}.object_class", objects[0])
        if len(objects) == 1:
            return first
        # between is told once, with its two objects in the order of their ids.
        second = self._term(f"{r}.other", f"{r}.other_class", objects[1])
        swapped = self._all(
            self._term(f"{r}.other", f"{r}.other_class", objects[0]),
            self._term(f"{r}.object", f"{r}.object_class", objects[1]),
        )
        return f"({self._all(first, second)} OR {swapped})"

    def _term(self, number: str, name: str, term: Term) -> str:
        if term.number is not None:
            return f"{number} = {self.bind(term.number)}"
        if term.name is None:
            return "TRUE"
        return f"{name} IN ({', '.join(self.bind(meant) for meant in self._meant(term))})"

    def _meant(self, term: Term) -> tuple[str, ...]:
        """The English names of the classes that a term names."""
        assert term.name is not None
        known = self.vocabulary.classes
        if meant := known.get(plain(term.name)):
            return meant
        raise _unknown(self.text, term, self.vocabulary)

    def _all(self, *conditions: str) -> str:
        return "(" + " AND ".join(conditions) + ")"


def _unknown(text: str, term: Term, vocabulary: Vocabulary) -> InputError:
    """The error for a name that is no class; of words between two classes it says that they are no relation."""
    name, known = str(term.name), vocabulary.classes
    words = name.split()
    for i in range(1, len(words)):
        for j in range(i + 1, len(words)):
            if plain(" ".join(words[:i])) in known and plain(" ".join(words[j:])) in known:
                middle = " ".join(words[i:j])
                at = text.find(words[i], term.at + len(words[0]))
                return fault(text, at, f"no relation {middle!r}", suggestion(middle, (*RELATION_WORDS, "between")))
    return fault(text, term.at, f"no class {name!r} in this store", suggestion(name, vocabulary.names))


def _measures_regions(where: Node | None) -> bool:
    match where:
        case AllOf(parts) | AnyOf(parts):
            return any(_measures_regions(part) for part in parts)
        case Not(part):
            return _measures_regions(part)
        case Compared(measure):
            return measure != "strength"
    return False


def _operator(operator: str) -> str:
    assert operator in OPERATORS
    return operator


def holds(left: float, operator: str, right: float) -> bool:
    """Whether a comparison is true."""
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def plain(name: str) -> str:
    """A name as names are compared: without regard to case, and with _ for a space."""
    return " ".join(name.replace("_", " ").lower().split())

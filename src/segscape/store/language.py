"""Reading a query: text to a `segscape.store.syntax.Node`, with errors that show where and say what was expected."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from importlib import resources
from typing import Any

from segscape.errors import ConfigError, InputError
from segscape.scene.predicates import PREDICATES, predicate_called
from segscape.scene.scene import PLACES
from segscape.store.syntax import (
    MEASURES,
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

_MOST_CHARACTERS, _MOST_NESTING, _MOST_JOINTS = 4000, 40, 64
_SAME = {"≤": "<=", "≥": ">=", "≠": "!="}
RELATION_WORDS = tuple(p.words[0] for name, p in PREDICATES.items() if name != "between")
_EXPECTED = {
    "WORD": "a class name",
    "RELATION": f"a relation ({', '.join(RELATION_WORDS[:4])}, …)",
    "BETWEEN": "between",
    "_AND": "and",
    "_OR": "or",
    "_WHERE": "where",
    "_AND_WHERE": "and",
    "_OR_WHERE": "or",
    "OPERATOR": "a comparison (= != < <= > >=)",
    "NUMBER": "a number",
    "LPAR": "(",
    "RPAR": ")",
    "MEASURE": f"a measure ({', '.join(MEASURES)})",
    "AGGREGATE": "count(…), share(…)",
    "KIND": "kind",
    "$END": "the end",
}


def parse(text: str) -> Node:
    """Read a query.

    Classes and kinds are not looked up here: that takes a store.

    Raises:
        InputError: it is no query; the message shows the column.
        ConfigError: lark is not installed.
    """
    if len(text) > _MOST_CHARACTERS:
        raise InputError(f"a query of {len(text)} characters is too long (at most {_MOST_CHARACTERS}); use --sql")
    if not text.strip():
        raise InputError("the query is empty; write what to look for, as in: person touching road")
    lark, parser = _parser()
    try:
        return _builder()(text).transform(parser.parse(text))
    except lark.exceptions.VisitError as error:
        raise error.orig_exc from None
    except lark.UnexpectedCharacters as error:
        raise fault(text, error.pos_in_stream, f"{text[error.pos_in_stream]!r} cannot stand here") from None
    except lark.UnexpectedToken as error:
        raise _unexpected(text, error) from None


def fault(text: str, at: int, message: str, hint: str = "") -> InputError:
    """An error of the query ``text`` at its character ``at``: the message, the query, a caret below, a hint."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0].replace("\t", " ")
    # The caret stands right on a terminal only if wide characters are counted twice.
    before = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line[: at - start])
    return InputError(f"column {at + 1}: {message}\n  {line}\n  {' ' * before}^" + (f"\n{hint}" if hint else ""))


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "did you mean …?", or what there is."""
    there = sorted(set(known))
    lower = {name.lower(): name for name in there}
    if close := difflib.get_close_matches(word.lower(), lower, 3, 0.6):
        return f"did you mean {' or '.join(repr(lower[name]) for name in close)}?"
    shown = ", ".join(there[:40]) + (f", … ({len(there)} in all)" if len(there) > 40 else "")
    return f"there is {shown}" if there else "there is none: the store is empty"


def _unexpected(text: str, error: Any) -> InputError:
    token = error.token
    at = len(text.rstrip()) if token.type == "$END" else token.start_pos
    if token.type in ("_AND_WHERE", "_OR_WHERE", "MEASURE") or (token.type == "OPERATOR" and error.accepts == {"LPAR"}):
        return fault(text, at, "a condition on a region stands after 'where'", "as in: car on road where area > 2%")
    expected = [words for name, words in _EXPECTED.items() if name in error.accepts]
    found = "the query ends too early" if token.type == "$END" else f"{str(token)!r} cannot stand here"
    return fault(text, at, f"{found}; expected {', '.join(dict.fromkeys(expected))}")


class _TellConditions:
    """Between lexer and parser: which "and" joins conditions on a region, and which images."""

    always_accept = ()

    def process(self, stream: Iterator[Any]) -> Iterator[Any]:
        tokens = list(stream)
        brackets = nots = joints = 0
        for i, token in enumerate(tokens):
            brackets += (token.type == "LPAR") - (token.type == "RPAR")
            nots = nots + 1 if token.type == "_NOT" else 0
            joints += token.type in ("_AND", "_OR")
            if max(brackets, nots) > _MOST_NESTING or joints > _MOST_JOINTS:
                most = f"{_MOST_JOINTS} times and/or, and {_MOST_NESTING} brackets in one another"
                raise InputError(f"a query may have at most {most}; use --sql")
            if token.type == "RELATION" and i and tokens[i - 1].type == "OPERATOR":
                token.type = "WORD"  # distance = near
            if token.type in ("_AND", "_OR") and self._condition_follows(tokens, i + 1):
                token.type += "_WHERE"
        return iter(tokens)

    def _condition_follows(self, tokens: Sequence[Any], i: int) -> bool:
        while i < len(tokens) and tokens[i].type in ("LPAR", "_NOT"):
            i += 1
        types = [token.type for token in tokens[i : i + 2]]
        return types[:1] in (["RELATION"], ["BETWEEN"]) or (types[:1] == ["MEASURE"] and types[1:] != ["LPAR"])


@cache
def _parser() -> tuple[Any, Any]:
    try:
        import lark
    except ModuleNotFoundError as error:
        raise ConfigError(f"the query language needs {error.name}: pip install 'segscape[store]'") from error

    def one_of(phrases: Iterable[str]) -> str:
        longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
        return "|".join(re.escape(phrase).replace(r"\ ", r"[\s_]+") for phrase in longest_first)

    relations = {p for name, predicate in PREDICATES.items() for p in (*predicate.words, name.replace("_", " "))}
    grammar = resources.files("segscape.store").joinpath("query.lark").read_text("utf-8")
    grammar += rf"""
RELATION.3: /({one_of(relations - {"between"})})(?![\w\-'])/i
MEASURE.3: /({one_of(MEASURES)})(?=\s*([(<>=!≤≥≠]))/i
"""
    return lark, lark.Lark(grammar, parser="lalr", lexer="basic", postlex=_TellConditions(), maybe_placeholders=False)


@cache
def _builder() -> Any:
    lark, _ = _parser()

    class Builder(lark.Transformer):
        """The parser's tree as ours; every method takes the children of the rule of its name."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def start(self, parts: list[Any]) -> Node:
            return parts[0]

        def all_of(self, parts: list[Any]) -> Any:
            return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

        def any_of(self, parts: list[Any]) -> Any:
            return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

        def not_(self, parts: list[Any]) -> Not:
            return Not(parts[0])

        def exists(self, parts: list[Any]) -> Exists:
            return Exists(parts[0])

        def aggregate(self, parts: list[Any]) -> Aggregate:
            name, regions, operator, number = parts
            function = name.lower()
            value = _number(self.text, number, function, "share" if function == "share" else "number")
            return Aggregate(function, regions, _operator(operator), value)

        def measured(self, parts: list[Any]) -> Exists:
            name, regions, operator, value = parts
            if regions.where:
                raise fault(self.text, name.start_pos, f"write this as: … where … and {name} {operator} …")
            return Exists(Regions(regions.term, regions.relation, self.compared([name, operator, value])))

        def kind(self, parts: list[Any]) -> Kind:
            token, operator, (words, _) = parts
            if _operator(operator) not in ("=", "!="):
                raise fault(self.text, operator.start_pos, "a kind can be = or !=")
            return Kind(_operator(operator), words, token.start_pos)

        def regions(self, parts: list[Any]) -> Regions:
            head = next((part.related for part in parts if isinstance(part, _Head)), None)
            where = parts[-1] if len(parts) > 1 and not isinstance(parts[-1], _Head) else None
            return Regions(parts[0], head, where)

        def relation(self, parts: list[Any]) -> _Head:
            return _Head(self.related(parts))

        def between(self, parts: list[Any]) -> _Head:
            return _Head(self.related(parts))

        def related(self, parts: list[Any]) -> Related:
            words, *objects = parts
            predicate = predicate_called(str(words))
            assert predicate is not None, words
            return Related(predicate, tuple(objects), words.start_pos)

        related_between = related

        def compared(self, parts: list[Any]) -> Compared:
            return _compared(self.text, *parts)

        def class_(self, parts: list[Any]) -> Term:
            ((name, at),) = parts
            return Term(name, at=at)

        def numbered(self, parts: list[Any]) -> Term:
            number = int(parts[0][1:])
            if not 1 <= number < 2**31:
                raise fault(self.text, parts[0].start_pos, "regions are numbered from 1")
            return Term(number=number, at=parts[0].start_pos)

        def anything(self, parts: list[Any]) -> Term:
            return Term(at=parts[0].start_pos)

        def words(self, parts: list[Any]) -> tuple[str, int]:
            if parts[0].type == "QUOTED":
                return re.sub(r"\\(.)", r"\1", parts[0][1:-1], flags=re.DOTALL), parts[0].start_pos
            return " ".join(map(str, parts)), parts[0].start_pos

    return partial(Builder)


class _Head:
    """The relation before "where", told from conditions after it."""

    def __init__(self, related: Related) -> None:
        self.related = related


def _operator(token: str) -> str:
    return _SAME.get(str(token), str(token))


def _compared(text: str, name: Any, operator: Any, value: Any) -> Compared:
    measure, key = MEASURES[name.lower()], name.lower()
    if measure.type != "word":
        if isinstance(value, tuple):
            raise fault(text, value[1], f"{key} is compared with a number")
        return Compared(key, _operator(operator), _number(text, value, key, measure.type), name.start_pos)
    if not isinstance(value, tuple):
        raise fault(text, value.start_pos, f"{key} is a word, not a number", suggestion("", measure.words))
    if _operator(operator) not in ("=", "!="):
        raise fault(text, operator.start_pos, f"{key} can be = or !=")
    word, at = " ".join(value[0].lower().split()), value[1]
    known = measure.words
    if key == "place":
        known = (*known, *(cell for cell in PLACES if " " in cell))
    elif key == "color":
        known = _color_names()
    if word not in known:
        raise fault(text, at, f"{key} is never {word!r}", suggestion(word, known))
    return Compared(key, _operator(operator), word, name.start_pos)


def _color_names() -> tuple[str, ...]:
    from segscape.scene.colors import COLOR_NAMES

    return tuple(COLOR_NAMES)


def _number(text: str, token: Any, name: str, type_: str) -> float:
    percent = token.endswith("%")
    value = float(token.rstrip("% \t\n")) / (100 if percent else 1)
    if percent and type_ != "share":
        raise fault(text, token.start_pos, f"{name} is a number, not a percentage")
    if type_ == "share" and not 0 <= value <= 1:
        raise fault(text, token.start_pos, f"{name} lies in 0…1; with % it is in percent, as in 20%")
    return value

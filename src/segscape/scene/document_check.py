"""The part of JSON Schema that the scene's schema is written in, so that reading a document needs no further library.

A schema becomes a function that looks for the first fault of a value. The tests compare it with the jsonschema library.
One thing is stricter: NaN and infinity, which JSON does not have, are no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Fault = tuple[str, str]
"""Where in the value ("regions[3].box", "" for the whole), and what is wrong there."""
Check = Callable[[Any], Fault | None]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "number": lambda v: _is_number(v),
    "integer": lambda v: (type(v) is int) or (_is_number(v) and v == int(v)),
    "array": lambda v: isinstance(v, list | tuple),
    "object": lambda v: isinstance(v, Mapping),
}


def check_of(schema: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """What tells the first fault of a value, "regions[3].box: must have 4 entries, not 3", or None if it has none."""
    check = _compiled(schema, schema["$defs"], {})

    def first_fault(value: Any) -> str | None:
        fault = check(value)
        return None if fault is None else f"{fault[0] or 'the document'}: {fault[1]}"

    return first_fault


def _compiled(schema: Mapping[str, Any], definitions: Mapping[str, Any], known: dict[str, Check]) -> Check:
    """The function of one schema; ``known`` holds those of the definitions that have been met."""
    checks: list[Check] = []
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in known:
            known[name] = _compiled(definitions[name], definitions, known)
        checks.append(known[name])
    if "type" in schema:
        checks.append(_type(schema["type"]))
    if "const" in schema or "enum" in schema:
        checks.append(_enum([schema["const"]] if "const" in schema else schema["enum"]))
    if "anyOf" in schema:
        checks.append(_any_of([_compiled(choice, definitions, known) for choice in schema["anyOf"]]))
    if not schema.keys().isdisjoint(("minimum", "maximum", "exclusiveMinimum")):
        checks.append(_range(schema))
    if "minLength" in schema:
        checks.append(lambda v: ("", "must not be empty") if isinstance(v, str) and not v else None)
    if not schema.keys().isdisjoint(("properties", "additionalProperties")):
        parts = {name: _compiled(part, definitions, known) for name, part in schema.get("properties", {}).items()}
        others = schema["additionalProperties"]
        rest = _compiled(others, definitions, known) if others is not False else lambda v: ("", "is not known")
        names = _compiled(schema["propertyNames"], definitions, known) if "propertyNames" in schema else None
        checks.append(_object(parts, schema.get("required", ()), rest, names))
    if "items" in schema:
        checks.append(_array(schema, _compiled(schema["items"], definitions, known)))
    return checks[0] if len(checks) == 1 else _all(checks)


def _all(checks: list[Check]) -> Check:
    def check(value: Any) -> Fault | None:
        for one in checks:
            if fault := one(value):
                return fault
        return None

    return check


def _type(names: str | list[str]) -> Check:
    names = [names] if isinstance(names, str) else names
    tests = [_TYPES[name] for name in names]
    words = " or ".join(names)

    def check(value: Any) -> Fault | None:
        for test in tests:
            if test(value):
                return None
        return "", f"must be of type {words}, not {_shown(value)}"

    return check


def _enum(allowed: list[Any]) -> Check:
    words = " or ".join(map(repr, allowed))

    def check(value: Any) -> Fault | None:
        for one in allowed:
            if value == one and isinstance(value, bool) == isinstance(one, bool):
                return None
        return "", f"must be {words}, not {_shown(value)}"

    return check


def _any_of(choices: list[Check]) -> Check:
    def check(value: Any) -> Fault | None:
        faults = []
        for choice in choices:
            fault = choice(value)
            if fault is None:
                return None
            faults.append(fault)
        return faults[0][0], " or ".join(words for _, words in faults)

    return check


def _range(schema: Mapping[str, Any]) -> Check:
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)

    def check(value: Any) -> Fault | None:
        if not _is_number(value) or (least <= value <= most and value > above):
            return None
        bound = f"at least {least}" if value < least else f"at most {most}" if value > most else f"above {above}"
        return "", f"must be {bound}, not {value}"

    return check


def _object(parts: Mapping[str, Check], required: list[str], rest: Check, names: Check | None) -> Check:
    def check(value: Any) -> Fault | None:
        if not isinstance(value, Mapping):
            return None
        for name in required:
            if name not in value:
                return "", f"{name!r} is missing"
        for name, entry in value.items():
            if not isinstance(name, str):
                return "", f"{name!r} is no name"
            fault = (names(name) if names is not None else None) or parts.get(name, rest)(entry)
            if fault:
                where, words = fault
                return f"{name}{'' if where[:1] in ('', '[') else '.'}{where}", words
        return None

    return check


def _array(schema: Mapping[str, Any], item: Check) -> Check:
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    unique = schema.get("uniqueItems", False)

    def check(value: Any) -> Fault | None:
        if not isinstance(value, list | tuple):
            return None
        if not least <= len(value) <= most:
            return "", f"must have {least if least == most else f'{least} to {most}'} entries, not {len(value)}"
        if unique and any(x in value[:i] for i, x in enumerate(value)):
            return "", "must not repeat an entry"
        for i, entry in enumerate(value):
            if fault := item(entry):
                where, words = fault
                return f"[{i}]{'' if where[:1] in ('', '[') else '.'}{where}", words
        return None

    return check


def _is_number(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return True
    return isinstance(value, int | float) and kind is not bool and math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"

"""Parameters fitted on validation data: frozen dataclasses of numbers, each within its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from segscape.errors import ConfigError

Ranges = Mapping[str, tuple[float, float]]
_T = TypeVar("_T")


def check_ranges(parameters: Any, ranges: Ranges, what: str) -> None:
    """Each field is a number from the least to the largest value of its range; a whole one if those are integers.

    Raises:
        ConfigError: one is not.
    """
    for name, (low, high) in ranges.items():
        value, whole = getattr(parameters, name), type(low) is int
        if type(value) not in ((int,) if whole else (int, float)) or not low <= value <= high:
            number = "a whole number" if whole else "a number"
            raise ConfigError(f"{what} parameter {name} must be {number} in {low:g}…{high:g}, got {value!r}")


def from_dict(kind: type[_T], values: Mapping[str, Any], what: str) -> _T:
    """A dataclass of parameters from what its ``to_dict`` wrote.

    Raises:
        ConfigError: a parameter is missing, unknown or out of its range.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if set(values) != set(names):
        got = ", ".join(map(str, values)) or "none"
        raise ConfigError(f"{what} parameters must be {', '.join(names)}; got {got}")
    return kind(**values)

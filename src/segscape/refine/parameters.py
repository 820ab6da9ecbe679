"""Parameters fitted on validation data: frozen dataclasses of numbers, each within its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Self

from segscape.errors import ConfigError

Ranges = Mapping[str, tuple[float, float]]


class Parameters:
    """Base of a frozen dataclass whose fields are all numbers.

    Attributes:
        what: they are of, for messages: "CRF".
        ranges: least and largest value of each field; a field whose range is of integers takes whole numbers alone.

    Raises:
        ConfigError: a value is no number or out of its range.
    """

    __slots__ = ()
    what: ClassVar[str]
    ranges: ClassVar[Ranges]

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            value, whole = getattr(self, name), type(low) is int
            if type(value) not in ((int,) if whole else (int, float)) or not low <= value <= high:
                number = "a whole number" if whole else "a number"
                raise ConfigError(f"{self.what} parameter {name} must be {number} in {low:g}…{high:g}, got {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)  # type: ignore[call-overload]  # subclasses are dataclasses

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: a parameter is missing, unknown or out of its range.
        """
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        if set(values) != set(names):
            got = ", ".join(map(str, values)) or "none"
            raise ConfigError(f"{cls.what} parameters must be {', '.join(names)}; got {got}")
        return cls(**values)

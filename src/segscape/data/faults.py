"""What is wrong with a data set, one fault at a time (`segscape.data.checks` lists the kinds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a data set.

    Attributes:
        kind: a fixed word for programs, e.g. "size-mismatch" (`segscape.data.checks` lists them).
        severity: "error" stops training; "warning" does not.
        files: the files it is about, relative to the data set's root.
        message: what is wrong, in one line.
        fix: what to do about it, in one line; "" where the message says it.
        objects: the objects it is about, as "item#id": "train/a#17".
    """

    kind: str
    severity: Literal["error", "warning"]
    files: tuple[str, ...]
    message: str
    fix: str
    objects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "files": list(self.files),
            "objects": list(self.objects),
            "message": self.message,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        concerned = self.objects or tuple(repr(name) for name in self.files)
        where = f": {some(concerned)}" if concerned else ""
        return f"{self.message}{where}" + (f"; {self.fix}" if self.fix else "")


def some(words: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are: "a, b and 3 more"."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")

"""Label sets: what the numbers in a label map mean."""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segscape.errors import InputError


@dataclass(frozen=True, slots=True)
class Label:
    """One class.

    Attributes:
        name: English name, unique within its set.
        zh: Chinese name, or "" when none is known (the English name then stands in).
        color: RGB, three integers in 0…255.
        thing: True for countable objects (car), False for stuff (sky).
    """

    name: str
    color: tuple[int, int, int]
    zh: str = ""
    thing: bool = False

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise InputError(f"a label needs a name, got {self.name!r}")
        try:
            red, green, blue = (operator.index(c) for c in self.color)
            if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
                raise ValueError
        except (TypeError, ValueError):
            raise InputError(
                f"label {self.name!r}: colour must be three integers in 0…255, got {self.color!r}"
            ) from None
        object.__setattr__(self, "color", (red, green, blue))


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The classes of a data set, in the order of their ids: id ``i`` is ``labels[i]``.

    Attributes:
        name: of the set, e.g. "camvid".
        labels: at least one, at most 65535; names are unique.
        ignore_index: the id in label maps that is neither trained on nor counted. It lies outside
            ``0 … len(labels) - 1``.
    """

    name: str
    labels: tuple[Label, ...]
    ignore_index: int = 255

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if not 1 <= len(self.labels) <= 65535:
            raise InputError(f"label set {self.name!r}: needs 1 to 65535 labels, got {len(self.labels)}")
        occurrences = Counter(label.name for label in self.labels)
        if doubles := sorted(name for name, times in occurrences.items() if times > 1):
            raise InputError(f"label set {self.name!r}: names must be unique, but {doubles} occur more than once")
        if 0 <= self.ignore_index < len(self.labels) or not 0 <= self.ignore_index <= 65535:
            raise InputError(
                f"label set {self.name!r}: ignore index {self.ignore_index} must be a free id "
                f"in {len(self.labels)}…65535 (0…{len(self.labels) - 1} are classes)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __getitem__(self, index: int) -> Label:
        return self.labels[index]

    @property
    def names(self) -> tuple[str, ...]:
        """English names in the order of their ids."""
        return tuple(label.name for label in self.labels)

    def index(self, name: str) -> int:
        """The id of the label called ``name``.

        Raises:
            InputError: there is none.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"label set {self.name!r} has no {name!r}; it has {', '.join(self.names)}") from None

    def palette(self) -> np.ndarray:
        """Colours as a (256, 3) or (65536, 3) uint8 RGB table: ids without a label are black."""
        size = 256 if max(len(self.labels) - 1, self.ignore_index) < 256 else 65536
        table = np.zeros((size, 3), np.uint8)
        table[: len(self.labels)] = [label.color for label in self.labels]
        return table

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types; `from_dict` reads it back."""
        return {
            "name": self.name,
            "ignore_index": self.ignore_index,
            "labels": [{"name": x.name, "zh": x.zh, "color": list(x.color), "thing": x.thing} for x in self.labels],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSet:
        """Read what `to_dict` wrote.

        Raises:
            InputError: a field is missing or of the wrong type.
        """
        try:
            labels = tuple(
                Label(x["name"], tuple(x["color"]), x.get("zh", ""), bool(x.get("thing", False)))
                for x in data["labels"]
            )
            return cls(str(data["name"]), labels, int(data["ignore_index"]))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            snippet = json.dumps(data, default=str)[:200]
            raise InputError(f"not a label set ({type(error).__name__}: {error}): {snippet}") from error


def hex_color(color: Iterable[int]) -> str:
    """An RGB colour, three integers in 0…255, as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*map(int, color))

"""Proposals for label values that a label set does not know: what they probably mean."""

from __future__ import annotations

from collections.abc import Collection

from segscape.data.label_files import RawValue, show_value
from segscape.labels import LabelSet

_NEAR_COLOR = 12  # largest difference of a channel that is still taken for the same colour
_MANY_OBJECTS = 5  # with fewer values, a third one may as well be a class that was forgotten


def propose_map(
    found: Collection[RawValue], strays: Collection[RawValue], label_set: LabelSet
) -> tuple[dict[str, int], str]:
    """A ``"map"`` for labels.json, and in words what it supposes.

    Args:
        found: all values and colours that occur in the label files.
        strays: those of them that are neither a class nor the ignore index.
        label_set: what the values should have been.

    Returns:
        The map gives each stray a meaning: in doubt, the ignore index.
    """
    ignore, count = label_set.ignore_index, len(label_set)
    if any(isinstance(value, tuple) for value in strays):
        return _propose_colors([c for c in strays if isinstance(c, tuple)], label_set)
    numbers = sorted(v for v in found if isinstance(v, int) and v != ignore)
    if set(numbers) <= {0, 255} and count >= 2:
        return {"255": 1}, "a two-class mask saved as 0 and 255"
    if count == 2 and len(numbers) >= _MANY_OBJECTS and len(numbers) * 2 > numbers[-1]:
        return {f"1-{65535 if numbers[-1] > 255 else 255}": 1}, "numbered objects on a background"
    if numbers and numbers[0] > 0 and numbers[-1] == count:
        return {str(v): v - 1 for v in range(1, count + 1)}, "ids that count from 1"
    if len(numbers) == count and len(strays) * 2 > count:
        return {str(v): i for i, v in enumerate(numbers) if v != i}, "classes spread over other values, in order"
    return {show_value(v): ignore for v in sorted(strays, key=str)}, "leaving these pixels out"


def _propose_colors(strays: list[tuple[int, int, int]], label_set: LabelSet) -> tuple[dict[str, int], str]:
    """The class of nearly the same colour, or none."""
    proposed = {}
    for color in sorted(strays):
        far = [max(abs(a - b) for a, b in zip(color, label.color, strict=True)) for label in label_set]
        nearest = min(range(len(far)), key=far.__getitem__)
        proposed[show_value(color)] = nearest if far[nearest] <= _NEAR_COLOR else label_set.ignore_index
    return proposed, "the class of nearly the same colour, else leaving these pixels out"

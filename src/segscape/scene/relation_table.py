"""Relations as columns: the strongest of each region kept, then made into `Relation`s from both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation

DIGITS = 4
"""Decimals that strengths and evidence are rounded to."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """P pairs of one predicate, each once.

    Attributes:
        predicate: of `PREDICATES`.
        subject, object: (P,) rows of `Measures`.
        strength: (P,) float64, 0…1.
        evidence: name -> (P,) values.
        reverse: what differs in the evidence seen from the object.
        other: (P,) rows, the third regions of "between".
    """

    predicate: str
    subject: np.ndarray
    object: np.ndarray
    strength: np.ndarray
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)
    reverse: Mapping[str, np.ndarray] = field(default_factory=dict)
    other: np.ndarray | None = None

    def where(self, kept: np.ndarray) -> Family:
        """The pairs of the mask or the indices ``kept``."""
        return Family(
            self.predicate,
            self.subject[kept],
            self.object[kept],
            self.strength[kept],
            {name: values[kept] for name, values in self.evidence.items()},
            {name: values[kept] for name, values in self.reverse.items()},
            None if self.other is None else self.other[kept],
        )

    def inverse(self) -> Family | None:
        """The same seen from the objects; None for a relation of three."""
        inverse = PREDICATES[self.predicate].inverse
        if inverse is None:
            return None
        return Family(inverse, self.object, self.subject, self.strength, {**self.evidence, **self.reverse})


def strongest(family: Family, most: int) -> Family:
    """The pairs that are among the ``most`` strongest of either end; of equals, those with the lower number.

    A symmetric relation has one list for each region, any other one as subject and one as object.
    """
    if len(family.subject) <= most:
        return family
    strength = np.round(family.strength, DIGITS)  # as shown, so that the last bit of a sum decides nothing
    offset = 0 if PREDICATES[family.predicate].symmetric else int(max(family.subject.max(), family.object.max())) + 1
    ends = np.concatenate((family.subject, family.object + offset))
    others = np.concatenate((family.object, family.subject))
    order = np.lexsort((others, -np.concatenate((strength, strength)), ends))
    starts = np.flatnonzero(np.diff(ends[order], prepend=-1))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    num = len(family.subject)
    return family.where((rank[:num] < most) | (rank[num:] < most))


def relations_from(families: Iterable[Family]) -> tuple[Relation, ...]:
    """Every pair as a `Relation`, and the other way round where there is an inverse, by subject, predicate, object."""
    sides = [side for family in families for side in (family, family.inverse()) if side and len(side.subject)]
    if not sides:
        return ()
    place = {name: i for i, name in enumerate(PREDICATES)}
    subjects = np.concatenate([side.subject for side in sides])
    predicates = np.repeat([place[side.predicate] for side in sides], [len(side.subject) for side in sides])
    objects = np.concatenate([side.object for side in sides])
    none = -1
    others = np.concatenate([np.full(len(s.subject), none) if s.other is None else s.other for s in sides])
    strengths = np.round(np.concatenate([side.strength for side in sides]), DIGITS).tolist()
    evidence: list[dict[str, float]] = []
    for side in sides:
        names = tuple(side.evidence)
        columns = [(np.round(values, DIGITS) + 0).tolist() for values in side.evidence.values()]
        evidence += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    names = list(PREDICATES)
    order = np.lexsort((others, objects, predicates, subjects))
    rows = zip(
        (subjects[order] + 1).tolist(),
        predicates[order].tolist(),
        (objects[order] + 1).tolist(),
        (others[order] + 1).tolist(),
        order.tolist(),
        strict=True,
    )
    return tuple(Relation(s, names[p], o, strengths[i], evidence[i], other or None) for s, p, o, other, i in rows)

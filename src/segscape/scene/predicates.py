"""The words for relations between regions, each with the word for the same seen from the other side."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Predicate:
    """One kind of relation.

    Attributes:
        inverse: what holds of (object, subject) whenever this holds of (subject, object); itself if symmetric; None
            for a relation of three.
        words: how it is said in English between subject and object, the usual way first; all are understood by
            `Scene.find` (with _ for spaces) and by the query language.
        zh: the usual way in Chinese, for lists and tables.
    """

    inverse: str | None
    words: tuple[str, ...]
    zh: str

    @property
    def symmetric(self) -> bool:
        """Whether it holds both ways whenever it holds one way."""
        return self.inverse is not None and PREDICATES[self.inverse] is self


PREDICATES: dict[str, Predicate] = {
    "touches": Predicate("touches", ("touching", "touches", "next to"), "接触"),
    "on": Predicate("supports", ("on", "standing on", "on top of"), "在…上"),
    "supports": Predicate("on", ("supporting", "supports", "under"), "承托"),
    "inside": Predicate("contains", ("inside", "in", "within"), "在…内"),
    "contains": Predicate("inside", ("containing", "contains"), "包含"),
    "left_of": Predicate("right_of", ("left of",), "在…左边"),
    "right_of": Predicate("left_of", ("right of",), "在…右边"),
    "above": Predicate("below", ("above",), "在…上方"),
    "below": Predicate("above", ("below",), "在…下方"),
    "in_front_of": Predicate("behind", ("in front of",), "在…前面"),
    "behind": Predicate("in_front_of", ("behind",), "在…后面"),
    "near": Predicate("near", ("near", "close to"), "靠近"),
    "surrounds": Predicate("surrounded_by", ("surrounding", "surrounds"), "环绕"),
    "surrounded_by": Predicate("surrounds", ("surrounded by",), "被…环绕"),
    "between": Predicate(None, ("between",), "在…之间"),
}
"""By their names in `Relation.predicate`, in the order in which lists show them."""


def predicate_called(words: str) -> str | None:
    """The name of the relation that ``words`` say ("left of", "left_of", "Touching"), or None."""
    said = " ".join(words.replace("_", " ").lower().split())
    for name, predicate in PREDICATES.items():
        if said == name.replace("_", " ") or said in predicate.words:
            return name
    return None

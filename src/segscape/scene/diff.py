"""What is otherwise in a second scene of the same place: two frames, or photos before and after.

`segscape.scene.diff_pairs` says which region is which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.scene.diff_pairs import pair_regions, width
from segscape.scene.document import relation_to_dict
from segscape.scene.graph import said_once
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene, SceneRegion

MOVED_WIDTHS, MOVED_PX = 0.1, 2.0
GROWN = 1.25


@dataclass(frozen=True, slots=True)
class Change:
    """A region that is in both scenes.

    Attributes:
        before, after: its id in each.
        name: the class's English name.
        iou: 0…1, of its masks.
        moved_px: (dx, dy) of its centroid, to the right and down.
        growth: area after over area before.
        moved: for a thing, whether the centroid went at least `MOVED_WIDTHS` of its widths and `MOVED_PX`. Stuff does
            not move; what covers it does.
        grew, shrank: whether ``growth`` is at least `GROWN`, at most 1 / `GROWN`.
    """

    before: int
    after: int
    name: str
    iou: float
    moved_px: tuple[float, float]
    growth: float
    moved: bool
    grew: bool
    shrank: bool

    @property
    def changed(self) -> bool:
        """Whether it moved, grew or shrank."""
        return self.moved or self.grew or self.shrank


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """What became of one scene in another.

    Attributes:
        before, after: the scenes.
        appeared: ids of ``after``, ascending.
        vanished: ids of ``before``, ascending.
        kept: regions in both, by their id in ``after``.
        began, ended: relations between regions that are in both scenes, once each (see
            `segscape.scene.graph.said_once`), with the ids of ``after`` and of ``before``. A scene holds the strongest
            relations of each region only; in a crowded one a relation also ends by being outdone.
        shares: class name -> its share of the pixels (before, after), the greatest change first.
    """

    before: Scene
    after: Scene
    appeared: tuple[int, ...]
    vanished: tuple[int, ...]
    kept: tuple[Change, ...]
    began: tuple[Relation, ...]
    ended: tuple[Relation, ...]
    shares: Mapping[str, tuple[float, float]]

    def __str__(self) -> str:
        return self.text()

    def text(self, lang: str = "en") -> str:
        """In a few sentences, English ("en") or Chinese ("zh"); see `segscape.scene.diff_text.difference_in_words`."""
        from segscape.scene.diff_text import difference_in_words

        return difference_in_words(self, lang)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "before": self.before.source,
            "after": self.after.source,
            "appeared": list(self.appeared),
            "vanished": list(self.vanished),
            "kept": [
                {
                    "before": c.before,
                    "after": c.after,
                    "label": c.name,
                    "iou": c.iou,
                    "moved_px": list(c.moved_px),
                    "growth": c.growth,
                    "moved": c.moved,
                    "grew": c.grew,
                    "shrank": c.shrank,
                }
                for c in self.kept
            ],
            "began": [relation_to_dict(r) for r in self.began],
            "ended": [relation_to_dict(r) for r in self.ended],
            "shares": {name: {"before": a, "after": b} for name, (a, b) in self.shares.items()},
        }


def diff(before: Scene, after: Scene) -> Difference:
    """What is otherwise in ``after``; see `segscape.scene.diff_pairs` for which region is which.

    Classes are matched by their names.

    Raises:
        InputError: the scenes are of images of different sizes, or have no class in common.
    """
    if not set(before.label_set.names) & set(after.label_set.names):
        raise InputError(
            f"scenes with the classes of {before.label_set.name!r} ({before.source!r}) and of {after.label_set.name!r} "
            f"({after.source!r}) cannot be compared; segment both with one model"
        )
    if before.size != after.size:
        (h0, w0), (h1, w1) = before.size, after.size
        raise InputError(
            f"scenes of {w0} × {h0} pixels ({before.source!r}) and {w1} × {h1} ({after.source!r}) cannot be compared; "
            "scale both photos to one size"
        )
    pairs = pair_regions(before, after)
    kept = tuple(_change(before.region(i), after.region(j), iou, after.label_set) for i, j, iou in pairs)
    to_before = {change.after: change.before for change in kept}
    stayed = {change.before: change.before for change in kept}
    now, then = _keyed(after, to_before), _keyed(before, stayed)
    shares = {
        name: (float(before.shares.get(name, 0)), float(after.shares.get(name, 0)))
        for name in dict.fromkeys((*before.shares, *after.shares))
    }
    return Difference(
        before,
        after,
        appeared=tuple(region.id for region in after.regions if region.id not in to_before),
        vanished=tuple(region.id for region in before.regions if region.id not in stayed),
        kept=kept,
        began=tuple(relation for key, relation in now.items() if key not in then),
        ended=tuple(relation for key, relation in then.items() if key not in now),
        shares=dict(sorted(shares.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))),
    )


def _change(a: SceneRegion, b: SceneRegion, iou: float, label_set: LabelSet) -> Change:
    dx, dy = (float(q - p) for p, q in zip(a.centroid, b.centroid, strict=True))
    growth = b.area_px / a.area_px
    moved = label_set[b.label].thing and math.hypot(dx, dy) >= max(MOVED_PX, MOVED_WIDTHS * width(a, b))
    # By a product, so that growing one way is shrinking the other way.
    grew, shrank = b.area_px >= GROWN * a.area_px, a.area_px >= GROWN * b.area_px
    return Change(a.id, b.id, a.name, iou, (dx, dy), growth, moved, grew, shrank)


def _keyed(scene: Scene, ids: Mapping[int, int]) -> dict[tuple[Any, ...], Relation]:
    """The relations among the regions in ``ids``, once each, by what is the same in both scenes."""
    keyed: dict[tuple[Any, ...], Relation] = {}
    for r in said_once(scene.relations):
        ends = [ids.get(end) for end in r.regions]
        if None not in ends:
            free = 0 if PREDICATES[r.predicate].symmetric else 1  # the ends from here on are in no order
            keyed[r.predicate, *ends[:free], frozenset(ends[free:])] = r
    return keyed

"""What is worth saying of a scene, before any language: what matters most, what is where, which relations tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import hypot, sqrt

from segscape.scene.scene import PLACES, Relation, Scene, SceneRegion
from segscape.scene.vocabulary import is_one_of, role_of

UNSURE = 0.6
"""Regions whose confidence is below it are named as uncertain."""
_WEIGHTS = {"person": 2.0, "animal": 2.0, "vehicle": 1.5, "food": 1.2, "furniture": 1.0, "item": 1.0}
_TALKED_OF = {
    "on": 5.0,
    "inside": 4.0,
    "in_front_of": 3.0,
    "between": 2.5,
    "surrounded_by": 2.0,
    "touches": 2.0,
    "near": 1.5,
}
_RIDDEN = ("bicycle", "bike", "motorcycle", "motorbike", "minibike", "boat", "ship")
_DIRECTIONS = {"left_of": 1.0, "above": 0.8}


def is_thing(scene: Scene, region: SceneRegion) -> bool:
    """Whether it is spoken of as a thing: by its label, or by its role where the label set makes no difference."""
    return scene.label_set[region.label].thing or role_of(region.name) in _WEIGHTS


def salience(scene: Scene, region: SceneRegion) -> float:
    """How much a region matters: living things before vehicles before others, larger, nearer, more central first.

    weight(role) · √share · (1 + nearness, or ½ where unknown) · (1 − ½ · distance from the centre / half the diagonal).
    """
    height, width = scene.size
    away = hypot(region.centroid[0] - width / 2, region.centroid[1] - height / 2) / hypot(width / 2, height / 2)
    near = 0.5 if region.nearness is None else region.nearness
    return _WEIGHTS.get(role_of(region.name), 0.5) * sqrt(region.share) * (1 + near) * (1 - away / 2)


def by_class(regions: Iterable[SceneRegion]) -> dict[str, list[SceneRegion]]:
    """Regions by class name, in the order in which classes first occur."""
    groups: dict[str, list[SceneRegion]] = {}
    for region in regions:
        groups.setdefault(region.name, []).append(region)
    return groups


def things(scene: Scene, roles: Sequence[str] | None = None) -> list[list[SceneRegion]]:
    """Things by class (of ``roles``, or all); classes and the regions in each by falling salience."""
    found = [r for r in scene.regions if is_thing(scene, r) and (roles is None or role_of(r.name) in roles)]
    weights = {region.id: salience(scene, region) for region in found}
    found.sort(key=lambda region: (-weights[region.id], region.id))
    groups = list(by_class(found).values())
    return sorted(groups, key=lambda group: -sum(weights[region.id] for region in group))


class Register:
    """Which regions of a class there are, and which of them are at one place: asked for each region, so counted once.

    Args:
        scene: whose regions.
        where: the words for a region's place.
    """

    def __init__(self, scene: Scene, where: Callable[[SceneRegion], str]) -> None:
        self._ids: dict[int, list[int]] = {}
        self._where = where
        for region in scene.regions:
            self._ids.setdefault(region.label, []).append(region.id)
        self._at: Counter[tuple[int, str]] | None = None
        self._scene = scene

    def alone(self, region: SceneRegion) -> bool:
        """Whether it is the only one of its class."""
        return len(self._ids[region.label]) == 1

    def alone_there(self, region: SceneRegion) -> bool:
        """Whether no other of its class is where it is."""
        if self._at is None:
            self._at = Counter((other.label, self._where(other)) for other in self._scene.regions)
        return self._at[region.label, self._where(region)] == 1

    def rank(self, region: SceneRegion) -> int:
        """How many of its class are larger."""
        return self._ids[region.label].index(region.id)

    def known(self, region: SceneRegion) -> bool:
        """Whether it is told from the others by more than its rank: it is alone, alone at its place, or largest."""
        return self.rank(region) == 0 or self.alone_there(region)


def column(region: SceneRegion) -> str:
    """ "left", "middle" or "right": the third of the picture that its centroid lies in."""
    return next((side for side in ("left", "right") if region.place.endswith(side)), "middle")


def spans(region: SceneRegion, size: tuple[int, int]) -> str:
    """Where a region lies that reaches over more than two thirds of the width: "top", "middle", "bottom", or "all" if
    it reaches over as much of the height; "" for any other."""
    height, width = size
    x0, y0, x1, y1 = region.box
    if 3 * (x1 - x0) <= 2 * width:
        return ""
    if 3 * (y1 - y0) > 2 * height:
        return "all"
    return next((row for row in ("top", "bottom") if region.place.startswith(row)), "middle")


def side_shares(scene: Scene, name: str) -> dict[str, float]:
    """Of a class, the shares of its pixels in the left, middle and right third of the picture."""
    height, width = scene.size
    sums = {"left": 0.0, "middle": 0.0, "right": 0.0}
    for number, place in enumerate(PLACES):
        row, side = divmod(number, 3)
        cell = (height * (row + 1) // 3 - height * row // 3) * (width * (side + 1) // 3 - width * side // 3)
        sums[("left", "middle", "right")[side]] += cell * scene.layout.get(place, {}).get(name, 0.0)
    total = sum(sums.values())
    return {side: value / total for side, value in sums.items()} if total else sums


def side_of(shares: Mapping[str, float]) -> str:
    """ "left" or "right" where 60 % of a class lies, "both" where they hold 30 % each and the middle less; else ""."""
    left, middle, right = shares["left"], shares["middle"], shares["right"]
    if max(left, right) >= 0.6:
        return "left" if left > right else "right"
    return "both" if min(left, right) >= 0.3 and middle < min(left, right) else ""


def worth_saying(
    scene: Scene, spoken: Collection[int], *, directions: bool = False, said: Iterable[frozenset[int]] = ()
) -> list[Relation]:
    """The relations of the things ``spoken`` worth a clause, best first: no pair twice, whichever way round.

    By weight(predicate) · strength · (salience of both): what something is on or in says more than what it is near.
    ``directions`` adds left of and above, between things alone; pairs ``said`` before are left out.
    """
    weights = _TALKED_OF | (_DIRECTIONS if directions else {})
    value = {region.id: salience(scene, region) for region in scene.regions}
    candidates, bearing = [], rests_on(scene)
    for relation in scene.relations:
        worth = weights.get(relation.predicate, 0) * relation.strength
        if relation.predicate == "on" and relation is not bearing[relation.subject]:
            continue
        if worth and relation.subject in spoken and _tells(scene, relation, spoken):
            worth *= value[relation.subject] + value[relation.object]
            candidates.append((-worth, relation.subject, relation.object, relation))
    chosen, pairs = [], set(said)
    for *_, relation in sorted(candidates, key=lambda item: item[:3]):
        pair = frozenset((relation.subject, relation.object))
        if pair not in pairs:
            pairs |= {pair, frozenset((relation.subject, relation.other))}
            chosen.append(relation)
    return chosen


def rests_on(scene: Scene) -> dict[int, Relation]:
    """Region id -> what bears most of it: on the road, or with one foot more on the pavement."""
    best: dict[int, Relation] = {}
    for relation in scene.related("on"):
        if relation.subject not in best or relation.strength > best[relation.subject].strength:
            best[relation.subject] = relation
    return best


def only_seen_above(scene: Scene, relation: Relation) -> bool:
    """Whether "on" may be no more than a car that hides someone's legs: all that is sure is who is seen above what."""
    vehicle = scene.region(relation.object).name
    person = role_of(scene.region(relation.subject).name) == "person"
    return relation.predicate == "on" and person and role_of(vehicle) == "vehicle" and not is_one_of(vehicle, _RIDDEN)


def _tells(scene: Scene, relation: Relation, spoken: Collection[int]) -> bool:
    """Whether a relation says something of the world, not of the picture alone."""
    others = [scene.region(number) for number in relation.regions[1:]]
    if relation.predicate == "on" and role_of(others[0].name) in ("ground", "water", "structure", "vegetation"):
        return True
    if relation.predicate in ("inside", "surrounded_by") and role_of(others[0].name) in ("ground", "water"):
        return True
    if not all(other.id in spoken for other in others):
        return False
    # Side by side in the picture, one near and one far, is not side by side on the ground.
    own = scene.region(relation.subject).nearness
    far_apart = any(own is not None and o.nearness is not None and abs(own - o.nearness) > 0.15 for o in others)
    return not far_apart or relation.predicate in ("on", "inside", "in_front_of")

"""Which relations a page shows, and how they are drawn between regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from segscape.scene.graph import said_once
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene
from segscape.scene.vocabulary import role_of

_MOST_A_PREDICATE = 24
_MOST_TELLING = 20
# Contact and depth say more of a picture than that something is to the left of something.
_WEIGHTS = {"on": 1.0, "inside": 1.0, "in_front_of": 0.9, "between": 0.6, "near": 0.7, "surrounds": 0.9, "touches": 0.6}
_WEIGHT_OF_DIRECTIONS = 0.25
_WEIGHT_OF_STUFF = 0.5
_WEIGHT_OF_BACKGROUND = 0.1
FAMILIES = {
    "touches": "contact",
    "on": "contact",
    "inside": "containment",
    "surrounds": "containment",
    "left_of": "direction",
    "above": "direction",
    "in_front_of": "depth",
    "near": "nearness",
    "between": "nearness",
}
"""Predicates that are shown, each under its first name of a pair of inverses, and the kind of thing they say."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A relation that the page shows, and whether it is among the most telling ones of its scene."""

    relation: Relation
    telling: bool


def shown_relations(scene: Scene, relations: list[Relation]) -> list[Shown]:
    """The strongest of a scene's `one_way` relations of each predicate, the most telling first.

    A relation tells the more, the stronger it is, the more its predicate says, and the larger the smaller of its
    regions is; more if one of them is a thing, hardly at all if one is background. Of equal ones the first of the
    scene comes first.
    """

    def telling(relation: Relation) -> float:
        pair = scene.region(relation.subject), scene.region(relation.object)
        weight = _WEIGHTS.get(relation.predicate, _WEIGHT_OF_DIRECTIONS)
        if any(role_of(region.name) == "background" for region in pair):
            weight *= _WEIGHT_OF_BACKGROUND
        elif not any(scene.label_set[region.label].thing for region in pair):
            weight *= _WEIGHT_OF_STUFF
        return weight * relation.strength * min(region.share for region in pair) ** 0.25

    kept: list[Relation] = []
    for predicate in FAMILIES:
        of_it = [r for r in relations if r.predicate == predicate]
        kept += sorted(of_it, key=lambda r: -r.strength * telling(r))[:_MOST_A_PREDICATE]
    kept.sort(key=lambda r: -telling(r))
    return [Shown(relation, number < _MOST_TELLING) for number, relation in enumerate(kept)]


def one_way(scene: Scene) -> list[Relation]:
    """The relations of a scene, said once (`segscape.scene.graph.said_once`) by a predicate in `FAMILIES`.

    If only the other side is there, it is turned, without its evidence: angles and votes hold for one direction.
    """
    return [r if r.predicate in FAMILIES else _turned(r) for r in said_once(scene.relations)]


def _turned(relation: Relation) -> Relation:
    inverse = PREDICATES[relation.predicate].inverse
    return relation if inverse is None else Relation(relation.object, inverse, relation.subject, relation.strength)


@dataclass(frozen=True, slots=True)
class Node:
    """A region in the graph, in the path's units.

    Attributes:
        x, y, radius: of its disc.
        named: whether there is room for its name.
        align: which end of its name is at x: "start", "middle" or "end".
    """

    x: float
    y: float
    radius: float
    named: bool = True
    align: str = "middle"


def line(start: Node, end: Node, arrow: bool) -> tuple[str, str]:
    """A bent line from disc to disc and its arrowhead, each as the ``d`` of an SVG path; no head: ""."""
    dx, dy = end.x - start.x, end.y - start.y
    length = math.hypot(dx, dy) or 1.0
    bend = 0.12
    control = (start.x + dx / 2 + bend * dy, start.y + dy / 2 - bend * dx)

    def rim(node: Node, gap: float) -> tuple[float, float]:
        away = math.hypot(control[0] - node.x, control[1] - node.y) or 1.0
        reach = min(node.radius + gap, length / 2) / away
        return node.x + (control[0] - node.x) * reach, node.y + (control[1] - node.y) * reach

    head_size = 1.1 * min(start.radius, end.radius) if arrow else 0.0
    (x0, y0), (tip_x, tip_y) = rim(start, 0), rim(end, 0)
    x1, y1 = rim(end, head_size)
    path = f"M{x0:.0f} {y0:.0f}Q{control[0]:.0f} {control[1]:.0f} {x1:.0f} {y1:.0f}"
    if not arrow:
        return path, ""
    half_x, half_y = -(tip_y - y1) * 0.5, (tip_x - x1) * 0.5
    return path, f"M{tip_x:.0f} {tip_y:.0f}L{x1 + half_x:.0f} {y1 + half_y:.0f}L{x1 - half_x:.0f} {y1 - half_y:.0f}z"

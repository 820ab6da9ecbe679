"""Which of a scene's relations its graph's picture shows: those that tell most, few enough to be read."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from segscape.scene.graph import said_once
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene

# How much a relation tells of a picture; that something lies left of something else is true of every pair.
_TELLS = {
    "on": 1.0,
    "inside": 1.0,
    "in_front_of": 0.9,
    "surrounds": 0.9,
    "near": 0.6,
    "between": 0.55,
    "touches": 0.5,
    "left_of": 0.25,
    "above": 0.25,
}


def chosen_relations(scene: Scene, predicates: Collection[str] | None, most: int) -> list[Relation]:
    """The relations that a picture shows, most telling first; see `segscape.scene.graph_picture.graph_picture`."""
    wanted = set(PREDICATES if predicates is None else predicates)
    wanted |= {inverse for name in wanted if (inverse := PREDICATES[name].inverse) is not None}
    things = {region.id for region in scene.regions if scene.label_set[region.label].thing}

    def telling(relation: Relation) -> tuple[float, float]:
        weight = _TELLS.get(relation.predicate) or _TELLS[PREDICATES[relation.predicate].inverse or ""]
        involved = (relation.subject in things) + (relation.object in things)
        if relation.predicate == "near" and involved < 2:
            weight *= 0.4  # something is near the sky or a wall in every picture
        ends = scene.region(relation.subject), scene.region(relation.object)
        if _is_direction(relation):
            (ax, ay), (bx, by) = ends[0].centroid, ends[1].centroid
            weight *= 1 - np.hypot(ax - bx, ay - by) / np.hypot(*scene.size)
        return weight * (0.4 + 0.6 * relation.strength) * (1 + involved), min(region.share for region in ends)

    candidates = [relation for relation in said_once(scene.relations) if relation.predicate in wanted]
    candidates.sort(key=telling, reverse=True)
    taken: set[frozenset[int]] = set()
    sides: set[tuple[str, str, int]] = set()
    chosen: list[Relation] = []
    for relation in candidates:
        pairs = {frozenset((relation.subject, end)) for end in relation.regions[1:]}
        ends = {("from", relation.predicate, relation.subject), ("to", relation.predicate, relation.object)}
        if len(chosen) == most or pairs & taken or (_is_direction(relation) and ends & sides):
            continue
        taken |= pairs
        sides |= ends
        chosen.append(relation)
    return chosen


def _is_direction(relation: Relation) -> bool:
    return relation.predicate in ("left_of", "right_of", "above", "below")

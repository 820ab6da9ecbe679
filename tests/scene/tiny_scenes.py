"""Scenes drawn in letters, each a class with a role, and what holds of the relations of any scene."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

import networkx
import numpy as np

from segscape.labels import Label, LabelSet
from segscape.result import Segmentation
from segscape.scene.predicates import PREDICATES
from segscape.scene.regions import regions_of
from segscape.scene.relations import relations_of
from segscape.scene.scene import Relation

LETTERS = {  # of tiny scenes: role, thing
    "g": ("ground", False),
    "s": ("sky", False),
    "~": ("water", False),
    "b": ("structure", False),
    "t": ("vegetation", False),
    "c": ("vehicle", True),
    "p": ("person", True),
    "i": ("item", True),
    "n": ("cell", True),
    "m": ("membrane", False),
    "o": ("background", False),
    **dict.fromkeys("ABCDEF", ("unknown", True)),
    **dict.fromkeys("wxyz", ("unknown", False)),
}
TINY = LabelSet("tiny", tuple(Label(letter, (0, 0, 0), thing=thing) for letter, (_, thing) in LETTERS.items()))
ROLES = [role for role, _ in LETTERS.values()]
THINGS = np.array([thing for _, thing in LETTERS.values()])


def label_map(picture: str, scale: int = 1) -> np.ndarray:
    """(H, W) uint8: rows of letters, "." being void."""
    rows = [[TINY.ignore_index if c == "." else TINY.index(c) for c in row] for row in picture.split()]
    return np.kron(np.array(rows, np.uint8), np.ones((scale, scale), np.uint8))


def relate(labels: np.ndarray, most: int = 1000) -> tuple[np.ndarray, list[int], tuple[Relation, ...]]:
    """(H, W) rows, the class of each region, and relations."""
    run_map, measures, borders = regions_of(Segmentation(labels.shape, TINY, labels), min_area_px=1)
    relations = relations_of(measures, borders, run_map, ROLES, THINGS, most)
    return run_map.to_dense(), measures.label[: measures.num_regions].tolist(), relations


def said(picture: str, *predicates: str, scale: int = 1) -> dict[str, float]:
    """ "A on B" (or "A between B C") -> strength, of these predicates; each letter is one region."""
    _, classes, relations = relate(label_map(picture, scale))
    assert len(classes) == len(set(classes))
    names = [TINY.names[label] for label in classes]
    return {
        f"{names[r.subject - 1]} {r.predicate} {names[r.object - 1]}"
        + (f" {names[r.other - 1]}" if r.other else ""): r.strength
        for r in relations
        if r.predicate in predicates
    }


DIRECTIONS = ("left_of", "right_of", "above", "below")


def check(relations: Iterable[Relation], num: int, most: int) -> None:
    """What holds of the relations of any scene."""
    relations = list(relations)
    found = {(r.subject, r.predicate, r.object, r.other): r for r in relations}
    assert len(found) == len(relations)
    order = list(PREDICATES)
    keys = [(r.subject, order.index(r.predicate), r.object, r.other or 0) for r in relations]
    assert keys == sorted(keys)
    json.dumps([dict(r.evidence) for r in relations], allow_nan=False)
    directions, parents, times = defaultdict(set), defaultdict(list), defaultdict(int)
    on = networkx.DiGraph()
    for r in relations:
        assert 1 <= r.subject <= num
        assert 1 <= r.object <= num
        assert r.subject != r.object
        times[r.predicate] += 1
        inverse = PREDICATES[r.predicate].inverse
        if inverse is not None:
            back = found[r.object, inverse, r.subject, None]
            assert back.strength == r.strength
            assert back.evidence.keys() == r.evidence.keys()
        if r.predicate in DIRECTIONS:
            directions[r.subject, r.object].add(r.predicate)
        if r.predicate == "inside":
            parents[r.subject].append(r.object)
        if r.predicate == "on":
            on.add_edge(r.subject, r.object)
        if r.predicate in ("on", "surrounds", "in_front_of", "contains"):
            assert (r.object, r.predicate, r.subject, None) not in found
    assert all(len(one) == 1 for one in directions.values())
    assert all(len(one) == 1 for one in parents.values())
    assert networkx.is_directed_acyclic_graph(on)
    nest = networkx.DiGraph([(child, above[0]) for child, above in parents.items()])
    assert networkx.is_directed_acyclic_graph(nest)
    assert all(count <= 2 * most * num for count in times.values())

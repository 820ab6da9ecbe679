"""A scene as a graph: regions are nodes, relations are directed edges; written by `write_graph` in several formats.

"between" has three ends: region a between b and c is two edges, a → b and a → c, each naming the third region as
``other`` and both with the same ``relation``, the relation's number in the scene counted from 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from segscape.errors import InputError
from segscape.files import write_text
from segscape.labels import hex_color
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene, SceneRegion

if TYPE_CHECKING:
    import networkx

PREDICATE_COLORS: dict[str, tuple[int, int, int]] = {
    "touches": (122, 130, 142),
    "on": (214, 96, 20),
    "inside": (142, 68, 173),
    "left_of": (41, 121, 220),
    "above": (0, 150, 199),
    "in_front_of": (205, 40, 60),
    "near": (34, 150, 80),
    "surrounds": (190, 60, 150),
    "between": (120, 110, 20),
}
"""RGB of each relation in pictures; an inverse has the colour of what it is the inverse of."""
for _name, _predicate in PREDICATES.items():
    PREDICATE_COLORS.setdefault(_name, PREDICATE_COLORS.get(_predicate.inverse or _name, (0, 0, 0)))


def said_once(relations: Iterable[Relation]) -> list[Relation]:
    """The relations without those that only say another one from its other side, in the order given.

    Of "on" and "supports" the first in `PREDICATES` stays, of a symmetric relation the one from the lower id.
    """
    relations = list(relations)
    there = {(r.subject, r.predicate, r.object) for r in relations}
    order = {name: i for i, name in enumerate(PREDICATES)}

    def leads(relation: Relation) -> bool:
        inverse = PREDICATES[relation.predicate].inverse
        if inverse is None or (relation.object, inverse, relation.subject) not in there:
            return True
        return (order[relation.predicate], relation.subject) < (order[inverse], relation.object)

    return [relation for relation in relations if leads(relation)]


def to_networkx(scene: Scene) -> networkx.MultiDiGraph:
    """The scene as a graph of NetworkX, every value a str, bool, int or float, so that all its writers take it.

    Nodes are the ids of the regions, with what was measured of them: as in `SceneRegion`, but ``label`` is the class's
    name, ``label_id`` its id, ``x``, ``y`` the centroid, ``x0`` … ``y1`` the box, ``frame`` words, ``color`` "#rrggbb".
    What is None is left out, and so are the masks. Edges have the predicate as their key ("between #7" for one of the
    two of "between", 7 being the third region) and ``predicate``, ``strength``, ``relation`` and the evidence, each
    name after ``evidence_``. Relations are there in both directions, as in the scene; `said_once` thins them out.
    """
    import networkx

    height, width = scene.size
    graph = networkx.MultiDiGraph(
        source=scene.source,
        model=scene.model,
        width=int(width),
        height=int(height),
        kind=scene.kind.name,
        kind_strength=float(scene.kind.strength),
        single_objects=bool(scene.single_objects),
    )
    for region in scene.regions:
        graph.add_node(int(region.id), **attributes(region, scene))
    for number, r in enumerate(scene.relations, 1):
        values = {"predicate": r.predicate, "strength": float(r.strength), "relation": number}
        values |= {f"evidence_{name}": float(value) for name, value in r.evidence.items()}
        if r.other is None:
            graph.add_edge(r.subject, r.object, key=r.predicate, **values)
        else:
            graph.add_edge(r.subject, r.object, key=f"between #{r.other}", other=r.other, **values)
            graph.add_edge(r.subject, r.other, key=f"between #{r.object}", other=r.object, **values)
    return graph


def attributes(region: SceneRegion, scene: Scene) -> dict[str, str | bool | int | float]:
    """What was measured of a region, by the names that `to_networkx` states; what is None is left out."""
    label = scene.label_set[region.label]
    values = {
        "label": region.name,
        "zh": label.zh or None,
        "label_id": int(region.label),
        "class_color": hex_color(label.color),
        "single": bool(region.single),
        "area_px": int(region.area_px),
        "share": float(region.share),
        **dict(zip(("x0", "y0", "x1", "y1"), map(int, region.box), strict=True)),
        "x": float(region.centroid[0]),
        "y": float(region.centroid[1]),
        "orientation_deg": float(region.orientation_deg),
        "elongation": float(region.elongation),
        "perimeter_px": float(region.perimeter_px),
        "border_px": int(region.border_px),
        "solidity": float(region.solidity),
        "parts": int(region.parts),
        "holes": int(region.holes),
        "place": region.place,
        "frame": " ".join(region.frame),
        "nearness": None if region.nearness is None else float(region.nearness),
        "distance": region.distance,
        "confidence": None if region.confidence is None else float(region.confidence),
        "color": None if region.color is None else hex_color(region.color),
        "color_name": region.color_name,
    }
    return {name: value for name, value in values.items() if value is not None}


def write_graph(scene: Scene, path: str | os.PathLike[str]) -> None:
    """Write the scene as what the suffix of ``path`` says.

    ``.graphml``, ``.dot``, ``.jsonld``: see `segscape.scene.graph_formats`; ``.json``: the scene's document, see
    `segscape.scene.document`; ``.png``, ``.jpg``: see `segscape.scene.graph_picture.graph_picture`.

    Raises:
        InputError: the suffix is none of these.
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    from segscape.result_files import write_jpeg, write_png
    from segscape.scene.graph_formats import TEXTS
    from segscape.scene.graph_picture import graph_picture

    suffix = Path(path).suffix.lower()
    if suffix == ".png":
        write_png(path, graph_picture(scene))
    elif suffix in (".jpg", ".jpeg"):
        write_jpeg(path, graph_picture(scene))
    elif suffix in TEXTS:
        write_text(path, TEXTS[suffix](scene))
    else:
        known = ", ".join([*TEXTS, ".png", ".jpg"])
        given = suffix or "a file without suffix"
        raise InputError(f"{os.fspath(path)!r}: a scene's graph is not written as {given}; use {known}")

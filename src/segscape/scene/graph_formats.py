"""A scene's graph as text: GraphML, DOT and JSON-LD."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from segscape.labels import hex_color
from segscape.scene.graph import PREDICATE_COLORS, attributes, said_once, to_networkx
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Scene

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_DOT_SIDE_PT = 960


def to_graphml(scene: Scene) -> str:
    """GraphML (UTF-8), for yEd, Gephi, NetworkX and others: what `to_networkx` has.

    Edges have ids of their own, "relation-3" ("relation-3-other" for the second one of "between"). Characters that XML
    cannot hold become U+FFFD, a carriage return a line feed.
    """
    graph = to_networkx(scene)
    keys: dict[str, str] = {}
    body = _data(graph.graph, "graph", keys, "    ")
    for node, values in graph.nodes(data=True):
        body += [f'    <node id="{node}">', *_data(values, "node", keys, "      "), "    </node>"]
    used: set[str] = set()
    for subject, object_, values in graph.edges(data=True):
        name = f"relation-{values['relation']}"
        name += "-other" if name in used else ""
        used.add(name)
        body += [
            f'    <edge id="{name}" source="{subject}" target="{object_}">',
            *_data(values, "edge", keys, "      "),
            "    </edge>",
        ]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        *keys.values(),
        '  <graph edgedefault="directed">',
        *body,
        "  </graph>",
        "</graphml>",
    ]
    return "\n".join(lines) + "\n"


_GRAPHML_TYPES = {bool: "boolean", int: "int", float: "double", str: "string"}


def _data(values: Mapping[str, Any], part: str, keys: dict[str, str], indent: str) -> list[str]:
    """The lines of the values of a graph, node or edge; those of names that are new go into ``keys``."""
    lines = []
    for name, value in values.items():
        key = quoteattr(f"{part}-{name}")
        if key not in keys:
            kind = _GRAPHML_TYPES[type(value)]
            keys[key] = f'  <key id={key} for="{part}" attr.name={quoteattr(name)} attr.type="{kind}"/>'
        text = escape(_xml(value)) if isinstance(value, str) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        lines.append(f"{indent}<data key={key}>{text}</data>")
    return lines


def to_dot(scene: Scene) -> str:
    """DOT (UTF-8), for Graphviz; ``neato -n2 -Tsvg`` draws every region at its place in the picture.

    Relations are said once (see `said_once`), symmetric ones without arrowheads.
    """
    height, width = scene.size
    scale = _DOT_SIDE_PT / max(height, width)
    title = f"{scene.source} ({scene.kind.name})"
    lines = [
        "digraph scene {",
        f"  graph [label={_dot(title)}, labelloc=t, inputscale=72, splines=true, outputorder=edgesfirst];",
        '  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=12];',
        '  edge [fontname="sans-serif", fontsize=9];',
    ]
    for region in scene.regions:
        color = scene.label_set[region.label].color
        x, y = region.centroid[0] * scale, (height - region.centroid[1]) * scale  # y grows upwards in DOT
        text = f"{region.name} {region.id}\n{region.share:.1%}"
        lines.append(
            f'  {region.id} [label={_dot(text)}, pos="{x:.1f},{y:.1f}!", fillcolor="{hex_color(color)}", '
            f'fontcolor="{hex_color(ink_on(color))}"];'
        )
    for r in said_once(scene.relations):
        words = PREDICATES[r.predicate].words[0]
        style = f'color="{hex_color(PREDICATE_COLORS[r.predicate])}", penwidth={0.5 + 2 * r.strength:.2f}'
        style += ", dir=none" if PREDICATES[r.predicate].symmetric else ""
        style += ", style=dashed" if r.other is not None else ""
        for end in r.regions[1:]:
            lines.append(f"  {r.subject} -> {end} [label={_dot(words)}, {style}];")
    return "\n".join([*lines, "}", ""])


def to_jsonld(scene: Scene) -> dict[str, Any]:
    """JSON-LD 1.1, its context inside: an RDF graph of the scene, in the terms of schema.org where they fit.

    The image is the document itself ("", an ImageObject), regions are ``#region-1`` … , its parts. A relation stands
    twice: as a plain triple (``#region-2 scene:on #region-1``) and as ``#relation-1`` with strength and evidence.
    """
    height, width = scene.size
    regions: dict[int, dict[str, Any]] = {}
    for region in scene.regions:
        values = attributes(region, scene)
        names = {"en": region.name} | ({"zh": str(values["zh"])} if "zh" in values else {})
        rest = {name: value for name, value in values.items() if name not in ("label", "zh")}
        regions[region.id] = {"@id": f"#region-{region.id}", "@type": "Region", "name": names, **rest}
    for r in scene.relations:
        regions[r.subject].setdefault(r.predicate, []).extend(f"#region-{end}" for end in r.regions[1:])
    relations = [
        {
            "@id": f"#relation-{number}",
            "@type": "Relation",
            "subject": f"#region-{r.subject}",
            "predicate": f"scene:{r.predicate}",
            "object": f"#region-{r.object}",
            **({} if r.other is None else {"other": f"#region-{r.other}"}),
            "strength": float(r.strength),
            "evidence": {name: float(value) for name, value in r.evidence.items()},
        }
        for number, r in enumerate(scene.relations, 1)
    ]
    link = {"@type": "@id"}
    context: dict[str, Any] = {
        "@version": 1.1,
        "@vocab": "urn:segscape:scene#",
        "scene": "urn:segscape:scene#",
        "schema": "https://schema.org/",
        "ImageObject": "schema:ImageObject",
        "name": {"@id": "schema:name", "@container": "@language"},
        "width": "schema:width",
        "height": "schema:height",
        "regions": {"@id": "schema:hasPart"},
        "relations": {"@id": "scene:relation"},
        **dict.fromkeys(("subject", "predicate", "object", "other"), link),
        **dict.fromkeys(PREDICATES, link),
    }
    return {
        "@context": context,
        "@id": "",
        "@type": "ImageObject",
        "source": scene.source,
        "model": scene.model,
        "width": int(width),
        "height": int(height),
        "kind": scene.kind.name,
        "regions": list(regions.values()),
        "relations": relations,
    }


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


TEXTS = {
    ".graphml": to_graphml,
    ".dot": to_dot,
    ".jsonld": lambda scene: _json(to_jsonld(scene)),
    ".json": lambda scene: _json(scene.to_dict()),
}
"""What makes the text of a file, by its suffix."""


def ink_on(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever is read more easily on an RGB colour (ITU-R BT.601 luma)."""
    return (0, 0, 0) if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140 else (255, 255, 255)


def _xml(text: str) -> str:
    """Text as XML 1.0 can hold it, and a parser gives it back."""
    return _NOT_XML.sub("\ufffd", re.sub("\r\n?", "\n", text))


def _dot(text: str) -> str:
    """A quoted string of DOT that is drawn as ``text``: Graphviz reads backslashes and HTML's entities in it."""
    text = _xml(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'

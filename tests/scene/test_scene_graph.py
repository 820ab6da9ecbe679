"""A scene as NetworkX graph, GraphML, DOT, JSON-LD and as a picture."""

import dataclasses
import json
import re
from xml.etree import ElementTree

import networkx
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_scenes import LABELS, scenes, small_scene

from segscape.errors import InputError
from segscape.image import Image
from segscape.labels import Label, LabelSet
from segscape.scene.document import to_dict
from segscape.scene.graph import PREDICATE_COLORS, said_once, to_networkx, write_graph
from segscape.scene.graph_choice import chosen_relations
from segscape.scene.graph_formats import ink_on, to_dot, to_graphml, to_jsonld
from segscape.scene.graph_layout import anchor, bend, free_spot
from segscape.scene.graph_picture import graph_picture
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation

# sky 2 above road 1, on which stand car 3 and an oddly named 4
MAP = [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 2, 1, 3, 1]]
RELATIONS = (
    Relation(1, "supports", 3, 0.75),
    Relation(3, "on", 1, 0.75, {"border_px": 2.0}),
    Relation(1, "below", 2, 0.5),
    Relation(2, "above", 1, 0.5, {"angle_deg": 90.0}),
    Relation(3, "near", 4, 0.25),
    Relation(4, "near", 3, 0.25),
    Relation(1, "between", 3, 0.1, other=4),
    Relation(1, "between", 2, 0.2, other=3),
)
SCENE = small_scene(MAP, RELATIONS)
LEADING = {name for i, name in enumerate(PREDICATES) if (PREDICATES[name].inverse or name) not in list(PREDICATES)[:i]}


def scene_named(name, source="a.jpg"):
    """One region of a class called ``name``."""
    return small_scene([[0]], labels=LabelSet("odd", (Label(name, (1, 2, 3), name),)), source=source)


# --- relations said once ----------------------------------------------------------------------------------------


def test_said_once_keeps_the_leading_direction():
    assert [(r.subject, r.predicate, r.object) for r in said_once(RELATIONS)] == [
        (3, "on", 1),
        (2, "above", 1),
        (3, "near", 4),
        (1, "between", 3),
        (1, "between", 2),
    ]


def test_said_once_keeps_what_lacks_its_inverse():
    assert said_once(RELATIONS[:1]) == list(RELATIONS[:1])
    assert said_once([Relation(4, "near", 3, 0.25)]) == [Relation(4, "near", 3, 0.25)]


@given(scenes(max_side=5))
@settings(max_examples=40, deadline=None)
def test_said_once_loses_nothing(scene):
    once = said_once(scene.relations)
    both = {(r.subject, r.predicate, r.object, r.other) for r in once}
    both |= {(r.object, PREDICATES[r.predicate].inverse, r.subject, None) for r in once if r.other is None}
    assert both == {(r.subject, r.predicate, r.object, r.other) for r in scene.relations}
    assert all(r.predicate in LEADING for r in once)


def test_inverses_share_a_colour_and_others_do_not():
    assert set(PREDICATE_COLORS) == set(PREDICATES)
    assert all(PREDICATE_COLORS[name] == PREDICATE_COLORS[p.inverse or name] for name, p in PREDICATES.items())
    assert len(set(PREDICATE_COLORS.values())) == len(LEADING) == 9


# --- networkx and GraphML ---------------------------------------------------------------------------------------


def test_nodes_and_edges():
    graph = SCENE.graph()
    assert list(graph) == [1, 2, 3, 4]
    car = graph.nodes[3]
    assert {name: car[name] for name in ("label", "zh", "label_id", "area_px", "x0", "y1", "x", "y", "frame")} == {
        "label": "car",
        "zh": "汽车",
        "label_id": 2,
        "area_px": 1,
        "x0": 1,
        "y1": 3,
        "x": 1.5,
        "y": 2.5,
        "frame": "bottom",
    }
    assert (car["class_color"], "color" in car, graph.nodes[1]["color"]) == ("#00008e", False, "#7f03ff")
    assert "zh" not in graph.nodes[4]
    assert graph.edges[3, 1, "on"] == {"predicate": "on", "strength": 0.75, "relation": 2, "evidence_border_px": 2.0}
    assert graph.graph["source"] == "photos/a b.jpg"


def test_between_is_two_edges_that_name_the_third_region():
    graph = to_networkx(SCENE)
    between = {(a, b, k): d["other"] for a, b, k, d in graph.edges(keys=True, data=True) if d["predicate"] == "between"}
    assert between == {
        (1, 3, "between #4"): 4,
        (1, 4, "between #3"): 3,
        (1, 2, "between #3"): 3,
        (1, 3, "between #2"): 2,
    }


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_the_graph_holds_every_relation_in_plain_types(scene):
    graph = to_networkx(scene)
    assert graph.number_of_nodes() == len(scene.regions)
    assert graph.number_of_edges() == len(scene.relations) + sum(r.other is not None for r in scene.relations)
    values = [*graph.graph.values()]
    values += [v for _, data in graph.nodes(data=True) for v in data.values()]
    values += [v for *_, data in graph.edges(data=True) for v in data.values()]
    assert {type(v) for v in values} <= {str, bool, int, float}


def plain(text):
    """What a name is once XML has held it."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", re.sub("\r\n?", "\n", text))


def from_graphml(text):
    return networkx.parse_graphml(text, node_type=int, force_multigraph=True)


def comparable(graph):
    edges = sorted((a, b, sorted(data.items())) for a, b, data in graph.edges(data=True))
    return graph.graph, dict(graph.nodes(data=True)), edges


@given(scenes())
@settings(max_examples=40, deadline=None)
def test_graphml_comes_back_through_networkx(scene):
    back = from_graphml(to_graphml(scene))
    settings_ = back.graph
    for default in ("node_default", "edge_default"):
        assert settings_.pop(default) == {}
    graph = to_networkx(scene)
    for _, data in graph.nodes(data=True):
        data.update({name: plain(v) for name, v in data.items() if isinstance(v, str)})
    assert comparable(back) == comparable(graph)


def test_graphml_has_unique_ids_and_declared_keys():
    root = ElementTree.fromstring(to_graphml(SCENE))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    ids = [e.get("id") for kind in ("edge", "node", "key") for e in root.iter(space + kind)]
    assert len(set(ids)) == len(ids)
    assert {"relation-2", "relation-7", "relation-7-other"} <= set(ids)
    assert {e.get("key") for e in root.iter(space + "data")} <= {e.get("id") for e in root.iter(space + "key")}
    assert {e.text for e in root.iter(space + "data") if e.get("key") == "node-single"} == {"false"}


ODD_NAMES = [
    'say "hi"',
    "back\\slash \\N \\",
    "two\nlines\r\nthree\rfour",
    "行人 <b>&amp; & ]]>",
    "nul \x00 bell \x07 \x7f \x85",
    "lone \ud800 \udcff surrogate \ufffe",
    "🚲",
    "-->",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_graphml(name):
    back = from_graphml(to_graphml(scene_named(name, source=name)))
    assert back.nodes[1]["label"] == back.nodes[1]["zh"] == back.graph["source"] == plain(name)


# --- DOT --------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|->|[{}\[\];,=]|[A-Za-z_][A-Za-z_0-9]*|-?\d+(?:\.\d+)?', re.DOTALL)


def parse_dot(text):
    """A strict reader of the part of DOT that is written: (nodes, edges), each with its attributes as written."""
    tokens, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, f"no token of DOT at {text[at : at + 30]!r}"
        at = match.end()
        if not match[0].isspace():
            tokens.append(match[0])
    assert tokens[:3] == ["digraph", "scene", "{"]
    assert tokens[-1] == "}"
    nodes, edges, statement = {}, [], []
    for token in tokens[3:-1]:
        if token != ";":
            statement.append(token)
            continue
        head, values = statement[: statement.index("[")], statement[statement.index("[") + 1 : -1]
        assert statement[-1] == "]"
        assert all(values[i + 1] == "=" for i in range(0, len(values), 4))
        assert all(comma == "," for comma in values[3::4])
        attributes = dict(zip(values[::4], values[2::4], strict=True))
        if len(head) == 3:
            assert head[1] == "->"
            edges.append((int(head[0]), int(head[2]), attributes))
        else:
            (name,) = head
            nodes[int(name) if name.isdigit() else name] = attributes
        statement = []
    assert statement == []
    return nodes, edges


def drawn(quoted):
    """What Graphviz draws for a quoted string: the lexer takes \\", the label \\n and \\\\, then HTML's entities."""
    text = quoted[1:-1].replace('\\"', '"')
    text = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)
    return text.replace("&amp;", "&")


def test_dot_by_eye():
    nodes, edges = parse_dot(to_dot(SCENE))
    assert set(nodes) == {"graph", "node", "edge", 1, 2, 3, 4}
    assert nodes[3] == {
        "label": r'"car 3\n6.7%"',
        "pos": '"288.0,96.0!"',  # 5 × 3 pixels at 192 pt each, y upwards
        "fillcolor": '"#00008e"',
        "fontcolor": '"#ffffff"',
    }
    assert [(a, b, drawn(d["label"]), d.get("dir"), d.get("style")) for a, b, d in edges] == [
        (3, 1, "on", None, None),
        (2, 1, "above", None, None),
        (3, 4, "near", "none", None),
        (1, 3, "between", None, "dashed"),
        (1, 4, "between", None, "dashed"),
        (1, 2, "between", None, "dashed"),
        (1, 3, "between", None, "dashed"),
    ]
    assert edges[0][2]["penwidth"] == "2.00"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_dot(name):
    nodes, _ = parse_dot(to_dot(scene_named(name, source=name)))
    assert drawn(nodes[1]["label"]) == f"{plain(name)} 1\n100.0%"
    assert drawn(nodes["graph"]["label"]) == f"{plain(name)} (street)"
    assert "\n" not in nodes[1]["label"]


@given(st.text(min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_name_in_dot_and_graphml(name):
    scene = scene_named(name)
    assert drawn(parse_dot(to_dot(scene))[0][1]["label"]) == f"{plain(name)} 1\n100.0%"
    assert from_graphml(to_graphml(scene)).nodes[1]["label"] == plain(name)


@pytest.mark.parametrize(
    ("color", "ink"), [((255, 255, 0), 0), ((0, 0, 142), 255), ((128, 64, 128), 255), ((200, 200, 200), 0)]
)
def test_text_is_read_on_its_colour(color, ink):
    assert ink_on(color) == (ink,) * 3


# --- JSON-LD ----------------------------------------------------------------------------------------------------


def test_jsonld_by_eye():
    data = to_jsonld(SCENE)
    assert (data["@id"], data["@type"], data["width"], data["height"]) == ("", "ImageObject", 5, 3)
    car = data["regions"][2]
    assert (car["@id"], car["@type"], car["name"]) == ("#region-3", "Region", {"en": "car", "zh": "汽车"})
    assert (car["on"], car["near"], car["area_px"]) == (["#region-1"], ["#region-4"], 1)
    assert data["regions"][0]["between"] == ["#region-3", "#region-4", "#region-2", "#region-3"]
    assert data["relations"][1] == {
        "@id": "#relation-2",
        "@type": "Relation",
        "subject": "#region-3",
        "predicate": "scene:on",
        "object": "#region-1",
        "strength": 0.75,
        "evidence": {"border_px": 2.0},
    }
    assert data["relations"][6]["other"] == "#region-4"


@given(scenes(max_side=5))
@settings(max_examples=30, deadline=None)
def test_every_iri_of_jsonld_leads_to_a_node_of_it(scene):
    data = json.loads(json.dumps(to_jsonld(scene), allow_nan=False))
    context = data["@context"]
    there = {node["@id"] for part in ("regions", "relations") for node in data[part]}
    assert len(there) == len(scene.regions) + len(scene.relations)
    for node in (*data["regions"], *data["relations"]):
        for name, value in node.items():
            if context.get(name) == {"@type": "@id"} and name != "predicate":
                assert set([value] if isinstance(value, str) else value) <= there
    assert {r["predicate"].removeprefix("scene:") for r in data["relations"]} <= set(context)


# --- the picture ------------------------------------------------------------------------------------------------

BIG = np.kron(np.array(MAP), np.ones((40, 40), int))
BIG_SCENE = small_scene(BIG, RELATIONS)


def has(picture, color):
    return bool((picture == color).all(axis=2).any())


def test_discs_in_class_colours_edges_in_those_of_relations_and_a_legend():
    picture = graph_picture(BIG_SCENE)
    assert (picture.dtype, picture.shape[1]) == (np.uint8, 1200)
    assert picture.shape[0] > 720  # 5 : 3, and the legend
    assert all(has(picture[:720], label.color) for label in LABELS)
    shown = {"on", "near", "above"}
    assert {p for p in LEADING if has(picture[:720], PREDICATE_COLORS[p])} == shown
    assert {p for p in LEADING if has(picture[720:], PREDICATE_COLORS[p])} == shown


def test_only_what_is_asked_for_is_drawn():
    picture = graph_picture(BIG_SCENE, predicates=["between"])
    assert {p for p in LEADING if has(picture, PREDICATE_COLORS[p])} == {"between"}


def test_discs_lie_where_the_regions_are():
    picture = graph_picture(BIG_SCENE)
    for region in BIG_SCENE.regions:
        y, x = np.nonzero((picture[:720] == LABELS[region.label].color).all(axis=2))
        x0, y0, x1, y1 = region.box
        assert abs(np.median(x) / 6 - (x0 + x1) / 2) < 25
        assert y0 < np.median(y) / 6 < y1


@pytest.mark.parametrize(
    ("predicates", "most", "expected"),
    [
        (None, 24, ["on", "near", "above"]),
        (None, 2, ["on", "near"]),
        (None, 0, []),
        (["supports"], 24, ["on"]),
        (["near", "below"], 24, ["near", "above"]),
        (["between"], 24, ["between"]),
        ([], 24, []),
    ],
)
def test_chosen_relations(predicates, most, expected):
    assert [r.predicate for r in chosen_relations(SCENE, predicates, most)] == expected


def test_directions_are_thinned_to_the_nearest():
    row = np.zeros((3, 70), int) - 1
    row[1, 5::20] = 2
    places = {1: 0, 2: 1, 3: 2, 4: 3}
    relations = [Relation(a, "left_of", b, 1.0) for a in places for b in places if a < b]
    relations += [Relation(r.object, "right_of", r.subject, 1.0) for r in relations]
    chosen = chosen_relations(small_scene(row, relations), None, 24)
    assert sorted((r.subject, r.object) for r in chosen) == [(1, 2), (2, 3), (3, 4)]


def test_the_photo_is_behind_it():
    photo = np.zeros((*BIG.shape, 3), np.uint8)
    photo[:, ::2] = 255
    with_photo = dataclasses.replace(BIG_SCENE, image=Image(photo))
    assert (graph_picture(with_photo)[:720] != graph_picture(BIG_SCENE)[:720]).mean() > 0.5


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 1), (1200, 1200)), ((1, 30), (40, 1200)), ((2100, 3000), (1400, 2000))]
)
def test_it_has_a_size_to_be_looked_at(shape, size):
    picture = graph_picture(small_scene(np.zeros(shape, int)))
    assert picture.shape[1] == size[1]
    assert size[0] < picture.shape[0] <= size[0] + 200


def test_an_empty_scene_has_a_picture():
    picture = graph_picture(small_scene(np.full((30, 40), -1)))
    assert (picture[:900] == 255).all()


@pytest.mark.parametrize(
    ("options", "words"), [({"predicates": ["eats"]}, "unknown relation 'eats'"), ({"most_edges": -1}, "at least 0")]
)
def test_wrong_options(options, words):
    with pytest.raises(InputError, match=words):
        graph_picture(SCENE, **options)


def test_an_anchor_is_inside_even_of_a_ring_or_a_line():
    ring = np.full((21, 21), -1)
    ring[2:19, 2:19] = 1
    ring[5:16, 5:16] = -1
    line = np.full((3, 2000), -1)
    line[1, 1::2] = 1
    line[0] = 1
    for label_map in (ring, line):
        region = small_scene(label_map).regions[0]
        x, y = anchor(region, 2.0)
        assert label_map[int(y / 2), int(x / 2)] == 1


def test_an_arrow_keeps_off_both_discs_and_ways_part():
    there, back = bend((0, 0), (100, 0), 10, 20), bend((100, 0), (0, 0), 20, 10)
    assert there.shape == (41, 2)
    assert np.hypot(*there[0]) == pytest.approx(10, abs=0.5)
    assert np.hypot(*(there[-1] - (100, 0))) == pytest.approx(20, abs=0.5)
    assert there[20, 1] < 0 < back[20, 1]
    assert bend((0, 0), (30, 0), 10, 20) is None


@pytest.mark.parametrize(
    ("taken", "frame", "box"),
    [
        ([], (100, 100), (40, 62, 60, 72)),
        ([(40, 62, 60, 72)], (100, 100), (40, 28, 60, 38)),
        ([], (100, 70), (40, 28, 60, 38)),
        ([(0, 0, 100, 100)], (100, 100), None),
        ([], (15, 100), None),
    ],
)
def test_a_name_goes_where_it_covers_nothing(taken, frame, box):
    assert free_spot((50, 50), 10, (20, 10), frame, taken) == box


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".graphml", ".dot", ".jsonld", ".json", ".png", ".jpg", ".jpeg", ".PNG"])
def test_the_suffix_decides(tmp_path, suffix):
    path = tmp_path / f"new/graph{suffix}"
    write_graph(SCENE, path)
    if suffix == ".json":
        assert json.loads(path.read_text("utf-8")) == to_dict(SCENE)
    elif suffix == ".jsonld":
        assert json.loads(path.read_text("utf-8")) == to_jsonld(SCENE)
    elif suffix == ".graphml":
        assert from_graphml(path.read_text("utf-8")).number_of_nodes() == 4
    elif suffix == ".dot":
        assert path.read_text("utf-8") == to_dot(SCENE)
    else:
        with PIL.Image.open(path) as picture:
            assert (picture.format, picture.size[0]) == ("JPEG" if suffix in (".jpg", ".jpeg") else "PNG", 1200)


@pytest.mark.parametrize("suffix", [".graphml", ".dot", ".jsonld", ".json"])
def test_a_source_that_is_not_utf8_can_be_written(tmp_path, suffix):
    path = tmp_path / f"graph{suffix}"
    write_graph(scene_named("car", source="caf\udce9.jpg"), path)
    text = path.read_text("utf-8")
    if suffix.startswith(".json"):
        assert json.loads(text)["source"] == "caf\udce9.jpg"


@pytest.mark.parametrize("name", ["graph.svg", "graph", "graph.gif"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"use \.graphml, \.dot, \.jsonld, \.json, \.png, \.jpg"):
        write_graph(SCENE, tmp_path / name)

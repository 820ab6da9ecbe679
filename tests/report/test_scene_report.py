"""What the report measures and writes: outlines, relations, statistics, files. The page is tested in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.errors import ConfigError, InputError
from segscape.image import Image
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths, crop_to_box
from segscape.report.outlines import anchor, fitted_size, shrunk, svg_path
from segscape.report.page import write_report
from segscape.report.panel import MOST_ROWS, make_panel, percent
from segscape.report.relation_lines import FAMILIES, Node, line, one_way, shown_relations
from segscape.report.statistics import AREA_EDGES, Statistics
from segscape.report.words import EVIDENCE, LANGUAGES, WORDS
from segscape.result import Segmentation
from segscape.scene.build import build_scene
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import Relation, Scene

LABELS = LabelSet(
    "tiny",
    (
        Label("sky", (70, 130, 180), "天空"),
        Label("road", (128, 64, 128), "道路"),
        Label("car", (0, 0, 142), "汽车", True),
    ),
)


def make_scene(
    num_cars: int = 2, *, source: str = "photo.jpg", photo: bool = True, labels: LabelSet = LABELS, size: int = 1
) -> Scene:
    """Sky above road, 40 × 60 times ``size``, and cars of 6 × 8 on the road."""
    label_map = np.zeros((40, 60), np.uint8)
    label_map[20:] = 1
    for i in range(num_cars):
        label_map[24:30, 4 + 14 * i : 12 + 14 * i] = 2
    label_map = label_map.repeat(size, 0).repeat(size, 1)
    image = Image(np.full((*label_map.shape, 3), 90, np.uint8), source) if photo else None
    scene = build_scene(Segmentation(label_map.shape, labels, label_map, image=image, model="tiny@1"), min_area_px=1)
    return replace(scene, source=source)


def descriptions(scene: Scene) -> dict:
    return {lang: {n: scene.describe(lang, n) for n in ("short", "normal", "full")} for lang in LANGUAGES}


# --- outlines


@pytest.mark.parametrize(
    ("size", "longest", "fitted"),
    [((480, 640), 960, (480, 640)), ((3000, 4000), 960, (720, 960)), ((5000, 1), 960, (960, 1)), ((1, 1), 960, (1, 1))],
)
def test_fitted_size(size, longest, fitted):
    assert fitted_size(size, longest) == fitted


@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))), st.integers(1, 14), st.integers(1, 14))
def test_shrunk_takes_the_pixel_under_each_centre(mask, height, width):
    shown = min(height, mask.shape[0]), min(width, mask.shape[1])
    if not mask.any():
        return
    box, runs = crop_to_box(mask)
    rows, columns = ((np.arange(n) + 0.5) * full / n for n, full in zip(shown, mask.shape, strict=True))
    expected = mask[np.floor(rows).astype(int)][:, np.floor(columns).astype(int)]
    assert np.array_equal(shrunk(runs, box, mask.shape, shown).to_dense(), expected)


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        (["#"], "M1 0l1 1-1 1-1-1z"),
        (["##"], "M1 0l2 0 1 1-1 1-2 0-1-1z"),
        (["#.", "##"], "M1 0l3 3-1 1-2 0-1-1 0-2z"),
        ([".."], ""),
    ],
)
def test_svg_path_cuts_corners_so_that_a_staircase_is_straight(rows, path):
    mask = np.array([[c == "#" for c in row] for row in rows])
    assert sorted_path(svg_path(RunLengths.from_dense(mask))) == sorted_path(path)


def sorted_path(path: str) -> set[tuple[int, int]]:
    """The corners of a path of one ring: where it begins does not matter."""
    if not path:
        return set()
    start, _, rest = path[1:-1].partition("l")
    steps = [int(n) for n in rest.replace("-", " -").split()]
    points = np.cumsum([[int(n) for n in start.split()], *zip(steps[::2], steps[1::2], strict=True)], axis=0)
    return {(int(x), int(y)) for x, y in points}


def test_a_hole_is_a_ring_of_the_path():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    assert svg_path(RunLengths.from_dense(mask)).count("M") == 2


@pytest.mark.parametrize(
    ("point", "found"),
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((2.5, 2.5), (2.5, 3.5)),
        ((1.2, 1.7), (0.5, 1.5)),
        ((9, 1), (4.5, 3.5)),
        ((2.9, 3.9), (2.5, 3.5)),
    ],
)
def test_anchor_lies_in_the_mask(point, found):
    mask = np.zeros((4, 5), bool)
    mask[:, 0] = mask[3] = True  # an L
    assert anchor(RunLengths.from_dense(mask), point) == found


# --- relations


def test_one_way_counts_a_fact_once():
    scene = make_scene()
    facts = [
        Relation(2, "supports", 3, 0.9, {"contact_px": -1}),
        Relation(3, "on", 2, 0.9, {"contact_px": 1}),
        Relation(4, "right_of", 3, 0.8, {"angle_deg": 180}),  # its inverse was not kept
        Relation(4, "touches", 2, 0.7, {"border_px": -1}),
        Relation(2, "touches", 4, 0.7, {"border_px": 1}),
        Relation(3, "between", 1, 0.5, {"angle_deg": 170}, other=2),
    ]
    got = one_way(replace(scene, relations=tuple(facts)))
    assert [(r.subject, r.predicate, r.object, dict(r.evidence)) for r in got] == [
        (3, "on", 2, {"contact_px": 1}),
        (3, "left_of", 4, {}),
        (2, "touches", 4, {"border_px": 1}),
        (3, "between", 1, {"angle_deg": 170}),
    ]
    assert got[3].other == 2


def test_every_predicate_is_shown_from_one_side():
    for name, predicate in PREDICATES.items():
        assert (name in FAMILIES) != (predicate.inverse in FAMILIES and predicate.inverse != name)


def test_shown_relations_say_the_most_telling_first():
    scene = make_scene()
    facts = (
        Relation(3, "left_of", 4, 1.0),
        Relation(3, "on", 2, 0.9),
        Relation(2, "near", 1, 0.5),
        Relation(3, "near", 2, 0.7),
    )
    shown = shown_relations(scene, list(facts))
    assert [s.relation.predicate for s in shown] == ["on", "near", "near", "left_of"]
    assert shown[1].relation.subject == 3  # a thing tells more than stuff
    many = [Relation(3, "on", 2, n / 1000) for n in range(100)]
    shown = shown_relations(scene, many)
    assert [s.relation.strength for s in shown] == [n / 1000 for n in range(99, 75, -1)]
    assert [s.telling for s in shown] == [True] * 20 + [False] * 4


def test_a_line_goes_from_rim_to_rim_and_its_head_to_the_object():
    path, head = line(Node(0, 0, 10), Node(100, 0, 10), arrow=True)
    assert path == "M10 -2Q50 -12 80 -5"
    assert head.startswith("M90 -2L")
    assert line(Node(0, 0, 10), Node(100, 0, 10), arrow=False) == ("M10 -2Q50 -12 90 -2", "")
    line(Node(5, 5, 1), Node(5, 5, 1), arrow=True)  # one atop the other


# --- words


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.273, "27%"),
        (0.0312, "3.1%"),
        (0.0004, "0.04%"),
        (1e-9, "0.01%"),
        (0.9999, "99.9%"),
        (0.995, "99.5%"),
    ],
)
def test_percent(share, text):
    assert percent(share) == text


def test_every_word_is_there_in_both_languages():
    assert all(len(pair) == 2 and all(pair) for pair in WORDS.values())


# --- panel


def test_evidence_in_both_languages():
    scene = make_scene(3)
    assert {name for relation in scene.relations for name in relation.evidence} <= set(EVIDENCE)
    measured = {"gap_px": 12.0, "angle_deg": -33.333, "support": 0.5, "new_px": 1234.5, "votes": -0.0}
    scene = replace(scene, relations=(Relation(3, "left_of", 4, 1.0, measured),))
    (edge,) = make_panel(1, scene, descriptions(scene)).edges
    assert edge.evidence == (
        ("gap 12 px", "间距 12 px"),
        ("angle −33°", "角度 −33°"),
        ("support 0.5", "支撑比例 0.5"),
        ("new 1234 px", "new 1234 px"),
        ("votes 0", "votes 0"),
    )


def test_nodes_are_named_as_far_as_there_is_room():
    scene = make_scene(2)
    facts = tuple(Relation(i, "touches", j, 1.0) for i, j in ((1, 2), (2, 3), (3, 4)))
    nodes = make_panel(1, replace(scene, relations=facts), descriptions(scene)).nodes
    assert list(nodes) == [1, 2, 3, 4]
    assert nodes[3].align == "middle"
    assert nodes[1].radius > nodes[3].radius
    car = scene.regions[2]
    alike = {"mask": car.mask, "box": car.box, "centroid": car.centroid, "share": car.share}
    crowded = replace(scene, regions=tuple(replace(r, **alike) for r in scene.regions), relations=facts)
    nodes = make_panel(1, crowded, descriptions(scene)).nodes
    assert [node.named for node in nodes.values()] == [True, False, False, False]


def test_panel_lists_the_largest_regions_and_draws_all():
    label_map = np.zeros((40, 40), np.uint8)
    label_map[::2, ::2] = 2
    segmentation = Segmentation((40, 40), LABELS, label_map, single_objects=False)
    scene = build_scene(segmentation, min_area_px=1)
    if len(scene.regions) <= MOST_ROWS:
        pytest.fail(f"the scene has {len(scene.regions)} regions; the test needs more than {MOST_ROWS}")
    panel = make_panel(1, scene, descriptions(scene))
    assert len(panel.rows) == MOST_ROWS
    cars = next(group for group in panel.groups if group.label.name == "car")
    ids = [i for i, _ in cars.paths]
    assert ids[-1] is None
    assert cars.paths[-1][1].count("M") == len(scene.regions) - MOST_ROWS


def test_a_region_too_small_for_the_picture_is_a_pixel():
    label_map = np.zeros((8, 4000), np.uint8)
    label_map[3, 1601] = 2
    scene = build_scene(Segmentation((8, 4000), LABELS, label_map), min_area_px=1)
    panel = make_panel(1, scene, descriptions(scene))
    assert panel.size == (2, 960)
    assert panel.groups[1].paths == ((2, "M768 0h2v2h-2z"),)


# --- statistics


def test_statistics_of_two_scenes():
    statistics = Statistics()
    empty = Segmentation((10, 10), LABELS, np.full((10, 10), LABELS.ignore_index, np.uint8))
    for scene in (make_scene(2), make_scene(1), build_scene(empty)):
        statistics.add(scene)
    found = statistics.to_dict()
    assert (found["num_images"], found["num_regions"]) == (3, 4 + 3)
    sky, road, car = found["classes"]
    assert (sky["label"], sky["mean_share"], sky["num_images"], sky["num_regions"]) == ("sky", 1 / 3, 2, 2)
    assert road["mean_share"] == pytest.approx((1200 - 96 + 1200 - 48) / 2400 / 3)
    assert (car["median_area_px"], car["num_regions"], car["zh"], car["color"]) == (48, 3, "汽车", [0, 0, 142])
    assert found["things_histogram"] == {"things_from": [0, 1, 2], "images": [1, 1, 1]}
    areas = dict(
        zip(found["region_area_histogram"]["share_from"], found["region_area_histogram"]["regions"], strict=True)
    )
    assert {start: count for start, count in areas.items() if count} == {0.01: 3, 0.3: 4}
    assert sum(found["kinds"].values()) == 3
    json.dumps(found)


@given(st.lists(st.integers(0, 30_000), max_size=20))
def test_things_histogram_holds_every_image_once(numbers):
    starts, images = Statistics(num_things=numbers).things_histogram()
    assert sum(images) == len(numbers)
    assert len(images) <= 12
    width = starts[1] - starts[0] if len(starts) > 1 else max(numbers, default=0) + 1
    for start, count in zip(starts, images, strict=True):
        assert count == sum(start <= n < start + width for n in numbers)


@pytest.mark.parametrize(("share", "bin_"), [(0.00005, 0), (0.0001, 1), (0.02, 5), (0.3, 8), (1.0, 8)])
def test_area_bins(share, bin_):
    scene = make_scene(0)
    region = replace(scene.regions[0], share=share)
    statistics = Statistics()
    statistics.add(replace(scene, regions=(region,), relations=()))
    assert statistics.area_counts == [int(i == bin_) for i in range(len(AREA_EDGES))]


# --- files


def test_write_report_streams_and_counts_what_it_does_not_show(tmp_path):
    def scenes() -> Iterator[Scene]:
        for i in range(5):
            yield make_scene(i % 3, source=f"photo{i}.jpg")

    failed: list[dict[str, str]] = []
    paths = write_report(scenes(), tmp_path / "out", max_images=2, title="Five", failed=failed)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    page, document = paths["report"].read_text("utf-8"), json.loads(paths["json"].read_text("utf-8"))
    assert page.count('<article class="scene') == 2
    assert "photo1.jpg" in page
    assert "photo2.jpg" not in page
    assert "3 <span" in page  # "3 more images …"
    assert document["title"] == "Five"
    assert document["statistics"]["num_images"] == len(document["scenes"]) == 5
    assert Scene.from_dict(document["scenes"][4]["scene"]).source == "photo4.jpg"
    assert document["scenes"][0]["descriptions"]["zh"]["short"]["text"]


def test_failures_that_come_while_scenes_are_made_are_named(tmp_path):
    failed: list[dict[str, str]] = []

    def scenes() -> Iterator[Scene]:
        yield make_scene()
        failed.append({"source": "bad<.jpg", "error": "bad<.jpg: not an image"})

    paths = write_report(scenes(), tmp_path, failed=failed)
    assert "bad&lt;.jpg: not an image" in paths["report"].read_text("utf-8")
    assert json.loads(paths["json"].read_text("utf-8"))["failed"] == failed


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    write_report([make_scene()], tmp_path, title="old")

    def broken() -> Iterator[Scene]:
        yield make_scene()
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_report(broken(), tmp_path, title="new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert "old" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("scenes", "options", "error", "says"),
    [
        ([], {}, InputError, "no scene"),
        ([1], {"lang": "fr"}, ConfigError, "en, zh"),
        ([1], {"max_images": 0}, ConfigError, "at least 1"),
    ],
)
def test_write_report_refuses(tmp_path, scenes, options, error, says):
    with pytest.raises(error, match=says):
        write_report((make_scene() for _ in scenes), tmp_path / "out", **options)
    assert not list(tmp_path.rglob("report.*"))


def test_a_folder_that_cannot_be_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file"):
        write_report([make_scene()], tmp_path / "file")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_opens_in_its_language_and_holds_both(tmp_path: Path, lang):
    page = write_report([make_scene(), make_scene()], tmp_path, lang=lang)["report"].read_text("utf-8")
    assert f'<html lang="{lang}">' in page
    assert f'value="{lang}" autocomplete="off" checked' in page
    for en, zh in (WORDS["statistics"], WORDS["regions"]):
        assert f'<span lang="en">{en}</span><span lang="zh">{zh}</span>' in page


def test_hostile_names_are_only_text(tmp_path):
    nasty = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}\n\udcff"
    labels = LabelSet("nasty", tuple(replace(x, name=x.name + nasty[:-1], zh=nasty[:-1]) for x in LABELS))
    scene = make_scene(source=nasty, labels=labels)
    failed = [{"source": nasty, "error": nasty}]
    paths = write_report([scene, scene], tmp_path, title=nasty, failed=failed)
    page = paths["report"].read_text("utf-8")
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<img src=x" not in page
    assert "{{ 7*7 }}" in page
    assert json.loads(paths["json"].read_text("utf-8"))["scenes"][0]["scene"]["source"] == nasty


def test_photos_are_brought_down_and_a_scene_needs_none(tmp_path):
    big = write_report([make_scene(size=50)], tmp_path / "big")["report"]
    assert 'width="960" height="640"' in big.read_text("utf-8")
    assert big.stat().st_size < 300_000
    page = write_report([make_scene(photo=False)], tmp_path / "none")["report"].read_text("utf-8")
    assert "<img" not in page
    assert WORDS["no_photo"][0] in page

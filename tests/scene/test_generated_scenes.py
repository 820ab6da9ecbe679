"""Forty scenes of known geometry: every region, count and relation is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from generated_scenes import KINDS, SHAPES, GeneratedScene, Shape, generated, paint
from relation_truth import Truth, strengths_of

from segscape.scene.measures import Measures
from segscape.scene.regions import regions_of
from segscape.scene.relations import relations_of
from segscape.scene.scene import Relation
from segscape.scene.vocabulary import role_of

ROLES = [role_of(name) for name in KINDS]
THINGS = np.array([label.thing for label in SHAPES])
SEEDS = range(40)


def relate(scene: GeneratedScene) -> tuple[np.ndarray, Measures, tuple[Relation, ...]]:
    """(H, W) rows, what was measured, and all relations."""
    run_map, measures, borders = regions_of(scene.segmentation(), min_area_px=1)
    return run_map.to_dense(), measures, relations_of(measures, borders, run_map, ROLES, THINGS, most=1000)


def ids(scene: GeneratedScene, dense: np.ndarray) -> list[int]:
    """The region of each shape."""
    return [int(dense[scene.owner == i][0]) + 1 for i in range(len(scene.shapes))]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_region_and_relation_of_a_generated_scene_is_right(seed):
    scene = generated(seed)
    dense, measures, relations = relate(scene)
    num = measures.num_regions
    assert num == dense.max() + 1
    for i, number in enumerate(ids(scene, dense)):
        np.testing.assert_array_equal(dense == number - 1, scene.owner == i)
    for kind in KINDS[1:]:
        shapes = sum(shape.kind == kind for shape in scene.shapes)
        assert np.count_nonzero(measures.label[:num] == KINDS.index(kind)) == shapes

    labels = measures.label[:num].tolist()
    truth = Truth(dense, num, [ROLES[i] for i in labels], [bool(THINGS[i]) for i in labels], labels)
    expected, found = truth.strengths(), strengths_of(relations)
    assert found.keys() == expected.keys()
    assert found == {key: pytest.approx(value, abs=1e-4) for key, value in expected.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_who_was_painted_over_whom(seed):
    """Of two shapes whose outlines plainly meet, the one painted later is in front of the other or lies on it."""
    scene = generated(seed)
    dense, _, relations = relate(scene)
    number = ids(scene, dense)
    said = {(r.subject, r.predicate, r.object) for r in relations}
    for front, behind in scene.plain_junctions():
        a, b = number[front], number[behind]
        assert {(a, "in_front_of", b), (a, "on", b)} & said, (scene.shapes[front], scene.shapes[behind])
        assert not {(b, "in_front_of", a), (b, "on", a)} & said


def test_the_generated_scenes_are_worth_it():
    scenes = [generated(seed) for seed in SEEDS]
    assert sum(len(scene.shapes) for scene in scenes) >= 6 * len(scenes)
    assert sum(len(scene.plain_junctions()) for scene in scenes) >= 30
    assert {shape.kind for scene in scenes for shape in scene.shapes} == set(KINDS[1:])


def test_same_seed_same_scene():
    one, two = generated(3), generated(3)
    assert one.shapes == two.shapes
    np.testing.assert_array_equal(one.owner, two.owner)


@pytest.mark.parametrize("turn", range(0, 360, 20))
@pytest.mark.parametrize("distance", [62.0, 75.0, 90.0])
def test_two_circles_by_their_geometry(turn, distance):
    """Gap, direction and nearness of circles with radius 28, from their centres alone, within a pixel."""
    radius, middle = 28.0, 80.0
    dx, dy = distance / 2 * math.cos(math.radians(turn)), -distance / 2 * math.sin(math.radians(turn))
    scene = paint(
        tuple(Shape("circle", middle + s * dx, middle + s * dy, 2 * radius, 2 * radius) for s in (-1, 1)), (160, 160)
    )
    dense, measures, relations = relate(scene)
    a, b = ids(scene, dense)
    assert measures.area_px[[a - 1, b - 1]] == pytest.approx(math.pi * radius**2, rel=0.01)
    said = {r.predicate: r for r in relations if (r.subject, r.object) == (a, b)}

    gap, width = distance - 2 * radius, math.sqrt(math.pi) * radius
    assert said["near"].evidence["gap_px"] == pytest.approx(gap, abs=1.5)
    assert said["near"].strength == pytest.approx(1 - gap / width, abs=1.5 / width)
    along = max(abs(dx), abs(dy)) * 2
    if along >= 2 * radius + 1 and abs(abs(dx) - abs(dy)) > 1:  # clear of each other and of 45°
        predicate = ("left_of" if dx > 0 else "right_of") if abs(dx) > abs(dy) else ("above" if dy > 0 else "below")
        assert {"left_of", "right_of", "above", "below"} & said.keys() == {predicate}
        found = said[predicate]
        assert math.cos(math.radians(found.evidence["angle_deg"] - turn)) > math.cos(math.radians(1.5))
        assert found.strength == pytest.approx(abs(math.cos(math.radians(2 * turn))), abs=0.05)

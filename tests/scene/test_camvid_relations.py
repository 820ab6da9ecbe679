"""The relation tables of the CamVid test labels hold no contradiction, and say of streets what is true of streets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_scenes import check

from segscape.data.label_sets import CAMVID
from segscape.result import Segmentation
from segscape.scene.regions import regions_of
from segscape.scene.relations import relations_of
from segscape.scene.scene import Relation
from segscape.scene.vocabulary import role_of

LABELS = Path(__file__).parents[2].parent / "shared/data/camvid/labels/test"
ROLES = [role_of(name) for name in CAMVID.names]
THINGS = np.array([label.thing for label in CAMVID])

pytestmark = pytest.mark.skipif(not LABELS.is_dir(), reason="../shared/data/camvid is not there")


@pytest.fixture(scope="module")
def tables() -> list[tuple[list[str], np.ndarray, tuple[Relation, ...]]]:
    """Of each labelled frame the classes of its regions, their boxes, and their relations."""
    found = []
    for path in sorted(LABELS.glob("*.png")):
        labels = np.array(Image.open(path), np.uint8)
        run_map, measures, borders = regions_of(Segmentation(labels.shape, CAMVID, labels))
        relations = relations_of(measures, borders, run_map, ROLES, THINGS)
        names = [CAMVID.names[label] for label in measures.label[: measures.num_regions]]
        found.append((names, measures.box, relations))
    return found


def test_no_table_contradicts_itself(tables):
    assert len(tables) == 233
    for names, _, relations in tables:
        check(relations, len(names), 8)


def test_what_is_on_what(tables):
    """Cars stand on the ground, nothing on the sky, and a foot is never above what it stands on."""
    cars, standing = 0, 0
    for names, box, relations in tables:
        on = [(r.subject - 1, r.object - 1) for r in relations if r.predicate == "on"]
        assert all(box[a, 3] < box[b, 3] and names[b] != "sky" for a, b in on)
        assert {names[b] for a, b in on if names[a] == "car"} <= {"road", "pavement"}
        cars += names.count("car")
        standing += len({a for a, _ in on if names[a] == "car"})
    assert standing > 0.5 * cars  # the others' wheels are hidden


def test_nothing_is_behind_the_sky_or_the_road(tables):
    assert not [
        r
        for names, _, relations in tables
        for r in relations
        if r.predicate == "behind" and names[r.object - 1] in ("sky", "road", "pavement")
    ]

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hotcoco.panoptic import pq_compute
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segscape.data.objects import Objects
from segscape.errors import InputError
from segscape.evaluate.panoptic import (
    PanopticReport,
    PanopticScores,
    Segments,
    panoptic_quality,
    segments,
    truth_from_objects,
)
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.result import Region, Segmentation

# Scenes are strips of one row; an object is the span of pixels x0 ≤ x < x1.
LABELS = LabelSet(
    "tiny",
    (
        Label("sky", (1, 1, 1)),
        Label("road", (2, 2, 2)),
        Label("car", (3, 3, 3), thing=True),
        Label("cat", (4, 4, 4), thing=True),
    ),
)
SKY, ROAD, CAR, CAT = range(4)
VOID = LABELS.ignore_index
unhurried = settings(deadline=None)


def strip(*runs: tuple[int, int]) -> np.ndarray:
    """(class, length) each -> (1, W) uint8."""
    return np.concatenate([np.full(n, label) for label, n in runs])[None].astype(np.uint8)


def scene(label_map: np.ndarray | None, *things: tuple[Any, ...], labels: LabelSet = LABELS) -> Segmentation:
    """Things are (class, x0, x1[, score])."""
    regions = tuple(
        Region(i, t[0], t[3] if len(t) > 3 else None, (t[1], 0, t[2], 1), t[2] - t[1], span(t[1], t[2]))
        for i, t in enumerate(things, 1)
    )
    return Segmentation((1, 20), labels, label_map, regions)


def span(x0: int, x1: int) -> RunLengths:
    return RunLengths((1, x1 - x0), np.array([0, x1 - x0]))


def objects(*things: tuple[Any, ...]) -> Objects:
    """Things are (class, x0, x1[, crowd])."""
    rows = [(t[0], (t[1], 0, t[2], 1), span(t[1], t[2])) for t in things]
    return Objects.of((1, 20), rows, crowd=[len(t) > 3 and t[3] for t in things])


def of(report: PanopticReport, label: int) -> tuple[float | None, int, int, int]:
    """(PQ, TP, FP, FN) of a class."""
    quality = report.per_class[LABELS[label].name]
    return None if quality.pq is None else round(quality.pq, 6), quality.tp, quality.fp, quality.fn


HALVES = strip((SKY, 10), (ROAD, 10))


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (scene(HALVES), scene(HALVES), {SKY: (1, 1, 0, 0), ROAD: (1, 1, 0, 0), CAR: (None, 0, 0, 0)}),
        # Sky 8 of 10: IoU 0.8; road 12: 10 / 12.
        (
            scene(strip((SKY, 8), (ROAD, 12))),
            scene(HALVES),
            {SKY: (0.8, 1, 0, 0), ROAD: (round(10 / 12, 6), 1, 0, 0)},
        ),
        # IoU of exactly 0.5 is no match.
        (scene(strip((SKY, 5), (ROAD, 15))), scene(HALVES), {SKY: (0, 0, 1, 1), ROAD: (round(10 / 15, 6), 1, 0, 0)}),
        # Two cars on the road: one found by 6 of 7 pixels, the other not; a cat that is none.
        (
            scene(None, (CAR, 0, 6, 0.9), (CAT, 14, 18, 0.9)),
            truth_from_objects(objects((CAR, 0, 7), (CAR, 10, 14)), LABELS),
            {CAR: (round(6 / 7 / 1.5, 6), 1, 0, 1), CAT: (0, 0, 1, 0)},
        ),
        # Void pixels of the truth leave the union: 6 / 6 instead of 6 / 10.
        (
            scene(None, (CAR, 0, 10, 0.9)),
            scene(strip((CAR, 6), (VOID, 14)), (CAR, 0, 6)),
            {CAR: (1, 1, 0, 0)},
        ),
        # More than half in void: no mistake; just half: one.
        (
            scene(None, (CAR, 0, 10, 0.9)),
            scene(strip((SKY, 4), (VOID, 16))),
            {CAR: (None, 0, 0, 0), SKY: (0, 0, 0, 1)},
        ),
        (scene(None, (CAR, 0, 8, 0.9)), scene(strip((SKY, 4), (VOID, 16))), {CAR: (0, 0, 1, 0)}),
        # A thing of the label map that no region claims is void.
        (scene(None, (CAR, 0, 10, 0.9)), scene(strip((CAR, 20))), {CAR: (None, 0, 0, 0)}),
        # In a crowd of its class: no mistake, and the crowd is not missed; of another class it is a mistake.
        (
            scene(None, (CAR, 0, 5, 0.9), (CAT, 5, 9, 0.9)),
            truth_from_objects(objects((CAR, 0, 10, True)), LABELS),
            {CAR: (None, 0, 0, 0), CAT: (0, 0, 1, 0)},
        ),
        # A crowd is never matched, however well it is met.
        (
            scene(None, (CAR, 0, 10, 0.9)),
            truth_from_objects(objects((CAR, 0, 10, True)), LABELS),
            {CAR: (None, 0, 0, 0)},
        ),
        # Without a label map the ground is neither void nor scored: what is found there is wrong.
        (scene(None, (CAR, 0, 4, 0.9)), truth_from_objects(objects(), LABELS), {CAR: (0, 0, 1, 0)}),
        # Pixels of an object are not void, those beside it are: union 10 + 5 - 5 - 3.
        (
            scene(None, (CAR, 0, 10, 0.9)),
            truth_from_objects(objects((CAR, 0, 5)), LABELS, strip((VOID, 8), (SKY, 12))),
            {CAR: (round(5 / 7, 6), 1, 0, 0), SKY: (0, 0, 0, 1)},
        ),
    ],
    ids=[
        "perfect stuff",
        "stuff by its IoU",
        "exactly half is no match",
        "things",
        "void leaves the union",
        "mostly void is no mistake",
        "half void is one",
        "unclaimed things are void",
        "crowds",
        "a crowd is not matched",
        "false on the ground",
        "objects over a label map",
    ],
)
def test_by_hand(prediction, truth, expected):
    report = panoptic_quality([(prediction, truth)], LABELS)
    assert {label: of(report, label) for label in expected} == expected


def test_means_and_parts():
    """Sky 0.8, road 10/12; one car of two found with IoU 6/7; cats occur nowhere and enter no mean."""
    prediction = scene(strip((SKY, 8), (ROAD, 12)), (CAR, 14, 20, 0.9))
    truth = truth_from_objects(objects((CAR, 13, 20), (CAR, 10, 13)), LABELS, strip((SKY, 10), (ROAD, 10)))
    # The cars leave sky 10 and no road in the truth, sky 8 and road 6 (8 … 13) in the prediction.
    report = panoptic_quality([(prediction, truth)], LABELS)
    assert of(report, SKY) == (0.8, 1, 0, 0)
    assert of(report, ROAD) == (0, 0, 1, 0)
    assert of(report, CAR) == (round(6 / 7 / 1.5, 6), 1, 0, 1)
    assert report.things.sq == pytest.approx(6 / 7)
    assert report.things.rq == pytest.approx(1 / 1.5)
    assert report.things.pq == pytest.approx(6 / 7 / 1.5)
    assert report.stuff.pq == pytest.approx(0.4)
    assert report.all.pq == pytest.approx((0.8 + 0 + 6 / 7 / 1.5) / 3)
    assert report.to_dict()["per_class"]["cat"] == {"pq": None, "sq": None, "rq": None, "tp": 0, "fp": 0, "fn": 0}
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["num_images"] == 1


def test_counts_add_over_images():
    found, missed = scene(None, (CAR, 0, 10, 0.9)), scene(None)
    truth = truth_from_objects(objects((CAR, 0, 10)), LABELS)
    report = panoptic_quality([(found, truth), (missed, truth), (missed, truth)], LABELS)
    assert of(report, CAR) == (0.5, 1, 0, 2)
    assert report.num_images == 3


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ([(CAR, 0, 10, 0.9), (CAT, 5, 15, 0.8)], [CAR] * 10 + [CAT] * 5),
        ([(CAR, 0, 10, 0.8), (CAT, 5, 15, 0.9)], [CAR] * 5 + [CAT] * 10),
        ([(CAT, 5, 8), (CAR, 0, 10)], [CAR] * 5 + [CAT] * 3 + [CAR] * 2),
        ([(CAR, 0, 10, 0.9), (CAT, 2, 5, 0.8)], [CAR] * 10),
    ],
    ids=["higher score on top", "in either order", "without scores the smaller", "wholly covered ones are gone"],
)
def test_overlaps(things, expected):
    cut = segments(scene(None, *things))
    assert [cut.labels[i - 1] for i in cut.ids[0, : len(expected)]] == expected
    assert set(np.unique(cut.ids)) == set(range(len(cut.labels) + 1))


def test_crowds_lie_below_other_objects():
    cut = truth_from_objects(objects((CAR, 0, 4), (CAR, 0, 10, True)), LABELS)
    assert cut.crowd[cut.ids[0, [0, 5]] - 1].tolist() == [False, True]


def test_classes_go_by_name():
    other = LabelSet("other", (Label("car", (1, 1, 1), thing=True), Label("moon", (2, 2, 2))))
    truth = truth_from_objects(objects((CAR, 0, 10)), LABELS)
    assert of(panoptic_quality([(scene(None, (0, 0, 10, 0.9), labels=other), truth)], LABELS), CAR) == (1, 1, 0, 0)
    with pytest.raises(InputError, match=r"moon of label set 'other' is not in 'tiny' \(sky, road, car, cat\)"):
        panoptic_quality([(scene(np.ones((1, 20), np.uint8), labels=other), truth)], LABELS)


def test_sizes_must_agree():
    small = Segmentation((1, 5), LABELS, None)
    with pytest.raises(InputError, match=r"\(1, 5\).*\(1, 20\)"):
        panoptic_quality([(small, truth_from_objects(objects(), LABELS))], LABELS)
    with pytest.raises(InputError, match=r"\(2, 2\) does not fit objects of an image of \(1, 20\)"):
        truth_from_objects(objects(), LABELS, np.zeros((2, 2), np.uint8))


def test_nothing_to_score():
    report = PanopticScores(LABELS).report()
    assert report.all.pq is report.things.rq is report.stuff.sq is None


def random_segments(rng: np.random.Generator, crowds: bool) -> Segments:
    """Coarse patches, so that many pairs overlap by more than half; at most one crowd a class, as COCO has it."""
    num = int(rng.integers(1, 9))
    ids = np.kron(rng.integers(0, num + 1, (4, 5)), np.ones((3, 3), int)).astype(np.int32)
    used = np.unique(ids[ids > 0])
    number = np.zeros(num + 1, np.int32)
    number[used] = np.arange(1, len(used) + 1)
    labels = rng.integers(0, len(LABELS), len(used))
    crowd = np.zeros(len(used), bool)
    for label in (CAR, CAT) if crowds else ():
        crowd[np.flatnonzero(labels == label)[:1]] = rng.random() < 0.5
    return Segments(number[ids], labels, crowd)


def disturbed(truth: Segments, rng: np.random.Generator) -> Segments:
    """Shifted by a pixel or two, some classes changed, some segments void."""
    ids = np.roll(truth.ids, tuple(rng.integers(-1, 2, 2).tolist()), (0, 1))
    labels = np.where(
        rng.random(len(truth.labels)) < 0.2, rng.integers(0, len(LABELS), len(truth.labels)), truth.labels
    )
    return Segments(ids, labels, np.zeros(len(labels), bool))


def test_agrees_with_the_authors_rules_as_hotcoco_has_them(tmp_path):
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(60):
        truth = random_segments(rng, crowds=True)
        pairs.append((disturbed(truth, rng) if rng.random() < 0.8 else random_segments(rng, crowds=False), truth))
    ours = panoptic_quality(pairs, LABELS)
    truth_json = write_coco_panoptic(tmp_path / "truth", [truth for _, truth in pairs])
    found_json = write_coco_panoptic(tmp_path / "found", [found for found, _ in pairs])
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = pq_compute(truth_json, found_json)
    for mine, name in ((ours.all, "All"), (ours.things, "Things"), (ours.stuff, "Stuff")):
        for key in ("pq", "sq", "rq"):
            assert getattr(mine, key) == pytest.approx(theirs[name][key], abs=1e-9)
    for i, label in enumerate(LABELS):
        quality = ours.per_class[label.name]
        assert quality.pq == pytest.approx(theirs["per_class"][i + 1]["pq"], abs=1e-9)
        assert 0 < quality.pq < 1


def write_coco_panoptic(folder: Path, images: list[Segments]) -> Path:
    folder.mkdir()
    annotations = []
    for i, image in enumerate(images):
        rgb = np.zeros((*image.ids.shape, 3), np.uint8)
        rgb[..., 0] = image.ids
        Image.fromarray(rgb).save(folder / f"{i}.png")
        infos = [
            {
                "id": k + 1,
                "category_id": int(label) + 1,
                "iscrowd": int(crowd),
                "area": int((image.ids == k + 1).sum()),
                "bbox": [0, 0, 1, 1],
            }
            for k, (label, crowd) in enumerate(zip(image.labels, image.crowd, strict=True))
        ]
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": infos})
    document = {
        "images": [{"id": i, "width": 15, "height": 12, "file_name": f"{i}.jpg"} for i in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": x.name, "isthing": int(x.thing)} for i, x in enumerate(LABELS)],
    }
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(document), "utf-8")
    return path


@unhurried
@given(st.integers(0, 10**6))
def test_numbering_of_segments_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    truth = random_segments(rng, crowds=True)
    found = disturbed(truth, rng)

    def renumbered(image: Segments) -> Segments:
        order = rng.permutation(len(image.labels))
        number = np.zeros(len(order) + 1, np.int32)
        number[1:][order] = np.arange(1, len(order) + 1)
        return Segments(number[image.ids], image.labels[order], image.crowd[order])

    before = panoptic_quality([(found, truth)], LABELS).to_dict()
    after = panoptic_quality([(renumbered(found), renumbered(truth))], LABELS).to_dict()
    for name, quality in before["per_class"].items():
        assert quality == pytest.approx(after["per_class"][name])

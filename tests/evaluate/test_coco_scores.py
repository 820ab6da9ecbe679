"""hotcoco against pycocotools, on generated scenes and on the real sets where they are."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segscape.data import open_dataset
from segscape.data.objects import Objects
from segscape.errors import ConfigError
from segscape.evaluate.coco import CocoScores, average_precisions, precision_recall
from segscape.evaluate.image_objects import Instances
from segscape.labels import Label, LabelSet
from segscape.masks import crop_to_box
from segscape.result import Region, Segmentation

NAMES = ("cat", "dog", "cow")
LABELS = LabelSet("three", tuple(Label(name, (i, i, i), thing=True) for i, name in enumerate(NAMES)))
REAL = Path(__file__).parents[3] / "shared" / "data"


def blob(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    height, width = size
    center, axes = (int(rng.integers(width)), int(rng.integers(height))), rng.integers(2, 90, 2).tolist()
    cv2.ellipse(canvas, center, axes, float(rng.integers(180)), 0, 360, 1, -1)
    return canvas.astype(bool)


def random_objects(rng: np.random.Generator, num: int) -> Objects:
    size = (int(rng.integers(20, 300)), int(rng.integers(20, 300)))
    masks = [mask for mask in (blob(size, rng) for _ in range(num)) if mask.any()]
    rows = [(int(rng.integers(3)), *crop_to_box(mask)) for mask in masks]
    return Objects.of(size, rows, crowd=rng.random(len(rows)) < 0.15)


def perturbed(objects: Objects, num_classes: int, rng: np.random.Generator) -> Instances:
    """The truth moved, grown, shrunk, renamed, dropped and doubled, with some blobs that nothing is like."""
    regions = []
    for label, mask, (x0, y0, x1, y1) in zip(objects.labels, objects.masks, objects.boxes.tolist(), strict=True):
        for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
            dense = np.zeros(objects.size, np.uint8)
            dense[y0:y1, x0:x1] = mask.to_dense()
            dense = np.roll(dense, tuple(rng.integers(-3, 4, 2).tolist()), (0, 1))
            change = [np.copy, cv2.dilate, cv2.erode][rng.integers(3)]
            dense = change(dense) if change is np.copy else change(dense, np.ones((3, 3), np.uint8))
            regions.append((int(label) if rng.random() < 0.9 else int(rng.integers(num_classes)), dense.astype(bool)))
    regions += [(int(rng.integers(num_classes)), blob(objects.size, rng)) for _ in range(rng.integers(4))]
    cropped = [(label, *crop_to_box(mask)) for label, mask in regions if mask.any()]
    labels = LabelSet("many", tuple(Label(f"{i}", (0, 0, 0), thing=True) for i in range(num_classes)))
    scores = rng.integers(1, 20, len(cropped)) / 20  # many are equal
    found = tuple(
        Region(i + 1, label, float(score), box, mask.area, mask)
        for i, ((label, box, mask), score) in enumerate(zip(cropped, scores, strict=True))
    )
    result = Segmentation(objects.size, labels, None, found)
    return Instances.found(result, {i: i for i in range(num_classes)})


def by_pycocotools(pairs: list[tuple[Instances, Instances]], num_classes: int, kind: str, most: int) -> np.ndarray:
    def entry(objects: Instances, i: int, image: int) -> dict[str, Any]:
        x0, y0, x1, y1 = objects.boxes[i].tolist()
        row = {"image_id": image, "category_id": int(objects.classes[i]) + 1, "score": float(objects.scores[i])}
        return row | ({"bbox": [x0, y0, x1 - x0, y1 - y0]} if kind == "bbox" else {"segmentation": objects.rles[i]})

    images, truth, results = [], [], []
    for image, (found, true) in enumerate(pairs):
        images.append({"id": image, "height": true.size[0], "width": true.size[1]})
        for i in range(len(true)):
            fixed = {"id": len(truth) + 1, "area": int(true.areas[i]), "iscrowd": int(true.crowd[i])}
            truth.append(entry(true, i, image) | fixed)
        results += [entry(found, i, image) for i in range(len(found))]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": images,
            "annotations": truth,
            "categories": [{"id": i + 1, "name": f"{i}"} for i in range(num_classes)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        evaluation.params.maxDets = [100, most]
        evaluation.evaluate()
        evaluation.accumulate()
    table = evaluation.eval["precision"]
    return np.where(table < 0, np.nan, table)


def check_parity(pairs: list[tuple[Instances, Instances]], num_classes: int) -> CocoScores:
    scores = CocoScores([str(i) for i in range(num_classes)], 400)
    for found, true in pairs:
        scores.update(found, true)
    for kind in ("bbox", "segm"):
        ours, theirs = scores.precision(kind), by_pycocotools(pairs, num_classes, kind, 400)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        assert 0.01 < average_precisions(ours)["map"] < 0.99  # neither trivial
    return scores


def test_agrees_with_pycocotools_on_random_scenes():
    rng = np.random.default_rng(0)
    pairs = []
    for num in (0, 1, 5, 12, 0, 8, 20, 3, 150):
        objects = random_objects(rng, num)
        pairs.append((perturbed(objects, 3, rng), Instances.true(objects)))
    check_parity(pairs, 3)


@pytest.mark.skipif(not (REAL / "nuclei").is_dir(), reason="needs the real data")
def test_agrees_with_pycocotools_on_nuclei():
    dataset = open_dataset(REAL / "nuclei")
    rng = np.random.default_rng(1)
    truth = [dataset.read_objects(item) for item in dataset.split("val")]
    scores = check_parity([(perturbed(objects, 1, rng), Instances.true(objects)) for objects in truth], 1)
    assert scores.crowded
    scores = average_precisions(scores.precision("segm"))
    assert scores["map_all"] > scores["map"]


@pytest.mark.skipif(not (REAL / "coco").is_dir(), reason="needs the real data")
def test_agrees_with_pycocotools_on_coco():
    dataset = open_dataset(REAL / "coco")
    rng = np.random.default_rng(2)
    (items,) = dataset.splits.values()
    truth = [dataset.read_objects(item) for item in items[::2]]
    assert any(objects.crowd.any() for objects in truth)
    num_classes = len(dataset.label_set)
    check_parity([(perturbed(objects, num_classes, rng), Instances.true(objects)) for objects in truth], num_classes)


def squares(num: int) -> tuple[Instances, Instances]:
    """``num`` squares of 4 × 4, all found, with falling scores."""
    rows, masks = [], np.ones((4, 4), bool)
    for i in range(num):
        x, y = 5 * (i % 40), 5 * (i // 40)
        rows.append((0, (x, y, x + 4, y + 4), crop_to_box(masks)[1]))
    size = (5 * (num // 40 + 1), 200)
    regions = tuple(Region(i + 1, 0, 1 - i / num / 2, box, 16, mask) for i, (_, box, mask) in enumerate(rows))
    found = Instances.found(Segmentation(size, LABELS, None, regions), {0: 0})
    return found, Instances.true(Objects.of(size, rows))


def test_crowded_images_need_more_than_100_detections():
    scores = CocoScores(NAMES, 1000)
    found, true = squares(400)
    scores.update(found, true)
    assert scores.crowded
    numbers = average_precisions(scores.precision("segm"))
    # The best 100 of 400 reach recalls 0, 0.01 … 0.25 of the 101.
    assert numbers["map"] == pytest.approx(26 / 101)
    assert numbers["small"] == numbers["map"]
    assert [numbers[name] for name in ("map_all", "map50_all", "map75_all")] == [pytest.approx(1)] * 3
    assert np.isnan(numbers["large"])


def test_hundred_objects_are_not_crowded():
    scores = CocoScores(NAMES, 100)
    scores.update(*squares(100))
    assert not scores.crowded
    numbers = average_precisions(scores.precision("bbox"))
    assert numbers["map"] == numbers["map_all"] == pytest.approx(1)


def test_a_detections_area_is_that_of_its_mask_for_masks():
    """A thin diagonal: its box is large, its mask small, so as an unmatched mask it is false among the small ones."""
    line = np.eye(60, dtype=bool)
    box, mask = crop_to_box(line)
    wrong = Region(1, 0, 0.9, box, mask.area, mask)
    small = Region(2, 0, 0.8, (62, 0, 66, 4), 16, crop_to_box(np.ones((4, 4), bool))[1])
    result = Segmentation((60, 70), LABELS, None, (wrong, small))
    truth = Instances.true(Objects.of((60, 70), [(0, small.box, small.mask)]))
    scores = CocoScores(NAMES, 100)
    scores.update(Instances.found(result, {0: 0}), truth)
    assert average_precisions(scores.precision("segm"))["small"] == pytest.approx(0.5)
    assert average_precisions(scores.precision("bbox"))["small"] == pytest.approx(1)


def test_precision_recall_by_hand():
    """One of two objects found, at IoU 0.6 (above the 0.5 line, below 0.75), before a false one."""
    true = Instances.true(
        Objects.of((1, 60), [(0, (0, 0, 10, 1), row(10)), (0, (20, 0, 30, 1), row(10))]),
    )
    regions = (Region(1, 0, 0.9, (0, 0, 6, 1), 6, row(6)), Region(2, 0, 0.8, (40, 0, 50, 1), 10, row(10)))
    scores = CocoScores(NAMES, 100)
    scores.update(Instances.found(Segmentation((1, 60), LABELS, None, regions), {0: 0}), true)
    lines = precision_recall(scores.precision("segm"))
    assert lines["recall"] == [round(i / 100, 2) for i in range(101)]
    assert lines["iou50"] == [pytest.approx(1)] * 51 + [0.0] * 50
    assert lines["iou75"] == [0.0] * 101
    assert lines["mean"] == [pytest.approx(0.3)] * 51 + [0.0] * 50  # IoU 0.5, 0.55 and 0.6 of ten


def row(width: int) -> Any:
    return crop_to_box(np.ones((1, width), bool))[1]


def test_nothing_at_all_is_undefined():
    empty = Instances.true(Objects.of((9, 9), []))
    scores = CocoScores(NAMES, 100)
    scores.update(empty, empty)
    table = scores.precision("segm")
    assert all(np.isnan(number) for number in average_precisions(table).values())
    assert precision_recall(table)["mean"] == [None] * 101


def test_fewer_detections_than_the_standard_are_refused():
    with pytest.raises(ConfigError, match="at least 100, got 99"):
        CocoScores(NAMES, 99)

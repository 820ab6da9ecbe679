from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segscape.data.objects import Objects
from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate.groups import brightness
from segscape.evaluate.image_objects import thing_ids
from segscape.evaluate.instance import DEFINITIONS, InstanceReport, evaluate_instances
from segscape.evaluate.matching import best_min_score
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.result import Region, Segmentation

# Photos are strips of one row; an object is the span of pixels x0 ≤ x < x1.
LABELS = LabelSet(
    "farm", (Label("cat", (1, 1, 1), thing=True), Label("dog", (2, 2, 2), thing=True), Label("sky", (3, 3, 3)))
)
CAT, DOG, SKY = range(3)
SIZE = (1, 60)


def span(x0: int, x1: int) -> RunLengths:
    return RunLengths((1, x1 - x0), np.array([0, x1 - x0]))


def result(*found: tuple[Any, ...], labels: LabelSet = LABELS, size: tuple[int, int] = SIZE) -> Segmentation:
    """Found are (class, x0, x1, score)."""
    regions = tuple(
        Region(i, label, score, (x0, 0, x1, 1), x1 - x0, span(x0, x1))
        for i, (label, x0, x1, score) in enumerate(found, 1)
    )
    return Segmentation(size, labels, None, regions, model="net@1")


class FakeDataset:
    """Images of 1 × 60, given as (grey, true objects as (class, x0, x1[, crowd]))."""

    kind, root = "fake", Path("somewhere")

    def __init__(self, *images: tuple[int, list[tuple[Any, ...]]], label_set: LabelSet = LABELS) -> None:
        self.images, self.label_set = images, label_set

    def split(self, name: str) -> tuple[int, ...]:
        return tuple(range(len(self.images)))

    def read_instances(self, item: int) -> Any:
        grey, truth = self.images[item]
        rows = [(t[0], (t[1], 0, t[2], 1), span(t[1], t[2])) for t in truth]
        objects = Objects.of(SIZE, rows, crowd=[len(t) > 3 and t[3] for t in truth])
        return SimpleNamespace(name=f"test/{item}", pixels=np.full((*SIZE, 3), grey, np.uint8), objects=objects)

    def fingerprint(self, split: str) -> str:
        return "f00d"


TRUTH = FakeDataset(
    (10, [(CAT, 0, 10), (CAT, 20, 30), (DOG, 40, 50)]),
    (200, [(CAT, 0, 10)]),
    (20, []),
)
FOUND = (
    result((CAT, 0, 10, 0.9), (CAT, 20, 26, 0.8), (CAT, 40, 50, 0.7), (DOG, 40, 50, 0.3)),
    result((CAT, 0, 10, 0.6), (CAT, 30, 40, 0.9)),
    result(),
)


def evaluate(dataset: FakeDataset, found: tuple[Segmentation, ...], **options: Any) -> InstanceReport:
    return evaluate_instances(lambda sample: found[int(sample.name[-1])], dataset, **options)


@pytest.fixture(scope="module")
def report() -> InstanceReport:
    return evaluate(TRUTH, FOUND, group=brightness)


def test_scores_by_hand(report):
    # At 0.5: image 0 finds two cats, calls the dog a cat; image 1 finds its cat and a false one.
    assert report.counts == {
        "objects": 4,
        "detections": 5,
        "true_positives": 3,
        "false_positives": 2,
        "missed": 1,
        "merged": 0,
        "split": 0,
    }
    assert list(report.ap) == ["0.50", "0.55", "0.60", "0.65", "0.70", "0.75", "0.80", "0.85", "0.90"]
    assert report.ap["0.50"] == 3 / 6
    assert report.ap["0.60"] == 3 / 6  # IoU of exactly 0.6
    assert report.ap["0.65"] == 2 / 7
    assert report.mean_ap == pytest.approx((3 * 3 / 6 + 6 * 2 / 7) / 9)
    assert (report.precision, report.recall, report.f1) == (3 / 5, 3 / 4, 6 / 9)
    assert report.matched_iou == pytest.approx((1 + 0.6 + 1) / 3)


def test_mean_over_images_counts_empty_ones_as_right(report):
    assert report.ap_by_image["0.50"] == pytest.approx((2 / 4 + 1 / 2 + 1) / 3)
    assert [row["ap50"] for row in report.per_image] == [2 / 4, 1 / 2, None]


def test_per_class(report):
    cat, dog = report.per_class["cat"], report.per_class["dog"]
    assert (cat["objects"], cat["detections"], cat["ap"]["0.50"]) == (3, 5, 3 / 5)
    assert (dog["objects"], dog["detections"], dog["ap"]["0.50"]) == (1, 0, 0)
    assert dog["map_mask"] == pytest.approx(1)  # COCO looks at the detection of 0.3 too
    assert report.map_mask == pytest.approx((cat["map_mask"] + 1) / 2)
    assert "sky" not in report.per_class


def test_panoptic_quality_is_of_things_alone(report):
    # Cats: IoU 1, 0.6, 1 of 3 TP, 2 FP; dogs: one missed.
    assert report.per_class["cat"]["pq"] == pytest.approx(2.6 / 4)
    assert report.pq == pytest.approx(2.6 / 4 / 2)
    assert report.panoptic["stuff"]["pq"] is None


def test_groups(report):
    assert list(report.groups) == ["bright", "dark"]
    assert report.groups["bright"]["ap"]["0.50"] == 1 / 2
    assert report.groups["dark"]["ap"]["0.50"] == 2 / 4
    assert report.groups["dark"]["num_images"] == 2
    assert report.groups["dark"]["ap_by_image"]["0.50"] == pytest.approx((2 / 4 + 1) / 2)
    assert [row["group"] for row in report.per_image] == ["dark", "bright", "dark"]
    assert evaluate(TRUTH, FOUND).groups == {}


def test_rows(report):
    assert report.per_image[0] == {
        "name": "test/0",
        "group": "dark",
        "merged": 0,
        "split": 0,
        "objects": 3,
        "detections": 3,
        "true_positives": 2,
        "false_positives": 1,
        "missed": 1,
        "ap50": 0.5,
        "mean_ap": pytest.approx((3 * 2 / 4 + 6 * 1 / 5) / 9),
    }


def test_sizes_are_of_true_objects(report):
    # Ten pixels are a circle of 3.6 px; crowds are not counted.
    assert (sum(report.sizes["found"]), sum(report.sizes["missed"])) == (3, 1)
    assert (report.sizes["found"][0], report.sizes["missed"][0]) == (3, 1)
    crowd = evaluate(FakeDataset((0, [(CAT, 0, 10, True), (CAT, 10, 60)])), (result((CAT, 10, 60, 0.9)),))
    assert sum(crowd.sizes["found"] + crowd.sizes["missed"]) == crowd.sizes["found"][2] == 1  # 8 px


def test_min_score_leaves_coco_alone(report):
    low = evaluate(TRUTH, FOUND, min_score=0.2)
    assert low.counts["true_positives"] == 4
    assert low.map_mask == report.map_mask
    none = evaluate(TRUTH, FOUND, min_score=1.0)
    assert none.ap["0.50"] == none.recall == 0
    assert none.precision is None
    assert (none.panoptic["per_class"]["cat"]["fp"], none.pq) == (0, 0)
    assert none.matched_iou is None


def test_best_min_score_of_a_report(report):
    choice = best_min_score(report.matches)
    again = evaluate(TRUTH, FOUND, min_score=choice.min_score)
    assert again.mean_ap == pytest.approx(choice.mean_ap)
    assert again.mean_ap > report.mean_ap


def test_json_says_all_but_the_matches(report):
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert "matches" not in plain
    assert plain["model"] == "net@1"
    assert plain["data"] == {"kind": "fake", "fingerprint": "f00d"}
    assert plain["ap"]["0.65"] == round(2 / 7, 6)
    assert plain["label_set"] == LABELS.to_dict()
    assert plain["machine"]["versions"]["hotcoco"]
    assert plain["definitions"] == dict(DEFINITIONS)
    assert set(DEFINITIONS) <= set(plain) | {"ap_by_image"}


def test_intervals_are_of_images_and_repeat(report):
    low, high = report.ap_interval["0.50"]
    assert low <= report.ap["0.50"] <= high
    assert list(report.ap_interval) == ["0.50", "0.70"]
    assert evaluate(TRUTH, FOUND).ap_interval == report.ap_interval
    assert len({evaluate(TRUTH, FOUND, seed=seed, bootstrap=1).ap_interval["0.70"] for seed in range(4)}) > 1
    assert evaluate(TRUTH, FOUND, bootstrap=0).ap_interval == {"0.50": None, "0.70": None}
    assert report.groups["bright"]["ap_interval"] == {"0.50": None, "0.70": None}  # one image


def test_interval_by_hand():
    """Two images, all right and all wrong: half of the draws hold one of each."""
    dataset = FakeDataset((0, [(CAT, 0, 10)]), (0, [(CAT, 0, 10)]))
    report = evaluate(dataset, (result((CAT, 0, 10, 0.9)), result()))
    assert report.ap["0.50"] == 0.5
    assert report.ap_interval["0.50"] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("truth", "found", "ap", "by_image", "map_mask"),
    [
        ([], [], None, 1, None),
        ([], [(CAT, 0, 10, 0.9)], 0, 0, None),
        ([(CAT, 0, 10)], [], 0, 0, 0),
        ([(CAT, 0, 10, True)], [(CAT, 0, 5, 0.9)], None, 1, None),
    ],
    ids=["nothing there, nothing found", "nothing there", "nothing found", "only a crowd"],
)
def test_empty(truth, found, ap, by_image, map_mask):
    report = evaluate(FakeDataset((0, truth)), (result(*found),))
    assert report.ap["0.50"] == ap
    assert report.ap_by_image["0.50"] == by_image
    assert report.map_mask == map_mask
    json.dumps(report.to_dict(), allow_nan=False)


def test_stuff_of_the_model_is_no_detection():
    report = evaluate(FakeDataset((0, [(CAT, 0, 10)])), (result((CAT, 0, 10, 0.9), (SKY, 10, 60, 0.9)),))
    assert report.ap["0.90"] == 1


def test_the_surer_of_overlapping_things_has_the_pixels_for_panoptic_quality():
    report = evaluate(FakeDataset((0, [(CAT, 0, 10)])), (result((CAT, 0, 10, 0.6), (DOG, 5, 10, 0.9)),))
    assert report.per_class["cat"]["pq"] == 0  # 5 of 10 pixels are left: not more than half
    assert report.per_class["cat"]["ap"]["0.50"] == 1


def test_classes_go_by_name_and_unknown_ones_are_missed():
    model = LabelSet("pets", (Label("sofa", (1, 1, 1)), Label("dog", (2, 2, 2), thing=True)))
    dataset = FakeDataset((0, [(CAT, 0, 10), (DOG, 20, 30)]))
    report = evaluate(dataset, (result((1, 20, 30, 0.9), labels=model),))
    assert report.unknown_classes == ("cat",)
    assert (report.counts["true_positives"], report.counts["missed"], report.counts["false_positives"]) == (1, 1, 0)
    assert report.per_class["cat"]["map_mask"] == 0
    assert evaluate(dataset, (result(),)).unknown_classes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "moon", "sun"], r"'m'.*'farm' \(cat, dog\): only the model has moon, sun"),
        (["sky"], "only the model has sky"),
        ([], "the model has no class of objects"),
    ],
)
def test_things_that_the_data_has_not(names, message):
    stuff = (Label("ground", (0, 0, 0)),)
    model = LabelSet("m", (*stuff, *(Label(name, (1, 1, 1), thing=True) for name in names)))
    with pytest.raises(InputError, match=message):
        thing_ids(model, LABELS)


def test_crowded_images_are_said():
    many = [(CAT, x, x + 1) for x in range(60)]
    report = evaluate(FakeDataset((0, many)), (result(*((*t, 0.9) for t in many)),))
    assert report.map_mask_all is report.map_box_all is None  # 60 are not
    wide = Objects.of((2, 60), [(CAT, (x, y, x + 1, y + 1), span(0, 1)) for x in range(60) for y in range(2)])
    regions = tuple(
        Region(i + 1, CAT, 0.9, tuple(box), 1, mask)
        for i, (box, mask) in enumerate(zip(wide.boxes.tolist(), wide.masks, strict=True))
    )

    class Crowded(FakeDataset):
        def read_instances(self, item: int) -> Any:
            return SimpleNamespace(name="test/0", pixels=np.zeros((2, 60, 3), np.uint8), objects=wide)

    report = evaluate(Crowded((0, [])), (Segmentation((2, 60), LABELS, None, regions),))
    assert report.map_mask < 0.9
    assert report.map_mask_all == report.map_box_all == pytest.approx(1)


@pytest.mark.parametrize(
    ("dataset", "found", "options", "error", "message"),
    [
        (FakeDataset(), (), {}, DataError, "split 'test'.*holds no images"),
        (TRUTH, FOUND, {"min_score": 1.5}, ConfigError, "min_score must be in 0…1"),
        (TRUTH, FOUND, {"bootstrap": -1}, ConfigError, "bootstrap 0 or more"),
        (TRUTH, FOUND, {"max_detections": 50}, ConfigError, "at least 100"),
        (TRUTH, (result((CAT, 0, 5, None)),), {}, InputError, "test/0: object 1 has no score"),
        (TRUTH, (result(size=(1, 61)),), {}, InputError, r"test/0: .*\(1, 61\).*does not fit the truth's \(1, 60\)"),
        (FakeDataset((0, [(SKY, 0, 9)])), FOUND, {}, DataError, "test/0: an object is of class 'sky'.*calls stuff"),
    ],
)
def test_refuses(dataset, found, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(dataset, found, **options)


def test_without_hotcoco_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    with pytest.raises(ConfigError, match=r"hotcoco.*pip install 'segscape\[train\]'"):
        evaluate(TRUTH, FOUND)
    with pytest.raises(ConfigError, match=r"hotcoco.*pip install 'segscape\[train\]'"):
        evaluate(FakeDataset((0, [])), (result(),))


def test_progress_sees_every_image():
    seen = []

    def progress(items: Any, total: int, description: str) -> Any:
        seen.append((total, description))
        return items

    evaluate(TRUTH, FOUND, progress=progress, split="val")
    assert seen == [(3, "evaluate val")]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ([[0, 0, 0]] * 2 + [[255, 255, 255]], "dark"),
        ([[255, 255, 255]] * 2 + [[0, 0, 0]], "bright"),
        ([[128, 128, 128]] * 3, "bright"),
        ([[127, 127, 127]] * 3, "dark"),
        ([[0, 255, 0]] * 3, "bright"),
        ([[255, 0, 255]] * 3, "dark"),
    ],
    ids=["median", "median", "128", "127", "green is bright", "purple is dark"],
)
def test_brightness(pixels, expected):
    assert brightness(SimpleNamespace(pixels=np.array([pixels], np.uint8))) == expected

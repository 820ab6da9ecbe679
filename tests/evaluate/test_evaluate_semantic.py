from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix

from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate.metrics import Calibration, ClassCounts, ConfusionMatrix, bootstrap_intervals
from segscape.evaluate.partition import PartitionScores
from segscape.evaluate.semantic import DEFINITIONS, check_same_classes, evaluate_semantic
from segscape.labels import Label, LabelSet
from segscape.result import Segmentation

IGNORE = 255
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us


def u8(rows: Any) -> np.ndarray:
    return np.array(rows, np.uint8)


def confusion(truth: Any, prediction: Any, num_classes: int = 3) -> ConfusionMatrix:
    result = ConfusionMatrix(num_classes, IGNORE)
    result.update(u8(truth), u8(prediction))
    return result


def label_set(*names: str) -> LabelSet:
    return LabelSet("tiny", tuple(Label(name, (i, i, i)) for i, name in enumerate(names)))


label_maps = arrays(np.uint8, (2, 5, 6), elements=st.integers(0, 3))
ignored = arrays(np.bool_, (5, 6))


class TestConfusionMatrix:
    @pytest.mark.parametrize(
        ("truth", "prediction", "expected"),
        [
            ([[0, 1], [2, 2]], [[0, 1], [2, 2]], [[1, 0, 0], [0, 1, 0], [0, 0, 2]]),
            ([[0, 0], [0, 1]], [[1, 1], [2, 0]], [[0, 2, 1], [1, 0, 0], [0, 0, 0]]),
            ([[IGNORE, 0], [IGNORE, 1]], [[0, 0], [9, 2]], [[1, 0, 0], [0, 0, 1], [0, 0, 0]]),
            ([[IGNORE]], [[1]], [[0, 0, 0]] * 3),
        ],
        ids=["perfect", "rows are truth", "ignored truth, even beside a wild prediction", "all ignored"],
    )
    def test_by_hand(self, truth, prediction, expected):
        matrix = confusion(truth, prediction).matrix
        assert matrix.dtype == np.int64
        assert matrix.tolist() == expected

    @unhurried
    @given(label_maps, ignored)
    def test_equals_scikit_learn(self, maps, ignore):
        truth = np.where(ignore, IGNORE, maps[0])
        ours = confusion(truth, maps[1], 4).matrix
        if ignore.all():
            assert ours.sum() == 0
        else:
            theirs = confusion_matrix(maps[0][~ignore], maps[1][~ignore], labels=range(4))
            assert (ours == theirs).all()

    @unhurried
    @given(label_maps, ignored)
    def test_sum_is_the_valid_pixels(self, maps, ignore):
        assert confusion(np.where(ignore, IGNORE, maps[0]), maps[1], 4).matrix.sum() == (~ignore).sum()

    def test_adds(self):
        a, b = confusion([[0, 1]], [[0, 2]]), confusion([[2, 2]], [[2, 0]])
        before = a.matrix.copy()
        assert ((a + b).matrix == a.matrix + b.matrix).all()
        assert (a.matrix == before).all()
        with pytest.raises(InputError, match="3 and 4 classes"):
            a + ConfusionMatrix(4, IGNORE)

    @pytest.mark.parametrize(
        ("truth", "prediction", "message"),
        [
            (u8([[0, 1]]), u8([[0, 3]]), r"prediction holds class id 3 at \(0, 1\).*3 classes.*255"),
            (u8([[0], [7]]), u8([[0], [0]]), r"truth holds class id 7 at \(1, 0\)"),
            (np.array([[0, 1]]), np.array([[-1, 1]]), "prediction holds class id -1"),
            (u8([[0, 1]]), u8([[0], [1]]), r"\(1, 2\).*\(2, 1\)"),
            (u8([[0, 1]]), np.array([[0.0, 1.0]]), "integer class ids, got float64"),
        ],
    )
    def test_refuses(self, truth, prediction, message):
        with pytest.raises(InputError, match=message):
            ConfusionMatrix(3, IGNORE).update(truth, prediction)

    def test_counts_more_than_uint8_or_int32_products(self):
        matrix = ConfusionMatrix(300, 65535)
        matrix.update(np.full((2, 2), 299, np.uint16), np.full((2, 2), 298, np.uint16))
        assert matrix.matrix[299, 298] == 4
        assert matrix.matrix.sum() == 4


class TestScores:
    # class 0: 4 px, 3 of them right; class 1: 2 px, both right; class 2: 1 px, missed; class 3: nowhere
    counts = confusion([[0, 0, 0, 0, 1, 1, 2]], [[0, 0, 0, 1, 1, 1, 0]], 4).counts

    @pytest.mark.parametrize(
        ("score", "expected"),
        [
            ("iou", [3 / 5, 2 / 3, 0, np.nan]),
            ("mean_iou", (3 / 5 + 2 / 3 + 0) / 3),
            ("pixel_accuracy", 5 / 7),
            ("accuracy", [3 / 4, 1, 0, np.nan]),
            ("class_accuracy", (3 / 4 + 1 + 0) / 3),
            ("frequency_weighted_iou", (4 * 3 / 5 + 2 * 2 / 3 + 0) / 7),
            ("dice", [6 / 8, 4 / 5, 0, np.nan]),
            ("mean_dice", (6 / 8 + 4 / 5 + 0) / 3),
        ],
    )
    def test_by_hand(self, score, expected):
        np.testing.assert_allclose(getattr(self.counts, score)(), expected, rtol=1e-12)

    def test_class_only_predicted_counts_in_miou_but_not_in_class_accuracy(self):
        counts = confusion([[0, 0]], [[0, 1]]).counts
        assert counts.mean_iou() == pytest.approx((1 / 2 + 0) / 2)
        assert counts.class_accuracy() == pytest.approx(1 / 2)

    def test_nothing_counted_is_nan(self):
        counts = ConfusionMatrix(2, IGNORE).counts
        assert np.isnan([counts.mean_iou(), counts.pixel_accuracy(), counts.frequency_weighted_iou()]).all()

    @unhurried
    @given(label_maps)
    def test_range(self, maps):
        counts = confusion(*maps, 4).counts
        for scores in (counts.iou(), counts.dice(), counts.accuracy()):
            assert ((scores >= 0) & (scores <= 1) | np.isnan(scores)).all()
        assert 0 <= counts.frequency_weighted_iou() <= counts.pixel_accuracy() <= 1

    @unhurried
    @given(label_maps)
    def test_perfect_is_one(self, maps):
        counts = confusion(maps[0], maps[0], 4).counts
        for score in ("mean_iou", "pixel_accuracy", "class_accuracy", "frequency_weighted_iou", "mean_dice"):
            assert getattr(counts, score)() == 1

    @unhurried
    @given(label_maps, st.permutations(range(4)))
    def test_renaming_classes_renames_scores(self, maps, order):
        before, after = confusion(*maps, 4).counts, confusion(*u8(order)[maps], 4).counts
        np.testing.assert_array_equal(after.iou()[order], before.iou())
        assert after.mean_iou() == pytest.approx(before.mean_iou())


class TestCalibration:
    def test_by_hand(self):
        # two bins: (0, 0.5] holds 0.5 right and 0.3 wrong; (0.5, 1] holds 0.9 right, 0.7 wrong, and 1.0 ignored
        calibration = Calibration(2, IGNORE, num_bins=2)
        calibration.update(
            u8([[0, 0, 1, 1, IGNORE]]), u8([[0, 1, 1, 0, 0]]), np.array([[0.5, 0.3, 0.9, 0.7, 1.0]], np.float32)
        )
        low, high = calibration.table()
        assert (low["low"], low["high"], low["pixels"], high["pixels"]) == (0, 0.5, 2, 2)
        assert (low["accuracy"], high["accuracy"]) == (0.5, 0.5)
        assert low["confidence"] == pytest.approx(0.4)
        assert high["confidence"] == pytest.approx(0.8)
        assert calibration.error() == pytest.approx((2 * 0.1 + 2 * 0.3) / 4)

    @pytest.mark.parametrize(("confidence", "bin_index"), [(0.0, 0), (0.2, 0), (0.21, 1), (1.0, 4)])
    def test_bins_are_open_below(self, confidence, bin_index):
        calibration = Calibration(2, IGNORE, num_bins=5)
        calibration.update(u8([[0]]), u8([[0]]), np.array([[confidence]]))
        assert [row["pixels"] for row in calibration.table()].index(1) == bin_index

    def test_images_stream(self):
        rng = np.random.default_rng(0)
        truth, prediction = rng.integers(0, 2, (2, 8, 9))
        confidence = rng.random((8, 9))
        whole, parts = Calibration(2, IGNORE), Calibration(2, IGNORE)
        whole.update(truth, prediction, confidence)
        for rows in (slice(0, 3), slice(3, 8)):
            parts.update(truth[rows], prediction[rows], confidence[rows])
        assert parts.error() == pytest.approx(whole.error())

    def test_knowing_its_accuracy_is_no_error(self):
        calibration = Calibration(2, IGNORE)
        calibration.update(u8([[0, 0, 0, 0]]), u8([[0, 0, 0, 1]]), np.full((1, 4), 0.75))
        assert calibration.error() == pytest.approx(0)
        assert np.isnan(Calibration(2, IGNORE).error())

    @pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
    def test_refuses_what_is_no_probability(self, bad):
        with pytest.raises(InputError, match="0…1"):
            Calibration(2, IGNORE).update(u8([[0, 0]]), u8([[0, 0]]), np.array([[0.5, bad]]))

    def test_refuses_another_shape(self):
        with pytest.raises(InputError, match="shape"):
            Calibration(2, IGNORE).update(u8([[0, 0]]), u8([[0, 0]]), np.array([[0.5]]))


def stack(*matrices: ConfusionMatrix) -> ClassCounts:
    counts = [m.counts for m in matrices]
    return ClassCounts(*(np.stack([getattr(c, k) for c in counts]) for k in ("intersection", "truth", "predicted")))


class TestBootstrap:
    @unhurried
    @given(label_maps, st.integers(2, 9))
    def test_identical_images_have_no_spread(self, maps, num_images):
        image = confusion(*maps, 4)
        miou, iou = bootstrap_intervals(stack(*[image] * num_images), resamples=20)
        assert miou[0] == miou[1] == image.counts.mean_iou()
        np.testing.assert_array_equal(iou[0], image.counts.iou())
        np.testing.assert_array_equal(iou[1], image.counts.iou())

    def test_two_images_by_hand(self):
        # right, and wrong: both drawn right 1/4, mixed 1/2, both wrong 1/4 -> the 95 % interval spans 0 to 1
        right, wrong = confusion([[0, 1]], [[0, 1]], 2), confusion([[0, 1]], [[1, 0]], 2)
        miou, iou = bootstrap_intervals(stack(right, wrong))
        assert miou.tolist() == [0, 1]
        assert iou.tolist() == [[0, 0], [1, 1]]

    def test_ends_are_those_of_the_binomial(self):
        # 100 images of one pixel, every other one right: IoU of class 0 is k / 100, k binomial, 95 % within 40…60
        images = [confusion([[0]], [[i % 2]], 2) for i in range(100)]
        assert bootstrap_intervals(stack(*images), 4000)[1][:, 0] == pytest.approx([0.40, 0.60], abs=0.011)

    def test_seeded_and_narrower_with_more_images(self):
        rng = np.random.default_rng(1)
        images = []
        for _ in range(80):
            truth = rng.integers(0, 3, (9, 9))
            images.append(confusion(truth, np.where(rng.random((9, 9)) < rng.random(), truth, 0)))
        few, many = stack(*images[:10]), stack(*images)
        first, again, other = (bootstrap_intervals(many, seed=seed)[0] for seed in (3, 3, 4))
        assert (first == again).all()
        assert (first != other).any()
        assert np.diff(first)[0] < np.diff(bootstrap_intervals(few)[0])[0]
        total = ClassCounts(many.intersection.sum(0), many.truth.sum(0), many.predicted.sum(0)).mean_iou()
        assert first[0] < total < first[1]

    def test_class_that_never_occurs_is_nan(self):
        _, iou = bootstrap_intervals(stack(*[confusion([[0, 1]], [[0, 1]])] * 3), resamples=10)
        assert np.isnan(iou[:, 2]).all()
        assert (iou[:, :2] == 1).all()

    def test_a_test_split_takes_well_under_a_second_of_cpu(self):
        rng = np.random.default_rng(0)
        pixels = rng.integers(1, 9999, (233, 11))
        began = time.process_time()
        bootstrap_intervals(ClassCounts(pixels, pixels * 2, pixels * 2), resamples=1000)
        assert time.process_time() - began < 1


@dataclass
class FakeSample:
    name: str
    pixels: np.ndarray
    labels: np.ndarray


class FakeDataset:
    kind = "folder"
    root = Path("somewhere")

    def __init__(self, truths: list[np.ndarray], labels: LabelSet) -> None:
        self.label_set = labels
        self._samples = [FakeSample(f"val/{i}", np.zeros((*t.shape, 3), np.uint8), t) for i, t in enumerate(truths)]

    def split(self, name: str) -> tuple[int, ...]:
        return tuple(range(len(self._samples))) if name == "val" else ()

    def read(self, item: int) -> FakeSample:
        return self._samples[item]

    def fingerprint(self, split: str) -> str:
        return f"hash-of-{split}"


TRUTHS = [u8([[0, 0, 1], [0, 0, 1]]), u8([[0, 1, 1], [IGNORE, 1, 1]])]
LABELS = label_set("sky", "road", "car")


def run(predict: Any = None, dataset: Any = None, split: str = "val", **options: Any):
    def perfect(sample: Any) -> Segmentation:
        ids = np.where(sample.labels == IGNORE, 0, sample.labels)
        return Segmentation(ids.shape, LABELS, ids, confidence=np.ones(ids.shape, np.float32), model="net@12")

    return evaluate_semantic(predict or perfect, dataset or FakeDataset(TRUTHS, LABELS), split, **options)


def with_map(change: Any, **fields: Any) -> Any:
    def predict(sample: Any) -> Segmentation:
        ids = change(np.where(sample.labels == IGNORE, 0, sample.labels)).astype(np.uint8)
        return Segmentation(ids.shape, LABELS, ids, **fields)

    return predict


class TestEvaluate:
    def test_perfect(self):
        report = run()
        assert (report.miou, report.miou_interval, report.pixel_accuracy, report.dice) == (1, (1, 1), 1, 1)
        assert (report.boundary_f, report.boundary_iou, report.ece) == (1, 1, 0)
        assert report.iou == {"sky": 1, "road": 1, "car": None}
        assert report.confusion_matrix.tolist() == [[5, 0, 0], [0, 6, 0], [0, 0, 0]]
        assert (report.model, report.num_images, report.split) == ("net@12", 2, "val")
        assert report.data == {"kind": "folder", "fingerprint": "hash-of-val"}

    def test_all_sky(self):
        report = run(with_map(lambda ids: ids * 0))
        assert report.confusion_matrix.tolist() == [[5, 0, 0], [6, 0, 0], [0, 0, 0]]
        assert report.iou == {"sky": pytest.approx(5 / 11), "road": 0, "car": None}
        assert report.miou == pytest.approx(5 / 22)
        assert report.ece is None
        assert report.reliability == ()
        assert report.per_image == (
            {"name": "val/0", "miou": pytest.approx(4 / 6 / 2), "pixel_accuracy": pytest.approx(4 / 6)},
            {"name": "val/1", "miou": pytest.approx(1 / 5 / 2), "pixel_accuracy": pytest.approx(1 / 5)},
        )
        assert report.miou_interval[0] == pytest.approx(0.1)
        assert report.miou_interval[1] == pytest.approx(1 / 3)

    def test_json_has_every_key_and_never_nan(self):
        text = json.dumps(run().to_dict(), allow_nan=False)
        data = json.loads(text)
        keys = (
            "miou miou_interval iou iou_interval pixel_accuracy class_accuracy accuracy fwiou dice dice_per_class "
            "boundary_f boundary_f_per_class boundary_iou boundary_iou_per_class ece reliability confusion_matrix "
            "partition per_image num_images split data label_set model seconds seconds_per_image machine definitions"
        )
        assert set(data) == set(keys.split())
        assert data["iou"]["car"] is None
        assert data["iou_interval"] == {"sky": [1, 1], "road": [1, 1], "car": None}
        assert data["machine"]["cores"] >= 1
        assert data["machine"]["versions"]["numpy"] == np.__version__
        assert LabelSet.from_dict(data["label_set"]) == LABELS

    def test_definitions_are_of_keys(self):
        assert set(DEFINITIONS) - {"ignored"} <= set(run().to_dict())

    def test_interval_needs_resamples_and_images(self):
        assert run(bootstrap=0).miou_interval is None
        one = run(dataset=FakeDataset(TRUTHS[:1], LABELS))
        assert one.miou_interval is None
        assert one.iou_interval == {"sky": None, "road": None, "car": None}

    def test_calibration_needs_confidence_for_every_image(self):
        confidences = iter([np.ones((2, 3), np.float32), None])
        report = run(lambda s: with_map(lambda ids: ids, confidence=next(confidences))(s))
        assert report.ece is None

    def test_all_ignored_is_none_everywhere(self):
        report = run(dataset=FakeDataset([np.full((2, 3), IGNORE, np.uint8)], LABELS))
        assert (report.miou, report.pixel_accuracy, report.boundary_f, report.ece) == (None, None, None, None)
        json.dumps(report.to_dict(), allow_nan=False)

    def test_progress_sees_every_item(self):
        seen = []

        def progress(items, total, description):
            for item in items:
                seen.append((total, description))
                yield item

        run(progress=progress)
        assert seen == [(2, "evaluate val")] * 2

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"split": "test"}, DataError, "'test'.*no images"),
            ({"bootstrap": -1}, ConfigError, "bootstrap"),
            ({"predict": with_map(lambda ids: ids[:, :2])}, InputError, r"val/0: .*\(2, 2\).*\(2, 3\)"),
            ({"predict": with_map(lambda ids: ids + 2)}, InputError, "val/0: prediction holds class id 3"),
            ({"predict": lambda s: Segmentation((2, 3), LABELS, None)}, InputError, "val/0: .*no label map"),
            ({"dataset": FakeDataset(TRUTHS, label_set("sky", "road"))}, DataError, "only the model has car"),
        ],
    )
    def test_refuses(self, options, error, message):
        with pytest.raises(error, match=message):
            run(**options)

    @pytest.mark.parametrize(
        ("model", "data", "message"),
        [
            (("a", "b"), ("b", "a"), "same names, other order: id 0 is a in the model and b in the data set"),
            (("a", "b", "c"), ("a", "b"), "only the model has c"),
            (("a", "x"), ("a", "y"), "only the model has x; only the data set has y"),
        ],
    )
    def test_says_how_classes_differ(self, model, data, message):
        with pytest.raises(DataError, match=message):
            check_same_classes(label_set(*model), label_set(*data))
        check_same_classes(label_set(*data), LabelSet("other name", label_set(*data).labels, ignore_index=99))


@pytest.mark.parametrize("border", [0, 1])
def test_a_border_class_adds_the_scores_of_the_partition(border: int) -> None:
    labels = label_set("left", "right")
    truth = np.random.default_rng(1).integers(0, 2, (24, 24)).astype(np.uint8)
    truth[:4] = IGNORE
    dataset = FakeDataset([truth], labels)
    probability = np.where(truth == border, 0.8, 0.3).astype(np.float32)  # of the border class
    probability[10, :12] = 0.65

    def predict(sample: Any) -> Segmentation:
        ids = np.where(probability > 0.5, border, 1 - border).astype(np.uint8)
        sure = np.maximum(probability, 1 - probability)
        return Segmentation(ids.shape, labels, ids, confidence=sure)

    expected = PartitionScores(membrane=border, ignore_index=IGNORE)
    expected.update(truth, probability)
    report = run(predict, dataset, border=labels.names[border])
    got = report.partition["thresholds"]
    for ours, theirs in zip(got, expected.report().to_dict()["thresholds"], strict=True):
        assert ours == theirs
    assert run(predict, dataset).partition is None
    assert report.to_dict()["partition"]["num_images"] == 1


@pytest.mark.parametrize(("names", "border"), [(("a", "b"), "c"), (("a", "b", "c"), "a")])
def test_a_border_class_is_one_of_two(names: tuple[str, ...], border: str) -> None:
    with pytest.raises(ConfigError, match="exactly two classes"):
        run(dataset=FakeDataset(TRUTHS, label_set(*names)), border=border)


def test_border_scores_need_a_confidence() -> None:
    labels = label_set("a", "b")

    def unsure(sample: Any) -> Segmentation:
        return Segmentation(sample.labels.shape, labels, np.zeros(sample.labels.shape, np.uint8))

    with pytest.raises(InputError, match="gave none"):
        run(unsure, FakeDataset([u8([[0, 1]])], labels), border="b")

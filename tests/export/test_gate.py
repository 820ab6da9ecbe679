"""The gate: what may be lost, class by class."""

from dataclasses import replace

import pytest

from segscape.data import open_dataset
from segscape.export.gate import MEAN, Comparison, Limits, Row, compare, measure


@pytest.mark.parametrize(
    ("before", "after", "change", "within"),
    [
        (0.80, 0.80, 0.0, True),
        (0.80, 0.786, -0.014, True),
        (0.80, 0.784, -0.016, False),
        (0.80, 0.95, 0.15, True),
        (0.01, None, -0.01, True),
        (0.80, None, -0.8, False),
        (None, 0.0, 0.0, True),
        (None, None, None, True),
    ],
)
def test_a_row(before, after, change, within):
    row = Row("road", before, after, 0.015)
    assert (row.change, row.within) == (pytest.approx(change), within)


def test_one_row_is_enough_to_fail():
    good, bad = Row("road", 0.8, 0.8, 0.015), Row("car", 0.8, 0.7, 0.015)
    assert Comparison("IoU", (good,), 3).passed
    assert not Comparison("IoU", (good, bad), 3).passed


def test_label_maps_are_compared_by_iou(tiny_predictor, make_mask_folder):
    dataset = open_dataset(make_mask_folder(val=2))
    before = measure(tiny_predictor, dataset, "val")
    names = dataset.label_set.names
    after = replace(before, miou=before.miou - 0.004, iou={**before.iou, names[1]: (before.iou[names[1]] or 0) - 0.02})
    found = compare(before, after, Limits())
    assert [(row.name, row.limit) for row in found.rows] == [(MEAN, 0.005), *((name, 0.015) for name in names)]
    assert [row.within for row in found.rows] == [True, True, False, True]
    assert (found.measure, found.num_images, found.passed) == ("IoU", 2, False)
    assert compare(before, after, Limits(class_iou=0.021)).passed
    assert not compare(before, replace(after, miou=before.miou - 0.006), Limits(class_iou=0.021)).passed
    assert compare(before, before, Limits(0.0, 0.0, 0.0)).passed
    assert found.to_dict()["rows"][0]["before"] == pytest.approx(before.miou, abs=1e-6)
    assert found.table().row_count == 1 + len(names)


def test_objects_are_compared_by_ap(tiny_objects, make_numbered):
    from segscape.predict.predictor import load

    dataset = open_dataset(f"numbered:{make_numbered(val=1)}")
    before = measure(load(tiny_objects, engine="torch", device="cpu"), dataset, "val")
    before = replace(before, map_mask=0.5, per_class={"car": {"map_mask": 0.5}})
    after = replace(before, map_mask=0.495, per_class={"car": {"map_mask": 0.48}})
    found = compare(before, after, Limits())
    assert [(row.name, row.within) for row in found.rows] == [(MEAN, True), ("car", False)]
    assert found.measure == "AP"

"""The check of a data set of objects names every fault with its ids, and gives its numbers."""

import json
import re

import numpy as np
import pytest
from object_sets import picture, save, write_json, write_numbered

from segscape.data import open_dataset
from segscape.data.checks import check_dataset
from segscape.data.object_checks import _SAY
from segscape.errors import DataError

SQUARE = [2, 3, 6, 3, 6, 8, 2, 8]
NAN = float("nan")


def annotation(number, image=1, **fields):
    return {"id": number, "image_id": image, "category_id": 1, "segmentation": [SQUARE], "iscrowd": 0} | fields


@pytest.fixture
def data():
    """Two images with two objects each, no fault."""
    return {
        "images": [
            {"id": i, "file_name": f"{stem}.png", "height": 12, "width": 16} for i, stem in ((1, "a"), (2, "b"))
        ],
        "annotations": [annotation(10 * image + i, image) for image in (1, 2) for i in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}],
    }


def check(root, data):
    for seed, stem in enumerate("ab"):
        if not (root / f"images/{stem}.png").exists():
            save(root / f"images/{stem}.png", picture(seed))
    write_json(root / "train.json", data)
    return check_dataset(root)


def test_a_sound_data_set_has_no_fault(tmp_path, data):
    assert check(tmp_path, data).faults == ()


# What an annotation is changed to -> kind, severity, words.
OBJECTS = {
    "two points": ({"segmentation": [[1, 1, 5, 5]]}, "bad-polygon", "error", "a polygon of 2 points"),
    "odd number": ({"segmentation": [[*SQUARE, 1]]}, "bad-polygon", "error", "9 numbers, which make no pairs"),
    "NaN": ({"segmentation": [[*SQUARE, 1, NAN]]}, "bad-polygon", "error", "not finite"),
    "run lengths of another size": (
        {"segmentation": {"size": [16, 12], "counts": [192]}}, "bad-mask", "error", r"of size \[16, 12\]",
    ),
    "run lengths too short": (
        {"segmentation": {"size": [12, 16], "counts": [9]}}, "bad-mask", "error", "add up to 9, but",
    ),
    "no mask": ({"segmentation": []}, "no-mask", "error", "has no segmentation"),
    "a box of NaN": ({"bbox": [1, 2, NAN, 3]}, "bad-box", "error", "not four finite numbers"),
    "a box outside": ({"bbox": [1, 2, 30, 3]}, "outside-image", "warning", r"to \(31, 5\) in an image of 16 × 12"),
    "an outline outside": (
        {"segmentation": [[2, 3, 26, 3, 6, 8]]}, "outside-image", "warning", r"to \(26, 8\)",
    ),
    "an unknown class": ({"category_id": 7}, "unknown-category", "error", "category 7 is not in the file's list"),
    "no pixel": ({"segmentation": [[3, 3, 3, 3, 3, 3]]}, "empty-object", "warning", "has no pixel"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "severity", "words"), OBJECTS.values(), ids=OBJECTS)
def test_faults_of_objects_come_with_all_their_ids(tmp_path, data, fields, kind, severity, words):
    for place in (1, 2):
        data["annotations"][place] |= fields
    report = check(tmp_path, data)
    (fault,) = report.faults
    assert (fault.kind, fault.severity, fault.objects) == (kind, severity, ("train/a#12", "train/b#21"))
    (line,) = [line for line in report.lines() if line.startswith(severity)]
    assert "train/a#12, train/b#21" in line
    assert fault.message.split(" (first: ")[0].endswith(", 2")
    assert re.search(words, fault.message)
    assert json.loads(json.dumps(report.to_dict()))["errors" if severity == "error" else "warnings"][0]["objects"] == [
        "train/a#12",
        "train/b#21",
    ]


@pytest.mark.parametrize(("fields", "kind", "severity", "words"), OBJECTS.values(), ids=OBJECTS)
def test_what_the_check_calls_an_error_cannot_be_read(tmp_path, data, fields, kind, severity, words):
    data["annotations"][1] |= fields
    check(tmp_path, data)
    dataset = open_dataset(tmp_path)
    if severity == "error":
        with pytest.raises(DataError, match=words):
            dataset.read_objects(dataset.split("train")[0])
    else:
        dataset.read_objects(dataset.split("train")[0])
        assert check(tmp_path, data).ok


def test_all_faults_come_at_once(tmp_path, data):
    data["annotations"][0] |= {"segmentation": [[1, 1, 5, 5]], "bbox": [0, 0, 99, 1]}
    data["annotations"][1] |= {"category_id": 7}
    data["annotations"] += [annotation(11), annotation(99, image=5)]
    save(tmp_path / "images/b.png", picture(1, 16, 12))
    (tmp_path / "images/a.png").write_bytes(b"\x89PNG no more")
    report = check(tmp_path, data)
    assert [fault.kind for fault in report.errors] == [
        "duplicate-id", "unreadable-image", "size-mismatch", "bad-polygon", "unknown-category",
    ]  # fmt: skip
    assert [fault.kind for fault in report.warnings] == ["unknown-image", "outside-image"]
    mismatch = report.errors[2]
    assert mismatch.files == ("images/b.png",)
    assert "labels 16 × 12, image 12 × 16" in mismatch.message


def test_every_kind_is_explained_in_the_table():
    from segscape.data import checks

    table = {line.split()[0]: line.split()[1] for line in checks.__doc__.splitlines() if line[:1].islower()}
    assert set(_SAY) <= set(table)
    assert {kind: table[kind] for _, kind, _, _ in OBJECTS.values() if kind != "no-mask"} == {
        kind: severity[0].upper() for _, kind, severity, _ in OBJECTS.values() if kind != "no-mask"
    }


def test_damaged_label_files_are_named(tmp_path):
    write_numbered(tmp_path, {"train/a": [[0, 1]], "train/b": [[1, 2]]})
    (tmp_path / "labels/train/b.png").write_bytes(b"\x89PNG no more")
    report = check_dataset(f"numbered:{tmp_path}")
    assert [(fault.kind, fault.files) for fault in report.faults] == [("unreadable-labels", ("labels/train/b.png",))]
    assert report.splits["train"].objects.num_objects == 1


@pytest.mark.parametrize("kind", ["numbered", "yolo"])
def test_a_damaged_image_is_one_fault(tmp_path, kind):
    write_numbered(tmp_path, {"train/a": [[0, 1]]})
    (tmp_path / "classes.txt").write_text("x\n")
    (tmp_path / "labels/train/a.txt").write_text("0 0 0 1 0 1 1 0 1\n")
    (tmp_path / "images/train/a.png").write_bytes(b"\x89PNG no more")
    assert [fault.kind for fault in check_dataset(f"{kind}:{tmp_path}").faults if fault.severity == "error"] == [
        "unreadable-image"
    ]


def test_missing_labels_are_one_fault(tmp_path):
    write_numbered(tmp_path, {"train/a": [[0, 1]], "train/b": [[1, 2]]})
    (tmp_path / "labels/train/b.png").unlink()
    assert [fault.kind for fault in check_dataset(f"numbered:{tmp_path}").faults] == ["missing-labels"]


def test_numbers(tmp_path):
    numbers = np.zeros((12, 16), int)
    numbers[:4, :4] = 1
    numbers[6, :9] = 2
    write_numbered(tmp_path, {"train/a": numbers, "train/b": np.zeros((12, 16), int), "val/c": numbers == 1})
    save(tmp_path / "images/val/c.png", picture(8))
    report = check_dataset(f"numbered:{tmp_path}")
    assert report.faults == ()
    stats = report.splits["train"].objects
    assert (stats.num_objects, stats.num_crowds, stats.num_without, stats.per_image) == (2, 0, 1, (0, 1.0, 2))
    assert stats.class_objects.tolist() == [2]
    small, large = (float(np.sqrt(4 / np.pi * area)) for area in (9, 16))
    assert stats.diameters[50] == pytest.approx((small + large) / 2)
    assert list(stats.diameters) == [5, 25, 50, 75, 95]
    plain = report.to_dict()["splits"]["train"]
    assert plain["classes"]["object"] == {"pixels": 25, "share": 1.0, "images": 1}
    assert plain["objects"]["per_image"] == {"min": 0, "median": 1.0, "max": 2}
    assert plain["objects"]["diameter_px"]["p50"] == round((small + large) / 2, 2)
    assert plain["objects"]["classes"] == {"object": 2}
    lines = report.lines()
    assert (
        "         2 objects, 0 to 2 in an image, median 1, 1 image without, diameters 3 to 4 px (5th to 95th"
        in (lines[2][:104])
    )
    assert lines[-3].split() == ["objects", "train", "val"]
    assert lines[-2].split() == ["object", "2", "1"]


def test_crowds_are_counted_apart(tmp_path, data):
    data["annotations"][0]["iscrowd"] = 1
    stats = check(tmp_path, data).splits["train"].objects
    assert (stats.num_objects, stats.num_crowds, stats.per_image) == (3, 1, (1, 1.5, 2))
    assert stats.class_objects.tolist() == [3]
    assert "3 objects and 1 crowd," in str(stats)


def test_a_class_without_objects_in_training_is_named(tmp_path, data):
    data["categories"].append({"id": 2, "name": "dog"})
    (fault,) = check(tmp_path, data).faults
    assert (fault.kind, "1 of 2: dog" in fault.message) == ("absent-class", True)


def test_a_split_of_empty_images_has_numbers_too(tmp_path, data):
    data["annotations"] = []
    report = check(tmp_path, data)
    assert [fault.kind for fault in report.faults] == ["absent-class"]
    stats = report.splits["train"].objects
    assert (stats.num_objects, stats.num_without, stats.per_image, stats.diameters) == (0, 2, (0, 0.0, 0), {})
    assert "0 objects, 0 to 0 in an image, median 0, 2 images without" in str(stats)
    json.dumps(report.to_dict())


def test_the_same_picture_in_two_splits_is_found(tmp_path, data):
    for image, split in zip(data["images"], ("train", "val"), strict=True):
        image["split"] = split
        save(tmp_path / "images" / image["file_name"], picture(3))
    write_json(tmp_path / "instances.json", data)
    (fault,) = check_dataset(tmp_path).errors
    assert (fault.kind, fault.files) == ("duplicate", ("images/a.png", "images/b.png"))

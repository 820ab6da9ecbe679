"""Pascal VOC's objects: numbers from one image, classes from another, void belongs to none."""

import numpy as np
import pytest
from object_sets import dense, picture, save
from PIL import Image

from segscape.data import open_dataset
from segscape.data.public_sets import VOC, voc_color
from segscape.errors import DataError

F, T = False, True
OBJECTS = [[0, 1, 255, 2], [0, 1, 255, 2]]
CLASSES = [[0, 15, 255, 1], [0, 15, 255, 1]]


def write(root, stem="a", objects=OBJECTS, classes=CLASSES):
    save(root / f"JPEGImages/{stem}.jpg", picture(len(stem), 2, 4))
    for folder, content in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        path = root / folder / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.array(content, np.uint8))
        image.putpalette([level for i in range(256) for level in voc_color(i)])
        image.save(path)
    return root


def lists(root, **splits):
    for split, stems in splits.items():
        path = root / f"ImageSets/Segmentation/{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stem}\n" for stem in stems))


def test_lists_name_the_splits(tmp_path):
    for stem in ("a", "bb", "ccc"):
        write(tmp_path, stem)
    lists(tmp_path, train="a", val=["bb"])
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.label_set) == ("voc", VOC)
    assert {s: [i.name for i in items] for s, items in dataset.splits.items()} == {
        "train": ["train/a"],
        "val": ["val/bb"],
    }
    assert [fault.kind for fault in dataset.faults] == ["not-in-split"]


def test_objects_have_the_class_of_their_pixels_and_no_border(tmp_path):
    dataset = open_dataset(write(tmp_path))
    sample = dataset.read_instances(dataset.split("train")[0])
    assert [VOC.names[label] for label in sample.objects.labels] == ["person", "aeroplane"]
    assert dense(sample.objects) == {
        1: (14, F, [[F, T, F, F], [F, T, F, F]]),
        2: (0, F, [[F, F, F, T], [F, F, F, T]]),
    }


@pytest.mark.parametrize(
    ("classes", "labels", "faults"),
    [
        ([[0, 15, 0, 1], [0, 255, 0, 1]], [14, 0], []),
        ([[0, 15, 0, 1], [0, 7, 0, 1]], [6, 0], [("mixed-classes", "warning", 1)]),
        ([[0, 0, 0, 1], [0, 255, 0, 1]], [0], [("unknown-category", "error", 1)]),
        ([[0, 15, 0, 21], [0, 15, 0, 21]], [14], [("unknown-category", "error", 2)]),
    ],
)
def test_objects_whose_class_is_unclear(tmp_path, classes, labels, faults):
    dataset = open_dataset(write(tmp_path, classes=classes))
    scan = dataset.objects.scan(dataset.split("train")[0])
    assert scan.objects.labels.tolist() == labels
    assert [(f.kind, f.severity, f.number) for f in scan.faults] == faults


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_names.txt", "__ignore__\n_background_\ncell\ndebris\n"),
        (
            "labels.json",
            '{"name": "x", "ignore_index": 255, "labels": [{"name": "cell", "color": [9, 9, 9]},'
            ' {"name": "debris", "color": [5, 5, 5]}]}',
        ),
    ],
)
def test_own_classes(tmp_path, file, text):
    write(tmp_path, classes=[[0, 2, 0, 1], [0, 2, 0, 1]])
    (tmp_path / file).write_text(text)
    dataset = open_dataset(tmp_path)
    assert dataset.label_set.names == ("cell", "debris")
    assert all(label.thing for label in dataset.label_set)
    assert dataset.read_objects(dataset.split("train")[0]).labels.tolist() == [1, 0]


def test_both_label_images_must_fit_and_count_in_the_fingerprint(tmp_path):
    dataset = open_dataset(write(tmp_path))
    item = dataset.split("train")[0]
    before = dataset.fingerprint()
    write(tmp_path, classes=[[0, 14, 255, 1], [0, 15, 255, 1]])
    assert dataset.fingerprint() != before
    write(tmp_path, classes=[[0, 15]])
    with pytest.raises(DataError, match="export both as palette PNG of one size"):
        dataset.read_objects(item)
    (tmp_path / "SegmentationClass/a.png").unlink()
    with pytest.raises(DataError, match=r"SegmentationClass.*cannot be read"):
        dataset.read_objects(item)

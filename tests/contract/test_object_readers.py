"""What every reader of objects keeps, each on a tiny data set in its layout."""

import dataclasses
import pickle
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from segscape.data import READERS, open_dataset
from segscape.data.checks import check_dataset
from segscape.data.convert import convert

KINDS = ["numbered", "nuclei", "cityscapes", "voc", "coco", "labelme", "yolo"]
NUMBERS = {
    "train/a_x": [[0, 1, 1, 2], [3, 0, 0, 2]],
    "train/b_x": [[0, 0, 0, 0], [0, 0, 0, 0]],
    "train/c_x": [[1, 0, 0, 1], [2, 3, 4, 4]],
    "val/d_x": [[1, 1, 1, 1], [1, 2, 2, 1]],
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def root(tmp_path, kind):
    start = tmp_path / "nuclei"
    for seed, (name, numbers) in enumerate(NUMBERS.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (2, 4, 3), np.uint8)
        for part, content in (("images", pixels), ("labels", np.array(numbers, np.uint16))):
            path = start / part / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
    if kind == "nuclei":
        return start
    (start / "classes.txt").write_text("car\n")
    convert(open_dataset(f"numbered:{start}"), kind, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def dataset(root):
    return open_dataset(root)


def said(objects):
    """All that objects say but their ids."""
    boxes = map(tuple, objects.boxes.tolist())
    return objects.size, set(zip(objects.labels.tolist(), boxes, objects.masks, objects.crowd.tolist(), strict=True))


def test_every_reader_of_objects_is_here():
    assert set(KINDS) == set(READERS) - {"ade20k", "camvid", "membranes", "folder"}


def test_its_kind_is_detected_and_can_be_told(root, dataset, kind):
    assert (dataset.kind, dataset.faults) == (kind, ())
    assert open_dataset(f"{kind}:{root}") == dataset


def test_splits_hold_sorted_items_of_unique_names(dataset):
    names = {split: [item.name for item in items] for split, items in dataset.splits.items()}
    assert names == {"train": ["train/a_x", "train/b_x", "train/c_x"], "val": ["val/d_x"]}


def test_every_object_is_read_with_its_image(dataset):
    thing = next(i for i, label in enumerate(dataset.label_set) if label.name in ("car", "nucleus"))
    for items in dataset.splits.values():
        for item in items:
            sample = dataset.read_instances(item)
            assert (sample.name, sample.pixels.shape, sample.objects.size) == (item.name, (2, 4, 3), (2, 4))
            numbers = np.array(NUMBERS[item.name])
            canvas = sample.objects.numbered()
            assert np.array_equal(canvas > 0, numbers > 0)
            assert len(sample.objects) == numbers.max()
            assert len(np.unique(canvas * 100 + numbers)) == len(np.unique(numbers))
            assert set(sample.objects.labels.tolist()) <= {thing}
            assert dataset.label_set[thing].thing
            assert not sample.objects.crowd.any()


def test_it_travels_to_other_processes(dataset):
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    item = dataset.split("train")[0]
    assert said(copy.read_objects(item)) == said(dataset.read_objects(item))


def test_it_is_frozen(dataset):
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.read_objects(dataset.split("train")[0]).size = (1, 1)
    fields = dataclasses.fields(dataset.objects)
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(dataset.objects, fields[0].name if fields else "x", 1)


def test_its_fingerprint_depends_on_content_alone(root, dataset, tmp_path):
    assert re.fullmatch("[0-9a-f]{64}", dataset.fingerprint())
    shutil.copytree(root, tmp_path / "copy" / "nuclei")
    assert open_dataset(tmp_path / "copy" / "nuclei").fingerprint() == dataset.fingerprint()
    item = dataset.split("val")[0]
    before = dataset.fingerprint("val")
    for path in (item.image, item.labels, *dataset.objects.files(item)):
        content = path.read_bytes()
        path.write_bytes(content + b"\0")
        assert dataset.fingerprint("val") != before
        path.write_bytes(content)
    assert dataset.fingerprint("val") == before


def test_its_check_finds_nothing(root, kind):
    report = check_dataset(root)
    assert [fault for fault in report.faults if fault.kind != "absent-class"] == []
    assert (report.kind, report.ok) == (kind, True)
    stats = report.splits["train"].objects
    assert (stats.num_objects, stats.num_without, stats.per_image) == (7, 1, (0, 3.0, 4))

"""What is converted reads back as it was: masks, classes, crowds, names, and ids where the format has them."""

import itertools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from object_sets import picture, save, write_json, write_numbered

from segscape.data import Dataset, Item, open_dataset
from segscape.data.checks import check_dataset
from segscape.data.convert import WRITERS, convert
from segscape.data.object_masks import cropped
from segscape.data.objects import Objects, ObjectScan, objects_from_numbers
from segscape.data.public_sets import CITYSCAPES, COCO, COCO_IDS
from segscape.errors import DataError, InputError, ResourceError
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths, from_coco_string

SHARED = Path(__file__).parents[2].parent / "shared/data"
unhurried = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
THINGS = LabelSet("things", (Label("cat", (1, 2, 3), "猫猫", True), Label('it\'s "x"', (4, 5, 6), "", True)))
ONE = LabelSet("one", (Label("cell", (1, 2, 3), "细胞", True),))
STREET = replace(CITYSCAPES, name="street")
FORMATS = ["coco", "coco polygons", "labelme", "yolo", "numbered", "voc", "cityscapes"]
WITHOUT_IDS = ("yolo",)


@dataclass(frozen=True)
class Given:
    """A source of objects that holds them."""

    objects: dict = field(hash=False)

    def scan(self, item):
        return ObjectScan(self.objects[item.name])

    def files(self, item):
        return ()


def given_set(root, objects, label_set=THINGS):
    """A data set of these objects, {"train/a": Objects}, with a picture each."""
    splits = {}
    for seed, (name, found) in enumerate(objects.items()):
        path = root / f"{name}.png"
        save(path, picture(seed, *found.size))
        splits.setdefault(name.partition("/")[0], []).append(Item(name, path, path))
    return Dataset("given", root, label_set, splits, objects=Given(objects))


def rows_of(masks, labels):
    tight = [(label, cropped(RunLengths.from_dense(mask))) for mask, label in zip(masks, labels, strict=True)]
    return [(label, *found) for label, found in tight if found is not None]


@st.composite
def overlapping(draw):
    """Objects of 2 classes with holes, parts and single pixels, over one another."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    masks = draw(st.lists(arrays(bool, size), max_size=4))
    rows = rows_of(masks, draw(st.lists(st.integers(0, 1), min_size=len(masks), max_size=len(masks))))
    ids = draw(st.lists(st.integers(0, 2**40), min_size=len(rows), max_size=len(rows), unique=True))
    crowd = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    return Objects.of(size, rows, crowd, ids)


@st.composite
def disjoint(draw):
    """Numbered objects of one class."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    return objects_from_numbers(draw(arrays(np.uint16, size, elements=st.sampled_from([0, 1, 2, 3, 254]))))


def written(dataset, kind, out, **options):
    kind, _, polygons = kind.partition(" ")
    return convert(dataset, kind, out, polygons=bool(polygons), **options)


def check_equal(before, after, ids=True):
    assert list(after.splits) == list(before.splits)
    for split in before.splits:
        assert [item.name for item in after.split(split)] == [item.name for item in before.split(split)]
        for old, new in zip(before.split(split), after.split(split), strict=True):
            assert new.image.read_bytes() == old.image.read_bytes()
            a, b = before.read_objects(old), after.read_instances(new).objects
            assert (a.size, a.masks) == (b.size, b.masks)
            for name in ("labels", "boxes", "crowd", *(("ids",) if ids else ())):
                assert getattr(a, name).tolist() == getattr(b, name).tolist()


def as_set(objects):
    return set(zip(objects.labels.tolist(), map(tuple, objects.boxes.tolist()), objects.masks, strict=True))


COUNT = itertools.count()


@pytest.mark.parametrize("kind", ["coco", "coco polygons", "labelme", "yolo"])
@unhurried
@given(objects=st.tuples(overlapping(), overlapping()))
def test_any_objects_come_back_from_outlines(tmp_path, kind, objects):
    a, b = objects
    b = replace(b, ids=b.ids + 2**41)  # COCO keeps ids that are unique in the set
    if kind == "yolo":
        a, b = (x.chosen(~x.crowd) for x in (a, b))
    root = tmp_path / str(next(COUNT))
    dataset = given_set(root / "in", {"train/a": a, "val/b": b})
    after = written(dataset, kind, root / "out")
    check_equal(dataset, after, kind not in WITHOUT_IDS)
    assert after.label_set.labels == THINGS.labels
    assert [fault for fault in after.faults if fault.severity == "error"] == []


@pytest.mark.parametrize(("kind", "label_set"), [("numbered", ONE), ("voc", THINGS), ("cityscapes", STREET)])
@unhurried
@given(objects=st.tuples(disjoint(), disjoint()), data=st.data())
def test_disjoint_objects_come_back_from_label_images(tmp_path, kind, label_set, objects, data):
    classes = arrays(np.int64, (4,), elements=st.integers(0, len(label_set) - 1))
    a, b = (replace(x, labels=data.draw(classes)[: len(x)]) for x in objects)
    root = tmp_path / str(next(COUNT))
    dataset = given_set(root / "in", {"train/a": a, "val/b": b}, label_set)
    after = written(dataset, kind, root / "out")
    if kind == "cityscapes":  # its ids say the class, so that objects come sorted by it
        for item in (item for split in after.splits for item in after.split(split)):
            assert as_set(dataset.read_objects(item)) == as_set(after.read_objects(item))
    else:
        check_equal(dataset, after)
    assert after.label_set.labels == label_set.labels


CITY = objects_from_numbers(np.array([[26000, 26003, 0, 24], [26000, 0, 33007, 24]]))
CITY = replace(CITY, labels=np.array([0, 2, 2, 7]), crowd=np.array([True, False, False, False]))


def test_cityscapes_keeps_its_own_ids_and_groups(tmp_path):
    dataset = given_set(tmp_path / "in", {"train/ulm_0_1": CITY}, CITYSCAPES)
    after = convert(dataset, "cityscapes", tmp_path / "out")
    check_equal(dataset, after)
    assert (tmp_path / "out/gtFine/train/ulm/ulm_0_1_gtFine_instanceIds.png").is_file()


NUMBERS = [[0, 1, 1, 2], [3, 0, 0, 2]]


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_detected_and_sound(tmp_path, kind):
    more = np.array([[4, 1, 1, 2], [3, 0, 0, 2]])
    label_set = LabelSet("street", (CITYSCAPES[2],)) if kind == "cityscapes" else ONE
    objects = {
        f"{split}/{i}_x": objects_from_numbers(more * (more <= 4 - i)) for i, split in enumerate(("train", "val"))
    }
    after = written(given_set(tmp_path / "in", objects, label_set), kind, tmp_path / "out")
    found = open_dataset(tmp_path / "out")
    assert found.kind == after.kind == kind.split()[0]
    report = check_dataset(found)
    assert [str(fault) for fault in report.faults if fault.kind != "absent-class"] == []
    assert report.splits["train"].objects.num_objects == 4


@pytest.mark.parametrize("start", FORMATS)
@pytest.mark.parametrize("end", FORMATS)
def test_from_each_format_to_each(tmp_path, start, end):
    objects = {
        "train/a_b": objects_from_numbers(np.array(NUMBERS)),
        "val/c_d": objects_from_numbers(np.eye(3, 4, dtype=int)),
    }
    label_set = LabelSet("street", (CITYSCAPES[0],)) if "cityscapes" in (start, end) else ONE
    first = given_set(tmp_path / "in", objects, label_set)
    if start == "cityscapes" and end == "numbered":
        with pytest.raises(DataError, match="holds one class, and the data set has 8"):
            written(written(first, start, tmp_path / "1"), end, tmp_path / "2")
        return
    second = written(written(first, start, tmp_path / "1"), end, tmp_path / "2")
    for item in first.split("train"):
        same = next(i for i in second.split("train") if i.name == item.name)
        before, after = objects[item.name], second.read_objects(same)
        assert {found[1:] for found in as_set(before)} == {found[1:] for found in as_set(after)}
        names = [second.label_set.names[label] for label in after.labels]
        assert set(names) == set(label_set.names)


def test_coco_keeps_the_ids_of_categories_and_images(tmp_path):
    save(tmp_path / "in/images/a.png", picture(1))
    annotation = {"id": 8, "image_id": 397133, "category_id": 18, "iscrowd": 1}
    annotation["segmentation"] = {"size": [12, 16], "counts": [5, 7, 180]}
    data = {
        "images": [{"id": 397133, "file_name": "a.png", "height": 12, "width": 16}],
        "annotations": [annotation],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    }
    write_json(tmp_path / "in/train.json", data)
    convert(open_dataset(tmp_path / "in"), "coco", tmp_path / "out")
    out = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert [(c["id"], c["name"]) for c in out["categories"]] == [(3, "car"), (18, "dog")]
    (image,) = out["images"]
    assert (image["id"], image["file_name"], image["height"], image["width"]) == (397133, "a.png", 12, 16)
    (found,) = out["annotations"]
    fields = {"id": 8, "image_id": 397133, "category_id": 18, "iscrowd": 1, "area": 7, "bbox": [0, 5, 1, 7]}
    assert {key: found[key] for key in fields} == fields
    assert found["segmentation"]["size"] == [12, 16]
    assert from_coco_string(found["segmentation"]["counts"], (12, 16)).counts.tolist() == [5, 7, 180]


def test_coco_ids_for_sets_from_elsewhere(tmp_path):
    objects = objects_from_numbers(np.array(NUMBERS))
    dataset = given_set(tmp_path / "in", {"train/a": objects, "train/b": objects, "val/c": objects}, COCO)
    convert(dataset, "coco", tmp_path / "out")
    train, val = (json.loads((tmp_path / f"out/annotations/instances_{s}.json").read_text()) for s in ("train", "val"))
    assert [category["id"] for category in train["categories"]] == list(COCO_IDS)
    assert [a["id"] for a in train["annotations"] + val["annotations"]] == list(range(1, 10))
    assert [i["id"] for i in train["images"] + val["images"]] == [1, 2, 3]


def test_coco_polygons_are_polygons_and_pycocotools_reads_them(tmp_path):
    reference = pytest.importorskip("pycocotools.mask")
    ring = np.array([[0, 1, 1, 1, 0, 1], [0, 1, 0, 1, 0, 0], [0, 1, 1, 1, 0, 1]])
    convert(
        given_set(tmp_path / "in", {"train/a": objects_from_numbers(ring)}, ONE),
        "coco",
        tmp_path / "out",
        polygons=True,
    )
    data = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    polygons = data["annotations"][0]["segmentation"]
    assert len(polygons) == 3
    runs = reference.merge(reference.frPyObjects(polygons, 3, 6))
    assert np.array_equal(from_coco_string(runs["counts"], (3, 6)).to_dense(), ring > 0)


def two(mask_a, mask_b, **fields):
    rows = rows_of([np.array(mask_a, bool), np.array(mask_b, bool)], [0, 0])
    return replace(Objects.of((1, 4), rows, ids=[40, 70]), **fields)


OVERLAP = two([[1, 1, 0, 0]], [[0, 1, 1, 0]])
CROWD = two([[1, 0, 0, 0]], [[0, 1, 1, 0]], crowd=np.array([False, True]))
CROWDS = two([[1, 0, 0, 0]], [[0, 1, 1, 0]], crowd=np.array([True, True]))
MANY = objects_from_numbers(np.arange(1, 301).reshape(15, 20))


@pytest.mark.parametrize(
    ("kind", "objects", "label_set", "words"),
    [
        ("numbered", OVERLAP, ONE, r"'train/a_b': objects 40, 70 overlap.*coco, labelme and yolo"),
        ("voc", OVERLAP, ONE, r"'train/a_b': objects 40, 70 overlap"),
        ("cityscapes", OVERLAP, CITYSCAPES, r"'train/a_b': objects 40, 70 overlap"),
        ("numbered", CROWD, ONE, r"'train/a_b': objects 70 are crowds.*write coco, labelme or cityscapes"),
        ("voc", CROWD, ONE, r"objects 70 are crowds"),
        ("yolo", CROWD, ONE, r"objects 70 are crowds"),
        ("cityscapes", CROWDS, CITYSCAPES, r"objects 40, 70 are crowds of one class"),
        ("numbered", OVERLAP, THINGS, r"holds one class, and the data set has 2 \(cat"),
        ("voc", MANY, ONE, r"'train/a_b': has 300 objects, and 'voc' numbers 254; write coco"),
        ("cityscapes", OVERLAP, THINGS, r"holds the classes person.*, not cat, it's"),
        ("lvis", OVERLAP, ONE, r"no kind 'lvis' to write; there are coco, labelme"),
    ],
)  # fmt: skip
def test_what_a_format_cannot_hold_is_refused_with_ids(tmp_path, kind, objects, label_set, words):
    dataset = given_set(tmp_path / "in", {"train/a_b": objects}, label_set)
    with pytest.raises(DataError, match=words):
        convert(dataset, kind, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_cityscapes_are_png_of_at_most_1000_objects_a_class(tmp_path):
    dataset = given_set(
        tmp_path / "in", {"train/a_b": objects_from_numbers(np.arange(1, 1002).reshape(7, 143))}, CITYSCAPES
    )
    with pytest.raises(DataError, match="has over 1000 objects of a class"):
        convert(dataset, "cityscapes", tmp_path / "out")
    dataset = given_set(tmp_path / "in", {"train/a_b": CITY}, CITYSCAPES)
    (item,) = dataset.split("train")
    jpeg = replace(dataset, splits={"train": (replace(item, image=item.image.rename(tmp_path / "a.jpg")),)})
    with pytest.raises(DataError, match="images in the format 'cityscapes' are PNG"):
        convert(jpeg, "cityscapes", tmp_path / "out")


@pytest.mark.parametrize("kind", ["yolo", "voc", "numbered"])
def test_crowds_can_be_left_out(tmp_path, kind):
    dataset = given_set(tmp_path / "in", {"train/a": CROWD}, ONE)
    after = convert(dataset, kind, tmp_path / "out", drop_crowds=True)
    assert [mask.area for mask in after.read_objects(after.split("train")[0]).masks] == [1]


@pytest.mark.parametrize("ids", [[70000, 5, 9], [0, 5, 9]])
def test_ids_that_do_not_fit_are_counted_anew(tmp_path, ids):
    objects = replace(objects_from_numbers(np.array(NUMBERS)), ids=np.array(ids))
    for kind, expected in (("numbered", [1, 2, 3]), ("voc", [1, 2, 3]), ("labelme", ids)):
        after = convert(given_set(tmp_path / "in", {"train/a": objects}, ONE), kind, tmp_path / kind)
        assert after.read_objects(after.split("train")[0]).ids.tolist() == expected


def test_voc_tells_names_apart_that_are_in_two_splits(tmp_path):
    objects = objects_from_numbers(np.array(NUMBERS))
    after = convert(given_set(tmp_path / "in", {"train/a": objects, "val/a": objects}, ONE), "voc", tmp_path / "out")
    assert [after.split(s)[0].name for s in ("train", "val")] == ["train/train_a", "val/val_a"]


def test_borders_are_a_mask_folder(tmp_path):
    dataset = open_dataset(f"numbered:{write_numbered(tmp_path / 'in', {'train/a': [[1, 1, 1, 2, 2, 2]] * 3})}")
    near = convert(dataset, "borders", tmp_path / "1", border_px=1)
    far = convert(dataset, "borders", tmp_path / "2")
    assert (near.kind, near.label_set.names, near.faults) == ("folder", ("background", "inside", "border"), ())
    assert near.read(near.split("train")[0]).labels.tolist() == [[1, 1, 2, 2, 1, 1]] * 3
    assert far.read(far.split("train")[0]).labels.tolist() == [[1, 2, 2, 2, 2, 1]] * 3
    assert open_dataset(tmp_path / "1").kind == "folder"
    with pytest.raises(InputError, match="border_px must be at least 1"):
        convert(dataset, "borders", tmp_path / "3", border_px=0)


def test_images_without_truth_are_left_out(tmp_path):
    write_numbered(tmp_path / "in", {"train/a": NUMBERS, "predict/b": NUMBERS})
    (tmp_path / "in/labels/predict/b.png").unlink()
    dataset = open_dataset(f"numbered:{tmp_path / 'in'}")
    assert list(convert(dataset, "coco", tmp_path / "out").splits) == ["train"]
    with pytest.raises(DataError, match="no image with truth"):
        convert(replace(dataset, splits={"predict": dataset.split("predict")}), "coco", tmp_path / "none")


def test_objects_of_another_size_are_refused(tmp_path):
    dataset = given_set(tmp_path / "in", {"train/a": objects_from_numbers(np.array(NUMBERS))}, ONE)
    save(dataset.split("train")[0].image, picture(1, 5, 5))
    with pytest.raises(DataError, match=r"'train/a': objects of an image of 4 × 2 pixels do not fit"):
        convert(dataset, "coco", tmp_path / "out")


@pytest.mark.parametrize("there", ["file", "full folder"])
def test_nothing_is_overwritten(tmp_path, there):
    out = tmp_path / "out"
    if there == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    dataset = given_set(tmp_path / "in", {"train/a": OVERLAP}, ONE)
    with pytest.raises(InputError, match="is there already"):
        convert(dataset, "coco", out)
    out = out / "mine" if out.is_dir() else out
    assert out.read_text() == "mine"


def test_an_empty_folder_is_filled_and_progress_is_told(tmp_path):
    (tmp_path / "out").mkdir()
    seen = []

    def track(iterable, total, description):
        seen.append((total, description))
        return iterable

    dataset = given_set(tmp_path / "in", {"train/a": OVERLAP, "train/b": OVERLAP}, ONE)
    assert len(convert(dataset, "coco", tmp_path / "out", track).split("train")) == 2
    assert seen == [(2, "writing coco")]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(ResourceError, match="no space left"):
        convert(given_set(tmp_path / "in", {"train/a": OVERLAP}, ONE), "coco", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_label_maps_have_no_objects_to_write(tmp_path):
    write_numbered(tmp_path / "in", {"train/a": NUMBERS})
    with pytest.raises(DataError, match="label maps but no single objects"):
        convert(open_dataset(f"folder:{tmp_path / 'in'}"), "coco", tmp_path / "out")


def test_writers_are_a_plain_table():
    assert list(WRITERS) == ["coco", "labelme", "yolo", "numbered", "voc", "cityscapes", "borders"]


@pytest.mark.parametrize(
    ("name", "kind", "ids"),
    [
        ("nuclei", "coco", False),  # its ids begin anew in each image
        ("nuclei", "coco polygons", False),
        ("nuclei", "labelme", True),
        ("nuclei", "yolo", False),
        ("nuclei", "numbered", True),
        ("coco", "coco", True),
        ("coco", "coco polygons", True),
        ("coco", "labelme", True),
    ],
)
def test_real_objects_come_back(tmp_path, name, kind, ids):
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not there")
    dataset = open_dataset(SHARED / name)
    dataset = replace(dataset, splits={"train": dataset.split("train")[:10]})
    after = written(dataset, kind, tmp_path / "out")
    check_equal(dataset, after, ids)
    assert after.label_set.labels == dataset.label_set.labels

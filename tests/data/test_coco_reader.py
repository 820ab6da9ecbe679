"""COCO files in all their layouts and mask forms, with masks equal to pycocotools'."""

import json
from pathlib import Path

import numpy as np
import pytest
from object_sets import box_mask, dense, picture, save, write_json

from segscape.data import open_dataset
from segscape.data.coco import detect
from segscape.data.public_sets import COCO, COCO_IDS
from segscape.errors import DataError
from segscape.masks import from_coco_string, to_coco_string, uncrop

REAL = Path(__file__).parents[2].parent / "shared/data/coco"
SIZE = (12, 16)
SQUARE = [2, 3, 6, 3, 6, 8, 2, 8]
SQUARE_MASK = box_mask(SIZE, 2, 3, 6, 8)


def annotation(number=1, image=1, category=18, segmentation=None, **more):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "segmentation": [SQUARE] if segmentation is None else segmentation,
        "bbox": [2, 3, 4, 5],
        **more,
    }


def document(names=("a.png",), annotations=(), categories=((18, "dog"), (3, "car")), **image):
    return {
        "info": {},
        "images": [
            {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1], **image}
            for i, name in enumerate(names, start=1)
        ],
        "annotations": list(annotations),
        "categories": [{"id": number, "name": name} for number, name in categories],
    }


def one(root, **fields):
    """A data set of one image with one annotation of these fields, and its item."""
    save(root / "images/a.png", picture(1))
    write_json(root / "instances.json", document(annotations=[annotation(**fields)]))
    dataset = open_dataset(root)
    return dataset, dataset.split("train")[0]


LAYOUTS = {
    "as COCO itself": {
        "annotations/instances_train2017.json": "train2017/a.png",
        "annotations/instances_val2017.json": "val2017/b.png",
    },
    "images in folders of images": {
        "annotations/instances_train.json": "images/train/a.png",
        "annotations/instances_val.json": "images/val/b.png",
    },
    "files beside images": {"train.json": "images/a.png", "val.json": "images/b.png"},
    "images in the root": {"train.json": "a.png", "val.json": "b.png"},
    "as Roboflow": {"train/_annotations.coco.json": "train/a.png", "val/_annotations.coco.json": "val/b.png"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(tmp_path, layout):
    for seed, (path, image) in enumerate(layout.items()):
        save(tmp_path / image, picture(seed))
        write_json(tmp_path / path, document([Path(image).name], [annotation(seed + 5)]))
    write_json(tmp_path / "annotations/captions_train2017.json", document(["other.png"]))
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.faults) == ("coco", ())
    assert {s: [item.name for item in items] for s, items in dataset.splits.items()} == {
        "train": ["train/a"],
        "val": ["val/b"],
    }
    for seed, split in enumerate(("train", "val")):
        sample = dataset.read_instances(dataset.split(split)[0])
        assert dense(sample.objects) == {seed + 5: (1, False, SQUARE_MASK)}
        assert np.array_equal(sample.pixels, picture(seed))


@pytest.mark.parametrize(
    ("file", "splits", "expected"),
    [
        ("instances.json", ("val", "train", "val", "train"), {"train": "bd", "val": "ac"}),
        ("instances.json", ("", "", "", ""), {"train": "ab", "val": "c", "test": "d"}),
        ("test.json", ("", "", "", ""), {"test": "abcd"}),
        ("instances.json", ("x/y", "", "", ""), {"train": "ab", "val": "c", "test": "d"}),
    ],
    ids=["an image says its split", "by hash", "the file's name says it", "no folder is a split"],
)
def test_splits_of_a_single_file(tmp_path, file, splits, expected):
    data = document([f"{stem}.png" for stem in "abcd"])
    for seed, (image, split) in enumerate(zip(data["images"], splits, strict=True)):
        image |= {"split": split} if split else {}
        save(tmp_path / "images" / image["file_name"], picture(seed))
    write_json(tmp_path / file, data)
    dataset = open_dataset(tmp_path)
    assert {s: "".join(item.name[-1] for item in items) for s, items in dataset.splits.items()} == expected


def test_class_ids_are_places_of_sparse_category_ids(tmp_path):
    dataset, item = one(tmp_path)
    assert (dataset.label_set.names, dataset.objects.categories) == (("car", "dog"), (3, 18))
    assert [(label.zh, label.thing) for label in dataset.label_set] == [("汽车", True), ("狗", True)]
    assert dataset.read_objects(item).labels.tolist() == [1]


def test_classes_of_several_files_are_united_in_order_of_their_ids(tmp_path):
    for seed, (split, category) in enumerate((("train", (18, "dog")), ("val", (3, "car")))):
        save(tmp_path / f"images/{split}/a.png", picture(seed))
        write_json(
            tmp_path / f"{split}.json", document(annotations=[annotation(category=category[0])], categories=[category])
        )
    dataset = open_dataset(tmp_path)
    assert (dataset.label_set.names, dataset.objects.categories) == (("car", "dog"), (3, 18))
    assert [dataset.read_objects(dataset.split(s)[0]).labels.tolist() for s in ("train", "val")] == [[1], [0]]


def test_an_unknown_class_keeps_its_name(tmp_path):
    save(tmp_path / "images/a.png", picture(1))
    write_json(tmp_path / "train.json", document(categories=((1, "窗户"), (0, "dog"))))
    assert [(label.name, label.zh) for label in open_dataset(tmp_path).label_set] == [("dog", ""), ("窗户", "")]


def columns(mask):
    """Uncompressed counts of a mask given as nested lists."""
    flat = np.array(mask).T.ravel().tolist()
    counts, value = [0], False
    for bit in flat:
        if bit != value:
            counts.append(0)
            value = bit
        counts[-1] += 1
    return counts


HOLED = (np.array(SQUARE_MASK) & ~np.array(box_mask(SIZE, 3, 4, 5, 6))).tolist()
TWO = (np.array(SQUARE_MASK) | np.array(box_mask(SIZE, 10, 0, 12, 12))).tolist()
OTHER = [10, 0, 12, 0, 12, 12, 10, 12]


@pytest.mark.parametrize(
    ("segmentation", "crowd", "mask"),
    [
        ([SQUARE], 0, SQUARE_MASK),
        (SQUARE, 0, SQUARE_MASK),
        ([SQUARE, OTHER], 0, TWO),
        ([SQUARE, [x + 0.2 for x in SQUARE]], 0, SQUARE_MASK),
        ({"size": list(SIZE), "counts": columns(HOLED)}, 0, HOLED),
        ({"size": list(SIZE), "counts": columns(TWO)}, 1, TWO),
    ],
    ids=[
        "polygon",
        "bare polygon",
        "two parts",
        "overlapping parts",
        "run lengths with a hole",
        "a crowd's run lengths",
    ],
)
def test_masks(tmp_path, segmentation, crowd, mask):
    dataset, item = one(tmp_path, segmentation=segmentation, iscrowd=crowd, number=77)
    objects = dataset.read_objects(item)
    assert dense(objects) == {77: (1, bool(crowd), mask)}
    packed = {"size": list(SIZE), "counts": to_coco_string(uncrop(objects.masks[0], tuple(objects.boxes[0]), SIZE))}
    dataset, item = one(tmp_path / "packed", segmentation=packed, iscrowd=crowd, number=77)
    assert dense(dataset.read_objects(item)) == {77: (1, bool(crowd), mask)}


def test_images_without_objects_are_kept(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"images/{name}.png", picture(seed))
    write_json(tmp_path / "train.json", document(["a.png", "b.png"], [annotation(image=2)]))
    dataset = open_dataset(tmp_path)
    assert [len(dataset.read_objects(item)) for item in dataset.split("train")] == [0, 1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "object 1: a polygon of 2 points"),
        ({"segmentation": [[1, 1, 5, 5, 3, float("nan")]]}, "object 1: .*not finite"),
        ({"segmentation": []}, "has no segmentation"),
        ({"segmentation": "x"}, "no list of numbers"),
        ({"segmentation": {"size": [16, 12], "counts": [192]}}, r"of size \[16, 12\], in an image of \[12, 16\]"),
        ({"segmentation": {"size": [12, 16], "counts": [100]}}, "add up to 100, but"),
        ({"segmentation": {"size": [12, 16], "counts": "~~"}}, "not compressed COCO counts"),
        ({"segmentation": {"size": [12, 16]}}, "run lengths"),
        ({"segmentation": {"size": [12, 16], "counts": ["a"]}}, "run lengths"),
        ({"category": 4}, "category 4 is not in the file's list"),
        ({"category": "dog"}, "category 'dog' is not"),
        ({"bbox": [1, 2, float("nan"), 3]}, "is not four finite numbers"),
        ({"bbox": [1, 2, 3]}, "is not four finite numbers"),
        ({"bbox": [1, 2, -3, 3]}, "is not four finite numbers"),
    ],
)
def test_what_an_object_may_not_be(tmp_path, fields, words):
    dataset, item = one(tmp_path, **fields)
    with pytest.raises(DataError, match=words):
        dataset.read_objects(item)


@pytest.mark.parametrize("segmentation", [[[3, 3, 3, 3, 3, 3]], [[20, 1, 25, 1, 25, 5]]])
def test_objects_without_a_pixel_are_left_out(tmp_path, segmentation):
    dataset, item = one(tmp_path, segmentation=segmentation)
    assert len(dataset.read_objects(item)) == 0
    assert dataset.objects.scan(item).faults[-1].kind == "empty-object"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [', "is no JSON"),
        ('{"images": [], "annotations": {}, "categories": []}', "not in the form of COCO's instances"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no category"),
        ('{"images": [], "annotations": [], "categories": [{"id": "a", "name": "x"}]}', "without an integer id"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}', "'train' is empty"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}',
            "id 1 is called 'x' and 'y'",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]}',
            "names must be unique",
        ),
    ],
)
def test_files_that_are_none(tmp_path, content, words):
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(DataError, match=words):
        open_dataset(tmp_path)


def test_files_that_contradict_each_other(tmp_path):
    for name, category in (("train", "dog"), ("val", "cat")):
        save(tmp_path / f"images/{name}/a.png", picture(1))
        write_json(tmp_path / f"{name}.json", document(categories=((18, category),)))
    with pytest.raises(DataError, match=r"id 18 is called 'dog' in one file and 'cat' in 'val\.json'"):
        open_dataset(tmp_path)


IMAGE = {"id": 9, "file_name": "b.png", "height": 12, "width": 16}


@pytest.mark.parametrize(
    ("images", "annotations", "kind", "severity", "concerned"),
    [
        ([{"id": 9}], [], "bad-record", "error", ("images[1]",)),
        ([IMAGE | {"height": 0}], [], "bad-record", "error", ("images[1]",)),
        ([IMAGE | {"height": float("nan")}], [], "bad-record", "error", ("images[1]",)),
        (["x"], [], "bad-record", "error", ("images[1]",)),
        ([IMAGE | {"id": 1}], [], "duplicate-id", "error", ("b.png (id 1)",)),
        ([IMAGE | {"file_name": "a.jpg"}], [], "duplicate-id", "error", ("a.jpg (id 9)",)),
        ([], [{"image_id": 1}], "bad-record", "error", ("annotations[1]",)),
        ([], [7], "bad-record", "error", ("annotations[1]",)),
        ([], [annotation(1)], "duplicate-id", "error", ("#1",)),
        ([], [annotation(2, image=5)], "unknown-image", "warning", ("#2 (image 5)",)),
        ([IMAGE], [], "missing-image", "warning", ()),
    ],
)
def test_faults_of_the_file_are_named_at_once(tmp_path, images, annotations, kind, severity, concerned):
    save(tmp_path / "images/a.png", picture(1))
    data = document(annotations=[annotation(1)])
    data["images"] += images
    data["annotations"] += annotations
    write_json(tmp_path / "train.json", data)
    (fault,) = open_dataset(tmp_path, strict=False).faults
    assert (fault.kind, fault.severity, fault.objects) == (kind, severity, concerned)
    if severity == "error":
        with pytest.raises(DataError, match=r"train\.json"):
            open_dataset(tmp_path)


def test_images_that_no_file_lists_are_named(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"images/{name}.png", picture(seed))
    write_json(tmp_path / "train.json", document())
    (fault,) = open_dataset(tmp_path).faults
    assert (fault.kind, fault.files) == ("not-in-split", ("images/b.png",))


@pytest.mark.parametrize("name", ["../../a.png", "/home/user/a.png", "C:\\data\\a.png", "sub\\..\\..\\a.png"])
def test_paths_of_other_machines_are_names(tmp_path, name):
    save(tmp_path / "images/a.png", picture(1))
    write_json(tmp_path / "train.json", document([name]))
    (item,) = open_dataset(tmp_path).split("train")
    assert (item.name, item.image) == ("train/a", tmp_path / "images/a.png")


def test_names_may_have_folders_and_dots(tmp_path):
    save(tmp_path / "images/city/a.1.png", picture(1))
    write_json(tmp_path / "train.json", document(["city/a.1.png"], [annotation()]))
    dataset = open_dataset(tmp_path)
    (item,) = dataset.split("train")
    assert (item.name, len(dataset.read_objects(item))) == ("train/city/a.1", 1)


def test_a_changed_file_is_read_again(tmp_path):
    dataset, item = one(tmp_path)
    write_json(tmp_path / "instances.json", document(annotations=[annotation(5), annotation(6)]))
    assert dataset.read_objects(item).ids.tolist() == [5, 6]
    write_json(tmp_path / "instances.json", document(["other.png"]))
    with pytest.raises(DataError, match="does not list the image 'train/a'"):
        dataset.read_objects(item)


@pytest.mark.parametrize(
    ("file", "content", "labels", "coco"),
    [
        ("instances.json", document(), False, True),
        ("instances.json", document(), True, False),
        (
            "labels.json",
            {"name": "x", "ignore_index": 255, "labels": [{"name": "x", "color": [1, 2, 3]}]},
            False,
            False,
        ),
        ("config.json", {"name": "x", "images": []}, False, False),
        ("captions_train2017.json", document(), False, False),
    ],
    ids=["COCO", "a mask folder with a JSON", "a label set", "another JSON", "captions"],
)
def test_other_folders_are_not_of_it(tmp_path, file, content, labels, coco):
    save(tmp_path / "images/a.png", picture(1))
    if labels:
        save(tmp_path / "labels/a.png", np.zeros(SIZE, np.uint8))
    write_json(tmp_path / file, content)
    assert detect(tmp_path) == coco


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/coco is not there")
def test_the_real_ones_are_pycocotools_own():
    reference = pytest.importorskip("pycocotools.mask")
    data = json.loads((REAL / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    dataset = open_dataset(REAL)
    assert (dataset.label_set, dataset.objects.categories) == (COCO, COCO_IDS)
    read = {}
    for item in dataset.split("train"):
        objects = dataset.read_objects(item)
        for i, number in enumerate(objects.ids.tolist()):
            mask = uncrop(objects.masks[i], tuple(objects.boxes[i].tolist()), objects.size)
            read[number] = (dataset.objects.categories[objects.labels[i]], bool(objects.crowd[i]), mask)
    assert len(read) == len(data["annotations"])
    for entry in data["annotations"]:
        size, segmentation = sizes[entry["image_id"]], entry["segmentation"]
        runs = reference.frPyObjects(segmentation, *size)
        counts = (reference.merge(runs) if isinstance(segmentation, list) else runs)["counts"]
        expected = (entry["category_id"], bool(entry["iscrowd"]), from_coco_string(counts, size))
        assert read[entry["id"]] == expected

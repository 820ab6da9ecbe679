"""LabelMe's shapes become masks; groups of shapes become one object."""

import base64
import io

import numpy as np
import pytest
from object_sets import box_mask, dense, picture, save, write_json
from PIL import Image

from segscape.data import open_dataset
from segscape.errors import DataError

SIZE = (12, 16)


def shape(label="cat", points=((2, 3), (6, 3), (6, 8), (2, 8)), kind="polygon", group=None, **more):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}, **more}


def write(root, *shapes, name="a", size=SIZE):
    save(root / f"{name}.png", picture(len(name)))
    data = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png", "imageData": None}
    write_json(root / f"{name}.json", data | {"imageHeight": size[0], "imageWidth": size[1]})
    return root


def encoded(mask, kind=np.uint8):
    content = io.BytesIO()
    Image.fromarray(np.array(mask).astype(kind)).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def scan(root):
    dataset = open_dataset(root)
    assert dataset.kind == "labelme"
    return dataset.objects.scan(dataset.split("train")[0])


DISC = [[(x + 0.5 - 5) ** 2 + (y + 0.5 - 4) ** 2 <= 9 for x in range(16)] for y in range(12)]
EDGE = [[(x + 0.5 - 15) ** 2 + (y + 0.5 - 0) ** 2 <= 16 for x in range(16)] for y in range(12)]
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
RING_MASK = np.zeros(SIZE, bool)
RING_MASK[3:6, 2:5] = RING
CUT = np.zeros(SIZE, bool)
CUT[:2, :2] = RING[1:, 1:]


@pytest.mark.parametrize(
    ("given", "mask"),
    [
        (shape(), box_mask(SIZE, 2, 3, 6, 8)),
        (shape(points=[[2.4, 3.4], [6.4, 3.4], [6.4, 8.4], [2.4, 8.4]]), box_mask(SIZE, 2, 3, 6, 8)),
        (shape(points=[[6, 8], [2, 3]], kind="rectangle"), box_mask(SIZE, 2, 3, 6, 8)),
        (shape(points=[[5, 4], [5, 7]], kind="circle"), DISC),
        (shape(points=[[15, 0], [15, 4]], kind="circle"), EDGE),
        (shape(points=[[2, 3], [4, 5]], kind="mask", mask=encoded(RING)), RING_MASK.tolist()),
        (shape(points=[[2, 3], [4, 5]], kind="mask", mask=encoded(RING * 255)), RING_MASK.tolist()),
        (shape(points=[[-1, -1], [1, 1]], kind="mask", mask=encoded(RING)), CUT.tolist()),
    ],
    ids=["polygon", "fractions", "rectangle", "circle", "cut circle", "mask", "mask of 255", "cut mask"],
)
def test_shapes(tmp_path, given, mask):
    assert dense(scan(write(tmp_path, given)).objects) == {1: (0, False, mask)}


LEFT = shape(points=[[0, 0], [3, 2]], kind="rectangle")
RIGHT = shape(points=[[8, 0], [9, 2]], kind="rectangle")


@pytest.mark.parametrize(
    ("groups", "ids", "parts"),
    [
        ((None, None), [1, 2], [6, 2]),
        ((7, 7), [7], [8]),
        ((7, 9), [7, 9], [6, 2]),
        ((9, 7), [9, 7], [6, 2]),
        ((7, None), [1, 2], [6, 2]),
    ],
)
def test_groups_are_objects_and_their_numbers_are_ids(tmp_path, groups, ids, parts):
    shapes = [given | {"group_id": group} for given, group in zip((LEFT, RIGHT), groups, strict=True)]
    objects = scan(write(tmp_path, *shapes)).objects
    assert objects.ids.tolist() == ids
    assert [mask.area for mask in objects.masks] == parts


def test_a_group_holds_one_class(tmp_path):
    objects = scan(write(tmp_path, LEFT | {"group_id": 4}, RIGHT | {"group_id": 4, "label": "ant"})).objects
    assert (objects.ids.tolist(), objects.labels.tolist()) == ([1, 2], [1, 0])


def test_the_flag_crowd(tmp_path):
    assert scan(write(tmp_path, LEFT | {"flags": {"crowd": True}}, RIGHT)).objects.crowd.tolist() == [True, False]


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        (None, "", ("ant", "cat", "dog")),
        ("labels.txt", "__ignore__\n_background_\ndog\ncat\nant\n", ("dog", "cat", "ant")),
        ("labels.txt", "dog\ncat\nant\nbee\n", ("dog", "cat", "ant", "bee")),
    ],
)
def test_classes(tmp_path, file, text, names):
    write(tmp_path, shape("dog"), shape("_background_"), name="train/a")
    write(tmp_path, shape("cat"), shape("__ignore__"), shape("ant"), name="val/bb")
    if file:
        (tmp_path / file).write_text(text)
    dataset = open_dataset(tmp_path)
    assert dataset.label_set.names == names
    assert list(dataset.splits) == ["train", "val"]
    labels = dataset.read_objects(dataset.split("val")[0]).labels
    assert [names[label] for label in labels] == ["cat", "ant"]


@pytest.mark.parametrize("place", [".", "images", "images/train", "train"])
def test_layouts(tmp_path, place):
    write(tmp_path / place, shape())
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.faults) == ("labelme", ())
    assert [item.name for item in dataset.split("train")] == ["train/a"]
    assert len(dataset.read_instances(dataset.split("train")[0]).objects) == 1


def test_a_missing_size_is_the_images(tmp_path):
    write(tmp_path, shape(), size=(None, 0))
    assert scan(tmp_path).objects.size == SIZE


@pytest.mark.parametrize(
    ("given", "kind", "severity"),
    [
        (shape(points=[[1, 1], [4, 4]]), "bad-polygon", "error"),
        (shape(points=[[1, 1], [4, 4], [2, float("nan")]]), "bad-polygon", "error"),
        (shape(points=[[1, 1, 1], [4, 4, 4], [5, 5, 5]]), "bad-polygon", "error"),
        (shape(points="x"), "bad-polygon", "error"),
        (shape(points=None), "bad-polygon", "error"),
        (shape(points=[[1, 1]], kind="rectangle"), "bad-polygon", "error"),
        (shape(points=[[1, 1], [4, float("inf")]], kind="circle"), "bad-polygon", "error"),
        (shape(points=[[1, 1], [4, 4]], kind="mask", mask=encoded(RING)), "bad-mask", "error"),
        (shape(points=[[2, 3], [4, 5]], kind="mask", mask="%%%"), "bad-mask", "error"),
        (shape(points=[[2, 3], [4, 5]], kind="mask"), "bad-mask", "error"),
        (shape("dog"), "unknown-category", "error"),
        (shape(kind="line", points=[[1, 1], [4, 4]]), "no-mask", "warning"),
        (shape(kind="point", points=[[1, 1]]), "no-mask", "warning"),
        (shape(points=[[2, 3], [26, 3], [26, 8], [2, 8]]), "outside-image", "warning"),
        (shape(points=[[2, 3], [2, 8]], kind="rectangle"), "empty-object", "warning"),
    ],
)
def test_faults(tmp_path, given, kind, severity):
    write(tmp_path, shape(), given)
    (tmp_path / "labels.txt").write_text("cat\n")
    found = scan(tmp_path)
    assert [(f.kind, f.severity, f.number) for f in found.faults] == [(kind, severity, 2)]
    assert found.objects.ids.tolist()[0] == 1
    dataset = open_dataset(tmp_path)
    if severity == "error":
        with pytest.raises(DataError, match=r"a\.json': object 2: "):
            dataset.read_objects(dataset.split("train")[0])


@pytest.mark.parametrize("content", ["{", '{"shapes": 3}', '{"shapes": [3]}', "[]", '{"version": "5"}'])
def test_files_that_are_none(tmp_path, content):
    write(tmp_path, shape(), name="train/a")
    write(tmp_path, shape(), name="train/bb")
    (tmp_path / "train/bb.json").write_text(content)
    dataset = open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"bb\.json': (is no JSON|has no list of 'shapes')"):
        dataset.read_objects(dataset.split("train")[1])


def test_images_without_a_json_are_not_done_yet(tmp_path):
    write(tmp_path, shape())
    save(tmp_path / "b.png", picture(5))
    assert [fault.kind for fault in open_dataset(tmp_path, strict=False).faults] == ["missing-labels"]


def test_without_a_label_there_is_nothing_to_learn(tmp_path):
    write(tmp_path, shape("_background_"))
    with pytest.raises(DataError, match="no shape has a label"):
        open_dataset(tmp_path)


def test_a_mask_folder_with_jsons_stays_one(tmp_path):
    write(tmp_path / "images", shape())
    save(tmp_path / "labels/a.png", np.zeros(SIZE, np.uint8))
    assert open_dataset(tmp_path).kind == "folder"

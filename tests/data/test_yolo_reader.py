"""YOLO's lines become masks, with the holes and parts that bridges of no width say."""

import numpy as np
import pytest
from object_sets import box_mask, dense, picture, save
from PIL import Image

from segscape.data import open_dataset
from segscape.data.yolo import detect, yaml_names
from segscape.errors import DataError

SIZE = (10, 20)
SQUARE = "0.1 0.3 0.3 0.3 0.3 0.8 0.1 0.8"
SQUARE_MASK = box_mask(SIZE, 2, 3, 6, 8)
HOLED = (np.array(SQUARE_MASK) & ~np.array(box_mask(SIZE, 3, 4, 5, 6))).tolist()
TWO = (np.array(SQUARE_MASK) | np.array(box_mask(SIZE, 10, 3, 12, 8))).tolist()


def write(root, text, stem="train/a", names="names: [cat, dog]\n"):
    images, labels = ("images", "labels") if isinstance(stem, str) else stem[1:]
    stem = stem if isinstance(stem, str) else stem[0]
    save(root / images / f"{stem}.png", picture(len(stem), *SIZE))
    if text is not None:
        (root / labels / stem).parent.mkdir(parents=True, exist_ok=True)
        (root / labels / f"{stem}.txt").write_text(text)
    (root / "data.yaml").write_text(names)
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"1 {SQUARE}\n", {1: (1, False, SQUARE_MASK)}),
        (f"\n0 {SQUARE}\n\n1 {SQUARE}", {2: (0, False, SQUARE_MASK), 4: (1, False, SQUARE_MASK)}),
        (f"0 {SQUARE} 0.1 0.4 0.15 0.4 0.15 0.6 0.25 0.6 0.25 0.4 0.15 0.4 0.1 0.4", {1: (0, False, HOLED)}),
        (f"0 {SQUARE} 0.1 0.3 0.5 0.3 0.6 0.3 0.6 0.8 0.5 0.8 0.5 0.3", {1: (0, False, TWO)}),
        ("", {}),
        (None, {}),
    ],
    ids=["a polygon", "a line an object", "a hole", "two parts", "an empty file", "no file"],
)
def test_lines(tmp_path, text, expected):
    write(tmp_path, f"0 {SQUARE}", "train/b")
    dataset = open_dataset(write(tmp_path, text))
    assert (dataset.kind, dataset.label_set.names) == ("yolo", ("cat", "dog"))
    sample = dataset.read_instances(dataset.split("train")[0])
    assert dense(sample.objects) == expected
    kinds = [(fault.kind, fault.severity) for fault in dataset.faults]
    assert kinds == ([("missing-labels", "warning")] if text is None else [])


def test_roboflow_has_images_and_labels_in_each_split(tmp_path):
    for split in ("train", "valid"):
        write(tmp_path, f"0 {SQUARE}", (split[0], f"{split}/images", f"{split}/labels"))
    dataset = open_dataset(tmp_path)
    assert {s: [i.name for i in items] for s, items in dataset.splits.items()} == {
        "train": ["train/t"],
        "valid": ["valid/v"],
    }
    assert len(dataset.read_objects(dataset.split("valid")[0])) == 1


def test_shares_are_of_the_upright_image(tmp_path):
    root = write(tmp_path, f"0 {SQUARE}")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(picture(1, *SIZE)).copy()).save(tmp_path / "images/train/a.png", exif=exif)
    dataset = open_dataset(root)
    assert dataset.read_instances(dataset.split("train")[0]).objects.size == SIZE


@pytest.mark.parametrize(
    ("line", "kind", "severity"),
    [
        ("0 0.5 0.5 0.2 0.2", "bad-polygon", "error"),
        ("0 0.5 0.5", "bad-polygon", "error"),
        ("0", "bad-polygon", "error"),
        (f"0 {SQUARE} 0.5", "bad-polygon", "error"),
        (f"0 {SQUARE} 0.5 nan", "bad-polygon", "error"),
        (f"0 {SQUARE} 0.5 x", "bad-polygon", "error"),
        (f"2 {SQUARE}", "unknown-category", "error"),
        (f"-1 {SQUARE}", "unknown-category", "error"),
        (f"1.0 {SQUARE}", "unknown-category", "error"),
        ("0 0.1 0.3 1.3 0.3 0.3 0.8", "outside-image", "warning"),
        ("0 0.1 0.3 0.1 0.3 0.1 0.3", "empty-object", "warning"),
    ],
)
def test_faults(tmp_path, line, kind, severity):
    dataset = open_dataset(f"yolo:{write(tmp_path, f'0 {SQUARE}{chr(10)}{line}{chr(10)}')}")
    item = dataset.split("train")[0]
    found = dataset.objects.scan(item)
    assert [(f.kind, f.severity, f.number) for f in found.faults] == [(kind, severity, 2)]
    assert found.objects.ids.tolist()[0] == 1
    if severity == "error":
        with pytest.raises(DataError, match=r"a\.txt': object 2: "):
            dataset.read_objects(item)


def test_what_is_no_text_is_refused(tmp_path):
    dataset = open_dataset(write(tmp_path, f"0 {SQUARE}"))
    (tmp_path / "labels/train/a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="cannot be read as text"):
        dataset.read_objects(dataset.split("train")[0])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, 'b, c', \"d\"] # three\n", ["a", "b, c", "d"]),
        ("names: ['a',\n  'b']\nnc: 2\n", ["a", "b"]),
        ("names: {0: a, 1: 'b'}\n", ["a", "b"]),
        ("path: .\nnames:\n  0: person\n  1: traffic light  # red\nnc: 2\n", ["person", "traffic light"]),
        ("names:\n- a\n- b c\n\ntrain: images/train\n", ["a", "b c"]),
        ("names:\n\n  # ids\n  1: b\n  0: a\ntrain: x", ["a", "b"]),
        ("names:\n  0: \"say \\\"x\\\" 人\"\n  1: 'it''s'\n", ['say "x" 人', "it's"]),
        ("names: []\n", []),
        ("nc: 2\n", []),
        ("class_names: [a]\n", []),
    ],
)
def test_names_of_a_data_yaml(text, names):
    assert yaml_names(text) == names


def test_names_may_stand_in_classes_txt(tmp_path):
    write(tmp_path, f"1 {SQUARE}", names="train: images/train\n")
    with pytest.raises(DataError, match="nothing names its classes"):
        open_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert open_dataset(tmp_path).label_set.names == ("cat", "dog")


@pytest.mark.parametrize("text", ["a note\n", "0 0.5 x 0.1\n"])
def test_other_text_files_are_no_labels(tmp_path, text):
    assert not detect(write(tmp_path, text))


def test_a_mask_folder_with_text_files_stays_one(tmp_path):
    write(tmp_path, f"0 {SQUARE}")
    save(tmp_path / "labels/train/a.png", np.zeros(SIZE, np.uint8))
    assert open_dataset(tmp_path).kind == "folder"

"""A data set: its splits, reading an item, its fingerprint."""

import pickle
import re

import numpy as np
import pytest
from PIL import Image

from segscape.data import Dataset, Fault, Item
from segscape.errors import DataError, ImageError
from segscape.labels import Label, LabelSet

TWO = LabelSet("two", (Label("a", (0, 0, 0)), Label("b", (255, 0, 0))))


def save(path, values):
    Image.fromarray(np.array(values, np.uint8)).save(path)
    return path


@pytest.fixture
def dataset(tmp_path):
    image = save(tmp_path / "a.png", np.full((2, 3, 3), 9))
    labels = save(tmp_path / "l.png", [[0, 1, 255], [0, 7, 0]])
    items = (Item("train/b", image, labels), Item("train/a", image, None))
    return Dataset("folder", tmp_path, TWO, {"train": items, "val": ()}, {7: 1})


def test_items_are_sorted_and_read(dataset):
    assert [item.name for item in dataset.split("train")] == ["train/a", "train/b"]
    sample = dataset.read(dataset.split("train")[1])
    assert (sample.name, sample.pixels.shape, sample.pixels.dtype) == ("train/b", (2, 3, 3), np.uint8)
    assert (sample.labels.tolist(), sample.labels.dtype) == ([[0, 1, 255], [0, 1, 0]], np.uint8)


def test_an_unknown_split_names_those_there_are(dataset):
    with pytest.raises(DataError, match="no split 'test'; it has 'train', 'val'"):
        dataset.split("test")


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (None, DataError, "has no labels"),
        ([[0, 1]], DataError, "labels of 2 × 1 pixels do not fit .* of 3 × 2"),
        ([[0, 37, 37], [38, 0, 0]], DataError, r"37 \(2 px\), 38 \(1 px\).*0…1, and 255 for 'ignore'"),
    ],
)
def test_read_names_what_is_wrong(dataset, labels, error, words):
    path = None if labels is None else save(dataset.root / "wrong.png", labels)
    with pytest.raises(error, match=words):
        dataset.read(Item("train/x", dataset.root / "a.png", path))


def test_read_names_an_image_that_is_none(dataset):
    (dataset.root / "broken.png").write_text("no image")
    with pytest.raises(ImageError, match=r"broken\.png"):
        dataset.read(Item("train/x", dataset.root / "broken.png", dataset.root / "l.png"))


def test_frozen_and_pickled(dataset):
    with pytest.raises(TypeError):
        dataset.splits["train"] = ()
    with pytest.raises(AttributeError):
        dataset.kind = "other"
    again = pickle.loads(pickle.dumps(dataset))
    assert again == dataset
    assert np.array_equal(again.read(again.split("train")[1]).labels, dataset.read(dataset.split("train")[1]).labels)


def test_fingerprint_covers_names_images_labels_and_split_alone(dataset, tmp_path):
    (item,) = (i for i in dataset.split("train") if i.labels)

    def of(*items, root=tmp_path):
        return Dataset("folder", root, TWO, {"train": items, "val": (item,)}).fingerprint("train")

    other = tmp_path / "other.png"
    save(other, [[0, 0, 0], [0, 0, 0]])
    copy = tmp_path / "copy.png"
    copy.write_bytes(item.image.read_bytes())
    base = of(item)
    assert base == of(Item(item.name, copy, item.labels), root=tmp_path / "elsewhere")
    assert len(base) == 64
    variants = {
        base,
        of(),
        of(Item("train/c", item.image, item.labels)),
        of(Item(item.name, other, item.labels)),
        of(Item(item.name, item.image, other)),
        of(Item(item.name, item.image, None)),
        of(item, Item("train/c", item.image, item.labels)),
        dataset.fingerprint(),
    }
    assert len(variants) == 8


def test_fingerprint_of_a_lost_file_names_it(dataset):
    (dataset.root / "l.png").unlink()
    with pytest.raises(DataError, match=r"l\.png.*restore"):
        dataset.fingerprint()


def test_a_fault_in_one_line():
    files = tuple(f"{i}.png" for i in range(7))
    text = str(Fault("k", "error", files, "it is wrong", "mend it"))
    assert text == "it is wrong: '0.png', '1.png', '2.png', '3.png', '4.png' and 2 more; mend it"
    assert str(Fault("k", "error", (), "it is wrong", "")) == "it is wrong"


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train[0/3]", "adg"),
        ("train[2/3]", "cf"),
        ("train[-0/3]", "bcef"),
        ("train[-2/3]", "abdeg"),
        ("train[6/7]", "g"),
        ("train[-1/2]", "aceg"),
    ],
)
def test_folds_of_a_split(tmp_path, split, names):
    items = tuple(Item(f"train/{c}", tmp_path / c, None) for c in "gfedcba")
    dataset = Dataset("folder", tmp_path, TWO, {"train": items})
    assert [item.name.removeprefix("train/") for item in dataset.split(split)] == list(names)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train[3/3]", "0 <= k < n"),
        ("train[0/1]", "n from 2 to 7"),
        ("train[0/8]", "n from 2 to 7"),
        ("train[0/]", "no split 'train"),
        ("nowhere[0/2]", "no split 'nowhere'"),
    ],
)
def test_folds_that_are_none(tmp_path, split, words):
    items = tuple(Item(f"train/{c}", tmp_path / c, None) for c in "gfedcba")
    dataset = Dataset("folder", tmp_path, TWO, {"train": items})
    with pytest.raises(DataError, match=re.escape(words)):
        dataset.split(split)

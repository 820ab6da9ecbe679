"""Class counts of a split, by hand."""

import numpy as np
import pytest
from PIL import Image

from segscape.data import Dataset, Item
from segscape.data.frequencies import class_frequencies
from segscape.errors import DataError
from segscape.labels import Label, LabelSet


@pytest.mark.parametrize("ignore", [3, 255, 700])
def test_counts(tmp_path, ignore):
    label_set = LabelSet("t", tuple(Label(name, (0, 0, 0)) for name in "abc"), ignore)
    items = []
    for i, values in enumerate([[[0, 0, 1]], [[0, ignore, ignore]], [[ignore] * 3]]):
        Image.fromarray(np.array(values, np.uint16)).save(tmp_path / f"{i}.png")
        items.append(Item(f"train/{i}", tmp_path / "none.png", tmp_path / f"{i}.png"))
    seen = []

    def track(iterable, total, description):
        seen.append((total, description))
        return iterable

    got = class_frequencies(Dataset("folder", tmp_path, label_set, {"train": items}), "train", track)
    assert got.class_pixels.tolist() == [3, 1, 0]
    assert got.class_image_pixels.tolist() == [4, 3, 0]
    assert got.class_images.tolist() == [2, 1, 0]
    assert got.ignored_pixels == 5
    assert {x.dtype for x in (got.class_pixels, got.class_image_pixels, got.class_images)} == {np.dtype(np.int64)}
    assert seen == [(3, "counting classes")]


def test_strays_are_refused(tmp_path):
    Image.fromarray(np.array([[9]], np.uint8)).save(tmp_path / "l.png")
    label_set = LabelSet("t", (Label("a", (0, 0, 0)),))
    item = Item("train/x", tmp_path / "l.png", tmp_path / "l.png")
    dataset = Dataset("folder", tmp_path, label_set, {"train": (item,)})
    with pytest.raises(DataError, match=r"l\.png.*holds the value 9"):
        class_frequencies(dataset, "train")

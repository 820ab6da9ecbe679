"""A data set is opened by folder or kind:path, and what cannot be opened is explained."""

import numpy as np
import pytest
from PIL import Image

from segscape.data import READERS, open_dataset
from segscape.errors import DataError


def make(root, *stems, values=((0, 1), (2, 0)), images=True):
    for stem in stems:
        for part, content in (("images", np.full((2, 2, 3), 9)), ("labels", values))[0 if images else 1 :]:
            path = root / part / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array(content, np.uint8)).save(path)
    return root


FRAMES = ("train/0001TP_006690", "val/0016E5_07959", "test/Seq05VD_f00030")


@pytest.mark.parametrize(
    ("stems", "values", "kind"),
    [
        (FRAMES, [[0, 11], [10, 3]], "camvid"),
        (("0006R0_f00930",), [[0, 11], [10, 3]], "camvid"),
        (FRAMES, [[0, 12], [10, 3]], "folder"),
        ((*FRAMES, "test/other"), [[0, 11], [10, 3]], "folder"),
        (("train/a",), [[0, 1], [2, 3]], "folder"),
    ],
)
def test_the_kind_is_detected_and_said(tmp_path, stems, values, kind):
    assert open_dataset(make(tmp_path, *stems, values=values)).kind == kind


def test_one_damaged_label_file_does_not_change_the_kind(tmp_path):
    make(tmp_path, *FRAMES)
    make(tmp_path, FRAMES[0], values=[[0, 37], [0, 0]])
    assert open_dataset(tmp_path).kind == "camvid"


def test_a_stated_label_set_wins_over_file_names(tmp_path):
    make(tmp_path, *FRAMES)
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, dataset.label_set.names) == ("folder", ("x", "y", "z"))


@pytest.mark.parametrize("spec", ["folder:{}", "{}"])
def test_kind_and_path(tmp_path, spec):
    make(tmp_path / "with:colon", "a", "b", "c")
    assert open_dataset(spec.format(tmp_path / "with:colon")).kind == "folder"
    assert open_dataset(tmp_path / "with:colon").kind == "folder"


def test_a_told_kind_is_not_detected(tmp_path):
    make(tmp_path, *FRAMES)
    assert open_dataset(f"folder:{tmp_path}").label_set.names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{}/none", "does not exist"),
        ("{}/file", "is not a folder"),
        ("{}", "kind cannot be told"),
        ("lvis:{}", "no kind 'lvis'; kinds are camvid, membranes, nuclei, .*, folder"),
        ("folder:{}", "no folder 'images'"),
        ("camvid:{}", "no folder 'images'"),
    ],
)
def test_what_cannot_be_opened(tmp_path, spec, words):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=words):
        open_dataset(spec.format(tmp_path))


def test_faults_of_the_listing_stop_unless_asked_to_stay(tmp_path):
    make(tmp_path, "train/a")
    make(tmp_path, "train/b")
    (tmp_path / "labels/train/b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 in split 'train': 'images/train/b\.png'; add the label files"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, strict=False)
    assert [fault.kind for fault in dataset.faults] == ["missing-labels"]


def test_readers_are_a_plain_table():
    assert list(READERS) == [
        "camvid",
        "membranes",
        "nuclei",
        "numbered",
        "cityscapes",
        "voc",
        "ade20k",
        "coco",
        "labelme",
        "yolo",
        "folder",
    ]

"""Which files belong together, and to which split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.data.splits import list_splits, split_by_hash
from segscape.errors import DataError


def make(root, *names):
    """Empty files: listing never opens an image."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root):
    splits, faults = list_splits(root)
    return {s: [i.name for i in items] for s, items in splits.items()}, [(f.kind, f.severity) for f in faults]


def pairs(*stems, suffix=".png"):
    return [name for stem in stems for name in (f"images/{stem}.jpg", f"labels/{stem}{suffix}")]


@pytest.mark.parametrize(
    ("files", "lists", "expected"),
    [
        # folders, in the usual order of splits
        (pairs("val/b", "train/a", "fold1/c"), {}, {"train": ["a"], "val": ["b"], "fold1": ["c"]}),
        (pairs("train/x/a", "train/y/a"), {}, {"train": ["x/a", "y/a"]}),
        # lists: by stem, by file name, with a path, with empty lines
        (
            pairs("a", "b", "c", "d.e"),
            {"train.txt": "b\n\n a.jpg \r\n", "splits/test.txt": "images/c.jpg\n./d.e"},
            {"train": ["a", "b"], "test": ["c", "d.e"]},
        ),
        (pairs("train/a", "train/b"), {"val.txt": "train/b", "train.txt": "train/a"},
         {"train": ["train/a"], "val": ["train/b"]}),
        # a list that is none
        (pairs("train/a"), {"classes.txt": "a", "notes.txt": "zzz"}, {"train": ["a"]}),
        # images beside folders: only folders named as splits are splits
        (pairs("a", "test/b"), {}, {"test": ["b"]}),
        # hidden files, other types
        ([*pairs("train/a"), "images/train/._a.jpg", "images/train/Thumbs.db"], {}, {"train": ["a"]}),
        ([*pairs("train/a"), "images/.x/b.jpg"], {}, {"train": ["a"]}),
        # suffixes may differ, also in case
        (["images/train/a.JPG", "labels/train/a.tif"], {}, {"train": ["a"]}),
    ],
)  # fmt: skip
def test_layouts(tmp_path, files, lists, expected):
    make(tmp_path, *files, *lists)
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    splits, faults = listed(tmp_path)
    assert splits == {s: [f"{s}/{name}" for name in names] for s, names in expected.items()}
    assert list(splits) == list(expected)
    assert [kind for kind, severity in faults if severity == "error"] == []


@pytest.mark.parametrize(
    ("files", "lists", "faults"),
    [
        (["images/train/a.jpg", *pairs("train/b")], {}, [("missing-labels", "error")]),
        (["images/predict/a.jpg", *pairs("train/b")], {}, []),
        (["labels/train/a.png", *pairs("train/b")], {}, [("missing-image", "warning")]),
        (["images/train/b.png", *pairs("train/b")], {}, [("double-stem", "error")]),
        (["labels/train/b.tif", *pairs("train/b")], {}, [("double-stem", "error")]),
        (["images/val/notes.txt", *pairs("train/b")], {}, [("empty-split", "error")]),
        (pairs("a", "b"), {"train.txt": "a\nb\nb"}, [("split-list", "warning")]),
        (pairs("a"), {"train.txt": "a\nzz"}, [("split-list", "error")]),
        (pairs("a", "b"), {"train.txt": "a"}, [("not-in-split", "warning")]),
    ],
)
def test_faults(tmp_path, files, lists, faults):
    make(tmp_path, *files, *lists)
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    assert listed(tmp_path)[1] == faults


def test_faults_name_the_files(tmp_path):
    make(tmp_path, "images/train/a.jpg", *pairs("train/b"))
    (fault,) = list_splits(tmp_path)[1]
    assert fault.files == ("images/train/a.jpg",)
    assert str(fault).startswith("images without a label file of the same stem, 1 of 2 in split 'train': 'images/train")


def test_unlabelled_images_alone_need_no_labels_folder(tmp_path):
    make(tmp_path, "images/predict/a.jpg")
    splits, faults = list_splits(tmp_path)
    assert [item.labels for item in splits["predict"]] == [None]
    assert faults == ()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no folder 'images'"),
        (["labels/a.png"], "no folder 'images'"),
        (["images/a.png"], "no folder 'labels'"),
        (["images/a.txt", "labels/a.png"], "holds no image"),
    ],
)
def test_what_is_no_mask_folder(tmp_path, files, words):
    make(tmp_path, *files)
    with pytest.raises(DataError, match=words):
        list_splits(tmp_path)


def test_a_split_folder_may_be_a_link(tmp_path):
    make(tmp_path / "there", "a.png", "b.png")
    make(tmp_path, *pairs("train/x"))
    for part in ("images", "labels"):
        (tmp_path / part / "val").symlink_to(tmp_path / "there")
    assert listed(tmp_path) == ({"train": ["train/x"], "val": ["val/a", "val/b"]}, [])


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=40))
def test_hash_split_is_a_partition_without_empty_parts(stems):
    parts = split_by_hash(stems)
    assert list(parts) == ["train", "val", "test"][: min(3, len(stems))]
    assert all(parts.values())
    assert sorted(name for part in parts.values() for name in part) == sorted(stems)
    assert split_by_hash(sorted(stems, reverse=True)) == parts


def test_hash_split_keeps_names_in_place_and_its_shares():
    stems = [f"img{i}" for i in range(2000)]
    whole, part = split_by_hash(stems), split_by_hash(stems[:1000])
    assert all(set(part[split]) <= set(whole[split]) for split in whole)
    assert [len(part) / 2000 for part in whole.values()] == pytest.approx([0.7, 0.15, 0.15], abs=0.03)
    assert split_by_hash(["a", "b", "c", "d"]) == {"train": ["a", "b"], "val": ["c"], "test": ["d"]}

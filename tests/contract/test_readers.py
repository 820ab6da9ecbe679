"""What every reader keeps. A new one joins with one class that makes a tiny data set of its layout."""

import dataclasses
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segscape.data import READERS, Dataset, open_dataset
from segscape.data.checks import check_dataset
from segscape.errors import DataError

REAL = Path(__file__).parents[2].parent / "shared/data/camvid"


def write(root, stems, values=((0, 1, 2), (2, 1, 0)), mode="L"):
    """An image and its labels for each stem; pictures differ, so that none is a duplicate."""
    for stem in stems:
        seed = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:4])
        pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), np.uint8)
        labels = Image.fromarray(np.array(values, np.uint8))
        if mode == "P":
            labels.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        for part, image in (("images", Image.fromarray(pixels)), ("labels", labels)):
            path = root / part / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)


class ReaderContract:
    """Subclass it, set ``kind``, and write a data set with `make`."""

    kind: str

    def make(self, root: Path) -> None:
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path):
        self.make(tmp_path / "set")
        return tmp_path / "set"

    @pytest.fixture
    def dataset(self, root):
        return open_dataset(root)

    def test_its_kind_is_detected_and_can_be_told(self, root, dataset):
        assert self.kind in READERS
        assert dataset.kind == self.kind
        assert open_dataset(f"{self.kind}:{root}") == dataset

    def test_splits_hold_sorted_items_of_unique_names(self, dataset):
        assert dataset.splits
        names = [item.name for items in dataset.splits.values() for item in items]
        assert len(set(names)) == len(names)
        for split, items in dataset.splits.items():
            assert items == dataset.split(split)
            assert [item.name for item in items] == sorted(item.name for item in items) != []
            assert all(item.name.startswith(f"{split}/") for item in items)

    def test_every_item_reads(self, dataset):
        allowed = {*range(len(dataset.label_set)), dataset.label_set.ignore_index}
        for items in dataset.splits.values():
            for item in items:
                sample = dataset.read(item)
                assert sample.name == item.name
                assert sample.pixels.dtype == np.uint8
                assert sample.labels.dtype in (np.uint8, np.uint16)
                assert sample.pixels.shape == (*sample.labels.shape, 3)
                assert set(np.unique(sample.labels).tolist()) <= allowed

    def test_reading_twice_gives_the_same_and_shares_nothing(self, dataset):
        item = next(iter(dataset.splits.values()))[0]
        first = dataset.read(item)
        first.labels[:] = 0
        first.pixels[:] = 0
        second, third = dataset.read(item), dataset.read(item)
        assert np.array_equal(second.labels, third.labels)
        assert np.array_equal(second.pixels, third.pixels)
        assert second.pixels.any()

    def test_it_is_frozen(self, dataset):
        item = next(iter(dataset.splits.values()))[0]
        for thing, name in ((dataset, "kind"), (item, "name"), (dataset.read(item), "labels")):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, name, None)

    def test_its_fingerprint_depends_on_content_alone(self, root, dataset, tmp_path):
        assert re.fullmatch("[0-9a-f]{64}", dataset.fingerprint())
        shutil.copytree(root, tmp_path / "copy" / "set")
        assert open_dataset(tmp_path / "copy" / "set").fingerprint() == dataset.fingerprint()
        split, items = next(iter(dataset.splits.items()))
        before, whole = dataset.fingerprint(split), dataset.fingerprint()
        for path in (items[0].image, items[0].labels):
            content = path.read_bytes()
            path.write_bytes(content + b"\0")
            assert dataset.fingerprint(split) != before
            assert dataset.fingerprint() != whole
            path.write_bytes(content)
        assert dataset.fingerprint(split) == before

    def test_its_check_finds_nothing(self, root):
        report = check_dataset(root)
        assert [str(fault) for fault in report.errors] == []
        assert report.kind == self.kind

    def test_an_unknown_split_is_an_error(self, dataset):
        with pytest.raises(DataError, match="no split 'nowhere'"):
            dataset.split("nowhere")

    def test_a_folder_that_is_not_there_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            open_dataset(f"{self.kind}:{tmp_path / 'nowhere'}")


class TestFolderWithSplitFolders(ReaderContract):
    kind = "folder"

    def make(self, root):
        write(root, ["train/b", "train/a", "val/c", "test/d.e"])

    def test_labels_are_the_stored_numbers(self, dataset):
        assert dataset.read(dataset.split("val")[0]).labels.tolist() == [[0, 1, 2], [2, 1, 0]]
        assert list(dataset.splits) == ["train", "val", "test"]


class TestFolderWithSplitLists(ReaderContract):
    kind = "folder"

    def make(self, root):
        write(root, ["c", "a", "b"])
        (root / "train.txt").write_text("c\na.png\n")
        (root / "splits").mkdir()
        (root / "splits/val.txt").write_text("b\n")

    def test_the_lists_decide(self, dataset):
        assert {s: [i.name for i in items] for s, items in dataset.splits.items()} == {
            "train": ["train/a", "train/c"],
            "val": ["val/b"],
        }


class TestFolderSplitByHash(ReaderContract):
    kind = "folder"

    def make(self, root):
        write(root, [f"img{i}" for i in range(12)])

    def test_everything_is_used_once(self, dataset):
        assert list(dataset.splits) == ["train", "val", "test"]
        assert sum(len(items) for items in dataset.splits.values()) == 12


class TestFolderOfPalettePngs(ReaderContract):
    kind = "folder"

    def make(self, root):
        write(root, ["train/a"], mode="P")

    def test_the_palette_gives_the_colours(self, dataset):
        assert [label.color for label in dataset.label_set] == [(0, 0, 0), (255, 0, 0), (0, 255, 0)]


class TestFolderOfColourMasks(ReaderContract):
    kind = "folder"

    def make(self, root):
        row = [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
        write(root, ["train/a", "val/b"], [row, row[::-1]])
        (root / "classes.txt").write_text("green 0 255 0\nblack 0 0 0\nred 255 0 0\n")

    def test_colours_become_classes(self, dataset):
        assert dataset.read(dataset.split("val")[0]).labels.tolist() == [[1, 2, 0], [0, 2, 1]]


class TestFolderOf16Bit(ReaderContract):
    kind = "folder"

    def make(self, root):
        write(root, ["train/a"])
        (root / "classes.txt").write_text("".join(f"class {i}\n" for i in range(400)))
        Image.fromarray(np.array([[0, 399, 2], [2, 1, 400]], np.uint16)).save(root / "labels/train/a.png")

    def test_labels_are_16_bit(self, dataset):
        labels = dataset.read(dataset.split("train")[0]).labels
        assert (labels.dtype, labels.tolist()) == (np.uint16, [[0, 399, 2], [2, 1, 400]])


class TestCamvid(ReaderContract):
    kind = "camvid"

    def make(self, root):
        write(root, ["train/0001TP_006690", "train/0006R0_f00930", "val/0016E5_07959"], [[0, 10, 11], [3, 3, 8]])
        write(root, ["test/Seq05VD_f00030"], [[0, 10, 11], [3, 3, 8]])

    def test_labels_and_their_names(self, dataset):
        assert dataset.read(dataset.split("test")[0]).labels.tolist() == [[0, 10, 11], [3, 3, 8]]
        assert (len(dataset.label_set), dataset.label_set.ignore_index) == (11, 11)


@pytest.fixture(scope="module")
def real() -> Dataset:
    return open_dataset(REAL)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/camvid is not there")
class TestRealCamvid:
    def test_splits(self, real):
        assert real.kind == "camvid"
        assert {split: len(items) for split, items in real.splits.items()} == {"train": 367, "val": 101, "test": 233}

    def test_a_sample(self, real):
        sample = real.read(real.split("train")[0])
        assert (sample.name, sample.pixels.shape) == ("train/0001TP_006690", (360, 480, 3))
        assert sample.labels.shape == (360, 480)

    def test_nothing_is_wrong_with_it(self, real):
        report = check_dataset(real)
        assert report.faults == ()
        # the road covers about a third of what was filmed, and the void is small
        train = report.splits["train"].frequencies
        assert train.class_pixels[3] / train.class_pixels.sum() == pytest.approx(0.3296, abs=1e-4)
        assert train.class_pixels.sum() + train.ignored_pixels == 367 * 360 * 480


class TestAde20k(ReaderContract):
    kind = "ade20k"

    def make(self, root):
        write(root, ["training/ADE_train_00000001", "training/ADE_train_00000002"], [[0, 1, 150], [3, 3, 8]])
        write(root, ["validation/ADE_val_00000001"], [[0, 1, 150], [3, 3, 8]])
        (root / "labels").rename(root / "annotations")

    def test_other_is_ignored_and_classes_count_from_0(self, dataset):
        assert dataset.read(dataset.split("val")[0]).labels.tolist() == [[255, 0, 149], [2, 2, 7]]
        assert (len(dataset.label_set), dataset.label_set.ignore_index) == (150, 255)


class TestMembranes(ReaderContract):
    kind = "membranes"

    def make(self, root):
        write(root, [f"{i:02}" for i in range(30)], [[0, 1, 1], [1, 0, 0]])

    def test_sections_are_one_split(self, dataset):
        assert list(dataset.splits) == ["train"]
        assert len(dataset.split("train")) == 30
        assert dataset.label_set.names == ("cell", "membrane")

    def test_other_folders_are_not_of_it(self, root):
        (root / "images/30.png").write_bytes((root / "images/29.png").read_bytes())
        (root / "labels/30.png").write_bytes((root / "labels/29.png").read_bytes())
        assert open_dataset(root).kind == "folder"
        (root / "images/30.png").rename(root / "images/extra.png")
        with pytest.raises(DataError, match="'extra'"):
            open_dataset(f"membranes:{root}", strict=False)

"""Data sets that are damaged or odd: named in one report, never a crash, never a hang."""

import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from segscape.data import open_dataset
from segscape.data.checks import check_dataset
from segscape.errors import DataError, InputError

LABELS = np.arange(24 * 32).reshape(24, 32) // 70 % 11


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def encoded(values, format_="PNG"):
    stream = io.BytesIO()
    Image.fromarray(np.array(values, np.uint8)).save(stream, format_)
    return stream.getvalue()


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def root(tmp_path):
    """Two good pairs; the pair "train/x" is each test's to spoil."""
    for i, stem in enumerate(("train/a", "train/x", "val/b")):
        put(tmp_path, f"images/{stem}.png", encoded(picture(i)))
        put(tmp_path, f"labels/{stem}.png", encoded(LABELS))
    put(tmp_path, "classes.txt", "".join(f"c{i}\n" for i in range(11)).encode())
    return tmp_path


VALUE_37 = np.where(LABELS == 4, 37, LABELS)
BAD_IMAGES = {
    "empty": b"",
    "text": b"this is no image\n",
    "cut": encoded(picture(9))[:700],
    "cut JPEG": encoded(picture(9), "JPEG")[:-300],
    "a pickle": b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}.",
}
BAD_LABELS = {
    **BAD_IMAGES,
    "a JPEG": encoded(LABELS, "JPEG"),
    "PNG head alone": encoded(LABELS)[:20],
    "PNG with a broken header": encoded(LABELS)[:16] + b"\xff" * 8 + encoded(LABELS)[24:],
    "declares 60000 x 60000": encoded(LABELS)[:16] + (60000).to_bytes(4) * 2 + encoded(LABELS)[24:],
    "a TIFF of nothing": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    "a TIFF that points nowhere": b"MM\0*\xff\xff\xff\xff",
    "another size": encoded(LABELS[:10]),
    "value 37 of 11": encoded(VALUE_37),
}


@pytest.mark.parametrize("content", BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels_are_named_by_check_and_read(root, content):
    path = put(root, "labels/train/x.png", content)
    report = check_dataset(root)
    assert [fault.files for fault in report.errors] == [("labels/train/x.png",)]
    dataset = open_dataset(root)
    item = next(item for item in dataset.split("train") if item.name == "train/x")
    with pytest.raises(DataError) as caught:
        dataset.read(item)
    assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize("content", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images_are_named_by_check_and_read(root, content):
    path = put(root, "images/train/x.png", content)
    report = check_dataset(root)
    assert [(fault.kind, fault.files) for fault in report.errors] == [("unreadable-image", ("images/train/x.png",))]
    dataset = open_dataset(root)
    with pytest.raises(InputError) as caught:
        dataset.read(dataset.split("train")[1])
    assert repr(str(path)) in str(caught.value)


def test_value_37_of_11_is_named_with_its_file_and_a_proposal(root):
    put(root, "labels/train/x.png", encoded(VALUE_37))
    (fault,) = check_dataset(root).errors
    assert f"37 ({np.count_nonzero(VALUE_37 == 37)} px in 1 files)" in fault.message
    assert "11 classes (0…10)" in fault.message
    assert '"map": {"37": 255}' in fault.fix


@pytest.mark.parametrize("seed", range(8))
def test_labels_with_flipped_bytes_never_crash(root, seed):
    rng = np.random.default_rng(seed)
    for format_ in ("PNG", "TIFF", "BMP", "GIF"):
        content = bytearray(encoded(LABELS, format_))
        for at in rng.integers(4, len(content), 12):
            content[at] = rng.integers(256)
        put(root, "labels/train/x.png", bytes(content))
        check_dataset(root)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda r: None, "kind cannot be told"),
        (lambda r: (r / "images").mkdir(), "no folder 'labels'"),
        (lambda r: (r / "labels").mkdir(), "no folder 'images'"),
        (lambda r: [(r / part).mkdir() for part in ("images", "labels")], "holds no image"),
        (lambda r: put(r, "images", b"a file"), "kind cannot be told"),
        (lambda r: put(r, "images/train/a.png", b""), "no folder 'labels'"),
    ],
)
def test_empty_folders_and_missing_parts(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        open_dataset(tmp_path)
    (fault,) = check_dataset(tmp_path).errors
    assert words in fault.message


def test_a_split_list_that_names_a_missing_file(root):
    put(root, "train.txt", b"train/a\ntrain/gone.png\n../../etc/passwd\n/etc/passwd\n\n-rf\n")
    (fault,) = check_dataset(root).errors
    assert "names 4 images that are not in images/, 'train/gone.png', '../../etc/passwd'" in fault.message
    with pytest.raises(DataError, match=r"train/gone\.png"):
        open_dataset(root)


def test_a_split_list_that_is_no_text(root):
    put(root, "train.txt", b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"train\.txt.* is not text"):
        open_dataset(root)


@pytest.mark.parametrize("name", ["a\nb", "-rf", "[bold]x[/bold]", "\x1b[31mred", "名前", "a b", "'", "x..", "x" * 200])
def test_odd_file_names_are_read_and_stay_on_one_line(root, name):
    put(root, f"images/train/{name}.png", encoded(picture(5)))
    put(root, f"labels/train/{name}.png", encoded(LABELS))
    dataset = open_dataset(root)
    item = next(item for item in dataset.split("train") if item.name == f"train/{name}")
    assert dataset.read(item).labels.tolist() == LABELS.tolist()
    assert len(dataset.fingerprint()) == 64
    put(root, f"labels/train/{name}.png", b"")
    lines = check_dataset(root).lines()
    assert not any(c in line for line in lines for c in "\n\x1b")
    assert any(line.startswith("error: label files that cannot be read, 1 of 4") for line in lines)


def test_odd_names_of_classes_and_splits_stay_on_one_line(root):
    put(root, "classes.txt", "".join(f"c{i}\x1b[31m\n" for i in range(11)).encode())
    for part in ("images", "labels"):
        (root / part / "val").rename(root / part / "va\nl")
    lines = check_dataset(root).lines()
    assert not any(c in line for line in lines for c in "\n\x1b")
    assert any(line.startswith("  va\\nl: 1 image") for line in lines)


def test_a_name_that_is_no_unicode(root):
    name = os.fsdecode(b"caf\xe9")
    put(root, f"images/train/{name}.png", encoded(picture(5)))
    lines = check_dataset(root).lines()
    "\n".join(lines).encode("utf-8")
    assert any("caf\\udce9" in line for line in lines)
    with pytest.raises(DataError, match="caf"):
        open_dataset(root)
    put(root, f"labels/train/{name}.png", encoded(LABELS))
    assert len(open_dataset(root).fingerprint()) == 64


def test_links_that_go_round_end(root):
    (root / "images/train/up").symlink_to(root / "images")
    (root / "images/round").symlink_to(root / "images")
    (root / "images/above").symlink_to(root)
    (root / "labels/train/self").symlink_to(root / "labels/train/self")
    (root / "images/self").symlink_to(root / "images/self")
    dataset = open_dataset(root)
    assert {s: len(items) for s, items in dataset.splits.items()} == {"train": 2, "val": 1}
    assert check_dataset(root).faults == ()


def test_links_to_nowhere_and_to_themselves_are_unreadable_files(root):
    for name in ("images/train/x.png", "labels/train/x.png"):
        (root / name).unlink()
    (root / "images/train/x.png").symlink_to(root / "nowhere.png")
    (root / "labels/train/x.png").symlink_to(root / "labels/train/x.png")
    kinds = {fault.kind: fault.files for fault in check_dataset(root).errors}
    assert kinds == {"unreadable-image": ("images/train/x.png",), "unreadable-labels": ("labels/train/x.png",)}
    with pytest.raises(DataError, match="cannot be read"):
        open_dataset(root).fingerprint()


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(root):
    for name in ("images/train/x.png", "labels/train/x.png"):
        (root / name).unlink()
        os.mkfifo(root / name)
    assert [fault.kind for fault in check_dataset(root).errors] == ["unreadable-image", "unreadable-labels"]


def test_a_folder_with_an_image_name_is_no_image(root):
    (root / "images/train/dir.png").mkdir()
    assert check_dataset(root).ok


def test_a_warning_of_pillow_in_a_thread_stays_silent(root):
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(check_dataset(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.ok for report in reports] == [True] * 4

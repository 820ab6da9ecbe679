"""One report names every fault of a data set."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from segscape.data import open_dataset
from segscape.data.checks import check_dataset, class_frequencies


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path, **options)


LABELS = np.zeros((24, 32), np.uint8)
LABELS[:, 8:] = 1
LABELS[:, 16:] = 2


@pytest.fixture
def root(tmp_path):
    """Three classes, three splits, no fault."""
    for i, stem in enumerate(("train/a", "train/b", "val/c", "test/d")):
        save(tmp_path / f"images/{stem}.png", picture(i))
        save(tmp_path / f"labels/{stem}.png", LABELS)
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    return tmp_path


def with_value(value, instead_of=1):
    return np.where(np.equal(LABELS, instead_of), value, LABELS)


def damage(root, name, values=None, **options):
    """Overwrite a file with an array, or cut it."""
    if values is not None:
        save(root / name, values, **options)
    else:
        (root / name).write_bytes((root / name).read_bytes()[:60])


# (what is done, kind, severity, files, words of the line)
FAULTS = {
    "image cut": (
        lambda r: damage(r, "images/val/c.png"),
        "unreadable-image", "error", ("images/val/c.png",), "damaged, truncated",
    ),
    "labels cut": (
        lambda r: damage(r, "labels/val/c.png"),
        "unreadable-labels", "error", ("labels/val/c.png",), "cannot be read",
    ),
    "labels a JPEG": (
        lambda r: damage(r, "labels/val/c.png", LABELS, format="JPEG"),
        "unreadable-labels", "error", ("labels/val/c.png",), "blurs class ids",
    ),
    "labels turned": (
        lambda r: damage(r, "labels/val/c.png", LABELS.T),
        "size-mismatch", "error", ("labels/val/c.png",), "labels 24 × 32, image 32 × 24.*turned by 90°",
    ),
    "value 37 of 3": (
        lambda r: damage(r, "labels/val/c.png", with_value(37)),
        "label-values", "error", ("labels/val/c.png",), r"37 \(192 px in 1 files\).*{\"37\": 255} .*labels.json",
    ),
    "colours": (
        lambda r: damage(r, "labels/val/c.png", picture(9)),
        "label-values", "error", ("labels/val/c.png",), r"#[0-9a-f]{6} \(16 px in 1 files\).* and 40 more",
    ),
    "no truth": (
        lambda r: damage(r, "labels/val/c.png", np.full_like(LABELS, 255)),
        "no-truth", "warning", ("labels/val/c.png",), r"hold 'ignore' \(255\) alone",
    ),
    "absent class": (
        lambda r: [damage(r, f"labels/train/{s}.png", with_value(0, 2)) for s in "ab"],
        "absent-class", "warning", (), "1 of 3: z",
    ),
    "same picture": (
        lambda r: damage(r, "images/test/d.png", picture(1)),
        "duplicate", "error", ("images/train/b.png", "images/test/d.png"), "'train' and in split 'test', 1",
    ),
    "nearly the same picture": (
        lambda r: damage(r, "images/test/d.png", picture(1) // 2 + 40),
        "near-duplicate", "warning", ("images/train/b.png", "images/test/d.png"), "'train' and in split 'test', 1",
    ),
    "no labels": (
        lambda r: (r / "labels/val/c.png").unlink(),
        "missing-labels", "error", ("images/val/c.png",), "1 of 1 in split 'val'",
    ),
    "two of one stem": (
        lambda r: damage(r, "labels/val/c.bmp", LABELS),
        "double-stem", "error", ("labels/val/c.bmp", "labels/val/c.png"), "share the stem 'val/c'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("do", "kind", "severity", "files", "words"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found_alone_and_explained(root, do, kind, severity, files, words):
    assert check_dataset(root).faults == ()
    do(root)
    report = check_dataset(root)
    (fault,) = report.faults
    assert (fault.kind, fault.severity, fault.files) == (kind, severity, files)
    assert report.ok == (severity == "warning")
    line = next(line for line in report.lines() if line.startswith(severity))
    assert re.search(words, line)
    json.dumps(report.to_dict())


def test_all_faults_come_at_once_errors_first(root):
    damage(root, "images/val/c.png")
    damage(root, "labels/train/a.png", with_value(37))
    damage(root, "labels/test/d.png", LABELS.T)
    damage(root, "labels/orphan.png", LABELS)
    report = check_dataset(root)
    kinds = [fault.kind for fault in report.faults]
    assert kinds == ["unreadable-image", "size-mismatch", "label-values", "missing-image"]
    assert (len(report.errors), len(report.warnings), report.ok) == (3, 1, False)
    assert report.lines()[-1] == "not ready to train: 3 errors, 1 warning"
    assert report.to_dict()["proposed_map"] == {"37": 255}


@pytest.mark.parametrize("classes", ["x\ny\n", "x\ny\nz\n"])
def test_two_class_masks_of_0_and_255_are_not_taken_for_ignore(root, classes):
    (root / "classes.txt").write_text(classes)
    for path in root.glob("labels/*/*.png"):
        save(path, np.where(LABELS == 1, 255, 0))
    (error,) = check_dataset(root).errors
    assert error.kind == "label-values"
    assert '"map": {"255": 1}' in error.fix


@pytest.mark.parametrize("values", [{0: 0, 1: 255, 2: 0}, {0: 1, 1: 2, 2: 3}, {0: 0, 1: 100, 2: 200}])
def test_the_proposed_map_mends_what_it_was_proposed_for(root, values):
    for path in root.glob("labels/*/*.png"):
        save(path, np.vectorize(values.get)(LABELS))
    before = check_dataset(root)
    assert [fault.kind for fault in before.errors] == ["label-values"]
    label_set = before.label_set.to_dict()
    (root / "labels.json").write_text(json.dumps(label_set | {"map": before.to_dict()["proposed_map"]}))
    assert check_dataset(root).ok
    labels = open_dataset(root).read(open_dataset(root).split("train")[0]).labels
    assert len(np.unique(labels)) == len(set(values.values()))
    assert labels.max() < 3


def test_many_stray_values_keep_the_report_short(root):
    damage(root, "labels/val/c.png", (np.arange(24 * 32) % 200 + 40).reshape(24, 32))
    line = next(line for line in check_dataset(root).lines() if line.startswith("error"))
    assert "and 192 more" in line
    assert len(line) < 900


def test_union_and_unlabelled_splits_leak_nothing(root):
    for split in ("trainval", "predict"):
        save(root / f"images/{split}/a.png", picture(0))
    save(root / "labels/trainval/a.png", LABELS)
    assert check_dataset(root).faults == ()


def test_blank_tiles_are_no_duplicates(root):
    for name in ("train/b", "test/d"):
        damage(root, f"images/{name}.png", np.zeros((24, 32, 3)))
    assert check_dataset(root).faults == ()


@pytest.mark.parametrize("spec", ["{}/none", "nokind:{}", "{}/images"])
def test_what_cannot_be_opened_is_a_report_too(root, spec):
    report = check_dataset(spec.format(root))
    assert [fault.kind for fault in report.errors] == ["layout"]
    assert (report.ok, report.kind, report.splits) == (False, None, {})
    assert report.lines()[-1] == "not ready to train: 1 error, 0 warnings"
    assert report.to_dict()["errors"][0]["message"]


def test_numbers_of_the_splits(root):
    save(root / "images/train/e.png", picture(7)[:8])
    save(root / "labels/train/e.png", np.array([[0, 255]]).repeat(4, 0).repeat(16, 1).repeat(2, 0))
    report = check_dataset(open_dataset(root))
    train = report.splits["train"]
    assert (train.num_images, train.num_labelled, train.sizes) == (3, 3, {(32, 24): 2, (32, 8): 1})
    assert train.frequencies.class_pixels.tolist() == [2 * 192 + 128, 2 * 192, 2 * 384]
    assert train.frequencies.ignored_pixels == 128
    alone = class_frequencies(open_dataset(root), "train")
    for name in ("class_pixels", "class_image_pixels", "class_images"):
        assert np.array_equal(getattr(alone, name), getattr(train.frequencies, name))
    assert alone.ignored_pixels == train.frequencies.ignored_pixels
    plain = report.to_dict()["splits"]["train"]
    assert plain["classes"]["z"] == {"pixels": 768, "share": round(768 / 1664, 6), "images": 2}
    assert "  train: 3 images, 32 × 24 (2), 32 × 8 (1)" in report.lines()
    assert any(line.split()[:3] == ["z", "46.154", "%"] for line in report.lines())


def test_progress_is_told(root):
    seen = []

    def track(iterable, total, description):
        seen.append((total, description))
        return iterable

    check_dataset(root, track)
    assert seen == [(4, "checking data")]

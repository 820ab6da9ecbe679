from __future__ import annotations

import builtins
import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from report_pages import Page, check_picture, picture
from rich.console import Console

from segscape.errors import ConfigError, DataError
from segscape.evaluate.partition import PartitionScores
from segscape.evaluate.report import render_table, write_report
from segscape.evaluate.semantic import SemanticReport, evaluate_semantic
from segscape.labels import Label, LabelSet
from segscape.result import Segmentation

LABELS = LabelSet(
    "tiny",
    (Label("sky", (10, 20, 250)), Label("<b>road & $\\x$", (128, 64, 128)), Label("[red]moon", (9, 9, 9))),
)
IGNORE = LABELS.ignore_index


class FakeDataset:
    """Four images of 4 × 6, of which image i has i wrong pixels; the last is all ignored."""

    kind, root, label_set = "folder", Path("somewhere"), LABELS

    def __init__(self, names: tuple[str, ...] = ("val/none", "val/one", "val/<i>two</i>", "val/void")) -> None:
        self.names = names

    def split(self, name: str) -> tuple[int, ...]:
        return tuple(range(len(self.names)))

    def read(self, item: int) -> Any:
        labels = np.zeros((4, 6), np.uint8)
        labels[2:] = 1
        labels[0, 0] = IGNORE
        if item == 3:
            labels[:] = IGNORE
        return SimpleNamespace(name=self.names[item], pixels=np.full((4, 6, 3), 200, np.uint8), labels=labels)

    def fingerprint(self, split: str) -> str:
        return "f00d"


def predict(sample: Any) -> Segmentation:
    ids = np.where(sample.labels == IGNORE, 0, sample.labels).astype(np.uint8)
    wrong = {"val/none": 0, "val/one": 1, "val/<i>two</i>": 2}.get(sample.name, 0)
    ids[3, :wrong] = 0
    return Segmentation((4, 6), LABELS, ids, confidence=np.full((4, 6), 0.9, np.float32), model="net@1")


@pytest.fixture(scope="module")
def report() -> SemanticReport:
    return evaluate_semantic(predict, FakeDataset(), "val")


def test_writes_page_pictures_and_json(report, tmp_path):
    paths = write_report(report, tmp_path / "new" / "folder", FakeDataset(), predict)
    assert {p.name for p in paths.values()} == {p.name for p in (tmp_path / "new" / "folder").iterdir()}
    assert set(paths) == {"report", "json", "confusion_matrix", "reliability"}
    assert json.loads(paths["json"].read_text("utf-8")) == report.to_dict()
    for name in ("confusion_matrix", "reliability"):
        check_picture(paths[name])


def test_page_is_self_contained_and_escaped(report, tmp_path):
    page = Page(write_report(report, tmp_path, FakeDataset(), predict)["report"])
    assert page.is_self_contained()
    assert "<b>road & $\\x$" in page.text  # as text, not as a tag
    assert "val/<i>two</i>" in page.text
    for number in (report.miou, report.pixel_accuracy, report.boundary_f, report.ece, *report.miou_interval):
        assert f"{100 * number:.1f}" in page.text


@pytest.mark.parametrize(
    ("num_worst", "num_best", "worst", "best"),
    [
        (1, 1, ["val/<i>two</i>"], ["val/none"]),
        (2, 3, ["val/<i>two</i>", "val/one"], ["val/none"]),
        (9, 9, ["val/<i>two</i>", "val/one", "val/none"], []),
        (0, 2, [], ["val/none", "val/one"]),
    ],
)
def test_shows_worst_and_best_once_and_never_the_unscored(report, tmp_path, num_worst, num_best, worst, best):
    text = Page(write_report(report, tmp_path, FakeDataset(), predict, num_worst, num_best)["report"]).text
    low, _, high = text.partition("Best images")
    assert re.findall(r"val/\S+", low) == worst
    assert re.findall(r"val/\S+", high) == best


def test_panels_show_photo_prediction_truth_and_errors(report, tmp_path):
    page = Page(write_report(report, tmp_path, FakeDataset(), predict, 1, 0)["report"])
    photo, prediction, truth, errors = (picture(uri) for uri in page.sources[-4:])
    assert (abs(photo - 200) <= 3).all()
    colors = LABELS.palette().astype(int)
    expected = FakeDataset().read(2).labels
    assert (truth == colors[expected]).all()
    assert (prediction[3] == colors[[0, 0, 1, 1, 1, 1]]).all()
    red = (errors[..., 0] - errors[..., 1]) > 100
    assert red.tolist() == [[False] * 6] * 3 + [[True, True] + [False] * 4]


def test_large_photos_are_shown_small(report, tmp_path):
    class Large(FakeDataset):
        def read(self, item: int) -> Any:
            sample = super().read(item)
            large = {k: np.kron(getattr(sample, k), np.ones((200, 200), np.uint8)) for k in ("labels",)}
            return SimpleNamespace(name=sample.name, pixels=np.zeros((800, 1200, 3), np.uint8), **large)

    def perfect(sample: Any) -> Segmentation:
        return Segmentation((800, 1200), LABELS, np.where(sample.labels == IGNORE, 0, sample.labels))

    page = Page(write_report(report, tmp_path, Large(), perfect, 1, 0)["report"])
    assert {picture(uri).shape for uri in page.sources[-4:]} == {(320, 480, 3)}


def test_without_confidence_there_is_no_reliability(report, tmp_path):
    paths = write_report(replace(report, ece=None, reliability=()), tmp_path, FakeDataset(), predict)
    assert "reliability" not in paths
    assert "Reliability" not in Page(paths["report"]).text


def test_undefined_scores_are_dashes(tmp_path):
    class Void(FakeDataset):
        def read(self, item: int) -> Any:
            return super().read(3)

    dataset = Void()
    report = evaluate_semantic(predict, dataset, "val")
    page = Page(write_report(report, tmp_path, dataset, predict)["report"])
    assert "None" not in page.text
    assert "nan" not in page.text
    assert "–" in page.text
    assert "Worst images" not in page.text


def test_many_classes(report, tmp_path):
    names = [f"class {i}" for i in range(60)]
    by_class = dict.fromkeys(names, 0.5)
    many = replace(
        report,
        label_set=LabelSet("many", tuple(Label(name, (i, i, i)) for i, name in enumerate(names))),
        confusion_matrix=np.eye(60, dtype=np.int64),
        per_image=(),
        iou_interval=dict.fromkeys(names),
        **dict.fromkeys(
            ("iou", "accuracy", "dice_per_class", "boundary_f_per_class", "boundary_iou_per_class"), by_class
        ),
    )
    assert "class 59" in Page(write_report(many, tmp_path, FakeDataset(), predict)["report"]).text


def test_refuses_another_data_set(report, tmp_path):
    for names in (("val/x", "val/y", "val/z", "val/w"), ("val/none",)):
        with pytest.raises(DataError, match=r"'val/<i>two</i>'.*not there"):
            write_report(report, tmp_path / "out", FakeDataset(names), predict)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_missing_package_names_the_extra(report, tmp_path, monkeypatch, package):
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install 'segscape\[train\]'"):
        write_report(report, tmp_path, FakeDataset(), predict)


def test_scores_of_a_border_are_shown(report, tmp_path):
    scores = PartitionScores(membrane=0)
    truth = np.zeros((24, 24), np.uint8)
    truth[:11], truth[12:] = 1, 2
    broken = truth.copy()
    broken[11, 3:20] = 1
    scores.update(truth, broken == 0)
    partition = scores.report().to_dict()
    with_border = replace(report, partition=partition)
    text = render_text(with_border)
    v_rand = f"{100 * partition['best_rand']['rand']['f']:.1f}"
    assert f"V_Rand {v_rand}" in text
    assert "V_Rand" not in render_text(report)
    page = write_report(with_border, tmp_path, FakeDataset(), predict)["report"].read_text("utf-8")
    assert f"<b>{v_rand}<" in page


def render_text(report: SemanticReport) -> str:
    console = Console(width=140, record=True, file=StringIO())
    console.print(render_table(report))
    return console.export_text()


def test_table(report):
    text = render_text(report)
    assert "net@1 on folder val: 4 images" in text
    rows = {
        line.split("│")[1].strip(): [c.strip() for c in line.split("│")[2:-1]]
        for line in text.splitlines()
        if "│" in line
    }
    assert rows["sky"][0] == f"{100 * report.iou['sky']:.1f}"
    assert rows["[red]moon"] == ["–"] * 6
    assert rows["mean"][0] == f"{100 * report.miou:.1f}"
    assert rows["mean"][2] == f"{100 * report.class_accuracy:.1f}"
    assert rows["mean"][5] == f"{100 * report.boundary_iou:.1f}"

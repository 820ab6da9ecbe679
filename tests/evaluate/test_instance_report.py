from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from report_pages import Page, check_picture, picture
from rich.console import Console

from segscape.data.objects import Objects
from segscape.errors import DataError
from segscape.evaluate.groups import brightness
from segscape.evaluate.instance import InstanceReport, evaluate_instances
from segscape.evaluate.instance_pictures import OUTLINES, mistakes, panels
from segscape.evaluate.instance_report import render_instance_table, write_instance_report
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.result import Region, Segmentation

LABELS = LabelSet("tiny", (Label("<b>cell", (1, 1, 1), thing=True), Label("[red]egg", (2, 2, 2), thing=True)))
SIZE = (40, 56)


def block(side: int) -> RunLengths:
    return RunLengths((side, side), np.array([0, side * side]))


def found(*squares: tuple[int, int, int, float], model: str = "net@1") -> Segmentation:
    """Squares are (x, y, side, score)."""
    regions = tuple(
        Region(i, 0, score, (x, y, x + side, y + side), side * side, block(side))
        for i, (x, y, side, score) in enumerate(squares, 1)
    )
    return Segmentation(SIZE, LABELS, None, regions, model=model)


class FakeDataset:
    """Images of 40 × 56 with two cells of 8 × 8 side by side, touching; the last has none."""

    kind, root, label_set = "nuclei", Path("somewhere"), LABELS

    def __init__(self, names: tuple[str, ...] = ("val/right", "val/<i>merged</i>", "val/wrong", "val/empty")) -> None:
        self.names = names

    def split(self, name: str) -> tuple[int, ...]:
        return tuple(range(len(self.names)))

    def read_instances(self, item: int) -> Any:
        squares = [] if item == 3 else [(8, 8), (16, 8)]
        objects = Objects.of(SIZE, [(0, (x, y, x + 8, y + 8), block(8)) for x, y in squares])
        grey = 200 if item == 1 else 30
        return SimpleNamespace(name=self.names[item], pixels=np.full((*SIZE, 3), grey, np.uint8), objects=objects)

    def fingerprint(self, split: str) -> str:
        return "f00d"


def predict(sample: Any) -> Segmentation:
    match sample.name:
        case "val/right":
            return found((8, 8, 8, 0.9), (16, 8, 8, 0.8))
        case "val/<i>merged</i>":
            return found((8, 4, 16, 0.9))
        case "val/wrong":
            return found((40, 24, 8, 0.9), (8, 8, 8, 0.3))
        case _:
            return found()


@pytest.fixture(scope="module")
def report() -> InstanceReport:
    return evaluate_instances(predict, FakeDataset(), "val", group=brightness)


def test_writes_page_pictures_and_json(report, tmp_path):
    paths = write_instance_report(report, tmp_path / "new" / "folder", FakeDataset(), predict)
    assert {p.name for p in paths.values()} == {p.name for p in (tmp_path / "new" / "folder").iterdir()}
    assert set(paths) == {"report", "json", "precision_recall", "ap_curve", "sizes"}
    assert json.loads(paths["json"].read_text("utf-8")) == report.to_dict()
    for name in ("precision_recall", "ap_curve", "sizes"):
        check_picture(paths[name])


def test_page_is_self_contained_and_escaped(report, tmp_path):
    page = Page(write_instance_report(report, tmp_path, FakeDataset(), predict)["report"])
    assert page.is_self_contained()
    assert "<b>cell" in page.text  # as text, not as a tag
    assert "val/<i>merged</i>" in page.text
    scores = (report.ap["0.50"], report.ap["0.70"], report.map_mask, report.pq, report.groups["dark"]["ap"]["0.50"])
    for number in scores:
        assert f"{100 * number:.1f}" in page.text
    assert "None" not in page.text
    assert "nan" not in page.text


@pytest.mark.parametrize(
    ("num_worst", "num_lowest", "shown"),
    [
        (6, 3, ["val/<i>merged</i>", "val/wrong"]),
        (1, 1, ["val/<i>merged</i>", "val/wrong"]),
        (1, 0, ["val/<i>merged</i>"]),
        (0, 0, []),
    ],
)
def test_shows_images_with_mistakes_worst_first_and_once(report, tmp_path, num_worst, num_lowest, shown):
    text = Page(write_instance_report(report, tmp_path, FakeDataset(), predict, num_worst, num_lowest)["report"]).text
    assert [line for line in text.splitlines() if line.startswith("val/")] == shown


def test_kinds_of_mistakes():
    dataset = FakeDataset()

    def number(item: int, min_score: float = 0.5) -> dict[str, int]:
        sample = dataset.read_instances(item)
        return {kind: len(masks) for kind, masks in mistakes(sample, predict(sample), LABELS, min_score).items()}

    assert number(0) == {"found": 2, "false": 0, "missed": 0, "merged": 0}
    assert number(0, 0.85) == {"found": 1, "false": 0, "missed": 1, "merged": 0}
    assert number(1) == {"found": 0, "false": 0, "missed": 2, "merged": 1}
    assert number(2) == {"found": 0, "false": 1, "missed": 2, "merged": 0}
    assert number(2, 0.2) == {"found": 1, "false": 1, "missed": 1, "merged": 0}


def test_what_lies_in_a_crowd_is_not_drawn():
    crowd = Objects.of(SIZE, [(0, (0, 0, 30, 30), block(30))], crowd=[True])
    sample = SimpleNamespace(name="a", pixels=np.zeros((*SIZE, 3), np.uint8), objects=crowd)
    assert not any(mistakes(sample, found((2, 2, 9, 0.9), (4, 4, 9, 0.9)), LABELS, 0.5).values())


def test_outlines_lie_where_the_objects_are():
    sample = FakeDataset().read_instances(2)
    shown = panels(sample, mistakes(sample, predict(sample), LABELS, 0.5))
    photo, marked = picture(shown["photo"]), picture(shown["objects"])
    assert photo.shape == marked.shape == (400, 560, 3)  # ten times as large, to be seen

    def drawn(kind: str) -> tuple[int, int, int, int]:
        rows, columns = np.nonzero(np.abs(marked - OUTLINES[kind]).max(-1) < 40)
        return columns.min(), rows.min(), columns.max(), rows.max()

    assert drawn("false") == pytest.approx((400, 240, 480, 320), abs=3)
    assert drawn("missed") == pytest.approx((80, 80, 240, 160), abs=8)  # two side by side, dashed
    assert not (np.abs(marked - OUTLINES["found"]).max(-1) < 40).any()


def test_large_photos_are_shown_small_and_faint_ones_stretched():
    pixels = np.full((100, 3000, 3), 10, np.uint8)
    pixels[:, 1500:] = 40
    sample = SimpleNamespace(name="a", pixels=pixels, objects=Objects.of((100, 3000), []))
    photo = picture(panels(sample, {kind: [] for kind in OUTLINES})["photo"])
    assert photo.shape == (33, 1000, 3)
    assert photo.min() < 10
    assert photo.max() > 245


@pytest.mark.parametrize("empty", [True, False])
def test_page_of_nothing(tmp_path, empty):
    class Empty(FakeDataset):
        def read_instances(self, item: int) -> Any:
            return super().read_instances(3)

    dataset = Empty(("val/empty",) * 4)
    report = evaluate_instances(lambda _: found() if empty else found((1, 1, 4, 0.9)), dataset, "val", bootstrap=0)
    page = Page(write_instance_report(report, tmp_path, dataset, predict, 1)["report"])
    assert "None" not in page.text
    assert "nan" not in page.text
    assert ("Where it hurts most" in page.text) != empty


def test_unknown_classes_are_said(report, tmp_path):
    said = replace(report, unknown_classes=("dragon",))
    assert "dragon" in Page(write_instance_report(said, tmp_path, FakeDataset(), predict)["report"]).text
    assert "not known to the model, all missed: dragon" in render_text(said)
    assert "not known" not in render_text(report)


def test_refuses_another_data_set(report, tmp_path):
    for names in (("val/x", "val/y", "val/z", "val/w"), ("val/right",)):
        with pytest.raises(DataError, match=r"'val/<i>merged</i>'.*not there"):
            write_instance_report(report, tmp_path / "out", FakeDataset(names), predict)
    assert not (tmp_path / "out").exists()


def render_text(report: InstanceReport) -> str:
    console = Console(width=150, record=True, file=StringIO())
    console.print(render_instance_table(report))
    return console.export_text()


def test_table(report):
    text = render_text(report)
    assert "net@1 on nuclei val: 4 images" in text
    lines = [
        [cell.strip() for cell in line.strip("┃│").split("│" if "│" in line else "┃")] for line in text.splitlines()
    ]
    assert ["IoU", "all 4 images", "bright (1)", "dark (3)", "mean over images"] in lines
    row = next(line for line in lines if line[0] == "0.50")
    # 2 found of 6 true and 4 found ones; in the dark 2 of 4 and 3.
    assert row[1].startswith(f"{100 * 2 / 8:.1f} (")
    assert row[3].startswith(f"{100 * 2 / 5:.1f} (")
    assert row[4] == f"{100 * (1 + 0 + 0 + 1) / 4:.1f}"
    assert f"PQ {100 * report.pq:.1f}" in text
    assert "6 objects: 2 found, 4 missed, 2 false; 1 merged, 0 split · score ≥ 0.5" in text

"""Tables, curves and facts of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from segscape.errors import ConfigError
from segscape.train.logs import RunLog, changed_keys, draw_curves, read_rows, versions, write_facts


def write_rows(folder: Path, steps: range) -> None:
    log = RunLog(folder, upto=0, writes=True, tensorboard=False)
    for step in steps:
        log.row("train", step, {"loss": 1 / step, "lr": 0.1})
        if step % 2 == 0:
            log.row("val", step, {"miou": step / 10, "iou ball": None})
    log.close()


@pytest.mark.parametrize(("upto", "left"), [(0, []), (3, [1, 2, 3]), (9, [1, 2, 3, 4, 5])])
def test_rows_after_the_resumed_step_are_cut(tmp_path: Path, upto: int, left: list[int]) -> None:
    write_rows(tmp_path, range(1, 6))
    RunLog(tmp_path, upto=upto, writes=True, tensorboard=False)
    assert [int(r["step"]) for r in read_rows(tmp_path / "train.csv")] == left


def test_processes_that_do_not_write_leave_the_files_alone(tmp_path: Path) -> None:
    write_rows(tmp_path, range(1, 6))
    RunLog(tmp_path, upto=0, writes=False, tensorboard=True)
    assert len(read_rows(tmp_path / "train.csv")) == 5
    assert {p.name for p in tmp_path.iterdir()} == {"train.csv", "val.csv"}


def test_values_in_rows(tmp_path: Path) -> None:
    write_rows(tmp_path, range(1, 4))
    assert read_rows(tmp_path / "val.csv") == [{"step": "2", "miou": "0.2", "iou ball": ""}]
    assert read_rows(tmp_path / "train.csv")[2] == {"step": "3", "loss": "0.333333", "lr": "0.1"}
    assert read_rows(tmp_path / "none.csv") == []


def test_row_that_a_crash_cut_short_is_dropped(tmp_path: Path) -> None:
    write_rows(tmp_path, range(1, 4))
    with (tmp_path / "train.csv").open("a") as file:
        file.write("4,0.2")
    assert [r["step"] for r in read_rows(tmp_path / "train.csv")] == ["1", "2", "3"]


@pytest.mark.parametrize("steps", [range(1, 6), range(1, 2)], ids=["some", "no validation yet"])
def test_curves_are_a_picture(tmp_path: Path, steps: range) -> None:
    write_rows(tmp_path, steps)
    draw_curves(tmp_path, "a run", "miou", "mIoU")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": 1}, {"a": 1, "c": [2]}, ["c"]),
        ({"run": {"tensorboard": True}}, {"run": {"tensorboard": False}}, []),
        ({"data": {"path": "x"}}, {"data": {"path": "y"}}, []),
        ({"a": [1, 2]}, {"a": (1, 2)}, []),
    ],
)
def test_changed_keys(tmp_path: Path, before: dict, now: dict, changed: list[str]) -> None:
    write_facts(tmp_path, {"recipe": before})
    assert changed_keys(tmp_path, now) == changed


@pytest.mark.parametrize("content", [None, "{", json.dumps({"no": 1})])
def test_run_without_readable_facts_is_not_resumed(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigError, match=r"run\.json"):
        changed_keys(tmp_path, {})


def test_versions_name_what_decides_a_run() -> None:
    assert {"python", "torch", "accelerate", "segscape"} <= versions().keys()

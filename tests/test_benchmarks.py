"""The benchmarks: all of them can be imported, and their page says what was measured. Nothing is timed here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def neighbours() -> Any:
    """As when a benchmark is run: it imports those beside it."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def run() -> ModuleType:
    return importlib.import_module("run")


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return importlib.import_module("page")


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_scripts_can_be_imported(path: Path) -> None:
    assert importlib.import_module(path.stem).__doc__


def test_parts_say_what_they_measure(run: ModuleType) -> None:
    assert sorted(run.PARTS) == sorted(p.stem for p in (BENCHMARKS / "parts").glob("*.py") if p.stem != "__init__")
    for name in run.PARTS:
        part = run.part(name)
        assert part.TITLE
        assert part.ABOUT.endswith(".")
        assert part.ROWS
        assert all(callable(row) for row in part.ROWS.values())
        assert isinstance(part.missing(), str)


def test_rows_are_asked_for_by_name(run: ModuleType) -> None:
    assert run.asked(["warm:photo", "warm:12MP", "ceiling"]) == {
        "warm": ["photo", "12MP"],
        "ceiling": ["f32", "bf16", "int8"],
    }
    assert list(run.asked([])) == list(run.PARTS)
    for wrong in ("warmth", "warm:nothing"):
        with pytest.raises(SystemExit, match=r"there are cold|it has photo"):
            run.asked([wrong])


def test_ways_take_turns() -> None:
    measure = importlib.import_module("measure")
    called: list[str] = []
    ways = {"peer": lambda: called.append("peer"), "ours": lambda: called.append("ours")}
    row = measure.row_of("work", ways, peer="peer", quick=True, per={"ours": 4}, agrees={"ours": 1.0})
    assert called == ["peer", "ours"] * 3  # the first of each is not measured
    assert (row.turns, list(row.ms), list(row.times)) == (2, ["peer", "ours"], ["ours"])
    assert json.loads(json.dumps(row.to_dict()))["agrees"] == {"ours": 1.0}


def test_times_of_other_work_are_no_figures() -> None:
    checked = importlib.import_module("measure").checked
    agrees = {"f32": 0.9999, "int8": 0.6}
    assert checked(agrees, ["f32", "absent"], 0.999) == agrees
    for wrong in (agrees, {"f32": 1.0, "int8": float("nan")}):
        with pytest.raises(RuntimeError, match="int8 equals the peer in"):
            checked(wrong, wrong, 0.999)


def row(name: str, **values: Any) -> dict[str, Any]:
    return {"row": name, "what": name, "peer": "torch", "times": {}, "agrees": {}, "notes": [], "gflop": None, **values}


def test_a_table_of_ways_that_share_a_peer(pages: ModuleType) -> None:
    rows = [
        row("fcn", ms={"torch": 2548.2, "ours": 719.4}, times={"ours": 3.54}, agrees={"ours": 0.9951}, notes=["odd"]),
        row("unet", ms={"torch": 5.123}),
        {"row": "x", "what": "x", "failed": "exit code -9: a | b"},
    ]
    assert pages.table(rows).splitlines() == [
        "|  | torch | ours |",
        "|---|---|---|",
        "| fcn | 2548 | 719 (3.5 ×, 99.5 %) |",
        "| unet | 5.12 |  |",
        "| x | failed: exit code -9: a   b | |",
        "",
        "- fcn: odd.",
    ]


def test_a_table_of_rows_with_peers_of_their_own(pages: ModuleType) -> None:
    rows = [
        row("paste", ms={"torch": 4109.0, "ours": 23.0}, times={"ours": 178.7}),
        row("png", peer="Pillow", ms={"Pillow": 183.0, "ours": 40.0}, times={"ours": 4.6}, agrees={"ours": 1.0}),
    ]
    assert pages.table(rows).splitlines() == [
        "|  | peer is | peer | ours |",
        "|---|---|---|---|",
        "| paste | torch | 4109 | 23 (178.7 ×) |",
        "| png | Pillow | 183 | 40 (4.6 ×, 100.0 %) |",
    ]


def document(**parts: Any) -> dict[str, Any]:
    machine = {"cpu": "A", "instructions": ["avx2"], "threads": 2, "system": "Linux", "versions": {"numpy": "2"}}
    return {"machine": machine, "quick": False, "parts": parts}


def test_a_page_with_the_share_of_the_machines_limit(pages: ModuleType) -> None:
    text = pages.page(
        document(
            dense={"rows": [row("fcn", ms={"torch": 2000.0, "ours f32": 2000.0, "ours bf16": 500.0}, gflop=200.0)]},
            ceiling={"rows": [row("f32", ms={"OpenVINO": 100.0}, gflop=20.0)]},
            gpu={"skipped": "this machine has no CUDA GPU"},
        )
    )
    assert "Measured on A (avx2), 2 threads, Linux; numpy 2." in text
    assert "| fcn | 200.0 | 100 (50 %) |" in text
    assert "Not measured: this machine has no CUDA GPU." in text
    assert "quick run" not in text
    assert "quick run" in pages.page({**document(), "quick": True})


def test_rows_measured_again_take_the_place_of_earlier_ones(run: ModuleType) -> None:
    before = document(warm={"rows": [row("folder", ms=1), row("photo", ms=1)]}, cold={"skipped": "why"})
    again = document(warm={"rows": [row("photo", ms=2)]})
    merged = run.merged(before, again)["parts"]
    assert [(r["row"], r["ms"]) for r in merged["warm"]["rows"]] == [("photo", 2), ("folder", 1)]
    assert merged["cold"] == {"skipped": "why"}
    assert list(merged) == ["cold", "warm"]
    elsewhere = {**again, "machine": {**again["machine"], "threads": 64}}
    assert "cold" not in run.merged(before, elsewhere)["parts"]


def test_page_is_fresh(pages: ModuleType) -> None:
    results = json.loads((BENCHMARKS / "results.json").read_text("utf-8"))
    assert pages.PAGE.read_text("utf-8") == pages.page(results), "run `python benchmarks/run.py --page`"


def test_objects_are_matched_by_class_and_overlap() -> None:
    from types import SimpleNamespace as Thing

    from segscape.masks import RunLengths

    shared = importlib.import_module("parts.objects").shared
    masks = np.zeros((2, 20, 20), bool)
    masks[0, :10, :10] = masks[1, 12:, 12:] = True
    whole = RunLengths.from_dense(np.ones((10, 10), bool))
    half = RunLengths.from_dense(np.ones((8, 4), bool))
    found = [Thing(label=3, box=(0, 0, 10, 10), area_px=100, mask=whole)]
    assert shared(masks, np.array([3, 5]), Thing(regions=found)) == 0.5
    assert shared(masks, np.array([4, 5]), Thing(regions=found)) == 0
    cut = Thing(label=5, box=(12, 12, 16, 20), area_px=32, mask=half)
    assert shared(masks, np.array([3, 5]), Thing(regions=[*found, cut])) == 0.5

"""`make bench`: our parts beside what people use otherwise, in one run on one machine.

    python benchmarks/run.py                 every part (about 20 minutes on two idle cores)
    python benchmarks/run.py cold warm       these parts; the others keep their earlier figures
    python benchmarks/run.py warm:folder     one row
    python benchmarks/run.py --quick         two turns each, smaller images: to see that all runs
    python benchmarks/run.py --list
    python benchmarks/run.py --page          the page again from the figures that there are

The ways of doing a work take turns in one process, so that a machine that drifts slows them alike; figures are
medians over the turns, and what they computed is compared. Each row has a process of its own: what crashes, or takes
all memory, costs that row. Writes benchmarks/results.json and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from machine import machine
from measure import PHOTO, ROOT, pair, timed, versions
from page import write_page

from segscape.files import write_text

__all__ = ["PHOTO", "ROOT", "pair", "timed", "versions"]  # what the other benchmarks here take from this one

RESULTS = ROOT / "benchmarks" / "results.json"
PARTS = ("cold", "warm", "dense", "objects", "stages", "learning", "ceiling", "gpu")
_ROW_LIMIT_S = 600


def part(name: str) -> ModuleType:
    """One of `PARTS`: TITLE, ABOUT, `missing` and ROWS, a function of ``quick`` for each row."""
    return importlib.import_module(f"parts.{name}")


def asked(names: Iterable[str]) -> dict[str, list[str]]:
    """The rows of each part, from names like "cold" or "warm:folder"; of every part if there are none."""
    wanted: dict[str, list[str]] = {}
    for name in list(names) or PARTS:
        which, _, row = name.partition(":")
        if which not in PARTS:
            raise SystemExit(f"no part {which!r}; there are {', '.join(PARTS)}")
        rows = list(part(which).ROWS)
        if row and row not in rows:
            raise SystemExit(f"part {which!r} has no row {row!r}; it has {', '.join(rows)}")
        wanted.setdefault(which, []).extend([row] if row else rows)
    return wanted


def in_own_process(name: str, row: str, quick: bool) -> dict[str, Any]:
    """The row as JSON, or {"what", "failed"}."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        command = [sys.executable, __file__, f"{name}:{row}", "--write-row", str(out), *(["--quick"] * quick)]
        try:
            ended = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=_ROW_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return {"what": row, "failed": f"took longer than {_ROW_LIMIT_S} s"}
        if ended.returncode == 0:
            return json.loads(out.read_text("utf-8"))
        sys.stderr.write(ended.stderr)
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"what": row, "failed": f"exit code {ended.returncode}: {last[:200]}"}


def measured(name: str, row: str, quick: bool) -> dict[str, Any]:
    """A row, with what comes out told on the way."""
    print(f"· {name}:{row} ", end="", flush=True)
    start = time.monotonic()
    found = {"row": row, **in_own_process(name, row, quick)}
    told = ", ".join(f"{way} {times:.1f}×" for way, times in found.get("times", {}).items())
    print(f"({time.monotonic() - start:.0f} s) {found.get('failed') or told}", flush=True)
    return found


def measure(wanted: dict[str, list[str]], quick: bool) -> None:
    """Measure rows; results and page are written after each, so that what ends a run costs no figures."""
    results: dict[str, Any] = {"machine": machine(), "quick": quick}

    def keep(name: str, found: dict[str, Any]) -> None:
        before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        document = merged(before, {**results, "parts": {name: found}})
        write_text(RESULTS, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        write_page(document)

    with tempfile.TemporaryDirectory(prefix="segscape-bench-") as cache:
        os.environ["SEGSCAPE_CACHE"] = cache  # warm for what this run has warmed, whatever ran before
        for name, rows in wanted.items():
            if reason := part(name).missing():
                print(f"· {name}: skipped, {reason}", flush=True)
                keep(name, {"skipped": reason})
                continue
            for row in rows:
                keep(name, {"rows": [measured(name, row, quick)]})


def merged(before: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Figures of an earlier run on the same machine with those of this one in their place."""
    same = all(before.get(key) == results[key] for key in ("machine", "quick"))
    parts = dict(before.get("parts", {})) if same else {}
    for name, found in results["parts"].items():
        new = {row["row"]: row for row in found.get("rows", [])}
        old = {row["row"]: row for row in parts.get(name, {}).get("rows", [])}
        order = list(part(name).ROWS)
        rows = sorted({**old, **new}.values(), key=lambda row: order.index(row["row"]) if row["row"] in order else 999)
        parts[name] = {**found, "rows": rows} if "rows" in found else found
    return {**results, "parts": {name: parts[name] for name in PARTS if name in parts}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PART[:ROW]", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="two turns each, smaller images: no figures")
    parser.add_argument("--list", action="store_true", help="parts and rows")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md from benchmarks/results.json")
    parser.add_argument("--write-row", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = asked(arguments.names)
    if arguments.list:
        for name, rows in wanted.items():
            print(f"{name}: {part(name).TITLE}\n    {', '.join(rows)}")
        return
    if arguments.write_row:
        ((name, (row,)),) = wanted.items()
        found = part(name).ROWS[row](arguments.quick)
        arguments.write_row.write_text(json.dumps(found.to_dict()), "utf-8")
        return
    if arguments.page:
        write_page(json.loads(RESULTS.read_text("utf-8")))
    else:
        measure(wanted, arguments.quick)


if __name__ == "__main__":
    main()

"""docs/benchmarks.md from benchmarks/results.json."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from measure import ROOT

from segscape.files import write_text

PAGE = ROOT / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Written by `make bench`; do not edit. `python benchmarks/run.py --list` names the parts and rows, which can be measured
alone: `python benchmarks/run.py warm:folder`.

The ways of doing a work take turns, in one process (but for the first part, where each call is a process). A figure is
the median over the turns in milliseconds. In brackets: how many times faster than the peer, the first column, in the
median turn; then the share of the outcome that equals the peer's, if it was compared. So "70.7 (4.4 ×, 99.6 %)" took
70.7 ms, 1 / 4.4 of the peer's time, and gave the peer's class at 99.6 % of the pixels. Weights are random where no
model is named: then classes are nearly tied at many pixels, which rounding decides, so less is equal than with a
trained network. Machines drift and differ: trust the ratios, and measure yours.
"""
_QUICK = """
**These are the figures of a quick run, of two turns each and networks
on smaller images: they show that all runs, and no more.**
"""


def page(document: Mapping[str, Any]) -> str:
    """The page; ``document`` is what benchmarks/results.json holds."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    instructions = f" ({', '.join(machine['instructions'])})" if machine["instructions"] else ""
    text = [
        _HEAD + (_QUICK if document["quick"] else ""),
        f"Measured on {machine['cpu']}{instructions}, {machine['threads']} threads, {machine['system']}; {versions}.\n",
    ]
    for name, found in document["parts"].items():
        part = importlib.import_module(f"parts.{name}")
        text.append(f"## {part.TITLE}\n\n{part.ABOUT}\n")
        text.append(f"Not measured: {found['skipped']}.\n" if "skipped" in found else table(found["rows"]))
    if ceilings := _ceilings(document):
        text.append(_roofline(document, ceilings))
    return "\n".join(text)


def write_page(document: Mapping[str, Any]) -> None:
    """Write docs/benchmarks.md."""
    write_text(PAGE, page(document))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a part as Markdown; the ways are columns if the rows share their peer, else one of ours and one of it."""
    good = [row for row in rows if "ms" in row]
    shared = len({row["peer"] for row in good}) <= 1
    ways = list(dict.fromkeys(way for row in good for way in _ordered(row))) if shared else ["peer", "ours"]
    ways = ways or [""]  # all have failed
    head = ["", *([] if shared else ["peer is"]), *ways]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['what']} | failed: {row['failed'].replace('|', ' ')} |{' |' * (len(head) - 2)}")
            continue
        cells = [_cell(row, way) for way in (ways if shared else _ordered(row))]
        lines.append(f"| {' | '.join([row['what'], *([] if shared else [row['peer']]), *cells])} |")
    notes = dict.fromkeys(f"- {row['what']}: {note}." for row in good for note in row["notes"])
    return "\n".join([*lines, "", *notes, ""] if notes else [*lines, ""])


def _ordered(row: Mapping[str, Any]) -> list[str]:
    return [row["peer"], *(way for way in row["ms"] if way != row["peer"])]


def _cell(row: Mapping[str, Any], way: str) -> str:
    if way not in row["ms"]:
        return ""
    ms = row["ms"][way]
    number = f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"
    more = [f"{row['times'][way]:.1f} ×"] if way in row["times"] else []
    if way in row["agrees"]:
        more.append(f"{100 * row['agrees'][way]:.1f} %")
    return f"{number} ({', '.join(more)})" if more else number


def _ceilings(document: Mapping[str, Any]) -> dict[str, float]:
    """GFLOPS that OpenVINO reaches in large convolutions, by precision."""
    rows = document["parts"].get("ceiling", {}).get("rows", [])
    return {row["row"]: 1000 * row["gflop"] / min(row["ms"].values()) for row in rows if "ms" in row}


def _roofline(document: Mapping[str, Any], ceilings: Mapping[str, float]) -> str:
    """What share of that the networks reach, in the ways whose name says the precision."""
    told = ", ".join(f"{precision} {ceiling:.0f}" for precision, ceiling in ceilings.items())
    lines = [
        "## How near to the machine's limit\n",
        "10⁹ floating-point operations a second (a multiplication and its addition as two) that our OpenVINO engine "
        f"reaches in whole networks, and the share of what it reaches in large 3 × 3 convolutions ({told}). Where "
        "much of a network is depthwise convolution, memory is the limit, and not arithmetic.\n",
        f"| network | GFLOP | {' | '.join(ceilings)} |",
        f"|---|---|{'---|' * len(ceilings)}",
    ]
    for row in document["parts"].get("dense", {}).get("rows", []):
        if not row.get("gflop"):
            continue
        cells = []
        for precision, ceiling in ceilings.items():
            ms = row["ms"].get(f"ours {precision}")
            speed = 1000 * row["gflop"] / ms if ms else 0
            cells.append(f"{speed:.0f} ({100 * speed / ceiling:.0f} %)" if ms else "")
        lines.append(f"| {row['what']} | {row['gflop']:.1f} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])

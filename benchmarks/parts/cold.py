"""One photo in a fresh process: imports, weights, network, label map. Caches on disk are warm."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import PHOTO, ROOT, Row, checked, row_of
from photos import large_photo
from PIL import Image

TITLE = "One photo in a fresh process"
ABOUT = """`segscape predict PHOTO --refine none --json` (model `street`: regions, run lengths, polygons, a document
on stdout), with `--out` (overlay, label map, JSON), and without `--refine none`, which adds the dense CRF that the
model's card asks for; beside a script that imports torch, loads the same network and weights, runs it eagerly in
float32 with Pillow, without a CRF, and writes a label map. Interpreter start to exit."""
PEER = "torch eager + Pillow"


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def _run(*arguments: object) -> str:
    return subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def _predict(photo: Path, *more: object) -> str:
    return _run("-m", "segscape", "predict", photo, "--model", "street", *more)


def _row(what: str, photo: Path, folder: Path, quick: bool) -> Row:
    usual = ROOT / "benchmarks" / "usual.py"
    plain = ("--refine", "none")
    _predict(photo, "--out", folder, "--quiet", *plain)
    _run(usual, photo, folder / "usual.png")
    maps = [np.array(Image.open(path)) for path in (folder / "usual.png", folder / f"{photo.stem}.labels.png")]
    ways = {
        PEER: lambda: _run(usual, photo, folder / "usual.png"),
        "ours --json": lambda: _predict(photo, "--json", *plain),
        "ours --out": lambda: _predict(photo, "--out", folder, "--quiet", *plain),
        "ours --json, CRF": lambda: _predict(photo, "--json"),
    }
    agrees = {"ours --out": float((maps[0] == maps[1]).mean())}
    return row_of(
        what,
        ways,
        peer=PEER,
        quick=quick,
        seconds=45,
        agrees=checked(agrees, agrees, 0.95),
    )


def small(quick: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return _row("640 × 480", PHOTO, Path(folder), quick)


def large(quick: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return _row("4000 × 3000", large_photo(Path(folder) / "large.jpg"), Path(folder), quick)


ROWS: dict[str, Callable[[bool], Row]] = {"640x480": small, "12MP": large}

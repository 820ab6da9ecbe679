"""One photo in a fresh process: imports, weights, network, label map. Caches on disk are warm."""

from __future__ import annotations

import os
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
ABOUT = """`segscape predict PHOTO --json` (model `street`: regions, run lengths, polygons, a document on stdout), with
`--out` (overlay, label map, JSON), and with `--refine crf`, the dense CRF; beside a script that imports torch, loads
the same network and weights, runs it eagerly in float32 with Pillow, without a CRF, and writes a label map. Interpreter
start to exit; byte code is kept, as `pip install` does."""
PEER = "torch eager + Pillow"


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def _run(*arguments: object) -> str:
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "segscape-bench")}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | kept).stdout


def _predict(photo: Path, *more: object) -> str:
    return _run("-m", "segscape", "predict", photo, "--model", "street", *more)


def _row(what: str, photo: Path, folder: Path, quick: bool) -> Row:
    peer = ROOT / "benchmarks" / "torch_and_pillow.py"
    _predict(photo, "--out", folder, "--quiet")
    _run(peer, photo, folder / "peer.png")
    maps = [np.array(Image.open(path)) for path in (folder / "peer.png", folder / f"{photo.stem}.labels.png")]
    ways = {
        PEER: lambda: _run(peer, photo, folder / "peer.png"),
        "ours --json": lambda: _predict(photo, "--json"),
        "ours --out": lambda: _predict(photo, "--out", folder, "--quiet"),
        "ours --json, CRF": lambda: _predict(photo, "--json", "--refine", "crf"),
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

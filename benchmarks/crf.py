"""Times the dense CRF and its parts: 480 × 360 pixels, 11 classes, 5 iterations, and the same on a larger photo.

Wall time is what a user waits, on all cores that the process may use; CPU time adds the threads up, and says more where
other work shares the machine. Both are the best of several runs. Writes benchmarks/crf.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from run import PHOTO, ROOT, timed, versions

import segscape
from segscape.files import write_text
from segscape.image import read_image
from segscape.refine import crf
from segscape.refine.crf import CrfParameters, refine
from segscape.refine.permutohedral import PermutohedralLattice
from segscape.runtime.inference import probabilities, run_network
from segscape.threads import num_threads

SIZES = ((480, 360), (1280, 960))  # width, height


def best(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Least milliseconds of wall and of CPU time over so many calls, after one unmeasured."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        started = time.process_time()
        wall.append(timed(work))
        cpu.append(1000 * (time.process_time() - started))
    return {"wall_ms": min(wall), "cpu_ms": min(cpu)}


def measure(width: int, height: int, repeats: int) -> dict[str, Any]:
    """Parts and whole of one refinement, with the scores of the bundled model."""
    pixels = cv2.resize(read_image(PHOTO).pixels, (width, height), interpolation=cv2.INTER_AREA)
    predictor = segscape.load("street", engine="torch", device="cpu")
    scores = run_network(predictor.engine, predictor.card.preprocess, pixels)
    full = probabilities(scores)
    p = CrfParameters()
    y, x = (places.ravel() / p.bilateral_sxy for places in np.indices((height, width), np.float32))
    features = np.column_stack([x, y, pixels.reshape(-1, 3) / p.bilateral_srgb]).astype(np.float32)
    lattice, smoothness = PermutohedralLattice(features), crf._Smoothness((height, width), p.gaussian_sxy)
    values = full.reshape(len(full), -1)
    parts = {
        "full-size probabilities": lambda: probabilities(scores),
        "lattice: build": lambda: PermutohedralLattice(features),
        "lattice: one filtering": lambda: lattice.filter(values),
        "smoothness: one filtering": lambda: smoothness.filter(values),
        "CRF, 1 iteration": lambda: refine(full, pixels, replace(p, iterations=1)),
        f"CRF, {p.iterations} iterations": lambda: refine(full, pixels, p),
    }
    return {
        "width": width,
        "height": height,
        "num_classes": len(full),
        "vertices_per_pixel": lattice.num_vertices / (width * height),
        "parts": {name: best(work, repeats) for name, work in parts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats: int = parser.parse_args().repeats
    results = [measure(*size, repeats) for size in SIZES]
    table = Table("what", "size", "wall, ms", "CPU, ms")
    for result in results:
        for name, times in result["parts"].items():
            size = f"{result['width']} × {result['height']} × {result['num_classes']}"
            table.add_row(name, size, f"{times['wall_ms']:.1f}", f"{times['cpu_ms']:.1f}")
    Console().print(table)
    document = {
        "versions": versions(),
        "threads": num_threads(),
        "parameters": CrfParameters().to_dict(),
        "results": results,
    }
    write_text(ROOT / "benchmarks" / "crf.json", json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

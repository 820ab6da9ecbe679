"""Times masks of a mask head on their way into a photo: 100 objects at 12 megapixels, ours beside torchvision's.

Ours gives run lengths cropped to boxes. torchvision's `paste_masks_in_image` with its threshold gives a dense mask for
each object, which most then hand to pycocotools for run lengths: the second line. All three say the same pixels, which
is checked. Times are medians of turns; memory is what a fresh process grows by at its highest, after everything has
been imported and compiled (Linux only); as the system counts it in steps, less than 1 MB is given as 1 MB. Writes
benchmarks/paste.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table
from run import ROOT, timed, versions
from torchvision.models.detection.roi_heads import paste_masks_in_image

from segscape.files import write_text
from segscape.masks import to_coco_counts, to_coco_string, uncrop
from segscape.predict.paste import paste_masks

SIZE = (3000, 4000)
NUM_OBJECTS = 100
THRESHOLD = 0.5
RESOLUTION = 10**6  # bytes


def objects(num: int, size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Masks (N, 28, 28) of roundish things with uneven outlines, and their boxes (N, 4) within the image.

    Widths are log-normal about 1/16 of the image's, so the smallest are some thirty pixels wide and the largest fill
    half of it.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    scale = width / 16 * np.exp(rng.normal(0, 0.8, num))
    aspect = np.exp(rng.normal(0, 0.35, num))
    sides = np.minimum(np.stack((scale * aspect, scale / aspect), 1), (0.95 * width, 0.95 * height))
    corner = rng.random((num, 2)) * ((width, height) - sides)
    boxes = np.concatenate((corner, corner + sides), 1).astype(np.float32)
    y, x = np.indices((28, 28)) / 13.5 - 1
    bumps = [cv2.resize(rng.normal(0, 0.25, (6, 6)), (28, 28), interpolation=cv2.INTER_CUBIC) for _ in range(num)]
    masks = 1 / (1 + np.exp(-10 * (0.85 - np.hypot(x, y) + np.stack(bumps))))
    return masks.astype(np.float32), boxes


def torchvision_masks(masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(N, 1, H, W) bool."""
    return paste_masks_in_image(torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), size) > THRESHOLD


def torchvision_run_lengths(masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> list[dict[str, Any]]:
    """COCO's compressed run lengths, as evaluation scripts make them."""
    dense = torchvision_masks(masks, boxes, size).numpy()
    return [coco_mask.encode(np.asfortranarray(mask[0], np.uint8)) for mask in dense]


ROUTES: dict[str, Callable[[np.ndarray, np.ndarray, tuple[int, int]], Any]] = {
    "ours": lambda masks, boxes, size: paste_masks(masks, boxes, size, THRESHOLD),
    "torchvision": torchvision_masks,
    "torchvision + pycocotools": torchvision_run_lengths,
}


def check_agreement(masks: np.ndarray, boxes: np.ndarray) -> int:
    """Raise unless ours and the peers' run lengths are the same; the number of runs."""
    ours, theirs = paste_masks(masks, boxes, SIZE, THRESHOLD), torchvision_run_lengths(masks, boxes, SIZE)
    runs = 0
    for own, peer in zip(ours, theirs, strict=True):
        if own is None or to_coco_string(uncrop(own[1], own[0], SIZE)).encode() != peer["counts"]:
            raise SystemExit("ours and torchvision's masks differ")
        runs += len(to_coco_counts(own[1], own[0], SIZE))
    return runs


def _memory(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"no {field} in /proc/self/status")
    return 1024 * int(found[1])


def grown_by(route: str) -> int:
    """Bytes by which the resident memory of this process exceeds at its highest, in one call, what it was before."""
    ROUTES[route](*objects(8, (600, 800)), (600, 800))
    masks, boxes = objects(NUM_OBJECTS, SIZE)
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from here
    before = _memory("VmRSS")
    ROUTES[route](masks, boxes, SIZE)
    return max(RESOLUTION, _memory("VmHWM") - before)


def memory_of(route: str) -> int:
    command = [sys.executable, __file__, "--grown-by", route]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--grown-by", choices=list(ROUTES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.grown_by:
        print(grown_by(arguments.grown_by))
        return
    masks, boxes = objects(NUM_OBJECTS, SIZE)
    runs = check_agreement(masks, boxes)
    turns = [
        {name: timed(lambda route=route: route(masks, boxes, SIZE)) for name, route in ROUTES.items()}
        for _ in range(arguments.repeats)
    ]
    milliseconds = {name: statistics.median(turn[name] for turn in turns) for name in ROUTES}
    memory = {name: memory_of(name) for name in ROUTES}
    table = Table("route", "ms", "times ours", "grows by, MB", "times ours")
    results = []
    for name in ROUTES:
        row = {
            "route": name,
            "ms": milliseconds[name],
            "time_ratio": milliseconds[name] / milliseconds["ours"],
            "memory_bytes": memory[name],
            "memory_ratio": memory[name] / memory["ours"],
        }
        results.append(row)
        table.add_row(
            name,
            f"{row['ms']:.1f}",
            f"{row['time_ratio']:.1f}",
            f"{row['memory_bytes'] / 1e6:.1f}",
            f"{row['memory_ratio']:.0f}",
        )
    Console().print(table)
    document = {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "size": SIZE,
        "num_objects": NUM_OBJECTS,
        "runs": runs,
        "box_pixels": float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()),
        "results": results,
    }
    write_text(ROOT / "benchmarks" / "paste.json", json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

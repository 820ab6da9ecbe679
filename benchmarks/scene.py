"""Times label maps on their way to regions and relations: 1, 4, 16 and 50 megapixels, ours beside scikit-image.

The maps are deterministic: crooked cells of about 100 × 100 pixels of eleven classes, each a region (some 6,000 at 50
megapixels), made in bands. Ours gives all that a scene's regions and relations need; scikit-image's route labels the
pieces, measures what it can of it by `regionprops_table` (area, box, centroid, orientation, axes, Crofton perimeter,
solidity, Euler number) and builds its region adjacency graph, `skimage.graph.RAG`; figures that both have are checked
to agree. Times are medians of turns (above 4 megapixels, scikit-image has one). Memory is what a fresh process grows by
at its highest over the label map, once with the map as a whole and once in streamed tiles of 512 × 512 that are made on
the way (Linux only). Writes benchmarks/scene.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import skimage.graph
import skimage.measure
from paste import _memory
from rich.console import Console
from rich.table import Table
from run import ROOT, timed, versions

from segscape.data.label_sets import CAMVID
from segscape.files import write_text
from segscape.result import Segmentation
from segscape.scene.measures import Borders, Measures
from segscape.scene.regions import regions_of, regions_of_tiles, scene_regions
from segscape.scene.relations import relations_of
from segscape.scene.run_map import RunMap
from segscape.scene.scan import Tile
from segscape.scene.vocabulary import role_of

SIZES = {"1": (1000, 1000), "4": (2000, 2000), "16": (4000, 4000), "50": (7000, 7150)}
COLUMNS = {
    "regions_ms": "regions ms",
    "relations_ms": "relations ms",
    "regionprops_ms": "skimage regions ms",
    "rag_ms": "skimage RAG ms",
    "time_ratio": "times ours",
    "memory_mb": "grows by MB",
    "streamed_memory_mb": "streamed MB",
}
CELL = 100
TILE = 512
PROPERTIES = (
    "area",
    "bbox",
    "centroid",
    "orientation",
    "axis_major_length",
    "axis_minor_length",
    "perimeter_crofton",
    "solidity",
    "euler_number",
)


def band(y0: int, y1: int, width: int) -> np.ndarray:
    """Rows y0 … y1 − 1 of the map: (y1 − y0, width) uint8 of 11 classes, of which neighbouring cells have two."""
    y, x = np.arange(y0, y1, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    column = ((x + 12 * np.sin(y / 17) + 6 * np.sin(y / 5)) / CELL + 1).astype(np.int32)
    row = ((y + 12 * np.sin(x / 19) + 6 * np.sin(x / 6)) / CELL + 1).astype(np.int32)
    return ((column + 3 * row) % len(CAMVID)).astype(np.uint8)


def label_map(size: tuple[int, int]) -> np.ndarray:
    height, width = size
    whole = np.empty(size, np.uint8)
    for y in range(0, height, TILE):
        whole[y : y + TILE] = band(y, min(y + TILE, height), width)
    return whole


def tiles(size: tuple[int, int]) -> Iterator[Tile]:
    height, width = size
    for y in range(0, height, TILE):
        rows = band(y, min(y + TILE, height), width)
        for x in range(0, width, TILE):
            yield Tile(y, x, rows[:, x : x + TILE])


Partition = tuple[RunMap, Measures, Borders]


def regions(labels: np.ndarray) -> Partition:
    """Ours; nothing is merged, since scikit-image merges nothing."""
    found = regions_of(Segmentation(labels.shape, CAMVID, labels), min_area_px=1)
    scene_regions(*found[:2], CAMVID, np.zeros(found[1].num_regions, bool))
    return found


def relations(found: Partition) -> int:
    run_map, measures, borders = found
    roles = [role_of(label.name) for label in CAMVID]
    things = np.array([label.thing for label in CAMVID])
    return len(relations_of(measures, borders, run_map, roles, things))


def scikit_image(labels: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    numbers = np.asarray(skimage.measure.label(labels, connectivity=2, background=255))
    return numbers, skimage.measure.regionprops_table(numbers, properties=PROPERTIES)


def check_agreement(labels: np.ndarray) -> None:
    """Raise unless both say the same of every region and of every pair that shares a border."""
    run_map, measures, borders = regions(labels)
    numbers, table = scikit_image(labels)
    dense = run_map.to_dense()
    row_of = np.empty(numbers.max() + 1, np.int64)
    row_of[numbers] = dense
    rows = row_of[1:]
    large = measures.area_px[rows] > 1000  # theirs takes pixels for points, and has no axis for a line of them
    inside = measures.frame_px[rows].sum(axis=1) == 0
    if not (
        len(rows) == measures.num_regions
        and np.array_equal(measures.area_px[rows], table["area"])
        and np.array_equal(measures.box[rows][:, [1, 0, 3, 2]], np.stack([table[f"bbox-{i}"] for i in range(4)], 1))
        and np.allclose(measures.centroid[rows] - 0.5, np.stack([table["centroid-1"], table["centroid-0"]], 1))
        and np.allclose(measures.perimeter_px[rows][inside], table["perimeter_crofton"][inside])
        and np.array_equal(1 - measures.holes[rows], table["euler_number"])
        and np.allclose(
            measures.elongation[rows][large],
            (table["axis_major_length"][large] / table["axis_minor_length"][large]),
            rtol=1e-3,
        )
    ):
        raise SystemExit("ours and scikit-image's regions differ")
    theirs = {tuple(sorted((int(row_of[a]), int(row_of[b])))) for a, b in skimage.graph.RAG(numbers).edges}
    if theirs != set(zip(borders.first.tolist(), borders.second.tolist(), strict=True)):
        raise SystemExit("ours and scikit-image's borders differ")


def grown_by(route: str, size: tuple[int, int]) -> int:
    """Bytes by which the resident memory of this process exceeds at its highest, in one call, what it was before."""
    relations(regions(label_map(SIZES["1"])))
    regions_of_tiles(tiles(SIZES["1"]), SIZES["1"], CAMVID)
    labels = label_map(size) if route == "whole" else None
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from here
    before = _memory("VmRSS")
    relations(regions_of_tiles(tiles(size), size, CAMVID) if labels is None else regions(labels))
    return _memory("VmHWM") - before


def memory_of(route: str, megapixels: str) -> int:
    command = [sys.executable, __file__, "--grown-by", route, megapixels]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="turns; scikit-image has one above 4 megapixels")
    parser.add_argument("--grown-by", nargs=2, metavar=("ROUTE", "MEGAPIXELS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.grown_by:
        route, megapixels = arguments.grown_by
        print(grown_by(route, SIZES[megapixels]))
        return
    check_agreement(label_map(SIZES["1"]))
    table = Table("megapixels", "regions", *COLUMNS.values())
    results = []
    for megapixels, size in SIZES.items():
        labels = label_map(size)
        found = regions(labels)
        numbers, _ = scikit_image(labels)
        own, peer = [], []
        for turn in range(arguments.repeats):
            own.append((timed(lambda labels=labels: regions(labels)), timed(lambda found=found: relations(found))))
            if turn == 0 or int(megapixels) <= 4:
                table_ms = timed(lambda labels=labels: scikit_image(labels))
                peer.append((table_ms, timed(lambda numbers=numbers: skimage.graph.RAG(numbers))))
        of_regions, of_relations = (statistics.median(times) for times in zip(*own, strict=True))
        of_table, of_graph = (statistics.median(times) for times in zip(*peer, strict=True))
        row = {
            "megapixels": size[0] * size[1] / 1e6,
            "num_regions": found[1].num_regions,
            "turns": len(own),
            "scikit_image_turns": len(peer),
            "regions_ms": of_regions,
            "relations_ms": of_relations,
            "regionprops_ms": of_table,
            "rag_ms": of_graph,
            "time_ratio": (of_table + of_graph) / (of_regions + of_relations),
            "memory_mb": memory_of("whole", megapixels) / 1e6,
            "streamed_memory_mb": memory_of("tiles", megapixels) / 1e6,
        }
        results.append(row)
        shown = (f"{row[name]:.0f}" for name in COLUMNS)
        table.add_row(f"{row['megapixels']:.0f}", str(row["num_regions"]), *shown)
    Console().print(table)
    document = {
        "versions": versions() | {"scikit-image": version("scikit-image")},
        "cores": os.cpu_count(),
        "cell_px": CELL,
        "results": results,
    }
    write_text(ROOT / "benchmarks" / "scene.json", json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

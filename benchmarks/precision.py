"""What a model loses and gains in bf16 and in int8, on OpenVINO: the tables of docs/export.md.

    python benchmarks/precision.py street camvid:../shared/data/camvid --int8 out/street-int8
    python benchmarks/precision.py nuclei ../shared/data/nuclei --int8 out/nuclei-int8

Scores are of the validation split, as the gate of `segscape export --int8` measures them. Equal pixels are of the whole
test split, of models that make label maps. Times are of twelve photos of one size, decoded, one after another, to the
label map or the objects, beside torch eager in float32; medians of turns. Adds its rows to benchmarks/precision.json
and prints them; `make docs` writes the tables.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, row_of, versions

import segscape
from segscape.data import open_dataset
from segscape.data.sample import Dataset
from segscape.export.folder import CARD
from segscape.export.gate import MEAN, Comparison, Limits, compare, measure
from segscape.files import write_text
from segscape.image import read_image
from segscape.predict.predictor import Predictor

RESULTS = ROOT / "benchmarks" / "precision.json"
NUM_TIMED = 12
TORCH = "torch"


def _pixels_equal(predictors: dict[str, Predictor], data: Dataset) -> dict[str, float]:
    """0…1 for each: pixels of the test split that have the class they have in float32."""
    equal, total = dict.fromkeys(predictors, 0), 0
    for item in data.split("test"):
        pixels = read_image(item.image).pixels
        maps = {
            way: predictor.predict(pixels, refine="none", keep_image=False).label_map
            for way, predictor in predictors.items()
        }
        total += maps["f32"].size
        for way, labels in maps.items():
            equal[way] += int(np.count_nonzero(labels == maps["f32"]))
    return {way: count / total for way, count in equal.items()}


def _times(predictors: dict[str, Predictor], data: Dataset) -> tuple[dict[str, float], tuple[int, int]]:
    """How many times torch's speed, and the size of the photos: the size that most of the validation split have."""
    images = [read_image(item.image).pixels for item in data.split("val")]
    sizes = [image.shape[:2] for image in images]
    size = max(sorted(set(sizes)), key=sizes.count)
    photos = [image for image in images if image.shape[:2] == size][:NUM_TIMED]

    def all_photos(predictor: Predictor) -> None:
        for photo in photos:
            predictor.predict(photo, keep_image=False, **options)

    dense = not next(iter(predictors.values())).card.finds_objects
    options: dict[str, Any] = {"refine": "none"} if dense else {}
    ways = {way: partial(all_photos, predictor) for way, predictor in predictors.items()}
    return dict(row_of("", ways, peer=TORCH, quick=False, seconds=60, least=7).times), size


def _changes(comparison: Comparison) -> dict[str, Any]:
    """Of the mean and of the class that lost most."""
    mean = next(row for row in comparison.rows if row.name == MEAN)
    worst = min((row for row in comparison.rows if row.name != MEAN and row.change is not None), key=lambda r: r.change)
    return {"score": mean.after, "change": mean.change, "worst_class": worst.name, "worst_change": worst.change}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a bundled model or a bundle")
    parser.add_argument("data", help="a labelled data set, as `segscape evaluate` takes it")
    parser.add_argument("--int8", type=Path, help="what `segscape export MODEL --to openvino --int8 DATA` wrote")
    arguments = parser.parse_args()
    layers: list[int] | None = None  # in int8, and all
    predictors = {
        way: segscape.load(arguments.model, engine="openvino", precision=way, device="cpu") for way in ("f32", "bf16")
    }
    if arguments.int8:
        predictors["int8"] = segscape.load(arguments.int8)
        said = json.loads((arguments.int8 / CARD).read_text("utf-8"))["graph"]["int8"]
        layers = [said["int8_layers"], said["int8_layers"] + len(said["kept_layers"])]
    data = open_dataset(arguments.data)
    reports = {way: measure(predictor, data, "val") for way, predictor in predictors.items()}
    equal = {} if predictors["f32"].card.finds_objects else _pixels_equal(predictors, data)
    torch = segscape.load(arguments.model, engine="torch", device="cpu")
    times, size = _times({TORCH: torch, **predictors}, data)
    rows = {
        way: {
            **_changes(compare(reports["f32"], report, Limits())),
            "same_pixels": equal.get(way),
            "times_torch": times[way],
        }
        for way, report in reports.items()
    }
    for way, row in rows.items():
        print(arguments.model, way, {key: round(v, 5) if isinstance(v, float) else v for key, v in row.items()})
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[arguments.model] = {"timed_size": size, "layers": layers, "versions": versions(), "rows": rows}
    write_text(RESULTS, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

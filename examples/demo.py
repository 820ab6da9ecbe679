"""`make demo`: the bundled models on the example photos: masks, pictures, sentences in two languages, a report.

Writes overlay, label map and JSON of each photo, the graph of who lies how to whom, report.html, and overview.jpg with
all overlays in one picture. Where the CamVid data set lies beside the repository, three of its test images follow,
beside their truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import segscape
from segscape.data import open_dataset
from segscape.render import color_labels, side_by_side
from segscape.report.page import write_report
from segscape.result_files import write_jpeg
from segscape.scene.graph import write_graph

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"
CAMVID = ROOT.parent / "shared" / "data" / "camvid"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "demo")
    out: Path = parser.parse_args().out

    start = time.perf_counter()
    predictor = segscape.load("street")
    models = [(predictor, path) for path in sorted(PHOTOS.glob("*.jpg"))]
    models.append((segscape.load("nuclei"), PHOTOS / "cells.png"))
    rows, scenes = [], []
    for model, path in models:
        result = model.predict(path)
        rows.append(photo_row(result, path, out, start))
        scenes.append(result.scene())
        say_scene(scenes[-1], out)
    if CAMVID.exists():
        rows += camvid_rows(predictor)
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 12), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    write_jpeg(out / "overview.jpg", np.concatenate(padded))
    print(f"all in one picture: {out / 'overview.jpg'}")
    print(f"to read, in a browser: {write_report(scenes, out, title='Demo')['report']}")


def photo_row(result: segscape.Segmentation, path: Path, out: Path, start: float) -> np.ndarray:
    """Write what was found in one photo, say it in numbers, and give photo and overlay side by side."""
    elapsed = time.perf_counter() - start
    written = result.save(out)
    pixels = result.size[0] * result.size[1]
    areas = sorted(result.class_areas().items(), key=lambda pair: -pair[1])
    shares = ", ".join(f"{name} {100 * area / pixels:.0f} %" for name, area in areas[:6])
    if result.single_objects:
        shares = f"{len(result.regions)} objects, {shares}"
    print(f"{path.name}: {shares}   ({sum(result.timings_ms.values()):.0f} ms; {elapsed:.1f} s since the start)")
    print(f"  {written['overlay']}")
    return side_by_side([(path.name, image_pixels(result)), (result.model.partition("@")[0], result.plot())])


def say_scene(scene: segscape.Scene, out: Path) -> None:
    """Say what the masks mean, in both languages, and draw how the regions lie to one another."""
    print(f"  {scene.describe('en')}")
    print(f"  {scene.describe('zh', 'short')}")
    path = out / f"{Path(scene.source).stem}.graph.jpg"
    write_graph(scene, path)
    print(f"  {path}")


def camvid_rows(predictor: segscape.Predictor) -> list[np.ndarray]:
    """Three CamVid test images: photo, prediction, truth."""
    dataset = open_dataset(f"camvid:{CAMVID}")
    items = dataset.split("test")
    rows = []
    for item in items[:: len(items) // 3][:3]:
        sample = dataset.read(item)
        result = predictor.predict(sample.pixels)
        assert result.label_map is not None
        counted = sample.labels != dataset.label_set.ignore_index
        right = float((result.label_map == sample.labels)[counted].mean())
        print(f"CamVid {item.name}: {100 * right:.1f} % of the pixels right")
        prediction = color_labels(result.label_map, dataset.label_set)
        truth = color_labels(sample.labels, dataset.label_set)
        rows.append(side_by_side([(item.name, sample.pixels), ("prediction", prediction), ("truth", truth)]))
    return rows


def image_pixels(result: segscape.Segmentation) -> np.ndarray:
    """The photo a result was made from."""
    assert result.image is not None
    return result.image.pixels


if __name__ == "__main__":
    main()

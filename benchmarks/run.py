"""`make bench`: our parts beside what people use otherwise, in one run on one machine.

Each pair does the same work and is checked to agree; the two take turns, and the medians' ratio is what to trust, since
the speed of a machine drifts. Writes benchmarks/results.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from PIL import Image as PilImage
from rich.console import Console
from rich.table import Table
from sklearn.metrics import confusion_matrix

import segscape
from segscape.evaluate.metrics import ConfusionMatrix
from segscape.files import write_text
from segscape.image import read_image
from segscape.models.bundle import load_bundle
from segscape.predict.locate import find_model
from segscape.predict.regions import regions_from_label_map
from segscape.runtime.inference import Scores, classify
from segscape.train.logs import versions

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "photos" / "street.jpg"


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def pair(ours: Callable[[], Any], peer: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median milliseconds of both, taking turns after one unmeasured call of each."""
    ours()
    peer()
    turns = [(timed(ours), timed(peer)) for _ in range(repeats)]
    return statistics.median(t[0] for t in turns), statistics.median(t[1] for t in turns)


def photo_to_label_map(repeats: int) -> tuple[float, float]:
    """A 640 × 480 photo to its label map with the same weights: ours, and the way tutorials write it."""
    predictor = segscape.load("street", engine="torch", device="cpu")
    model, card = load_bundle(find_model("street"))
    height, width = card.preprocess.network_size((480, 640))

    @torch.inference_mode()
    def usual() -> np.ndarray:
        pixels = np.array(PilImage.open(PHOTO).convert("RGB").resize((width, height), PilImage.Resampling.BILINEAR))
        x = torch.from_numpy(pixels).permute(2, 0, 1).float().div(255)
        mean, std = (torch.tensor(v)[:, None, None] for v in (card.preprocess.mean, card.preprocess.std))
        logits = F.interpolate(model(((x - mean) / std)[None]), size=(480, 640), mode="bilinear")
        return logits.softmax(1).max(1).indices[0].numpy()

    result = predictor.predict(PHOTO)
    assert (result.label_map == usual()).mean() > 0.97  # they resize the photo with other filters
    return pair(lambda: predictor.predict(PHOTO), usual, repeats)


def label_map_from_scores(repeats: int) -> tuple[float, float]:
    """Scores at stride 4 of a 600-pixel view to label map and confidence at 12 megapixels, 11 classes."""
    logits = np.random.default_rng(0).standard_normal((11, 113, 150)).astype(np.float32)
    scores = Scores(logits, (3000 / 113, 4000 / 150), (3000, 4000))

    def usual() -> torch.Tensor:
        full = F.interpolate(torch.from_numpy(logits)[None], size=(3000, 4000), mode="bilinear")
        return full.softmax(1).max(1).indices[0]

    assert (classify(scores)[0] == usual().numpy()).mean() > 0.9999
    return pair(lambda: classify(scores), usual, max(3, repeats // 4))


def regions(repeats: int) -> tuple[float, float]:
    """The connected regions of a street's label map with areas and boxes; scipy works class by class."""
    result = segscape.load("street", engine="torch", device="cpu").predict(PHOTO)
    label_map = result.label_map
    assert label_map is not None

    def usual() -> int:
        count = 0
        for c in np.unique(label_map):
            labels, n = scipy.ndimage.label(label_map == c, structure=np.ones((3, 3)))
            scipy.ndimage.find_objects(labels)
            np.bincount(labels.ravel())
            count += n
        return count

    assert len(regions_from_label_map(label_map, result.label_set)) == usual()
    return pair(lambda: regions_from_label_map(label_map, result.label_set), usual, repeats)


def confusion(repeats: int) -> tuple[float, float]:
    """Confusion matrix of ten 480 × 360 label maps, 11 classes."""
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 11, (10, 360, 480)).astype(np.uint8) for _ in range(2))

    def ours() -> np.ndarray:
        matrix = ConfusionMatrix(11, 255)
        for t, p in zip(truth, prediction, strict=True):
            matrix.update(t, p)
        return matrix.matrix

    def usual() -> np.ndarray:
        return confusion_matrix(truth.ravel(), prediction.ravel(), labels=np.arange(11))

    assert (ours() == usual()).all()
    return pair(ours, usual, max(3, repeats // 4))


def decode(repeats: int) -> tuple[float, float]:
    """A 12-megapixel JPEG to RGB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        PilImage.open(PHOTO).resize((4000, 3000)).save(path, quality=90)
        return pair(
            lambda: read_image(path), lambda: np.array(PilImage.open(path).convert("RGB")), max(3, repeats // 4)
        )


BENCHMARKS: dict[str, tuple[str, Callable[[int], tuple[float, float]]]] = {
    "photo to label map, 0.3 MP": ("torch eager + PIL", photo_to_label_map),
    "scores to label map, 12 MP": ("torch interpolate + softmax + max", label_map_from_scores),
    "regions of a label map, 0.3 MP": ("scipy.ndimage", regions),
    "confusion matrix, 10 label maps": ("scikit-learn", confusion),
    "decode a JPEG, 12 MP": ("Pillow", decode),
}


def fresh_process(repeats: int) -> float:
    """Median milliseconds of `segscape predict PHOTO` from nothing: imports, weights, network, three files."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "segscape", "predict", str(PHOTO), "--out", folder]
        runs = [timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(repeats)]
    return statistics.median(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats: int = parser.parse_args().repeats
    table = Table("what", "ours, ms", "peer, ms", "times faster", "peer")
    results = []
    for name, (peer, measure) in BENCHMARKS.items():
        ours_ms, peer_ms = measure(repeats)
        results.append({"what": name, "peer": peer, "ours_ms": ours_ms, "peer_ms": peer_ms, "ratio": peer_ms / ours_ms})
        table.add_row(name, f"{ours_ms:.1f}", f"{peer_ms:.1f}", f"{peer_ms / ours_ms:.2f}", peer)
    fresh_ms = fresh_process(5)
    table.add_row("`segscape predict`, fresh process", f"{fresh_ms:.0f}", "", "", "")
    Console().print(table)
    document = {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "results": results,
        "fresh_process_ms": fresh_ms,
    }
    write_text(ROOT / "benchmarks" / "results.json", json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

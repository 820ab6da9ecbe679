"""Times the compiled loops and the JPEG route beside what does the same work in torch, torchvision, Pillow and numpy.

Each pair is checked to agree, takes turns, and has its medians compared; see run.py. The scores are random. Writes
benchmarks/kernels.json and prints a table.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as PilImage
from rich.console import Console
from rich.table import Table
from run import ROOT, pair
from torchvision.ops import MultiScaleRoIAlign, batched_nms

from segscape.evaluate.metrics import ConfusionMatrix
from segscape.files import write_text
from segscape.image import read_image
from segscape.runtime.boxes import nms
from segscape.runtime.roi_align import roi_align
from segscape.runtime.upsample import classify_band
from segscape.threads import num_threads
from segscape.train.logs import versions

PADDED = (800, 1088)  # what a 640 × 480 photo is for Mask R-CNN
Pair = tuple[Callable[[], object], Callable[[], object]]


def classifying(num_classes: int, height: int, width: int, step: int) -> Pair:
    """Coarse scores to labels and confidences; torch the way it is usually written."""
    shape = (num_classes, height // step, width // step)
    logits = (np.random.default_rng(0).normal(size=shape) * 3).astype(np.float32)

    def ours() -> tuple[np.ndarray, np.ndarray | None]:
        return classify_band(logits, (step, step), (0, height), width)

    def peer() -> torch.return_types.max:
        wide = F.interpolate(torch.from_numpy(logits)[None], (height, width), mode="bilinear")
        return wide.softmax(1)[0].max(0)

    (labels, confidence), expected = ours(), peer()
    assert (labels == expected.indices.numpy()).mean() > 0.9999
    np.testing.assert_allclose(confidence, expected.values.numpy(), atol=1e-5)
    return ours, peer


def random_boxes(num: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    center, side = rng.random((num, 2)) * PADDED[::-1], np.exp(rng.normal(4, 1, (num, 2)))
    return np.concatenate((center - side / 2, center + side / 2), 1).clip(0, PADDED[::-1] * 2).astype(np.float32)


def pooling(num: int, side: int) -> Pair:
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(PADDED[0] // s, PADDED[1] // s, 256)).astype(np.float32) for s in (4, 8, 16, 32)]
    boxes = random_boxes(num)
    pyramid = {str(i): torch.from_numpy(x).permute(2, 0, 1)[None].contiguous() for i, x in enumerate(levels)}
    pool = MultiScaleRoIAlign(list(pyramid), side, 2)

    def ours() -> np.ndarray:
        return roi_align(levels, boxes, side, PADDED)

    def peer() -> torch.Tensor:
        return pool(pyramid, [torch.from_numpy(boxes)], [PADDED])

    np.testing.assert_allclose(ours().transpose(0, 3, 1, 2), peer().numpy(), atol=1e-4)
    return ours, peer


def suppressing(num: int, num_groups: int) -> Pair:
    rng = np.random.default_rng(1)
    boxes, scores, groups = random_boxes(num), rng.random(num).astype(np.float32), rng.integers(0, num_groups, num)
    tensors = [torch.from_numpy(x) for x in (boxes, scores, groups)]

    def ours() -> np.ndarray:
        return nms(boxes, scores, groups, 0.7)

    def peer() -> torch.Tensor:
        return batched_nms(*tensors, 0.7)

    np.testing.assert_array_equal(ours(), peer().numpy())
    return ours, peer


def decoding(height: int, width: int, at_least: tuple[int, int] | None = None) -> Pair:
    """A noisy photo of quality 90; the peer decodes it whole, and shrinks it if less is wanted."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.random((height // 40, width // 40, 3)) * 255, (width, height), interpolation=cv2.INTER_CUBIC
    )
    noisy = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    PilImage.fromarray(noisy).save(stream, "JPEG", quality=90)

    def shrunk(pixels: np.ndarray) -> np.ndarray:
        return cv2.resize(pixels, at_least[::-1], interpolation=cv2.INTER_AREA) if at_least else pixels

    def ours() -> np.ndarray:
        return shrunk(read_image(stream.getvalue(), at_least=at_least).pixels)

    def peer() -> np.ndarray:
        return shrunk(np.array(PilImage.open(io.BytesIO(stream.getvalue()))))

    difference = np.abs(ours().astype(int) - peer()).mean()
    assert difference == 0 if at_least is None else difference < 3
    return ours, peer


def counting(height: int, width: int, num_classes: int) -> Pair:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, num_classes, (height // 32, width // 32), np.uint8)
    truth = np.kron(coarse, np.ones((32, 32), np.uint8))
    prediction = np.where(rng.random(truth.shape) < 0.1, rng.integers(0, num_classes, truth.shape), truth)
    prediction = prediction.astype(np.uint8)

    def ours() -> np.ndarray:
        matrix = ConfusionMatrix(num_classes, 255)
        matrix.update(truth, prediction)
        return matrix.matrix

    def peer() -> np.ndarray:
        valid = truth != 255
        cells = truth[valid].astype(np.int64) * num_classes + prediction[valid]
        return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)

    np.testing.assert_array_equal(ours(), peer())
    return ours, peer


TASKS: dict[str, tuple[str, Callable[[], Pair]]] = {
    "11 classes to 640 × 480": ("torch", lambda: classifying(11, 480, 640, 4)),
    "21 classes to 12 megapixels": ("torch", lambda: classifying(21, 3000, 4000, 8)),
    "RoIAlign 7 × 7, 1000 boxes": ("torchvision", lambda: pooling(1000, 7)),
    "RoIAlign 14 × 14, 100 boxes": ("torchvision", lambda: pooling(100, 14)),
    "suppression, 4500 boxes of 5 levels": ("torchvision", lambda: suppressing(4500, 5)),
    "JPEG, 640 × 480": ("Pillow", lambda: decoding(480, 640)),
    "JPEG, 12 megapixels": ("Pillow", lambda: decoding(3000, 4000)),
    "JPEG, 12 megapixels to 640 × 480": ("Pillow", lambda: decoding(3000, 4000, (480, 640))),
    "confusion matrix, 19 classes, 2 megapixels": ("numpy", lambda: counting(1024, 2048, 19)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(num_threads())
    table = Table("work", "ours, ms", "peer", "ms", "times ours")
    results = []
    for name, (peer_name, make) in TASKS.items():
        ours, peer = pair(*make(), repeats)
        results.append({"work": name, "peer": peer_name, "ours_ms": ours, "peer_ms": peer, "ratio": peer / ours})
        table.add_row(name, f"{ours:.1f}", peer_name, f"{peer:.1f}", f"{peer / ours:.1f}")
    Console().print(table)
    document = {"versions": versions(), "threads": num_threads(), "results": results}
    write_text(ROOT / "benchmarks" / "kernels.json", json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

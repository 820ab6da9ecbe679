"""What stands around a network, stage by stage, each beside what usually does it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import kernels
import numpy as np
import paste
from measure import PHOTO, Row, row_of

TITLE = "Around the network"
ABOUT = """The same outcome from the same arrays, which is checked: see `benchmarks/kernels.py`, `benchmarks/paste.py`
and this part."""
Ways = tuple[str, dict[str, Callable[[], object]]]
LARGE = (3000, 4000)
NUM_CLASSES = 11


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def kernel(what: str) -> Ways:
    peer_name, make = kernels.TASKS[what]
    ours, peer = make()
    return peer_name, {peer_name: peer, "ours": ours}


def masks(peer_name: str) -> Ways:
    work = (*paste.objects(paste.NUM_OBJECTS, paste.SIZE), paste.SIZE)
    paste.check_agreement(*work[:2])
    return peer_name, {way: partial(paste.ROUTES[way], *work) for way in (peer_name, "ours")}


def _label_map(size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: blobs of the classes."""
    noise = np.random.default_rng(0).random((NUM_CLASSES, size[0] // 100, size[1] // 100)).astype(np.float32)
    return (
        np.stack([cv2.resize(n, size[::-1], interpolation=cv2.INTER_CUBIC) for n in noise]).argmax(0).astype(np.uint8)
    )


def _segmentation(size: tuple[int, int]) -> Any:
    from segscape.labels import Label, LabelSet
    from segscape.predict.regions import regions_from_label_map
    from segscape.result import Segmentation

    labels = LabelSet("classes", tuple(Label(f"class {i}", (20 * i, 250 - 20 * i, 90)) for i in range(NUM_CLASSES)))
    label_map = _label_map(size)
    return Segmentation(size, labels, label_map, regions_from_label_map(label_map, labels))


def regions() -> Ways:
    """Class by class with scipy: its labels, boxes and areas; ours gives run lengths as well."""
    import scipy.ndimage

    from segscape.predict.regions import regions_from_label_map

    result = _segmentation(LARGE)
    label_map = result.label_map

    def peer() -> int:
        count = 0
        for c in np.unique(label_map):
            labels, num = scipy.ndimage.label(label_map == c, structure=np.ones((3, 3)))
            scipy.ndimage.find_objects(labels)
            np.bincount(labels.ravel())
            count += num
        return count

    assert len(result.regions) == peer()
    return "scipy", {"scipy": peer, "ours": lambda: regions_from_label_map(label_map, result.label_set)}


def overlay() -> Ways:
    """Colours over the photo; ours draws borders and a legend as well."""
    import torch
    from torchvision.utils import draw_segmentation_masks

    from segscape.image import read_image
    from segscape.render import overlay

    result = _segmentation(LARGE)
    pixels = cv2.resize(read_image(PHOTO).pixels, LARGE[::-1])
    tensor, label_map = torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(result.label_map)
    colors = [tuple(label.color) for label in result.label_set]

    def peer() -> object:
        classes = label_map == torch.arange(NUM_CLASSES)[:, None, None]
        return draw_segmentation_masks(tensor, classes, alpha=0.55, colors=colors)

    return "torchvision", {"torchvision": peer, "ours": lambda: overlay(pixels, result)}


def png() -> Ways:
    import tempfile
    from pathlib import Path

    from PIL import Image

    from segscape.result_files import write_label_png

    result = _segmentation(LARGE)
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "labels.png"

    def peer() -> None:
        Image.fromarray(result.label_map).save(path)

    def ours() -> None:
        assert folder  # else it is removed
        write_label_png(path, result.label_map, result.label_set)

    ours()
    assert (np.array(Image.open(path)) == result.label_map).all()
    return "Pillow", {"Pillow": peer, "ours": ours}


def _objects(num_images: int) -> Iterator[tuple[Any, Any]]:
    """True and found objects of images of 480 × 640: a dozen of each, half of them nearly where they should be."""
    from segscape.evaluate.image_objects import Instances
    from segscape.masks import to_coco_string, uncrop
    from segscape.predict.paste import paste_masks

    size = (480, 640)

    def instances(shapes: np.ndarray, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> Any:
        placed = [(i, p) for i, p in enumerate(paste_masks(shapes, boxes, size, 0.5)) if p is not None]
        kept = [i for i, _ in placed]
        rles = tuple({"size": list(size), "counts": to_coco_string(uncrop(m, b, size))} for _, (b, m) in placed)
        own, areas = (
            np.array([b for _, (b, _) in placed], np.int64),
            np.array([m.area for _, (_, m) in placed], np.int64),
        )
        return Instances(size, classes[kept], own.reshape(-1, 4), areas, rles, scores[kept], np.zeros(len(kept), bool))

    for seed in range(num_images):
        rng = np.random.default_rng(seed)
        shapes, boxes = paste.objects(12, size, seed)
        classes = rng.integers(0, 20, 12)
        moved = (boxes + rng.normal(0, 4, boxes.shape)).astype(np.float32)
        guessed = np.where(rng.random(12) < 0.8, classes, rng.integers(0, 20, 12))
        yield instances(shapes, moved, guessed, rng.random(12)), instances(shapes, boxes, classes, np.ones(12))


def average_precision() -> Ways:
    import contextlib

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from segscape.evaluate.coco import CocoScores, average_precisions

    pairs = list(_objects(300))
    names = [f"class {i}" for i in range(20)]

    def ours() -> float:
        scores = CocoScores(names, 100)
        for found, true in pairs:
            scores.update(found, true)
        return average_precisions(scores.precision("segm"))["map"]

    gathered = CocoScores(names, 100)
    for found, true in pairs:
        gathered.update(found, true)

    def peer() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
            truth.dataset = {"images": gathered._images, "annotations": gathered._true, "categories": categories}
            truth.createIndex()
            boxless = [{k: v for k, v in entry.items() if k != "bbox"} for entry in gathered._found]
            evaluation = COCOeval(truth, truth.loadRes(boxless), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return float(evaluation.stats[0])

    assert abs(ours() - peer()) < 1e-6
    return "pycocotools", {"pycocotools": peer, "ours": ours}


def panoptic() -> Ways:
    """The peer counts as the authors' code (panopticapi) does: pairs of ids by np.unique, then a loop over them."""
    from segscape.evaluate.panoptic import PanopticScores, Segments
    from segscape.labels import Label, LabelSet

    labels = LabelSet("classes", tuple(Label(f"class {i}", (20 * i, 0, 0), thing=i > 5) for i in range(NUM_CLASSES)))
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 60, (16, 32)), np.ones((64, 64), int)).astype(np.int32)
    found = np.roll(truth, (9, 9), (0, 1))
    classes = rng.integers(0, NUM_CLASSES, 60)
    none = np.zeros(60, bool)

    def ours() -> float:
        scores = PanopticScores(labels)
        scores.update(Segments(found + 1, classes, none), Segments(truth + 1, classes, none))
        return scores.report().all.pq or 0.0

    def peer() -> float:
        pair_ids, counts = np.unique(truth.astype(np.uint64) * 2**20 + found.astype(np.uint64), return_counts=True)
        areas = [dict(zip(*np.unique(x, return_counts=True), strict=True)) for x in (truth, found)]
        tp, iou = np.zeros(NUM_CLASSES), np.zeros(NUM_CLASSES)
        matched: list[set[int]] = [set(), set()]
        for pair_id, count in zip(pair_ids.tolist(), counts.tolist(), strict=True):
            t, f = divmod(pair_id, 2**20)
            overlap = count / (areas[0][t] + areas[1][f] - count)
            if classes[t] == classes[f] and overlap > 0.5:
                tp[classes[t]] += 1
                iou[classes[t]] += overlap
                matched[0].add(t)
                matched[1].add(f)
        rest = [
            np.bincount([classes[i] for i in a if i not in m], minlength=NUM_CLASSES)
            for a, m in zip(areas, matched, strict=True)
        ]
        below = tp + (rest[0] + rest[1]) / 2
        return float((iou[below > 0] / below[below > 0]).mean())

    assert abs(ours() - peer()) < 1e-9
    return "numpy, as panopticapi", {"numpy, as panopticapi": peer, "ours": ours}


def stage(what: str, make: Callable[[], Ways], quick: bool) -> Row:
    import torch

    from segscape.threads import num_threads

    torch.set_num_threads(num_threads())
    peer, ways = make()
    return row_of(what, ways, peer=peer, quick=quick, seconds=6)


STAGES: dict[str, tuple[str, Callable[[], Ways]]] = {
    "classify": ("scores to label map, 11 classes, 640 × 480", partial(kernel, "11 classes to 640 × 480")),
    "classify-12mp": ("scores to label map, 21 classes, 12 megapixels", partial(kernel, "21 classes to 12 megapixels")),
    "roialign": ("RoIAlign 7 × 7, 1000 boxes", partial(kernel, "RoIAlign 7 × 7, 1000 boxes")),
    "nms": ("suppression, 4500 boxes of 5 levels", partial(kernel, "suppression, 4500 boxes of 5 levels")),
    "jpeg": ("JPEG, 12 megapixels", partial(kernel, "JPEG, 12 megapixels")),
    "jpeg-scaled": ("JPEG, 12 megapixels to 640 × 480", partial(kernel, "JPEG, 12 megapixels to 640 × 480")),
    "paste": ("100 masks into 12 megapixels", partial(masks, "torchvision")),
    "run-lengths": ("100 masks to run lengths, 12 megapixels", partial(masks, "torchvision + pycocotools")),
    "regions": ("regions with areas and boxes, 12 megapixels", regions),
    "overlay": ("overlay, 12 megapixels", overlay),
    "png": ("PNG of a label map, 12 megapixels", png),
    "confusion": (
        "confusion matrix, 19 classes, 2 megapixels",
        partial(kernel, "confusion matrix, 19 classes, 2 megapixels"),
    ),
    "ap": ("average precision of masks, 300 images", average_precision),
    "pq": ("panoptic quality, 2 megapixels", panoptic),
}
ROWS: dict[str, Callable[[bool], Row]] = {name: partial(stage, *made) for name, made in STAGES.items()}

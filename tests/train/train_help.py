"""A data set of a few tiny pictures and a recipe that trains on it in moments."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from segscape.progress import Progress
from segscape.train.recipe import Recipe, make_recipe

QUIET = Progress(quiet=True)
LABELS = {
    "name": "shapes",
    "ignore_index": 255,
    "labels": [
        {"name": "ground", "color": [90, 90, 90]},
        {"name": "ball", "color": [200, 40, 40], "thing": True},
        {"name": "sky", "color": [80, 120, 220]},
    ],
}


def make_shapes(root: Path, *, train: int = 6, val: int = 2, size: tuple[int, int] = (24, 32)) -> Path:
    """Pictures of a red ball between sky and ground, with a column of ignored pixels."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            labels = np.zeros(size, np.uint8)
            labels[: size[0] // 2] = 2
            y, x = rng.integers(4, size[0] - 4), rng.integers(4, size[1] - 4)
            labels[y - 4 : y + 4, x - 4 : x + 4] = 1
            colors = np.array([label["color"] for label in LABELS["labels"]], np.int64)
            pixels = np.clip(colors[labels] + rng.integers(-30, 30, (*size, 3)), 0, 255).astype(np.uint8)
            labels[:, 0] = 255
            Image.fromarray(pixels).save(root / "images" / split / f"{index}.png")
            Image.fromarray(labels).save(root / "labels" / split / f"{index}.png")
    (root / "labels.json").write_text(json.dumps(LABELS))
    return root


def shapes_recipe(data: Path, **changes: Any) -> Recipe:
    """A U-Net of a few thousand weights; ``changes`` are "section__key" = value."""
    content: dict[str, Any] = {
        "name": "shapes",
        "model": {"name": "unet", "base_channels": 4, "depth": 2},
        "data": {"path": f"folder:{data}"},
        "augment": {"crop": [16, 16], "rare": 0.5},
        "optim": {"epochs": 4, "batch_size": 2, "precision": "fp32", "device": "cpu"},
        "run": {"validate_every": 2, "tensorboard": False},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            content[section][name] = value
        else:
            content[section] = value
    return make_recipe(content)


BLOB_SIZE = (48, 48)


def make_blobs(root: Path, *, train: int = 6, val: int = 2, objects: int = 4) -> Path:
    """Bright rectangles on a dark ground, numbered; the second picture of each split has none."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            numbers = np.zeros(BLOB_SIZE, np.uint16)
            for i in range(0 if index == 1 else objects):
                y, x = 2 + 23 * (i // 2), 2 + 23 * (i % 2)
                numbers[y : y + rng.integers(10, 20), x : x + rng.integers(10, 20)] = i + 1 + index
            pixels = np.where(numbers[..., None] > 0, 200, 30) + rng.integers(-20, 20, (*BLOB_SIZE, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / split / f"{index}.png")
            Image.fromarray(numbers).save(root / "labels" / split / f"{index}.png")
    return root


def blobs_recipe(data: Path, **changes: Any) -> Recipe:
    """A small Mask R-CNN; ``changes`` as in `shapes_recipe`."""
    small = {"name": "mask_rcnn", "pretrained": False, "channels": 8, "box_channels": 16, "samples": 16}
    given: dict[str, Any] = {
        "name": "blobs",
        "model": small,
        "data__path": f"numbered:{data}",
        "augment": {"crop": [32, 32], "copy_paste": 0.5},
        "optim__epochs": 1,
        "optim__batch_size": 3,
    }
    return shapes_recipe(data, **given | changes)


class Interrupting(Progress):
    """Sends Ctrl-C to this process while the step of that number runs, which must still end whole."""

    def __init__(self, step: int) -> None:
        super().__init__(quiet=True)
        self.step = step

    def track(self, iterable: Iterable[Any], total: int, description: str, *, done: int = 0) -> Iterator[Any]:
        for count, value in enumerate(iterable, start=1):
            if description.startswith("train") and count == self.step:
                os.kill(os.getpid(), signal.SIGINT)
            yield value


def assert_same_run(a: Path, b: Path) -> None:
    """Two run folders hold the same weights, bit for bit, and the same tables."""
    for name in ("best.safetensors", "last.safetensors"):
        left, right = load_file(a / name), load_file(b / name)
        assert left.keys() == right.keys()
        assert [k for k in left if not torch.equal(left[k], right[k])] == []
    for name in ("train.csv", "val.csv"):
        assert (a / name).read_text() == (b / name).read_text()

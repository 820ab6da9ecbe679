"""A data set of a few tiny pictures and a recipe that trains on it in moments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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

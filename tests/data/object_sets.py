"""Tiny data sets of objects, made by the tests that read them."""

import json

import numpy as np
from PIL import Image

from segscape.masks import uncrop


def picture(seed, height=12, width=16):
    """Noise in blocks, so that no two pictures are nearly the same."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path, **options)


def write_json(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), "utf-8")


def write_numbered(root, numbers):
    """A folder of numbered objects from {"train/a": (H, W) integers}."""
    for seed, (name, content) in enumerate(numbers.items()):
        content = np.array(content, np.uint16)
        save(root / "images" / f"{name}.png", picture(seed, *content.shape))
        save(root / "labels" / f"{name}.png", content)
    return root


def dense(objects):
    """{id: (class, crowd, (H, W) bool as nested lists)}: all that objects say, in a form that compares."""
    return {
        number: (label, crowd, uncrop(mask, tuple(box), objects.size).to_dense().tolist())
        for number, label, crowd, mask, box in zip(
            objects.ids.tolist(),
            objects.labels.tolist(),
            objects.crowd.tolist(),
            objects.masks,
            objects.boxes.tolist(),
            strict=True,
        )
    }


def box_mask(size, x0, y0, x1, y1):
    """A rectangle as (H, W) bool nested lists."""
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask.tolist()

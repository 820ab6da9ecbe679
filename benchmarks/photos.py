"""Photos to measure with, made from those in examples/: their own data sets must not enter the repository."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from measure import PHOTO
from PIL import Image

from segscape.image import read_image

_SOURCES = ("street.jpg", "crossing.jpg", "temple.jpg")


def large_photo(path: Path, width: int = 4000, height: int = 3000) -> Path:
    """The street at 12 megapixels with a camera's noise, without which it would decode as no photo does."""
    pixels = cv2.resize(read_image(PHOTO).pixels, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 1)).astype(np.float32)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def many_photos(folder: Path, count: int, width: int = 640, height: int = 480, seed: int = 0) -> list[Path]:
    """So many different photos: parts of three, mirrored or not, darker or brighter."""
    rng = np.random.default_rng(seed)
    photos = [read_image(PHOTO.with_name(name)).pixels for name in _SOURCES]
    paths = []
    for index in range(count):
        photo = photos[index % len(photos)]
        part = rng.uniform(0.6, 1)
        h, w = int(photo.shape[0] * part), int(photo.shape[1] * part)
        y, x = rng.integers(photo.shape[0] - h + 1), rng.integers(photo.shape[1] - w + 1)
        pixels = cv2.resize(photo[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_AREA)
        pixels = cv2.convertScaleAbs(pixels[:, :: 1 - 2 * int(rng.integers(2))], alpha=rng.uniform(0.7, 1.2))
        pixels = np.clip(pixels + rng.normal(0, 3, (height, width, 1)), 0, 255).astype(np.uint8)
        paths.append(folder / f"{index:03}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=92)
    return paths

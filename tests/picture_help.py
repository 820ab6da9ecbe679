"""A segmentation of two halves on a grey photo, for tests of pictures and of the files they go to."""

import numpy as np

from segscape.image import Image
from segscape.labels import Label, LabelSet
from segscape.result import Segmentation

ROAD, CAR, SKY = (110, 80, 140), (40, 80, 200), (128, 180, 230)
LABELS = LabelSet("street", (Label("road", ROAD), Label("car", CAR, thing=True), Label("sky", SKY)))
HALVES = np.repeat(np.array([[2, 0]], np.uint8), 20, axis=0).repeat(20, axis=1)  # 20 × 40: sky left, road right


def grey(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def result(of: np.ndarray, source: str = "photo.png", **changes) -> Segmentation:
    """A segmentation with the label map ``of`` on a grey photo."""
    fields = {"size": of.shape, "label_set": LABELS, "label_map": of, "image": Image(grey(*of.shape), source)}
    return Segmentation(**fields | changes)


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=2).sum())

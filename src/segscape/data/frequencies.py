"""How often each class occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segscape.data.sample import Dataset

ProgressCall = Callable[[Iterable[Any], int | None, str], Iterable[Any]]
"""Wraps a loop and shows how far it is, called with (iterable, total, description): `segscape.progress.Progress`."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassFrequencies:
    """Counts over the images of a split; C is the number of classes.

    Attributes:
        class_pixels: int64 (C,), pixels of each class.
        class_image_pixels: int64 (C,), labelled pixels (ignored ones left out) of all images the class occurs in:
            what median-frequency weights divide by (Eigen & Fergus 2015).
        class_images: int64 (C,), images the class occurs in.
        ignored_pixels: pixels without truth.
    """

    class_pixels: np.ndarray
    class_image_pixels: np.ndarray
    class_images: np.ndarray
    ignored_pixels: int

    @classmethod
    def from_images(cls, counts: Iterable[np.ndarray], ignored_pixels: int, num_classes: int) -> ClassFrequencies:
        """Of the pixel counts of single images, each int64 (C,)."""
        pixels, image_pixels, images = (np.zeros(num_classes, np.int64) for _ in range(3))
        for count in counts:
            pixels += count
            image_pixels += np.where(count > 0, count.sum(), 0)
            images += count > 0
        return cls(pixels, image_pixels, images, int(ignored_pixels))


def class_frequencies(dataset: Dataset, split: str, progress: ProgressCall | None = None) -> ClassFrequencies:
    """Read every label file of a split and count.

    Raises:
        DataError: there is no such split, or labels are missing, unreadable or outside the label set.
    """
    items = dataset.split(split)
    counts, ignored = [], 0
    for item in progress(items, len(items), "counting classes") if progress else items:
        labels = dataset.read_labels(item)
        # An ignore index may lie just behind the classes, or far behind.
        count = np.bincount(labels.ravel(), minlength=len(dataset.label_set))[: len(dataset.label_set)]
        counts.append(count)
        ignored += labels.size - int(count.sum())
    return ClassFrequencies.from_images(counts, ignored, len(dataset.label_set))

"""Augmentation for networks that find objects: masks and boxes move with the photo.

All objects of an image travel as one map of numbers (H, W), so four hundred of them cost what four do, and boxes are
measured from what is left of the masks: they are tight after every turn, warp and crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor

from segscape.data.objects import Objects
from segscape.data.sample import InstanceSample
from segscape.data.transforms import TrainTransform

_FEWEST_PIXELS = 9  # less of an object is no example of it
_THINNEST_PX = 4  # nor is a thinner strip of one that the border cuts
_MOST_PASTED = 0.5


@dataclass(frozen=True, slots=True)
class InstanceTransform:
    """Photo and objects to a training crop and its target.

    Attributes:
        base: geometry and colour; its ``ignore_index`` is 0, background.
        copy_paste: probability that objects of a second image, augmented by itself, are pasted on top (Ghiasi et al.
            2021, "Simple Copy-Paste", section 3): up to half of its objects, drawn at random. What they hide is cut
            from the objects below, and gone where nothing is left.
    """

    base: TrainTransform
    copy_paste: float = 0.0

    def __call__(
        self, sample: InstanceSample, rng: np.random.Generator, another: Callable[[], InstanceSample]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Augment one sample.

        Args:
            sample: image and objects.
            rng: draws everything.
            another: reads a second image; called for copy-paste alone.

        Returns:
            image (3, crop) uint8, and the target that `segscape.models.mask_rcnn.MaskRCNN` learns from.
        """
        image, numbers = self._moved(sample, rng)
        labels, crowd = sample.objects.labels, sample.objects.crowd
        if self.copy_paste and rng.random() < self.copy_paste:
            donor = another()
            pasted, others = self._moved(donor, rng)
            usable = np.unique(others.numpy())
            usable = usable[(usable > 0) & ~np.append(False, donor.objects.crowd)[usable]]
            share = rng.uniform(0, _MOST_PASTED)
            chosen = usable[rng.random(len(usable)) < share]
            on_top = torch.isin(others, torch.from_numpy(chosen))
            image = torch.where(on_top, pasted, image)
            numbers = torch.where(on_top, others + len(labels), numbers)
            labels = np.concatenate((labels, donor.objects.labels))
            crowd = np.concatenate((crowd, donor.objects.crowd))
        return image, make_target(numbers, labels, crowd)

    def _moved(self, sample: InstanceSample, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return self.base(sample.pixels, sample.objects.numbered(), rng)


def make_target(numbers: Tensor, labels: np.ndarray, crowd: np.ndarray) -> dict[str, Tensor]:
    """The target of a crop.

    Args:
        numbers: (h, w) integers: i + 1 on the pixels of object i.
        labels: (N,) class ids.
        crowd: (N,) bool.

    Returns:
        see `segscape.models.mask_rcnn.MaskRCNN.forward`. An object of which only a sliver is left, like a crowd, is a
        place where nothing is learned about the background.
    """
    array = numbers.numpy()
    height, width = array.shape
    areas = np.bincount(array.ravel(), minlength=len(labels) + 1)
    boxes, ids, vague = [], [], []
    for i, place in enumerate(find_objects(array, len(labels))):
        if place is None:
            continue
        (y0, y1), (x0, x1) = ((axis.start, axis.stop) for axis in place)
        cut = x0 == 0 or y0 == 0 or x1 == width or y1 == height
        sliver = areas[i + 1] < _FEWEST_PIXELS or (cut and min(x1 - x0, y1 - y0) < _THINNEST_PX)
        if sliver or crowd[i]:
            vague.append((x0, y0, x1, y1))
        else:
            boxes.append((x0, y0, x1, y1))
            ids.append(i + 1)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.from_numpy(labels[np.array(ids, np.int64) - 1] + 1),
        "numbers": numbers.int(),
        "ids": torch.tensor(ids, dtype=torch.int32),
        "crowd_boxes": torch.tensor(vague, dtype=torch.float32).reshape(-1, 4),
    }


def objects_of_target(target: dict[str, Tensor]) -> Objects:
    """The objects that a target teaches, e.g. to look at what augmentation does; ids are those of its numbers."""
    from segscape.data.objects import objects_from_numbers

    numbers = target["numbers"].numpy()
    kept = np.isin(numbers, target["ids"].numpy())
    found = objects_from_numbers(np.where(kept, numbers, 0))
    order = np.argsort(target["ids"].numpy())
    return Objects(found.size, target["labels"].numpy()[order] - 1, found.boxes, found.masks, found.crowd, found.ids)

"""Engines and pictures for them: one that sees exactly 24 pixels far, one that stops, and objects that are known."""

import cv2
import numpy as np

from segscape.errors import ResourceError
from segscape.masks import crop_to_box
from segscape.result import Region

REACH = 24


class Boxes:
    """Scores that are sums of whole numbers over boxes, so exact in float32; padded to a multiple of 32 as networks do.

    Class 0 is a bias, class 1 sees 24 pixels to each side, class 2 nine.
    """

    name, concurrency = "boxes", 1

    def __init__(self, stride: int = 2, fail_above: int | None = None) -> None:
        self.stride, self.fail_above, self.shapes = stride, fail_above, []

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        if self.fail_above and batch.shape[2] * batch.shape[3] > self.fail_above:
            raise ResourceError("out of memory on the test")
        out = []
        for x in batch:
            levels = np.rint((x[0] + 1) * 127.5)
            bottom, right = -levels.shape[0] % 32, -levels.shape[1] % 32
            levels = np.pad(levels, ((0, bottom), (0, right)), mode="edge").astype(np.float32)
            wide = cv2.boxFilter(levels, -1, (2 * REACH + 1,) * 2, normalize=False, borderType=cv2.BORDER_CONSTANT)
            fine = cv2.boxFilter(levels, -1, (19, 19), normalize=False, borderType=cv2.BORDER_CONSTANT)
            bias = np.full_like(wide, 127 * (2 * REACH + 1) ** 2)
            fine = fine * np.float32(6)
            out.append(
                np.stack((bias, wide, fine))[:, self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
            )
        return np.stack(out)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of some 20 pixels, so that classes change everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


class Stop(Exception):
    pass


class Dies(Boxes):
    """Fails at its n-th tile."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def low_logits(self, batch):
        if len(self.shapes) == self.after:
            raise Stop
        return super().low_logits(batch)


class Nothing:
    """An engine of which only what it is like is asked."""

    name, stride, concurrency, bytes_per_pixel = "nothing", 1, 1, 1000.0


def found(ids: np.ndarray, blind: int = 0) -> tuple[Region, ...]:
    """The objects of a map of ids, without what lies within ``blind`` pixels of its edges."""
    if blind:
        ids = np.pad(ids[blind:-blind, blind:-blind], blind)
    regions = []
    for number in np.unique(ids[ids > 0]).tolist():
        box, mask = crop_to_box(ids == number)
        regions.append(Region(len(regions) + 1, 1, (number % 50 + 50) / 100, box, mask.area, mask))
    return tuple(regions)


def discs(height: int, width: int, seed: int = 0, radii: tuple[int, int] = (4, 70)) -> np.ndarray:
    """(H, W) ids of discs that touch and cover one another: what is left of each is one object, in pieces maybe."""
    rng, ids = np.random.default_rng(seed), np.zeros((height, width), np.int64)
    y, x = np.ogrid[:height, :width]
    for number in range(1, height * width // 4000 + 2):
        cy, cx, r = rng.integers(height), rng.integers(width), rng.integers(*radii)
        ids[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = number
    return ids


def picture(ids: np.ndarray) -> np.ndarray:
    return np.stack((ids % 256, ids // 256, 0 * ids), axis=2).astype(np.uint8)


def equal_but_for_names(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two maps of ids say the same, whatever the ids."""
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] and not pairs[:, 0].any()

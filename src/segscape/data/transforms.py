"""Augmentation for semantic training: warp, scale, crop, flip, colour, blur; image and labels move together.

Each sample is drawn with a generator of its own, so that a run does not depend on the number of loader processes and a
resumed run sees the same pictures. Scale and crop are one resize of the part that is kept, and colour works on the crop
alone, which costs a fraction of augmenting the whole photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

_PADDING_GREY = 128


@dataclass(frozen=True, slots=True)
class TrainTransform:
    """Photo and labels to a training crop.

    Attributes:
        crop: (height, width) of the result in pixels.
        ignore_index: given to pixels outside the photo.
        scale: (lowest, highest) zoom; drawn log-uniformly.
        long_side: to which photos are brought before the zoom; None keeps their size.
        flip: probability of mirroring left and right.
        vertical_flip: probability of mirroring top and bottom; for pictures without an up, like microscopy.
        quarter_turns: whether to turn by a random multiple of 90°, first of all.
        rotate: largest angle in degrees; drawn evenly on both sides of 0. Corners are filled by mirroring.
        elastic: σ in pixels of the random shifts of the points of a coarse grid, between which the shift of each pixel
            is interpolated by cubic splines (U-Net, Ronneberger et al. 2015, section 3.1: σ 10 on 3 × 3 points).
        elastic_grid: points a side, at least 2.
        brightness, contrast, saturation: largest relative change, e.g. 0.3 for factors 0.7…1.3.
        hue: largest shift as a share of the colour circle, 0…0.5.
        blur: probability of a Gaussian blur (σ 0.1…1.5 px).
        rare: probability that the crop is placed around a pixel of a class drawn by ``rare_weights``.
        rare_weights: (C,) non-negative, or empty when ``rare`` is 0.
    """

    crop: tuple[int, int]
    ignore_index: int
    scale: tuple[float, float] = (0.5, 2.0)
    long_side: int | None = None
    flip: float = 0.5
    vertical_flip: float = 0.0
    quarter_turns: bool = False
    rotate: float = 0.0
    elastic: float = 0.0
    elastic_grid: int = 3
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    hue: float = 0.0
    blur: float = 0.1
    rare: float = 0.0
    rare_weights: Sequence[float] = ()

    def __call__(self, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Augment one sample.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            labels: (H, W) class ids.
            rng: draws everything.

        Returns:
            image (3, crop) uint8 and target (crop) int64.
        """
        image, target = self._window(*self._warped(pixels, labels, rng), rng)
        if rng.random() < self.flip:
            image, target = tvf.horizontal_flip(image), tvf.horizontal_flip(target)
        if self.vertical_flip and rng.random() < self.vertical_flip:
            image, target = tvf.vertical_flip(image), tvf.vertical_flip(target)
        return self._color(image, rng), target[0].long()

    def _warped(
        self, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Quarter turns, rotation and elastic deformation of the whole photo."""
        if self.quarter_turns:
            turns = int(rng.integers(4))
            pixels, labels = np.rot90(pixels, turns), np.rot90(labels, turns)
        if not self.rotate and not self.elastic:
            return pixels, labels
        height, width = labels.shape
        angle = np.deg2rad(rng.uniform(-self.rotate, self.rotate))
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x = np.arange(width, dtype=np.float32) - np.float32(width - 1) / 2
        y = np.arange(height, dtype=np.float32)[:, None] - np.float32(height - 1) / 2
        at_x = cos * x - sin * y + np.float32(width - 1) / 2
        at_y = sin * x + cos * y + np.float32(height - 1) / 2
        if self.elastic:
            for at in (at_x, at_y):
                shifts = rng.normal(0, self.elastic, (self.elastic_grid, self.elastic_grid))
                at += _spline_surface(shifts, height, width)
        mirror = cv2.BORDER_REFLECT_101
        warped = cv2.remap(np.ascontiguousarray(pixels), at_x, at_y, cv2.INTER_LINEAR, borderMode=mirror)
        ids = cv2.remap(labels.astype(np.float32), at_x, at_y, cv2.INTER_NEAREST, borderMode=mirror)
        return warped, ids.astype(labels.dtype)

    def _window(self, pixels: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Scale and crop: the window is cut from the photo first, then resized onto the canvas."""
        size = pixels.shape[:2]
        zoom = float(np.exp(rng.uniform(*np.log(self.scale))))
        if self.long_side:
            zoom *= self.long_side / max(size)
        focus = self._rare_pixel(labels, rng)
        source, target = [], []  # per axis: (start, stop) in the photo and on the canvas
        for axis in (0, 1):
            window = self.crop[axis] / zoom
            low, high = sorted((0.0, size[axis] - window))
            if focus is None:
                start = rng.uniform(low, high)
            else:  # anywhere that shows the pixel and leaves the photo no more than needed
                left, right = sorted((focus[axis] + 1 - window, float(focus[axis])))
                start = float(np.clip(rng.uniform(left, right), low, high))
            first = int(np.clip(round(start), 0, size[axis] - 1))
            last = int(np.clip(round(start + window), first + 1, size[axis]))
            begin = int(np.clip(round((first - start) * zoom), 0, self.crop[axis] - 1))
            length = max(1, min(round((last - first) * zoom), self.crop[axis] - begin))
            source.append((first, last))
            target.append((begin, begin + length))
        (y0, y1), (x0, x1) = source
        (v0, v1), (u0, u1) = target
        image = torch.full((3, *self.crop), _PADDING_GREY, dtype=torch.uint8)
        truth = torch.full((1, *self.crop), self.ignore_index, dtype=torch.int32)
        part = torch.from_numpy(np.ascontiguousarray(pixels[y0:y1, x0:x1])).permute(2, 0, 1)
        ids = torch.from_numpy(labels[y0:y1, x0:x1].astype(np.int32))[None]
        shape = [v1 - v0, u1 - u0]
        image[:, v0:v1, u0:u1] = tvf.resize(part, shape, InterpolationMode.BILINEAR, antialias=True)
        truth[:, v0:v1, u0:u1] = tvf.resize(ids, shape, InterpolationMode.NEAREST_EXACT)
        return image, truth

    def _rare_pixel(self, labels: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
        if rng.random() >= self.rare:
            return None
        present = np.bincount(labels.ravel(), minlength=len(self.rare_weights))[: len(self.rare_weights)] > 0
        weights = np.where(present, self.rare_weights, 0.0)
        if weights.sum() == 0:
            return None
        chosen = rng.choice(len(weights), p=weights / weights.sum())
        places = np.flatnonzero(labels == chosen)
        y, x = divmod(int(rng.choice(places)), labels.shape[1])
        return y, x

    def _color(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        changes = (
            (tvf.adjust_brightness, self.brightness),
            (tvf.adjust_contrast, self.contrast),
            (tvf.adjust_saturation, self.saturation),
        )
        for change, strength in changes:
            if strength:
                image = change(image, float(rng.uniform(1 - strength, 1 + strength)))
        if self.hue:
            image = tvf.adjust_hue(image, float(rng.uniform(-self.hue, self.hue)))
        if rng.random() < self.blur and min(self.crop) > 2:  # the 5 × 5 filter mirrors two pixels at the border
            image = tvf.gaussian_blur(image, [5, 5], [float(rng.uniform(0.1, 1.5))])
        return image


def _spline_surface(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) float32 values of the cubic spline through ``points``, which are spread evenly edge to edge."""
    down, across = (_spline_basis(count, length) for count, length in zip(points.shape, (height, width), strict=True))
    return down @ points.astype(np.float32) @ across.T


@lru_cache(maxsize=32)
def _spline_basis(count: int, length: int) -> np.ndarray:
    """(length, count): what each of ``count`` points adds to the spline at each of ``length`` places."""
    places = np.linspace(0, max(1, length - 1), count)
    return CubicSpline(places, np.eye(count))(np.arange(length)).astype(np.float32)

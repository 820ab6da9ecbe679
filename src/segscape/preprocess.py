"""What a network expects of its input: part of every model's card."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_DECODED_LARGER = 2
"""How many times larger than the network's size an image is decoded at least. `street` on photos of 2 to 12 megapixels
then labels 99.5 % of the pixels or more as it does when they are decoded in full; at once its size, 98.3 %."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a network expects.

    Attributes:
        mean, std: of RGB in 0…1; the network sees (rgb / 255 − mean) / std.
        long_side: to which images are resized (larger and smaller ones), in pixels; None keeps their size.
        short_side: to which the shorter side is resized instead, unless the longer one would exceed ``long_side``
            then; in floating point and rounded down, as torchvision does.
        zoom: factor on the size of images, for networks that find objects and were trained on enlarged ones.
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    long_side: int | None = None
    short_side: int | None = None
    zoom: float = 1.0

    def network_size(self, size: tuple[int, int], zoom: float = 1.0) -> tuple[int, int]:
        """(height, width) at which the network sees an image of ``size``, times ``zoom``."""
        if self.short_side:
            factor = self.zoom * zoom * min(self.short_side / min(size), (self.long_side or math.inf) / max(size))
            return max(1, math.floor(size[0] * factor)), max(1, math.floor(size[1] * factor))
        factor = self.zoom * zoom * (self.long_side / max(size) if self.long_side else 1.0)
        return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))

    def enough(self, size: tuple[int, int], zoom: float = 1.0) -> tuple[int, int]:
        """(height, width) that suffices of an image of ``size`` for a decoder that can leave pixels out."""
        height, width = self.network_size(size, zoom)
        return height * _DECODED_LARGER, width * _DECODED_LARGER

    def batch(
        self, pixels: np.ndarray, *, zoom: float = 1.0, flip: bool = False, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """(H, W, 3) uint8 RGB to the (1, 3, h, w) float32 the network sees; mirrored left to right with ``flip``.

        ``size`` is the image's own (height, width) where ``pixels`` were decoded smaller.

        Raises:
            MemoryError: it does not fit.
        """
        import cv2

        height, width = self.network_size(size or (pixels.shape[0], pixels.shape[1]), zoom)
        if (height, width) != pixels.shape[:2]:
            pixels = resized(pixels.astype(np.float32) if self.short_side else pixels, height, width)
        if flip:
            pixels = cv2.flip(pixels, 1)
        scale = 1 / (255 * np.asarray(self.std, np.float32))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        x = np.empty((1, 3, height, width), np.float32)
        if pixels.dtype != np.uint8:
            for channel, plane in enumerate(x[0]):
                plane[...] = pixels[..., channel] * scale[channel] - shift[channel]
            return x
        # There are 256 values a channel: looking them up, plane by plane, is what takes least time.
        tables = np.arange(256, dtype=np.float32)[:, None] * scale - shift
        for channel, plane in enumerate(x[0]):
            cv2.LUT(cv2.extractChannel(pixels, channel), tables[:, channel].copy(), dst=plane)
        return x


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 or float32 brought to (height, width, 3): area means to shrink, bilinear to grow."""
    import cv2

    # One side of a very narrow image cannot shrink any more when the other does.
    shrinks = height < pixels.shape[0] or width < pixels.shape[1]
    try:
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"an image of {width} × {height}") from error
        raise

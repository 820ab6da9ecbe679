"""How far a network sees: what decides how much of a tile's edges must be thrown away."""

from __future__ import annotations

import cv2
import numpy as np

from segscape.predict.tiling.plan import ALIGN
from segscape.runtime.engine import Engine

TOLERANCE = 0.02
"""Of the scores' standard deviation: a network sees no further than where a cut changes scores by more, in the mean
over a column (root mean square: single scores that bf16 rounds the other way do not count)."""

UNBOUNDED_MARGIN = 256
"""The margin, in pixels, for networks that see the whole picture (DeepLab's image-level pooling): no margin makes their
tiles equal to the whole, and a larger one gains little."""

_FARTHEST = 512
_STRIP = (128, 3 * _FARTHEST)


def measured_margin(engine: Engine) -> int:
    """The margin, in the network's pixels, beyond which the edge of a tile is not seen, a multiple of `ALIGN` / 2.

    A strip of noise of many scales goes through the network whole and with its left third cut off; the margin ends
    with the last column where the scores of the two differ by more than `TOLERANCE`. A network's receptive field is
    wider in theory than what has an effect (Luo et al., NeurIPS 2016, "Understanding the effective receptive field").

    Raises:
        ResourceError: out of memory.
    """
    strip = _noise(*_STRIP)
    whole = engine.low_logits(strip)[0][..., _FARTHEST // engine.stride :]
    cut = engine.low_logits(np.ascontiguousarray(strip[..., _FARTHEST:]))[0]
    tolerance = TOLERANCE * float(whole.std(axis=(1, 2)).mean())
    seen = np.flatnonzero(np.sqrt(np.square(whole - cut).mean(axis=(0, 1))) > tolerance)
    reach = 0 if not len(seen) else (int(seen[-1]) + 1) * engine.stride
    half = ALIGN // 2
    return -(-reach // half) * half if reach <= _FARTHEST else UNBOUNDED_MARGIN


def _noise(height: int, width: int) -> np.ndarray:
    """(1, 3, H, W) float32 about −1…1 with structure of 4 to 128 pixels, as a photo has."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.float32)
    for side in (4, 16, 64, 128):
        coarse = rng.standard_normal((height // side + 2, width // side + 2, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.clip(0.35 * total, -1, 1).transpose(2, 0, 1)[None])

"""From pixels to a label map: what stands before and behind the network, in numpy, for every engine alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segscape.errors import ConfigError, ModelError
from segscape.preprocess import Preprocess
from segscape.runtime.engine import Engine

_STRIP_VALUES = 4_000_000  # upsampled scores held at once, about 16 MB
TTA_SCALES = (0.75, 1.0, 1.25)
TTA_KINDS = ("flip", "scale")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Coarse class scores of one image.

    Attributes:
        logits: (C, h, w) float32.
        step: (vertical, horizontal) pixels of the image between neighbouring scores; score (i, j) lies at image pixel
            coordinates ((i + ½)·step − ½, …).
        size: (height, width) of the image.
    """

    logits: np.ndarray
    step: tuple[float, float]
    size: tuple[int, int]


def run_network(engine: Engine, preprocess: Preprocess, pixels: np.ndarray, tta: Sequence[str] = ()) -> Scores:
    """Scores of one image, (H, W, 3) uint8 RGB.

    ``tta`` (test-time augmentation) averages class probabilities over views: "flip" adds the mirrored image, "scale"
    the scales 0.75 and 1.25. The averaged scores are log probabilities at the network's own size.

    Raises:
        ConfigError: an unknown kind of augmentation, or a text in place of a list.
        ModelError: the network's scores are not finite.
        ResourceError, MemoryError: out of memory.
    """
    size = (pixels.shape[0], pixels.shape[1])
    if isinstance(tta, str):
        raise ConfigError(f"test-time augmentation takes a list of kinds, e.g. tta=[{tta!r}]")
    if unknown := sorted(set(tta) - set(TTA_KINDS)):
        raise ConfigError(f"test-time augmentation knows {', '.join(TTA_KINDS)}, not {', '.join(unknown)}")
    if not tta:
        return _view(engine, preprocess, pixels, 1.0, False)
    target = preprocess.network_size(size)
    views = [
        (z, f)
        for z in (TTA_SCALES if "scale" in tta else (1.0,))
        for f in ((False, True) if "flip" in tta else (False,))
    ]
    total: np.ndarray | None = None
    for zoom, flip in views:
        scores = _view(engine, preprocess, pixels, zoom, flip)
        on_target = Scores(
            scores.logits, (scores.step[0] * target[0] / size[0], scores.step[1] * target[1] / size[1]), target
        )
        probability = np.concatenate([_softmax(strip) for _, strip in _upsampled(on_target)], axis=1)
        if flip:
            probability = probability[:, :, ::-1]
        total = probability if total is None else total + probability
    assert total is not None
    logits = np.log(np.maximum(total / len(views), 1e-12))
    return Scores(logits, (size[0] / target[0], size[1] / target[1]), size)


def _view(engine: Engine, preprocess: Preprocess, pixels: np.ndarray, zoom: float, flip: bool) -> Scores:
    batch = preprocess.batch(pixels, zoom=zoom, flip=flip)
    size, seen = pixels.shape[:2], batch.shape[2:]
    logits = engine.low_logits(batch)[0]
    if not np.isfinite(logits).all():
        raise ModelError("the network's scores are not finite: its weights are damaged, or its training diverged")
    step = (engine.stride * size[0] / seen[0], engine.stride * size[1] / seen[1])
    return Scores(logits, step, (size[0], size[1]))


def classify(scores: Scores, *, confidence: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """The most probable class of each pixel, by bilinear upsampling of the scores.

    Works on strips of rows: the full-size scores (C × H × W) never exist.

    Returns:
        label map (H, W) uint8 (uint16 above 256 classes), and the probability of that class (H, W) float32 in 0…1, or
        None if not asked for.
    """
    num_classes = scores.logits.shape[0]
    label_map = np.zeros(scores.size, np.uint8 if num_classes <= 256 else np.uint16)
    probability = np.empty(scores.size, np.float32) if confidence else None
    for rows, strip in _upsampled(scores):
        best, labels = strip[0].copy(), label_map[rows]
        for c in range(1, num_classes):
            labels[strip[c] > best] = c
            np.maximum(best, strip[c], out=best)
        if probability is not None:
            strip -= best
            np.exp(strip, out=strip)
            probability[rows] = 1 / strip.sum(axis=0)
    return label_map, probability


def probabilities(scores: Scores) -> np.ndarray:
    """The probability of each class at each pixel of the image, (C, H, W) float32: all that `classify` avoids holding.

    Raises:
        MemoryError: it does not fit.
    """
    full = np.empty((scores.logits.shape[0], *scores.size), np.float32)
    for rows, strip in _upsampled(scores):
        full[:, rows] = _softmax(strip)
    return full


def _upsampled(scores: Scores) -> Iterator[tuple[slice, np.ndarray]]:
    """Strips of rows and their scores (C, rows, W) float32, bilinear with pixel centres (``align_corners=False``)."""
    (height, width), logits = scores.size, scores.logits
    per_strip = max(1, _STRIP_VALUES // (logits.shape[0] * width))
    left, right, across = _neighbours(np.arange(width), scores.step[1], logits.shape[2])
    for first in range(0, height, per_strip):
        rows = slice(first, min(first + per_strip, height))
        upper, lower, down = _neighbours(np.arange(rows.start, rows.stop), scores.step[0], logits.shape[1])
        strip = _mix(logits[:, upper], logits[:, lower], down[:, None])
        yield rows, _mix(strip[:, :, left], strip[:, :, right], across)


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a·(1 − weight) + b·weight, overwriting both (they are copies made by indexing)."""
    a *= 1 - weight
    b *= weight
    a += b
    return a


def _neighbours(places: np.ndarray, step: float, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For image coordinates: the two scores around each, and the weight of the second."""
    at = np.clip((places + 0.5) / step - 0.5, 0, length - 1)
    first = np.minimum(at.astype(np.int64), length - 1)
    return first, np.minimum(first + 1, length - 1), (at - first).astype(np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)

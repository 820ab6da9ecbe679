"""From pixels to a label map: what stands before and behind the network, in numpy, for every engine alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segscape.errors import ConfigError, ModelError
from segscape.preprocess import Preprocess
from segscape.runtime.engine import Engine
from segscape.runtime.upsample import classify_band, confidence_at, confidence_lattice, probabilities_band

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


@dataclass(frozen=True, slots=True, eq=False)
class SampledConfidence:
    """The confidences of `classify`, computed only where they are asked for.

    Attributes:
        scores: of the image.
        every: pixels of the image between the points of the lattice, in rows and columns.
    """

    scores: Scores
    every: int

    def lattice(self) -> np.ndarray:
        """At pixels (every // 2 + i·every, every // 2 + j·every) of the image, (rows, columns) float32, 0…1."""
        return confidence_lattice(self.scores.logits, self.scores.step, self.scores.size, self.every)

    def at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """At pixels of the image, (N,) float32, 0…1; ``y`` and ``x`` (N,) int64."""
        return confidence_at(self.scores.logits, self.scores.step, self.scores.size, y, x)


def lattice_spacing(size: tuple[int, int], seen: tuple[int, int]) -> int:
    """Image pixels, at least 1, between lattice points as dense as what the network saw of an image of ``size``.

    Both are (height, width).
    """
    return max(1, min(size[0] // seen[0], size[1] // seen[1]))


def run_network(
    engine: Engine,
    preprocess: Preprocess,
    pixels: np.ndarray,
    tta: Sequence[str] = (),
    size: tuple[int, int] | None = None,
) -> Scores:
    """Scores of one image, (H, W, 3) uint8 RGB; ``size`` is its own (height, width) if it was decoded smaller.

    ``tta`` (test-time augmentation) averages class probabilities over views: "flip" adds the mirrored image, "scale"
    the scales 0.75 and 1.25. The averaged scores are log probabilities at the network's own size.

    Raises:
        ConfigError: an unknown kind of augmentation, or a text in place of a list.
        ModelError: the network's scores are not finite.
        ResourceError, MemoryError: out of memory.
    """
    size = size or (pixels.shape[0], pixels.shape[1])
    scales = tta_scales(tta)
    if not tta:
        return _view(engine, preprocess, pixels, 1.0, False, size)
    target = preprocess.network_size(size)
    views = [(z, f) for z in scales for f in ((False, True) if "flip" in tta else (False,))]
    total: np.ndarray | None = None
    for zoom, flip in views:
        scores = _view(engine, preprocess, pixels, zoom, flip, size)
        on_target = Scores(
            scores.logits, (scores.step[0] * target[0] / size[0], scores.step[1] * target[1] / size[1]), target
        )
        probability = probabilities(on_target)
        if flip:
            probability = probability[:, :, ::-1]
        total = probability if total is None else total + probability
    assert total is not None
    logits = np.log(np.maximum(total / len(views), 1e-12))
    return Scores(logits, (size[0] / target[0], size[1] / target[1]), size)


def tta_scales(tta: Sequence[str]) -> tuple[float, ...]:
    """The factors on the network's size of the views that test-time augmentation makes, rising.

    Raises:
        ConfigError: an unknown kind of augmentation, or a text in place of a list.
    """
    if isinstance(tta, str):
        raise ConfigError(f"test-time augmentation takes a list of kinds, e.g. tta=[{tta!r}]")
    if unknown := sorted(set(tta) - set(TTA_KINDS)):
        raise ConfigError(f"test-time augmentation knows {', '.join(TTA_KINDS)}, not {', '.join(unknown)}")
    return TTA_SCALES if "scale" in tta else (1.0,)


def _view(
    engine: Engine, preprocess: Preprocess, pixels: np.ndarray, zoom: float, flip: bool, size: tuple[int, int]
) -> Scores:
    batch = preprocess.batch(pixels, zoom=zoom, flip=flip, size=size)
    seen = (batch.shape[2], batch.shape[3])
    logits = engine.low_logits(batch)[0]
    checked_scores(logits, seen)
    step = (engine.stride * size[0] / seen[0], engine.stride * size[1] / seen[1])
    return Scores(logits, step, (size[0], size[1]))


def checked_scores(logits: np.ndarray, seen: tuple[int, int]) -> None:
    """Refuse scores that say nothing; ``seen`` is the (height, width) of what the network was given.

    Raises:
        ModelError: there are none, or they are not finite.
    """
    if not logits.size:
        raise ModelError(f"the network gave no scores for {seen[1]} × {seen[0]} pixels: its graph is not the model's")
    if not np.isfinite(logits).all():
        raise ModelError("the network's scores are not finite: its weights are damaged, or its training diverged")


def classify(scores: Scores, *, confidence: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """The most probable class of each pixel, by bilinear upsampling of the scores.

    The full-size scores (C × H × W) never exist; see `segscape.runtime.upsample`.

    Returns:
        label map (H, W) uint8 (uint16 above 256 classes), and the probability of that class (H, W) float32 in 0…1, or
        None if not asked for.
    """
    return classify_band(scores.logits, scores.step, (0, scores.size[0]), scores.size[1], confidence=confidence)


def probabilities(scores: Scores) -> np.ndarray:
    """The probability of each class at each pixel of the image, (C, H, W) float32: all that `classify` avoids holding.

    Raises:
        MemoryError: it does not fit.
    """
    return probabilities_band(scores.logits, scores.step, (0, scores.size[0]), scores.size[1])

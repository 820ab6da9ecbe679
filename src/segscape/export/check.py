"""Whether an exported model still says what the original says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from segscape.errors import ConfigError, ModelError
from segscape.export.folder import card_of
from segscape.runtime.choose import open_engine
from segscape.runtime.engine import Detections, Engine, ObjectEngine

TOLERANCE = 1e-3
"""Of scores in float32, relative to their spread: ten times what another order of summation makes of them."""
_EXCEPTIONS = 0.05
"""Share of objects that may differ: of two that are nearly equal, rounding decides which one suppresses the other."""


def largest_difference(folder: Path, bundle: Path) -> float | None:
    """The largest difference of an exported model's scores from those of its bundle in torch, in float32.

    Both see noise, of two sizes that are no multiples of anything. Of models that find objects it is the difference of
    scores, masks and boxes (as a share of the image's longer side) of 19 in 20 objects. None if torch or every engine
    that could run the exported one is missing here.

    Raises:
        ModelError: it is larger than float32 explains.
    """
    try:
        engines = open_engine(bundle, "torch", device="cpu").engine, open_engine(folder, precision="f32").engine
    except ConfigError:
        return None
    compare = _of_objects if card_of(folder).task == "instance" else _of_scores
    largest = 0.0
    for seed, size in enumerate([(67, 131), (150, 93)]):
        batch = np.random.default_rng(seed).normal(size=(1, 3, *size)).astype(np.float32)
        difference, spread = compare(*engines, batch)
        if not difference <= TOLERANCE * max(1.0, spread):
            raise ModelError(
                f"{str(folder)!r}: scores differ by {difference:.2g} from the original's, which spread by "
                f"{spread:.2g}; this network cannot be exported truly, use the torch engine"
            )
        largest = max(largest, difference)
    return largest


def _of_scores(original: object, exported: object, batch: np.ndarray) -> tuple[float, float]:
    """Largest difference and spread."""
    wanted, found = (cast(Engine, engine).low_logits(batch) for engine in (original, exported))
    if wanted.shape != found.shape:
        raise ModelError(f"scores of the exported model are of shape {found.shape}, the original's of {wanted.shape}")
    return float(np.abs(wanted - found).max()), float(wanted.std())


def _of_objects(original: object, exported: object, batch: np.ndarray) -> tuple[float, float]:
    """Difference of all but the exceptions, and spread."""
    wanted, found = (cast(ObjectEngine, engine).detect(batch) for engine in (original, exported))
    most = max(len(wanted.scores), len(found.scores))
    if not most:
        return 0.0, 1.0
    differences = np.full(most, np.inf)  # of those that only one of them finds
    for k in range(min(most, len(wanted.scores))):
        differences[k] = _difference(wanted, k, found, max(batch.shape[2:]))
    return float(np.sort(differences)[int((1 - _EXCEPTIONS) * (most - 1))]), 1.0


def _difference(wanted: Detections, k: int, found: Detections, side: int) -> float:
    """Of object k from the one that is most like it."""
    same = found.labels == wanted.labels[k]
    if not same.any():
        return np.inf
    parts = np.stack(
        (
            np.abs(found.boxes[same] - wanted.boxes[k]).max(axis=1) / side,
            np.abs(found.scores[same] - wanted.scores[k]),
            np.abs(found.masks[same] - wanted.masks[k]).max(axis=(1, 2)),
        )
    )
    return float(parts.max(axis=0).min())

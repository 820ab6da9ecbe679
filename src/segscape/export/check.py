"""Whether an exported model still says what the original says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from segscape.errors import ConfigError, ModelError
from segscape.runtime.choose import open_engine
from segscape.runtime.engine import Engine

TOLERANCE = 1e-3
"""Of scores in float32, relative to their spread: ten times what another order of summation makes of them."""


def largest_difference(folder: Path, bundle: Path) -> float | None:
    """The largest difference of an exported model's scores from those of its bundle in torch, in float32.

    Both see noise, of two sizes that are no multiples of anything. None if torch or every engine that could run the
    exported one is missing here.

    Raises:
        ModelError: it is larger than float32 explains.
    """
    try:
        engines = open_engine(bundle, "torch", device="cpu").engine, open_engine(folder, precision="f32").engine
    except ConfigError:
        return None
    original, exported = (cast(Engine, engine) for engine in engines)
    largest = 0.0
    for seed, size in enumerate([(67, 131), (150, 93)]):
        batch = np.random.default_rng(seed).normal(size=(1, 3, *size)).astype(np.float32)
        wanted, found = original.low_logits(batch), exported.low_logits(batch)
        if wanted.shape != found.shape:
            raise ModelError(f"{str(folder)!r}: scores are of shape {found.shape}, the original's of {wanted.shape}")
        difference = float(np.abs(wanted - found).max())
        if not difference <= TOLERANCE * max(1.0, float(wanted.std())):
            raise ModelError(
                f"{str(folder)!r}: scores differ by {difference:.2g} from the original's, which spread by "
                f"{wanted.std():.2g}; this network cannot be exported truly, use the torch engine"
            )
        largest = max(largest, difference)
    return largest

"""The dense CRF on a network's scores, at the size at which the network saw the photo."""

from __future__ import annotations

import numpy as np

from segscape.preprocess import Preprocess, resized
from segscape.refine.crf import CrfParameters, refine
from segscape.runtime.inference import Scores, probabilities


def working_size(preprocess: Preprocess, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a photo of ``size`` is refined: the network's, or the photo's own if that is smaller.

    What a network that saw the photo at 720 × 540 can tell, 720 × 540 scores hold: refining a photo of 12 megapixels at
    full size would take forty times as long, and the kernels, whose widths are in pixels, would mean something else.
    """
    seen = preprocess.network_size(size)
    return min(seen, size, key=lambda s: s[0] * s[1])


def refine_scores(scores: Scores, pixels: np.ndarray, parameters: CrfParameters, preprocess: Preprocess) -> Scores:
    """Scores whose probabilities are the CRF's marginals, one a pixel of `working_size`.

    Args:
        scores: of the network.
        pixels: the photo, (H, W, 3) uint8 RGB.
        parameters: of the CRF.
        preprocess: what the network saw the photo with.

    Raises:
        ResourceError: a working size too large for the CRF.
        MemoryError: out of memory.
    """
    height, width = scores.size
    target = working_size(preprocess, scores.size)
    down, across = height / target[0], width / target[1]
    on_target = Scores(scores.logits, (scores.step[0] / down, scores.step[1] / across), target)
    small = pixels if target == scores.size else resized(pixels, *target)
    marginals = refine(probabilities(on_target), np.ascontiguousarray(small), parameters)
    return Scores(np.log(np.maximum(marginals, 1e-12)), (down, across), scores.size)

"""What the tests of tiles share.

``make``     make(stride=2) makes a predictor of the tiny classes that runs on `tiling_help.Boxes`
``detector`` what finds the objects of a tile: see there
"""

from dataclasses import replace

import numpy as np
import pytest
from tiling_help import Boxes, Nothing, found

from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.predict.tiling import objects
from segscape.preprocess import Preprocess


@pytest.fixture
def make(tiny_bundle):
    def predictor(**options) -> Predictor:
        return Predictor(Boxes(**options), replace(read_card(tiny_bundle), preprocess=Preprocess()))

    return predictor


@pytest.fixture
def detector(tiny_bundle, monkeypatch):
    """Finds objects that are written in the pixels, their ids as red + 256 · green; ``detector.predictor`` has it.

    ``seen`` are the shapes of tiles, ``errors`` what is raised at the n-th, ``blind`` how far from a tile's edges
    nothing is found.
    """
    seen = []

    def detect(_predictor, pixels, _min_score):
        seen.append(pixels.shape)
        if error := detect.errors.get(len(seen)):
            raise error
        return found(pixels[..., 0] + 256 * pixels[..., 1].astype(np.int64), detect.blind)

    detect.errors, detect.blind, detect.seen = {}, 0, seen
    monkeypatch.setattr(objects, "tile_objects", detect)
    detect.predictor = Predictor(Nothing(), replace(read_card(tiny_bundle), task="instance"))
    return detect

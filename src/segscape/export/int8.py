"""A bundle in eight bits: calibrated, judged by the gate, and given back its sensitive layers until it passes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.data.sample import UNLABELLED_SPLITS
from segscape.errors import DataError
from segscape.export.gate import Comparison, Limits, compare, measure
from segscape.export.quantized_network import QuantizedNetwork, open_graph
from segscape.image import read_image
from segscape.models.reading import read_card
from segscape.predict.predictor import Predictor
from segscape.runtime.choose import graph_of

if TYPE_CHECKING:
    from segscape.data.sample import Dataset, Item
    from segscape.export.quantize import Progress
    from segscape.export.quantized_network import Layer
    from segscape.runtime.detector_graphs import DetectorGraph
    from segscape.runtime.graphs import Graph

CALIBRATION_IMAGES = 100
"""At most so many; more changed nothing that could be measured."""
_CALIBRATION_SIDE = 640
"""Pixels: of larger images the middle. NNCF holds the outputs of all layers; of 1638 × 1638 pixels they took 12 GB."""
_KEPT_SHARES = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the layers, kept out of int8 in turn until the gate is passed."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Model:
    """What `quantized` made.

    Attributes:
        graph: of the quantised network, OpenVINO's; of a detector those of its parts.
        comparison: with the original; passed, or of the last attempt.
        kept: the layers that are not in int8, the most sensitive first.
        num_layers: of the network.
        said: how it was made, for the exported model's card.
    """

    graph: Graph | DetectorGraph
    comparison: Comparison
    kept: tuple[Layer, ...]
    num_layers: int
    said: dict[str, Any]


@contextmanager
def quantized(
    path: Path, dataset: Dataset, *, limits: Limits | None = None, seed: int = 0, progress: Progress | None = None
) -> Iterator[Int8Model]:
    """A bundle's network in int8; its files are there until the ``with`` ends.

    Calibrated on the data set's split "train", judged on "val"; where there is none, on every fifth image of the
    former, which is then calibrated on the others ("test" is looked at if there is nothing else). The original runs on
    OpenVINO in float32, the quantised one as it will.

    Args:
        path: of the bundle.
        dataset: labelled like the model's own.
        limits: of what may be lost.
        seed: picks the calibration images.
        progress: see `segscape.export.quantize.Progress`.

    Raises:
        ConfigError: NNCF or OpenVINO is missing.
        ModelError: the network cannot be quantised.
        DataError: the data set has no images to calibrate or to judge on, or other classes.
    """
    card, limits = read_card(path), limits or Limits()
    graph = graph_of(path, card)
    learn, judge = _splits(dataset)
    items = _pick(dataset, learn, seed)
    batches = (_middle(card.preprocess.batch(read_image(item.image).pixels)) for item in items)
    with tempfile.TemporaryDirectory() as name:
        original = Predictor(open_graph(graph, precision="f32"), card)
        before = measure(original, dataset, judge, progress)
        network = QuantizedNetwork(graph, batches, len(items), progress)
        order: list[Layer] = []
        for attempt, share in enumerate(_KEPT_SHARES):
            if share and not order:
                order = network.rank(progress)
            kept = tuple(order[: max(attempt, round(share * len(order)))])
            candidate = network.keeping(kept, Path(name) / str(attempt))
            engine = open_graph(candidate, cache=False)
            after = measure(Predictor(engine, card), dataset, judge, progress)
            comparison = compare(before, after, limits)
            if comparison.passed:
                break
        said = {
            "calibration": {
                "data": dataset.kind,
                "split": learn,
                "images": len(items),
                "seed": seed,
                "fingerprint": dataset.fingerprint(learn),
            },
            "gate": {
                **comparison.to_dict(),
                "data": dataset.kind,
                "split": judge,
                "fingerprint": dataset.fingerprint(judge),
                "before": original.engine_name,
                "after": engine.name,
            },
            "kept_layers": [str(layer) for layer in kept],
            "int8_layers": len(network.layers) - len(kept),
        }
        yield Int8Model(candidate, comparison, kept, len(network.layers), said)


def _middle(batch: np.ndarray) -> np.ndarray:
    height, width = batch.shape[2:]
    top, left = (max(0, (side - _CALIBRATION_SIDE) // 2) for side in (height, width))
    return batch[:, :, top : top + _CALIBRATION_SIDE, left : left + _CALIBRATION_SIDE]


def _splits(dataset: Dataset) -> tuple[str, str]:
    """The splits to calibrate and to judge on."""
    names = [name for name, items in dataset.splits.items() if items and name not in UNLABELLED_SPLITS]
    others = [name for name in names if name not in ("val", "test")]
    whole = next((name for name in ("train", *others, "val", "test") if name in names), "")
    if "val" in names and whole != "val":
        return whole, "val"
    if not whole or (num := len(dataset.split(whole))) < 2:
        raise DataError(
            f"data set {str(dataset.root)!r} has too few images: int8 is calibrated on some and judged on others"
        )
    folds = min(5, num)
    return f"{whole}[-0/{folds}]", f"{whole}[0/{folds}]"


def _pick(dataset: Dataset, split: str, seed: int) -> list[Item]:
    items = dataset.split(split)
    order = np.random.default_rng(seed).permutation(len(items))[:CALIBRATION_IMAGES]
    return [items[i] for i in order]

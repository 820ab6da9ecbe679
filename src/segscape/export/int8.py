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
from segscape.errors import ConfigError, DataError
from segscape.export.gate import Comparison, Limits, compare, measure
from segscape.export.quantize import Quantized, quantize, save
from segscape.image import read_image
from segscape.models.reading import read_card
from segscape.predict.predictor import Predictor
from segscape.runtime.graphs import Graph, bundle_graph
from segscape.runtime.openvino_engine import OpenVINOEngine

if TYPE_CHECKING:
    from segscape.data.sample import Dataset, Item
    from segscape.export.quantize import Progress

CALIBRATION_IMAGES = 100
"""At most so many; more changed nothing that could be measured."""
_RANKING_IMAGES = 2
_KEPT_SHARES = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the layers, kept out of int8 in turn until the gate is passed."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Model:
    """What `quantized` made.

    Attributes:
        graph: of the quantised network, OpenVINO's.
        comparison: with the original; passed, or of the last attempt.
        kept: names of the layers that are not in int8, the most sensitive first.
        num_layers: of the network.
        said: how it was made, for the exported model's card.
    """

    graph: Graph
    comparison: Comparison
    kept: tuple[str, ...]
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
        ConfigError: NNCF or OpenVINO is missing, or a model that finds objects by boxes.
        ModelError: the network cannot be quantised.
        DataError: the data set has no images to calibrate or to judge on, or other classes.
    """
    card, limits = read_card(path), limits or Limits()
    if card.task != "semantic":
        raise ConfigError(f"model {card.name!r} finds objects by boxes; int8 is for models that give label maps")
    graph = bundle_graph(path)
    learn, judge = _splits(dataset)
    items = _pick(dataset, learn, seed)
    model = graph.model()
    assert isinstance(model, bytes)

    def batch(item: Item) -> np.ndarray:
        return graph.padded(card.preprocess.batch(read_image(item.image).pixels))

    with tempfile.TemporaryDirectory() as name:
        original = Predictor(OpenVINOEngine(graph, precision="f32"), card)
        before = measure(original, dataset, judge, progress)
        network = quantize(model, map(batch, items), len(items), progress)
        order: list[str] = []
        for attempt, share in enumerate(_KEPT_SHARES):
            if share and not order:
                order = [layer for layer, _ in network.rank([batch(i) for i in items[:_RANKING_IMAGES]], progress)]
            kept = tuple(order[: max(attempt, round(share * len(order)))])
            candidate = _graph(network, kept, graph, Path(name) / str(attempt))
            engine = OpenVINOEngine(candidate, cache=False)
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
            "kept_layers": list(kept),
            "int8_layers": len(network.layers) - len(kept),
        }
        yield Int8Model(candidate, comparison, kept, len(network.layers), said)


def _graph(network: Quantized, kept: tuple[str, ...], like: Graph, folder: Path) -> Graph:
    folder.mkdir()
    file = save(network.keeping(kept), folder)
    return Graph("openvino", lambda: file, like.multiple, like.stride, f"{like.key} int8 {kept}")


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

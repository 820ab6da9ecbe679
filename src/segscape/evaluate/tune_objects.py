"""How single objects are best made of what a network says, chosen on a split that neither trained nor judges it.

For a network that finds objects: the score from which on detections are kept, whether masks may overlap, and the size
at which it sees the images. For one that labels insides and borders: the parameters of the watershed. What is raised is
the mean of AP(t) = TP / (TP + FP + FN) over IoU 0.5, 0.55 … 0.9.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segscape.data.objects import Objects
from segscape.data.sample import Dataset, Item
from segscape.errors import ConfigError, DataError
from segscape.evaluate import mean_defined
from segscape.evaluate.image_objects import Instances, thing_ids
from segscape.evaluate.matching import ImageMatches, best_min_score, count, match, overlaps
from segscape.files import write_text
from segscape.predict.objects import detect, object_regions
from segscape.predict.predictor import Predictor
from segscape.refine.watershed import fit
from segscape.result import Region, Segmentation
from segscape.runtime.inference import probabilities, run_network

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class ObjectTuning:
    """What `tune_objects` found.

    Attributes:
        objects: for `ModelCard.objects`, with what was measured.
        zoom: for `Preprocess.zoom`.
        mean_ap: that of the choice, 0…1.
        trials: all that was tried, each with its "mean_ap", in that order.
    """

    objects: dict[str, Any]
    zoom: float
    mean_ap: float
    trials: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "objects": self.objects,
            "zoom": self.zoom,
            "mean_ap": round(self.mean_ap, 6),
            "trials": list(self.trials),
        }

    def save(self, folder: Path) -> Path:
        """Write tune-objects.json into ``folder``; returns its path."""
        path = folder / "tune-objects.json"
        write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return path


def tune_objects(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    *,
    zooms: Sequence[float] = (),
    progress: Track | None = None,
) -> ObjectTuning:
    """Try what there is to choose on every image of a split.

    Args:
        predictor: a model of task "instance", or one with the classes "inside" and "border".
        dataset, split: with single objects. Not the split that the model is judged on.
        zooms: factors on the images' size to try, for task "instance"; none keeps the card's.
        progress: as in `segscape.evaluate.instance.evaluate_instances`.

    Raises:
        ConfigError: the model can do neither, or a zoom is not in 0.25…8.
        DataError: no such split, an empty one, or one without objects.
        InputError: the classes of model and data differ, or nothing was found in any image.
    """
    items = dataset.split(split)
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    if wrong := [zoom for zoom in zooms if not 0.25 <= zoom <= 8]:
        raise ConfigError(f"zooms must be in 0.25…8, got {wrong[0]}")
    track = progress or (lambda values, _total, _text: values)
    measured = {"split": split, "num_images": len(items)}
    measured["data"] = {"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)}  # type: ignore[assignment]
    if predictor.card.task == "instance":
        return _tune_detections(predictor, dataset, items, zooms, track, measured)
    if not {"inside", "border"} <= set(predictor.card.label_set.names):
        raise ConfigError(
            f"model {predictor.card.name!r} finds no objects and has no classes inside and border to make them of"
        )
    return _tune_watershed(predictor, dataset, items, track, measured)


def _tune_detections(
    predictor: Predictor,
    dataset: Dataset,
    items: Sequence[Item],
    zooms: Sequence[float],
    track: Track,
    measured: dict[str, Any],
) -> ObjectTuning:
    card, engine, trials, choices = predictor.card, predictor.object_engine, [], []
    ids, num_classes = thing_ids(card.label_set, dataset.label_set), len(dataset.label_set)
    for zoom in zooms or (card.preprocess.zoom,):
        preprocess = replace(card.preprocess, zoom=zoom)
        matches: dict[bool, list[ImageMatches]] = {True: [], False: []}
        for item in track(items, len(items), f"zoom {zoom:g}"):
            sample = dataset.read_instances(item)
            found, size = detect(engine, preprocess, sample.pixels), sample.objects.size
            for overlap, images in matches.items():
                result = Segmentation(size, card.label_set, None, object_regions(found, size, overlap=overlap))
                images.append(_matches(result, sample.objects, ids, num_classes))
        for overlap, images in matches.items():
            chosen = best_min_score(images)
            trial = {"zoom": zoom, "overlap": overlap, "min_score": round(chosen.min_score, 4)}
            trials.append({**trial, "mean_ap": round(chosen.mean_ap, 6)})
            choices.append(chosen)
    best = int(np.argmax([choice.mean_ap for choice in choices]))
    objects = {
        "min_score": trials[best]["min_score"],
        "overlap": trials[best]["overlap"],
        "measured": {**measured, "mean_ap": trials[best]["mean_ap"]},
    }
    return ObjectTuning(objects, float(trials[best]["zoom"]), choices[best].mean_ap, tuple(trials))


def _tune_watershed(
    predictor: Predictor, dataset: Dataset, items: Sequence[Item], track: Track, measured: dict[str, Any]
) -> ObjectTuning:
    card, labels = predictor.card, dataset.label_set
    if len(labels) != 1:
        raise ConfigError(f"a watershed makes objects of one class; the data set has {', '.join(labels.names)}")
    samples = [_probabilities(predictor, dataset, item) for item in track(items, len(items), "network")]

    def score(pairs: Sequence[tuple[tuple[Region, ...], Objects]]) -> float:
        matches = [_matches(Segmentation(t.size, labels, None, found), t, {0: 0}, 1) for found, t in pairs]
        total = count(matches, 0.0).sum((0, 1))
        return float(mean_defined(total.average_precision()))

    best, tried = fit(samples, card.label_set, score)
    trials = tuple({**parameters.to_dict(), "mean_ap": round(value, 6)} for parameters, value in tried)
    mean_ap = max(value for _, value in tried)
    label = {"name": labels[0].name, "zh": labels[0].zh, "color": list(labels[0].color)}
    objects = {"watershed": best.to_dict(), "label": label, "measured": {**measured, "mean_ap": round(mean_ap, 6)}}
    return ObjectTuning(objects, card.preprocess.zoom, mean_ap, trials)


def _probabilities(predictor: Predictor, dataset: Dataset, item: Item) -> tuple[np.ndarray, Objects]:
    sample = dataset.read_instances(item)
    scores = run_network(predictor.score_engine, predictor.card.preprocess, sample.pixels)
    return probabilities(scores), sample.objects


def _matches(result: Segmentation, truth: Objects, ids: dict[int, int], num_classes: int) -> ImageMatches:
    found, true = Instances.found(result, ids), Instances.true(truth)
    return match(found, true, overlaps(found, true), num_classes)

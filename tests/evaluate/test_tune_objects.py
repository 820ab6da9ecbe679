"""How objects are made of what a network says: the choice is the best that was tried, and the card gets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segscape.data import Dataset, open_dataset
from segscape.errors import ConfigError, DataError, InputError
from segscape.evaluate.instance import evaluate_instances
from segscape.evaluate.tune_objects import ObjectTuning, tune_objects
from segscape.labels import Label, LabelSet
from segscape.models.card import ModelCard
from segscape.predict.predictor import Predictor
from segscape.preprocess import Preprocess
from segscape.refine.watershed import WatershedParameters
from segscape.runtime.engine import Detections

SIZE = (60, 80)
OBJECTS = LabelSet("objects", (Label("object", (255, 170, 40), thing=True),))
LEFT, RIGHT, BELOW, WRONG = [4, 4, 28, 28], [28, 4, 52, 28], [4, 32, 28, 56], [56, 30, 76, 50]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two pictures, the second without an object: LEFT and RIGHT touch, BELOW lies apart."""
    for kind in ("images", "labels"):
        (tmp_path / "data" / kind / "val").mkdir(parents=True)
    numbers = np.zeros(SIZE, np.uint16)
    for i, (x0, y0, x1, y1) in enumerate([LEFT, RIGHT, BELOW], start=1):
        numbers[y0:y1, x0:x1] = i
    for name, content in (("a", numbers), ("b", np.zeros_like(numbers))):
        Image.fromarray(content).save(tmp_path / "data" / "labels" / "val" / f"{name}.png")
        pixels = np.repeat((60 * content[..., None]).astype(np.uint8), 3, axis=2)
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / "val" / f"{name}.png")
    return open_dataset(f"numbered:{tmp_path / 'data'}")


class Detector:
    """In pictures that are not black: the three objects, a double of the first and a thing that is none.

    At the images' own size boxes lie three pixels off, at twice the size they fit.
    """

    name, concurrency = "fake", 1

    def detect(self, batch: np.ndarray) -> Detections:
        rows = [(LEFT, 0.9), ([5, 4, 29, 28], 0.8), (RIGHT, 0.7), (BELOW, 0.6), (WRONG, 0.3)]
        if batch.max() < 0:
            rows = [(WRONG, 0.2)]
        factor = batch.shape[2] / SIZE[0]
        boxes = np.array([box for box, _ in rows], np.float32)
        boxes = boxes * factor if factor > 1.5 else boxes + 3
        scores = np.array([score for _, score in rows], np.float32)
        return Detections(boxes, np.zeros(len(rows), np.int64), scores, np.ones((len(rows), 28, 28), np.float32))


def finder(labels: LabelSet = OBJECTS, **card: Any) -> Predictor:
    return Predictor(Detector(), ModelCard("m", "mask_rcnn", {}, labels, Preprocess(), task="instance", **card))


def tuned(predictor: Predictor, tuning: ObjectTuning) -> Predictor:
    """The predictor as it is once the choice stands on its card."""
    preprocess = replace(predictor.card.preprocess, zoom=tuning.zoom)
    return Predictor(predictor.engine, replace(predictor.card, objects=tuning.objects, preprocess=preprocess))


def mean_ap(predictor: Predictor, dataset: Dataset) -> float:
    """As ``segscape evaluate`` measures it."""

    def run(sample: Any) -> Any:
        return predictor.predict(sample.pixels, min_score=0.0, keep_image=False)

    return evaluate_instances(run, dataset, "val", min_score=predictor.default_min_score).mean_ap


def test_score_overlap_and_zoom_that_are_best(dataset: Dataset) -> None:
    tuning = tune_objects(finder(), dataset, "val", zooms=(1, 2))
    assert [(trial["zoom"], trial["overlap"]) for trial in tuning.trials] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert tuning.zoom == 2
    assert tuning.objects["overlap"] is False, "doubles cost more than cut objects"
    assert tuning.objects["min_score"] == pytest.approx(0.45), "midway between the last object and the first mistake"
    assert tuning.mean_ap == max(trial["mean_ap"] for trial in tuning.trials) > 0.5
    assert tuning.objects["measured"] == {
        "split": "val",
        "num_images": 2,
        "data": {"kind": "numbered", "fingerprint": dataset.fingerprint("val")},
        "mean_ap": pytest.approx(tuning.mean_ap, abs=1e-6),
    }


@pytest.mark.parametrize("zoom", [1.0, 2.0])
def test_the_model_reaches_what_was_promised(dataset: Dataset, zoom: float) -> None:
    tuning = tune_objects(finder(), dataset, "val", zooms=(zoom,))
    assert mean_ap(tuned(finder(), tuning), dataset) == pytest.approx(tuning.mean_ap, abs=1e-6)
    for overlap in (True, False):
        for score in np.linspace(0.05, 0.95, 19):
            other = replace(tuning, objects={"overlap": overlap, "min_score": float(score)})
            assert mean_ap(tuned(finder(), other), dataset) <= tuning.mean_ap + 1e-6


def test_without_zooms_the_cards_own_is_kept(dataset: Dataset) -> None:
    predictor = finder()
    predictor.card = replace(predictor.card, preprocess=Preprocess(zoom=2.0))
    tuning = tune_objects(predictor, dataset, "val")
    assert (tuning.zoom, len(tuning.trials)) == (2.0, 2)


def test_progress_counts_images(dataset: Dataset) -> None:
    seen = []

    def track(values: Any, total: int, text: str) -> Any:
        seen.append((total, text))
        return values

    tune_objects(finder(), dataset, "val", zooms=(1, 2), progress=track)
    assert seen == [(2, "zoom 1"), (2, "zoom 2")]


def test_what_is_saved_is_what_was_found(dataset: Dataset, tmp_path: Path) -> None:
    tuning = tune_objects(finder(), dataset, "val")
    path = tuning.save(tmp_path / "out")
    assert path.name == "tune-objects.json"
    assert json.loads(path.read_text("utf-8")) == tuning.to_dict()
    assert set(tuning.to_dict()) == {"objects", "zoom", "mean_ap", "trials"}


# --- the watershed

BORDERS = LabelSet("borders", (Label("background", (0, 0, 0)), Label("inside", (1, 1, 1)), Label("border", (2, 2, 2))))


class Labeller:
    """Sees the grey of the pictures: LEFT 60, RIGHT 120, BELOW 180, and a border where the first two touch."""

    name, stride, concurrency = "fake", 1, 1

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        grey = np.rint((batch[0, 0] + 1) * 127.5).astype(int)
        classes = np.where(grey > 0, 1, 0)
        classes[4:28, 27:29] = np.where(grey[4:28, 27:29] > 0, 2, 0)
        logits = np.zeros((1, 3, *grey.shape), np.float32)
        np.put_along_axis(logits, classes[None, None], 1.2, axis=1)  # P 0.62, 0.19, 0.19: not every threshold will do
        return logits


def labeller(labels: LabelSet = BORDERS) -> Predictor:
    return Predictor(Labeller(), ModelCard("u", "unet", {}, labels, Preprocess()))


def test_the_watersheds_parameters_are_chosen(dataset: Dataset) -> None:
    tuning = tune_objects(labeller(), dataset, "val")
    assert tuning.mean_ap == pytest.approx(1.0)
    assert tuning.zoom == 1.0
    parameters = WatershedParameters.from_dict(tuning.objects["watershed"])
    assert parameters.seed_threshold < 0.43
    assert parameters.foreground_threshold > 0.38
    assert tuning.objects["label"] == {"name": "object", "zh": "物体", "color": [255, 170, 40]}
    assert tuning.objects["measured"]["mean_ap"] == pytest.approx(1.0)
    assert len(tuning.trials) == 6 * 5 * 4
    assert min(trial["mean_ap"] for trial in tuning.trials) == 0
    assert {"seed_threshold", "foreground_threshold", "min_area_px", "mean_ap"} == set(tuning.trials[0])
    assert mean_ap(tuned(labeller(), tuning), dataset) == pytest.approx(1.0)


# --- what is refused


@pytest.mark.parametrize("zoom", [0.2, 9, float("nan")])
def test_zooms_out_of_range(dataset: Dataset, zoom: float) -> None:
    with pytest.raises(ConfigError, match=r"zooms must be in 0\.25…8"):
        tune_objects(finder(), dataset, "val", zooms=(1, zoom))


def test_splits_that_cannot_be_tuned_on(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="no split 'test'"):
        tune_objects(finder(), dataset, "test")
    empty = replace(dataset, splits={"val": ()})
    with pytest.raises(DataError, match="holds no images"):
        tune_objects(finder(), empty, "val")


def test_models_that_make_no_objects(dataset: Dataset, tiny_predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="finds no objects and has no classes inside and border"):
        tune_objects(tiny_predictor, dataset, "val")


def test_classes_that_do_not_fit(dataset: Dataset) -> None:
    cats = LabelSet("cats", (Label("cat", (1, 2, 3), thing=True),))
    with pytest.raises(InputError, match="only the model has cat"):
        tune_objects(finder(cats), dataset, "val")
    two = replace(dataset, label_set=LabelSet("two", (*OBJECTS, *cats)))
    with pytest.raises(ConfigError, match="makes objects of one class; the data set has object, cat"):
        tune_objects(labeller(), two, "val")


def test_data_without_objects(make_mask_folder: Any, tiny_labels: LabelSet) -> None:
    with pytest.raises(DataError, match="no single objects"):
        tune_objects(finder(tiny_labels), open_dataset(make_mask_folder(val=1)), "val")


def test_nothing_found_anywhere(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = finder()
    empty = Detections(*(np.zeros(shape, np.float32) for shape in ((0, 4), (0,), (0,), (0, 28, 28))))
    monkeypatch.setattr(predictor.engine, "detect", lambda _: empty)
    with pytest.raises(InputError, match="no object was found"):
        tune_objects(predictor, dataset, "val")

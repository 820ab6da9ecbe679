"""A semantic and an instance model as one predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segscape.errors import ConfigError, ModelError
from segscape.labels import Label, LabelSet
from segscape.models.card import ModelCard
from segscape.predict import panoptic_predictor as module
from segscape.predict.files import predict_files
from segscape.predict.label_mapping import join_label_sets
from segscape.predict.panoptic import PanopticParameters, fuse
from segscape.predict.panoptic_predictor import PanopticPredictor, load_panoptic
from segscape.predict.predictor import Predictor
from segscape.preprocess import Preprocess
from segscape.runtime.engine import Detections

STREET = LabelSet("street", (Label("sky", (1, 1, 1)), Label("road", (2, 2, 2)), Label("car", (3, 3, 3), thing=True)))
FOUND = LabelSet("found", (Label("car", (9, 9, 9), thing=True), Label("dog", (8, 8, 8), thing=True)))
PHOTO = np.zeros((24, 32, 3), np.uint8)


class Labeller:
    """Sky above road."""

    name, stride, concurrency = "fake", 1, 1

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        self.seen.append(batch.shape[2:])
        logits = np.zeros((1, 3, *batch.shape[2:]), np.float32)
        half = batch.shape[2] // 2
        logits[:, 0, :half], logits[:, 1, half:] = 4, 4
        return logits


class Detector:
    """A car of score 0.9 and a dog of 0.4, apart."""

    name, concurrency = "fake", 1

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, batch: np.ndarray) -> Detections:
        self.seen.append(batch.shape[2:])
        boxes = np.array([[2, 10, 10, 20], [18, 10, 26, 20]], np.float32)
        return Detections(boxes, np.array([0, 1]), np.array([0.9, 0.4], np.float32), np.ones((2, 28, 28), np.float32))


def semantic(name: str = "A") -> Predictor:
    return Predictor(Labeller(), ModelCard(name, "unet", {}, STREET, Preprocess(), sha256="aa" * 32))


def instance(**objects: Any) -> Predictor:
    card = ModelCard("B", "mask_rcnn", {}, FOUND, Preprocess(), task="instance", objects=objects, sha256="bb" * 32)
    return Predictor(Detector(), card)


def names(result: Any) -> list[str]:
    return sorted(result.label_set[region.label].name for region in result.regions)


def test_the_result_is_the_fusion_of_both() -> None:
    predictor = PanopticPredictor(semantic(), instance())
    result = predictor.predict(PHOTO)
    wanted = fuse(
        semantic().predict(PHOTO), instance().predict(PHOTO), join_label_sets(STREET, FOUND), PanopticParameters()
    )
    np.testing.assert_array_equal(result.label_map, wanted.label_map)
    assert [(r.label, r.box, r.score) for r in result.regions] == [(r.label, r.box, r.score) for r in wanted.regions]
    assert names(result) == ["car", "road", "sky"]
    assert result.single_objects
    assert predictor.id == result.model == "A@aaaaaaaa+B@bbbbbbbb"
    assert result.label_set.names == ("sky", "road", "car", "dog")
    assert {"semantic network", "objects network", "objects masks"} <= result.timings_ms.keys()
    assert result.image is not None
    assert predictor.predict(PHOTO, keep_image=False).image is None


@pytest.mark.parametrize(
    ("card", "parameters", "options", "found"),
    [
        ({}, None, {}, ["car"]),
        ({"min_score": 0.3}, None, {}, ["car", "dog"]),
        ({"min_score": 0.3}, PanopticParameters(min_score=0.95), {}, []),
        ({}, PanopticParameters(min_score=0.3), {}, ["car", "dog"]),
        ({}, None, {"min_score": 0.1}, ["car", "dog"]),
        ({}, PanopticParameters(min_score=0.3), {"min_score": "0.5"}, ["car"]),
    ],
)
def test_which_objects_enter(card: dict, parameters: Any, options: dict, found: list[str]) -> None:
    result = PanopticPredictor(semantic(), instance(**card), parameters=parameters).predict(PHOTO, **options)
    assert names(result) == sorted([*found, "road", "sky"])


def test_options_reach_the_model_that_they_are_of() -> None:
    a, b = semantic(), instance()
    predictor = PanopticPredictor(a, b)
    result = predictor.predict(PHOTO, tta=("flip",), long_side=64, confidence=True, refine="none")
    assert a.engine.seen == [(48, 64)] * 2  # type: ignore[union-attr]
    assert b.engine.seen == [(24, 32)]  # type: ignore[union-attr]
    assert result.confidence is not None
    with pytest.raises(ConfigError, match="not turn"):
        predictor.predict(PHOTO, tta=("turn",))
    with pytest.raises(ConfigError, match="min_score must be"):
        predictor.predict(PHOTO, min_score=2)


def test_aliases_join_classes_of_other_names() -> None:
    predictor = PanopticPredictor(semantic(), instance(min_score=0.3), aliases={"dog": "car"})
    assert predictor.mapping.joint.names == ("sky", "road", "car")
    assert names(predictor.predict(PHOTO)) == ["car", "car", "road", "sky"]


@pytest.mark.parametrize(("first", "second"), [(instance, instance), (semantic, semantic), (instance, semantic)])
def test_models_of_the_wrong_kind(first: Any, second: Any) -> None:
    with pytest.raises(ConfigError, match=r"in this order: SEMANTIC\+INSTANCE; got '[AB]' and '[AB]'"):
        PanopticPredictor(first(), second())


@pytest.mark.parametrize("text", ["street", "street+", "+nuclei", "+", ""])
def test_names_that_are_not_two(text: str) -> None:
    with pytest.raises(ConfigError, match=r"panoptic takes two models, SEMANTIC\+INSTANCE"):
        load_panoptic(text)


def test_both_models_are_loaded_onto_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(name: str, *, device: str) -> Predictor:
        loaded.append((name, device))
        return semantic() if name == "a" else instance()

    monkeypatch.setattr(module, "load", load)
    assert load_panoptic("a+b/c.safetensors", device="cpu").id.startswith("A@")
    assert loaded == [("a", "cpu"), ("b/c.safetensors", "cpu")]


def test_a_model_that_is_not_there(tiny_bundle: Path) -> None:
    with pytest.raises(ModelError, match="no model 'nosuch'"):
        load_panoptic(f"{tiny_bundle}+nosuch")


def test_many_files(make_photo: Any, tmp_path: Path) -> None:
    files = [make_photo("photos/a.png"), make_photo("photos/b.png", seed=1)]
    outcomes = list(predict_files(PanopticPredictor(semantic(), instance()), files, tmp_path / "out", min_score=0.3))
    assert [names(outcome.segmentation) for outcome in outcomes] == [["car", "dog", "road", "sky"]] * 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{stem}.{kind}" for stem in "ab" for kind in ("overlay.jpg", "labels.png", "json")
    }

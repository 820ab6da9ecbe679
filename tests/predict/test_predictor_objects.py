"""The inference path of models that find objects: detections, and label maps flooded into objects."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segscape.errors import ConfigError, ModelError, ResourceError, SegscapeWarning
from segscape.labels import Label, LabelSet
from segscape.models.card import ModelCard
from segscape.predict.objects import object_regions
from segscape.predict.predictor import Predictor
from segscape.preprocess import Preprocess
from segscape.refine.crf import CrfParameters
from segscape.refine.watershed import WatershedParameters
from segscape.runtime.engine import Detections

CELLS = LabelSet("cells", (Label("cell", (200, 80, 0), "细胞", thing=True), Label("fibre", (0, 80, 200), thing=True)))
PHOTO = np.zeros((40, 60, 3), np.uint8)


class Detector:
    """Finds three objects, the last two nearly the same, wherever the network's input is large enough."""

    name, concurrency = "fake", 1

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def detect(self, batch: np.ndarray) -> Detections:
        self.seen.append(batch.shape[2:])
        boxes = np.array([[4, 4, 16, 16], [30, 8, 50, 24], [31, 8, 51, 24]], np.float32)
        scores = np.array([0.9, 0.6, 0.2], np.float32)
        return Detections(boxes, np.array([1, 0, 0]), scores, np.ones((3, 28, 28), np.float32))


def detecting(**objects: Any) -> Predictor:
    card = ModelCard("finder", "mask_rcnn", {}, CELLS, Preprocess(), task="instance", objects=objects, sha256="ab" * 32)
    return Predictor(Detector(), card)


def scores_of(predictor: Predictor, **options: Any) -> list[float | None]:
    return [region.score for region in predictor.predict(PHOTO, **options).regions]


def test_what_the_result_says() -> None:
    result = detecting().predict(PHOTO)
    assert result.size == (40, 60)
    assert result.label_map is None
    assert result.confidence is None
    assert result.single_objects
    assert result.label_set == CELLS
    assert result.model == "finder@abababab"
    assert list(result.timings_ms) == ["decode", "network", "masks"]
    assert [(r.id, r.label, r.score) for r in result.regions] == [
        (1, 1, pytest.approx(0.9)),
        (2, 0, pytest.approx(0.6)),
    ]
    wanted = object_regions(Detector().detect(np.zeros((1, 3, 40, 60))), (40, 60), 0.5)
    assert [r.box for r in result.regions] == [r.box for r in wanted]
    assert [r.mask for r in result.regions] == [r.mask for r in wanted]
    assert result.image is not None
    assert detecting().predict(PHOTO, keep_image=False).image is None
    assert result.plot().shape[1] >= 60


@pytest.mark.parametrize(
    ("card", "options", "scores"),
    [
        ({}, {}, [0.9, 0.6]),
        ({"min_score": 0.7}, {}, [0.9]),
        ({"min_score": 0.7}, {"min_score": 0.1}, [0.9, 0.6, 0.2]),
        ({"min_score": 0.1}, {"min_score": "0.65"}, [0.9]),
        ({}, {"min_score": 0}, [0.9, 0.6, 0.2]),
        ({}, {"min_score": 1}, []),
        ({"min_score": 0.0, "overlap": True}, {}, [0.9, 0.6, 0.2]),
        ({"min_score": 0.0, "overlap": False}, {}, [0.9, 0.6]),
    ],
)
def test_the_card_and_the_caller_say_which_objects_are_kept(card: dict, options: dict, scores: list[float]) -> None:
    assert scores_of(detecting(**card), **options) == pytest.approx(scores)


@pytest.mark.parametrize("min_score", [-0.1, 1.1, "high", "", float("nan")])
def test_a_score_that_is_none(min_score: Any) -> None:
    with pytest.raises(ConfigError, match=r'min_score must be "model" or a number in 0…1'):
        detecting().predict(PHOTO, min_score=min_score)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tta": ("flip",)}, "has no tta"),
        ({"refine": "crf"}, "has no refine"),
        ({"refine": CrfParameters()}, "has no refine"),
        ({"confidence": True}, "has no confidence"),
        ({"confidence": True, "tta": ("flip",)}, "has no tta and no confidence"),
    ],
)
def test_options_of_label_maps_are_refused(options: dict, says: str) -> None:
    predictor: Any = detecting()
    with pytest.raises(ConfigError, match=f"model 'finder' makes objects; it {says}"):
        predictor.predict(PHOTO, **options)
    assert predictor.engine.seen == []
    assert len(predictor.predict(PHOTO, refine="none").regions) == 2


def test_a_model_of_label_maps_has_no_min_score(tiny_predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="model 'tiny' makes label maps; it has no min_score"):
        tiny_predictor.predict(PHOTO, min_score=0.5)


@pytest.mark.parametrize(
    ("preprocess", "long_side", "seen"),
    [
        (Preprocess(zoom=1.5), "model", (60, 90)),
        (Preprocess(zoom=1.5), "native", (40, 60)),
        (Preprocess(zoom=1.5), 120, (80, 120)),
        (Preprocess(short_side=20, long_side=25), "model", (16, 25)),
        (Preprocess(short_side=20), "native", (40, 60)),
        (Preprocess(short_side=20), 30, (20, 30)),
    ],
)
def test_the_size_that_the_network_sees(preprocess: Preprocess, long_side: Any, seen: tuple[int, int]) -> None:
    predictor: Any = detecting()
    predictor.card = replace(predictor.card, preprocess=preprocess)
    predictor.predict(PHOTO, long_side=long_side)
    assert predictor.engine.seen == [seen]


def test_damaged_weights_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = detecting()
    broken = replace(Detector().detect(np.zeros((1, 3, 4, 4))), scores=np.array([np.nan, 0, 0], np.float32))
    monkeypatch.setattr(predictor.engine, "detect", lambda _: broken)
    with pytest.raises(ModelError, match="not finite"):
        predictor.predict(PHOTO)

    def full(_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(predictor.engine, "detect", full)
    with pytest.raises(ResourceError, match="out of memory"):
        predictor.predict(PHOTO)


# --- label maps flooded into objects

BORDERS = LabelSet("borders", (Label("background", (0, 0, 0)), Label("inside", (1, 1, 1)), Label("border", (2, 2, 2))))
LABEL = {"name": "nucleus", "zh": "细胞核", "color": [9, 8, 7]}
#   two squares that touch, and a small one with a weaker score
CLASSES = np.zeros((40, 60), np.uint8)
CLASSES[5:25, 5:45] = 1
CLASSES[5:25, 24:26] = 2
CLASSES[30:34, 50:54] = 1


class Labeller:
    """A network that is sure of `CLASSES`, but for the small square."""

    name, stride, concurrency = "fake", 1, 1

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        logits = 20.0 * np.eye(3, dtype=np.float32)[CLASSES].transpose(2, 0, 1)
        logits[:, 30:34, 50:54] *= 0.07
        height, width = batch.shape[2:]
        return logits[None, :, :height, :width]


def flooding(**objects: Any) -> Predictor:
    watershed = {"watershed": WatershedParameters(0.2, 0.5, 10).to_dict(), "label": LABEL}
    card = ModelCard("unet", "unet", {}, BORDERS, Preprocess(), objects={**watershed, **objects}, sha256="cd" * 32)
    return Predictor(Labeller(), card)


def test_touching_objects_come_apart() -> None:
    predictor = flooding()
    assert predictor.card.finds_objects
    result = predictor.predict(PHOTO)
    assert result.single_objects
    assert result.label_map is None
    assert [label.name for label in result.label_set] == ["nucleus"]
    assert result.label_set[0].thing
    assert result.label_set[0].zh == "细胞核"
    assert list(result.timings_ms) == ["decode", "network", "watershed"]
    assert [(r.label, r.area_px) for r in result.regions] == [(0, 400), (0, 400), (0, 16)]
    assert {r.box for r in result.regions[:2]} == {(5, 5, 25, 25), (25, 5, 45, 25)}
    assert [r.score for r in result.regions[:2]] == pytest.approx([1, 1])
    assert 0.5 < (result.regions[2].score or 0) < 0.9


@pytest.mark.parametrize(
    ("card", "options", "count"),
    [
        ({}, {}, 3),
        ({"min_score": 0.95}, {}, 2),
        ({}, {"min_score": 0.95}, 2),
        ({"min_score": 0.95}, {"min_score": 0}, 3),
    ],
)
def test_scores_of_flooded_objects(card: dict, options: dict, count: int) -> None:
    assert len(flooding(**card).predict(PHOTO, **options).regions) == count


def test_a_watershed_has_no_confidence_but_views_and_refinement() -> None:
    predictor = flooding()
    with pytest.raises(ConfigError, match="makes objects; it has no confidence"):
        predictor.predict(PHOTO, confidence=True)
    assert len(predictor.predict(PHOTO, tta=("flip",)).regions) > 0
    refined = predictor.predict(PHOTO, refine=CrfParameters(iterations=1))
    assert refined.single_objects


def test_a_network_of_that_kind_without_a_watershed_makes_label_maps() -> None:
    predictor = flooding()
    predictor.card = replace(predictor.card, objects={})
    result = predictor.predict(PHOTO, confidence=True)
    assert not result.single_objects
    np.testing.assert_array_equal(result.label_map, CLASSES)


def test_engines_are_those_of_the_task() -> None:
    assert detecting().object_engine.name == flooding().score_engine.name == "fake"
    assert (detecting().default_min_score, flooding().default_min_score) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("most", "lowest", "min_score", "warns"),
    [(3, 0.6, 0.1, True), (3, 0.6, 0.65, False), (3, 0.2, 0.1, False), (4, 0.6, 0.1, False)],
)
def test_as_many_objects_as_there_can_be_are_perhaps_not_all(
    most: int, lowest: float, min_score: float, warns: bool
) -> None:
    predictor = detecting()
    predictor.card = replace(predictor.card, options={"max_objects": most})
    detect = predictor.object_engine.detect
    predictor.object_engine.detect = lambda batch: replace(
        detect(batch), scores=np.array([0.9, 0.8, lowest], np.float32)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictor.predict(PHOTO, min_score=min_score)
    assert [w.category for w in caught] == [SegscapeWarning] * warns
    assert not warns or "finder found 3 objects, the most it gives at once" in str(caught[0].message)


def test_many_images_one_after_another() -> None:
    results = list(detecting().predict_many([PHOTO, PHOTO[:20]], min_score=0.7))
    assert [(r.size, len(r.regions)) for r in results] == [((40, 60), 1), ((20, 60), 1)]

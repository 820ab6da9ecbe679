"""The fusion's parameters chosen on objects of known place; engines are replaced by results."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from segscape.data.sample import Dataset
from segscape.errors import ConfigError, DataError
from segscape.evaluate.tune_panoptic import tune_panoptic
from segscape.files import write_text
from segscape.labels import Label, LabelSet
from segscape.masks import crop_to_box
from segscape.predict.label_mapping import join_label_sets
from segscape.predict.panoptic import read_fusion
from segscape.predict.panoptic_predictor import PanopticPredictor
from segscape.result import Region, Segmentation

STUFF = LabelSet("stuff", (Label("ground", (1, 1, 1)), Label("sky", (2, 2, 2))))
THINGS = LabelSet("things", (Label("cell", (3, 3, 3), thing=True),))
SIZE = (40, 40)


def region(number: int, score: float, box: tuple[int, int, int, int]) -> Region:
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    tight, runs = crop_to_box(mask)
    return Region(number, 0, score, tight, runs.area, runs)


# The true cell, one that is not there, and a double of the true one.
FOUND = (region(1, 0.75, (5, 5, 15, 15)), region(2, 0.65, (25, 25, 35, 35)), region(3, 0.72, (5, 5, 15, 12)))


def results(label_set: LabelSet, **fields: Any) -> Any:
    result = Segmentation(SIZE, label_set, **fields)
    return SimpleNamespace(predict=lambda *_, **__: result, default_min_score=0.5)


@pytest.fixture
def predictor() -> PanopticPredictor:
    fake = SimpleNamespace(
        semantic=results(STUFF, label_map=np.zeros(SIZE, np.uint8)),
        objects=results(THINGS, label_map=None, regions=FOUND),
        mapping=join_label_sets(STUFF, THINGS),
    )
    return cast(PanopticPredictor, fake)


def dataset(tmp_path, label_set: LabelSet = THINGS) -> Dataset:
    import cv2

    from segscape.data.numbered import open_numbered

    for folder in ("images/val", "labels/val"):
        (tmp_path / folder).mkdir(parents=True)
    numbers = np.zeros(SIZE, np.uint16)
    numbers[5:15, 5:15] = 1
    cv2.imwrite(str(tmp_path / "images/val/a.png"), np.zeros(SIZE, np.uint8))
    cv2.imwrite(str(tmp_path / "labels/val/a.png"), numbers)
    return open_numbered(tmp_path, label_set=label_set)


def test_what_is_not_there_is_left_out(predictor, tmp_path):
    tuning = tune_panoptic(predictor, dataset(tmp_path), "val")
    assert tuning.pq == 1
    assert 0.65 < tuning.parameters.min_score <= 0.75
    worse = [t["pq"] for t in tuning.trials if t["min_score"] <= 0.65]
    assert worse
    assert max(worse) < 1
    assert read_fusion(tuning.save(tmp_path / "out")) == tuning.parameters
    assert tuning.measured["num_images"] == 1


def test_foreign_classes_are_refused(predictor, tmp_path):
    foreign = LabelSet("x", (Label("egg", (3, 3, 3), thing=True),))
    with pytest.raises(DataError, match="no class egg"):
        tune_panoptic(predictor, dataset(tmp_path, foreign), "val")


@pytest.mark.parametrize("text", [None, "", "{}", '{"panoptic": 1}', '{"panoptic": {"min_score": 2}}'])
def test_what_is_no_fusion_file_is_refused(tmp_path, text):
    path = tmp_path / "f.json"
    if text is not None:
        write_text(path, text)
    with pytest.raises(ConfigError):
        read_fusion(path)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segscape.data import Dataset, open_dataset
from segscape.errors import ConfigError, DataError, ResourceError
from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.preprocess import Preprocess
from segscape.refine import crf
from segscape.refine import tune as module
from segscape.refine.crf import CrfParameters
from segscape.refine.tune import SEARCHED, Trial, tune

COLOURS = np.array([[60, 90, 200], [120, 120, 120], [200, 60, 50]])


class Blocks:
    """Coarse scores from the share of each class's colour in blocks of 8 × 8 pixels."""

    name, stride, concurrency = "blocks", 8, 1

    def __init__(self) -> None:
        self.seen = 0

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        self.seen += 1
        pixels = 255 * batch[0].transpose(1, 2, 0)
        nearest = abs(pixels[:, :, None] - COLOURS).sum(axis=-1).argmin(axis=-1)
        shares = np.eye(3)[nearest].reshape(5, 8, 6, 8, 3).mean(axis=(1, 3))
        return np.log(shares + 0.1).transpose(2, 0, 1)[None].astype(np.float32)


@pytest.fixture
def coarse(tiny_bundle: Path) -> Predictor:
    predictor = Predictor(Blocks(), read_card(tiny_bundle))
    object.__setattr__(predictor.card, "preprocess", Preprocess((0, 0, 0), (1, 1, 1)))
    return predictor


@pytest.fixture
def make_data(tmp_path: Path, tiny_labels: Any) -> Callable[..., Dataset]:
    def make(count: int, *, labelled: bool = True) -> Dataset:
        """Photos in the colours of their labels, with noise."""
        for part in ("images", "labels"):
            (tmp_path / "data" / part / "val").mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng(i)
            y, x = np.indices((40, 48))
            seen = (y > 18 + 4 * np.sin(x / 7 + i)).astype(int)
            seen[((y - 24) ** 2 + (x - 20 - 2 * i) ** 2) < 70] = 2
            pixels = np.clip(COLOURS[seen] + rng.normal(size=(40, 48, 3)) * 3, 0, 255).astype(np.uint8)
            labels = seen.astype(np.uint8) if labelled else np.full((40, 48), 255, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / "images" / "val" / f"{i:02}.png")
            Image.fromarray(labels).save(tmp_path / "data" / "labels" / "val" / f"{i:02}.png")
        (tmp_path / "data" / "labels.json").write_text(json.dumps(tiny_labels.to_dict()), "utf-8")
        return open_dataset(tmp_path / "data")

    return make


def test_a_coarse_model_gains_and_the_best_of_all_trials_is_taken(coarse, make_data, tmp_path):
    data = make_data(6)
    tuning = tune(coarse, data, num_images=3, num_trials=12)
    assert tuning.gain > 0.05
    assert tuning.helps
    assert 0 < tuning.gain_interval[0] <= tuning.gain <= tuning.gain_interval[1]
    assert (tuning.num_images, tuning.subset_images, len(tuning.trials)) == (6, 3, 12)
    assert tuning.trials[0].parameters == CrfParameters()
    best = max(tuning.trials, key=lambda trial: trial.miou)
    assert (tuning.parameters, best.miou > tuning.subset_miou) == (best.parameters, True)
    assert len({trial.parameters for trial in tuning.trials}) == 12
    for trial in tuning.trials[1:]:
        assert all(low <= getattr(trial.parameters, name) <= high for name, (low, high) in SEARCHED.items())
    assert coarse.engine.seen == 3 + 6  # once each for the search and the measure, however many trials
    written = json.loads(tuning.save(tmp_path / "out").read_text("utf-8"))
    assert written == json.loads(json.dumps(tuning.to_dict()))
    assert written["crf"] == tuning.parameters.to_dict()
    assert written["default"] is True
    assert written["measured"]["data"] == {"kind": "folder", "fingerprint": data.fingerprint("val")}


def test_its_numbers_are_those_of_evaluate(coarse, make_data):
    from segscape.evaluate.semantic import evaluate_semantic

    data = make_data(3)
    tuning = tune(coarse, data, num_images=2, num_trials=3)
    for refine, miou, iou in (
        ("none", tuning.miou_before, tuning.iou_before),
        (tuning.parameters, tuning.miou_after, tuning.iou_after),
    ):
        report = evaluate_semantic(lambda s, r=refine: coarse.predict(s.pixels, refine=r), data, "val", bootstrap=0)
        assert report.miou == pytest.approx(miou, abs=1e-9)
        assert report.iou == pytest.approx(iou, abs=1e-9)


def test_the_same_seed_gives_the_same_result(coarse, make_data):
    data = make_data(2)
    first, again, other = (tune(coarse, data, num_trials=5, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.trials != other.trials


def test_where_it_does_not_help_it_does_not_become_the_default(coarse, make_data):
    data = make_data(3)
    for item in data.split("val"):  # the network alone is right everywhere
        Image.fromarray(coarse.predict(item.image).label_map).save(item.labels)
    tuning = tune(coarse, data, num_trials=3)
    assert tuning.miou_before == 1
    assert tuning.gain < -0.01
    assert not tuning.helps
    assert tuning.on_card()["default"] is False


def test_images_are_evenly_spaced_and_bounded_in_memory(coarse, make_data, monkeypatch):
    data, read = make_data(7), []
    original = Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, item: read.append(item.name[-2:]) or original(self, item))
    tune(coarse, data, num_images=3, num_trials=1)
    assert read[:3] == ["00", "02", "04"]
    monkeypatch.setattr(module, "_CACHE_BYTES", 17_000)  # an image takes 40 · 48 · 4 + 5 · 6 · 3 · 4 = 8040
    assert tune(coarse, data, num_images=7, num_trials=1).subset_images == 2


def test_the_search_goes_on_from_the_best():
    """On a smooth function with its maximum inside the ranges, steps of one parameter at a time beat random draws."""

    def miou(p: CrfParameters) -> float:
        return -sum(
            abs(np.log(getattr(p, name) / goal)) for name, goal in {"gaussian_sxy": 2, "bilateral_srgb": 12}.items()
        )

    trials: list[Trial] = []
    for parameters in module._candidates(trials, 60, 0):
        trials.append(Trial(parameters, miou(parameters)))
    assert len(trials) <= 60
    assert max(trial.miou for trial in trials) > max(trial.miou for trial in trials[:31])
    assert max(trial.miou for trial in trials) > -0.15


@pytest.mark.parametrize(("options", "says"), [({"num_images": 0}, "1 or more"), ({"num_trials": 0}, "1 or more")])
def test_numbers_below_one(coarse, make_data, options, says):
    with pytest.raises(ConfigError, match=says):
        tune(coarse, make_data(1), **options)


def test_data_that_cannot_be_tuned_on(coarse, make_data):
    data = make_data(2, labelled=False)
    with pytest.raises(DataError, match="no split 'test'"):
        tune(coarse, data, "test")
    with pytest.raises(DataError, match="no labelled pixel"):
        tune(coarse, data, num_trials=1)


def test_images_too_large_to_be_refined(coarse, make_data, monkeypatch):
    monkeypatch.setattr(crf, "MAX_VALUES", 40 * 48 * 3 - 1)
    with pytest.raises(ResourceError, match="48 × 40"):
        tune(coarse, make_data(2))

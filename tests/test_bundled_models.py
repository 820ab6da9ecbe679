"""The models that come with the package: complete cards, and as good as the card says."""

from __future__ import annotations

from pathlib import Path

import pytest

import segscape
from segscape.data import open_dataset
from segscape.evaluate.metrics import ConfusionMatrix
from segscape.models.bundle import load_bundle, read_card
from segscape.models.network import num_parameters
from segscape.predict.predictor import bundled_models
from segscape.train.recipe import make_recipe, read_recipe

ROOT = Path(__file__).parents[1]
CAMVID = ROOT.parent / "shared" / "data" / "camvid"
MODELS = sorted(bundled_models())


def test_bundled_models_are_these() -> None:
    assert MODELS == ["membrane", "street", "street-fcn", "street-unet"]


def test_all_bundled_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in bundled_models().values()) < 40e6


@pytest.mark.parametrize("name", MODELS)
def test_card_is_complete(name: str) -> None:
    model, card = load_bundle(bundled_models()[name])
    assert card.name == name
    assert card.training["parameters"] == num_parameters(model) < 10e6
    assert card.data["terms"] != "not stated"
    trained_on = {card.recipe["data"]["train"], card.recipe["data"]["val"]}
    assert trained_on == card.data["images"].keys() == card.data["fingerprint"].keys()
    assert all(label.zh for label in card.label_set)


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("street")])
def test_street_models_were_measured(name: str) -> None:
    metrics = read_card(bundled_models()[name]).metrics
    for split in ("val", "test"):
        low, high = metrics[split]["miou_interval"]
        assert low < metrics[split]["miou"] < high
        assert metrics[split]["cost"]["photo"] == "480 × 360"


def test_membrane_was_cross_validated() -> None:
    repeated = read_card(bundled_models()["membrane"]).metrics["repeated"]
    assert repeated["runs"] == [f"fold-{k}" for k in range(5)]
    assert repeated["this"] == "fold-0"
    assert repeated["scores"]["pixel_error"]["mean"] < 0.1
    assert repeated["scores"]["v_rand"]["mean"] > 0.9


@pytest.mark.parametrize("name", MODELS)
def test_recipe_of_the_card_is_the_one_that_ships(name: str) -> None:
    assert make_recipe(dict(read_card(bundled_models()[name]).recipe)) == read_recipe(ROOT / "recipes" / f"{name}.toml")


@pytest.mark.skipif(not CAMVID.exists(), reason="the CamVid data set is not beside the repository")
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("street")])
def test_street_models_are_as_good_as_their_cards_say(name: str) -> None:
    """On every tenth validation image: far from any other network's score by chance, near the card's."""
    predictor = segscape.load(name, device="cpu")
    dataset = open_dataset(f"camvid:{CAMVID}")
    matrix = ConfusionMatrix(len(dataset.label_set), dataset.label_set.ignore_index)
    for item in dataset.split("val")[::10]:
        sample = dataset.read(item)
        matrix.update(sample.labels, predictor.predict(sample.pixels).label_map)
    assert float(matrix.counts.mean_iou()) == pytest.approx(predictor.card.metrics["val"]["miou"], abs=0.08)

"""The models that come with the package: complete cards, and as good as the card says."""

from __future__ import annotations

from pathlib import Path

import pytest

import segscape
from segscape.data import open_dataset
from segscape.evaluate.groups import brightness
from segscape.evaluate.image_objects import Instances
from segscape.evaluate.matching import count, match, overlaps
from segscape.evaluate.metrics import ConfusionMatrix
from segscape.models.bundle import load_bundle, read_card
from segscape.models.network import num_parameters
from segscape.predict.locate import bundled_models
from segscape.train.recipe import make_recipe, read_recipe

ROOT = Path(__file__).parents[1]
CAMVID = ROOT.parent / "shared" / "data" / "camvid"
NUCLEI = ROOT.parent / "shared" / "data" / "nuclei"
MODELS = sorted(bundled_models())


def test_bundled_models_are_these() -> None:
    assert MODELS == ["membrane", "nuclei", "street", "street-fcn", "street-unet"]


def test_all_bundled_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in bundled_models().values()) < 50e6


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


def test_nuclei_was_measured() -> None:
    card = read_card(bundled_models()["nuclei"])
    assert card.objects["measured"]["split"] == "val"
    for split in ("val", "test"):
        groups = card.metrics[split]["groups"]
        assert groups.keys() == {"dark", "bright"}
        assert groups["dark"]["ap"]["0.50"] > groups["dark"]["ap"]["0.70"] > groups["dark"]["ap"]["0.90"]
        assert card.metrics[split]["min_score"] == card.objects["min_score"]


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


def test_nuclei_finds_rendered_cells() -> None:
    """The demo's picture holds 64 nuclei, some touching, some out of focus."""
    result = segscape.load("nuclei", device="cpu").predict(ROOT / "examples" / "photos" / "cells.png")
    assert 58 <= len(result.regions) <= 70
    assert 0.12 < result.class_areas()["nucleus"] / (360 * 480) < 0.2


@pytest.mark.skipif(not NUCLEI.exists(), reason="the nuclei data set is not beside the repository")
def test_nuclei_is_as_good_as_its_card_says() -> None:
    """On every sixth dark validation image of 256 × 256."""
    predictor = segscape.load("nuclei", device="cpu")
    dataset = open_dataset(f"nuclei:{NUCLEI}")
    matches = []
    for item in dataset.split("val")[::6]:
        sample = dataset.read_instances(item)
        if sample.objects.size != (256, 256) or brightness(sample) != "dark":
            continue
        found = Instances.found(predictor.predict(sample.pixels), {0: 0})
        true = Instances.true(sample.objects)
        matches.append(match(found, true, overlaps(found, true), 1))
    assert len(matches) > 2
    ap = count(matches, 0.0).sum((0, 1)).average_precision()[0]
    assert ap == pytest.approx(predictor.card.metrics["val"]["groups"]["dark"]["ap"]["0.50"], abs=0.15)

"""A recipe over folds and seeds: who is left out, what is measured, and what stands on the cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from train_help import QUIET, make_shapes, shapes_recipe

from segscape.errors import ConfigError
from segscape.models.bundle import read_card
from segscape.train import repeat as module
from segscape.train.repeat import fold_recipes, repeat, seed_recipes, summarize


@pytest.mark.parametrize("train", ["train", "train[-0/5]"])
def test_each_fold_is_left_out_once(tmp_path: Path, train: str) -> None:
    runs = fold_recipes(shapes_recipe(tmp_path, data__train=train), 3)
    assert {name: (recipe.data.train, recipe.data.val, split) for name, (recipe, split) in runs.items()} == {
        f"fold-{k}": (f"train[-{k}/3]", f"train[{k}/3]", f"train[{k}/3]") for k in range(3)
    }


def test_seeds_count_on_from_the_recipes_own(tmp_path: Path) -> None:
    runs = seed_recipes(shapes_recipe(tmp_path, run__seed=7), 3, "test")
    assert {name: (recipe.run.seed, split) for name, (recipe, split) in runs.items()} == {
        f"seed-{seed}": (seed, "test") for seed in (7, 8, 9)
    }


@pytest.mark.parametrize("count", [0, 1])
def test_once_is_no_repetition(tmp_path: Path, count: int) -> None:
    recipe = shapes_recipe(tmp_path)
    with pytest.raises(ConfigError, match="--folds must be at least 2"):
        fold_recipes(recipe, count)
    with pytest.raises(ConfigError, match="--seeds must be at least 2"):
        seed_recipes(recipe, count, "val")


def test_summary_is_the_mean_and_the_deviation_of_a_sample() -> None:
    runs = [{"split": "val", "miou": m, "ece": e} for m, e in ((0.5, 0.1), (0.6, None), (0.7, 0.3))]
    assert summarize(runs) == {
        "miou": {"mean": pytest.approx(0.6), "sd": pytest.approx(0.1), "values": [0.5, 0.6, 0.7]}
    }


def test_folds_are_trained_measured_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_shapes(tmp_path / "data", train=6)
    runs = fold_recipes(shapes_recipe(data, optim__epochs=1), 2)
    outcome = repeat(runs, tmp_path / "out", device="cpu", progress=QUIET)
    assert json.loads((tmp_path / "out" / "repeat.json").read_text()) == outcome
    assert list(outcome["runs"]) == ["fold-0", "fold-1"]
    miou = outcome["summary"]["miou"]
    assert miou["values"] == [run["miou"] for run in outcome["runs"].values()]
    assert outcome["runs"]["fold-1"]["pixel_error"] == pytest.approx(1 - outcome["runs"]["fold-1"]["pixel_accuracy"])
    for k in range(2):
        card = read_card(tmp_path / "out" / f"fold-{k}" / "best.safetensors")
        assert card.data["images"] == {f"train[-{k}/2]": 3, f"train[{k}/2]": 3}
        assert card.metrics["repeated"]["scores"]["miou"] == miou
        assert card.metrics["repeated"]["this"] == f"fold-{k}"

    steps = []
    monkeypatch.setattr(module, "train", lambda *a, resume, **o: steps.append(resume))
    assert repeat(runs, tmp_path / "out", device="cpu", progress=QUIET) == outcome
    assert steps == [True, True]

"""Choices made from the recipe before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from train_help import QUIET, make_shapes, shapes_recipe

from segscape.errors import ConfigError, DataError
from segscape.models import build_model
from segscape.train import setup
from segscape.train.stop import StopSignal


@pytest.mark.parametrize(
    ("precision", "model", "amx", "expected"),
    [
        ("fp32", {"name": "unet"}, True, "no"),
        ("bf16", {"name": "unet"}, False, "bf16"),
        ("auto", {"name": "unet"}, True, "bf16"),
        ("auto", {"name": "unet"}, False, "no"),
        ("auto", {"name": "fcn"}, True, "no"),
        ("auto", {"name": "fcn", "backbone": "tf_efficientnet_lite2"}, True, "no"),
        ("auto", {"name": "fcn", "backbone": "resnet18"}, True, "bf16"),
    ],
)
def test_precision_on_a_cpu(monkeypatch, precision: str, model: dict, amx: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    recipe = shapes_recipe(Path("none"), model=model, optim__precision=precision)
    assert setup.mixed_precision(recipe, torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("options", "mean"),
    [({"name": "unet"}, 0.5), ({"name": "fcn"}, 0.5), ({"name": "fcn", "backbone": "resnet18"}, 0.485)],
)
def test_normalisation_is_the_backbones(options: dict, mean: float) -> None:
    recipe = shapes_recipe(Path("none"), model=options, data__long_side=99)
    model = build_model(recipe.model.name, 3, recipe.model.options)
    preprocess = setup.make_preprocess(recipe, model, 1.5)
    assert preprocess.mean[0] == pytest.approx(mean)
    assert (preprocess.long_side, preprocess.zoom) == (99, 1.5)
    smaller = shapes_recipe(Path("none"), model=options, data__long_side=99, data__predict_long_side=50)
    assert setup.make_preprocess(smaller, model, 1.0).long_side == 50


@pytest.mark.parametrize(("workers", "device", "expected"), [(3, "cpu", 3), ("auto", "cpu", 0), (0, "cuda", 0)])
def test_loader_processes(workers: int | str, device: str, expected: int) -> None:
    recipe = shapes_recipe(Path("none"), data__workers=workers)
    assert setup.num_workers(recipe, torch.device(device)) == expected


def test_freezing_needs_a_backbone() -> None:
    recipe = shapes_recipe(Path("none"), optim__freeze_stride=4)
    with pytest.raises(ConfigError, match="no backbone"):
        setup.frozen_modules(build_model("unet", 3, {"base_channels": 2}), recipe)


def test_frozen_norms_stay_in_evaluation_mode() -> None:
    recipe = shapes_recipe(Path("none"), optim__freeze_norm=True)
    model = build_model("unet", 3, {"base_channels": 2, "depth": 1})
    assert len(setup.frozen_modules(model, recipe)) == 6


def test_split_that_is_not_there(tmp_path: Path) -> None:
    root = make_shapes(tmp_path)
    with pytest.raises(DataError, match="holdout"):
        setup.open_checked(shapes_recipe(root, data__val="holdout"), QUIET)


def test_second_ctrl_c_interrupts_at_once() -> None:
    import os
    import signal

    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

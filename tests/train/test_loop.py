"""The training loop: what a run leaves, that it can be stopped anywhere, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_help import QUIET, Interrupting, assert_same_run, make_shapes, shapes_recipe

from segscape.cli import main
from segscape.errors import ConfigError, DataError, ModelError, ResourceError, TrainingDiverged
from segscape.losses import WeightedSum
from segscape.models.bundle import load_bundle
from segscape.train import loop, tasks
from segscape.train.logs import read_rows
from segscape.train.loop import train
from segscape.train.recipe import read_recipe

RECIPE_TOML = """
name = "shapes"
[model]
name = "unet"
base_channels = 4
depth = 2
batch_norm = false
[data]
path = "folder:{data}"
[augment]
crop = [16, 16]
[optim]
epochs = {epochs}
batch_size = {batch}
precision = "fp32"
device = "cpu"
[run]
tensorboard = false
validate_every = 50
"""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shapes(tmp_path_factory.mktemp("shapes"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def test_run_folder_says_how_the_model_came_to_be(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = train(shapes_recipe(shapes, run__tensorboard=True), out, progress=QUIET)
    assert {p.name for p in out.iterdir()} == {
        *("best.safetensors", "last.safetensors", "run.json", "train.csv", "val.csv", "curves.png", "tensorboard")
    }
    facts = json.loads((out / "run.json").read_text())
    assert facts["recipe"]["optim"]["batch_size"] == 2
    assert facts["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert len(facts["data"]["fingerprint"]["train"]) == 64
    assert facts["data"]["images"] == {"train": 6, "val": 2}
    assert [int(r["step"]) for r in read_rows(out / "train.csv")] == list(range(1, 13))
    assert [int(r["step"]) for r in read_rows(out / "val.csv")] == [6, 12]
    model, card = load_bundle(out / "best.safetensors")
    best = max(read_rows(out / "val.csv"), key=lambda r: float(r["miou"]))
    assert card.metrics["val"]["miou"] == pytest.approx(float(best["miou"]), abs=1e-5)
    assert (outcome["miou"], outcome["best_step"]) == (card.metrics["val"]["miou"], int(best["step"]))
    assert card.training["step"] == int(best["step"])
    assert card.label_set.names == ("ground", "ball", "sky")
    assert sum(p.numel() for p in model.parameters()) == card.training["parameters"]


def test_training_learns(shapes: Path, tmp_path: Path) -> None:
    recipe = shapes_recipe(shapes, optim__epochs=25, optim__lr=0.02, run__validate_every=25)
    assert train(recipe, tmp_path / "run", progress=QUIET)["miou"] > 0.6


@pytest.mark.parametrize(
    ("model", "stop_after"),
    [
        pytest.param({"name": "unet", "base_channels": 4, "depth": 2}, 1, id="unet, at the first step"),
        pytest.param({"name": "unet", "base_channels": 4, "depth": 2}, 6, id="unet, at a validation"),
        pytest.param({"name": "fcn", "pretrained": False}, 4, id="fcn: dropout draws random numbers"),
    ],
)
def test_resumed_run_equals_uninterrupted_one(shapes: Path, tmp_path: Path, model: dict, stop_after: int) -> None:
    recipe = shapes_recipe(shapes, model=model, optim__epochs=3, augment__crop=[32, 32])
    train(recipe, tmp_path / "whole", progress=QUIET)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", progress=Interrupting(stop_after))
    assert len(read_rows(tmp_path / "parts" / "train.csv")) == stop_after
    torch.manual_seed(99)  # a new process begins with another random state
    train(recipe, tmp_path / "parts", resume=True, progress=QUIET)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_rows_of_work_that_is_done_again_are_dropped_on_resume(shapes: Path, tmp_path: Path) -> None:
    recipe = shapes_recipe(shapes)
    train(recipe, tmp_path / "whole", progress=QUIET)
    out = tmp_path / "killed"
    with pytest.MonkeyPatch.context() as patch:
        saves = []
        patch.setattr(loop._Run, "save", lambda run: saves.append(1) or (len(saves) == 1 and ORIGINAL_SAVE(run)))
        train(recipe, out, progress=QUIET)  # only the checkpoint of step 6 was written, as after a kill -9
    assert int(read_rows(out / "train.csv")[-1]["step"]) == 12
    train(recipe, out, resume=True, progress=QUIET)
    assert_same_run(tmp_path / "whole", out)


ORIGINAL_SAVE = loop._Run.save


def test_loader_processes_do_not_change_the_run(shapes: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        recipe = shapes_recipe(shapes, data__workers=workers, optim__epochs=2)
        train(recipe, tmp_path / str(workers), progress=QUIET)
    assert_same_run(tmp_path / "0", tmp_path / "2")


def test_accumulated_batches_equal_one_large_batch(shapes: Path, tmp_path: Path) -> None:
    """Without batch norm, and with as many counted pixels in each part."""
    for batch, accumulate in ((4, 1), (2, 2)):
        recipe = shapes_recipe(
            shapes,
            model={"name": "unet", "base_channels": 4, "depth": 2, "batch_norm": False},
            augment={"crop": [24, 24], "scale": [1.0, 1.0], "flip": 0.0, "blur": 0.0},
            optim__batch_size=batch,
            optim__accumulate=accumulate,
            optim__epochs=2,
        )
        train(recipe, tmp_path / f"{batch}", progress=QUIET)
    losses = [[float(r["loss"]) for r in read_rows(tmp_path / name / "train.csv")] for name in ("4", "2")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_scores_that_are_not_finite_in_validation_are_a_diverged_run(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ModelError("the network's scores are not finite")

    monkeypatch.setattr(tasks, "run_network", broken)
    with pytest.raises(TrainingDiverged, match=r"after step 6, val/0: the network's scores are not finite"):
        train(shapes_recipe(shapes), tmp_path / "run", progress=QUIET)


def test_diverged_run_stops_before_the_step(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE_TOML.format(data=shapes, epochs=9, batch=3))
    arguments = ["train", str(recipe), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*arguments, "--set", "optim.lr=1e25", "--set", "optim.clip=1e30"]) == 3
    message = capsys.readouterr().err
    assert re.search(r"step \d+: loss .*train/\d", message)
    assert "Traceback" not in message


def test_diverging_step_leaves_the_weights_alone(shapes: Path, tmp_path: Path, monkeypatch) -> None:
    run = loop._Run(shapes_recipe(shapes), tmp_path / "run", False, QUIET)
    before = {k: v.clone() for k, v in run.model.state_dict().items() if "num_batches" not in k and "running" not in k}
    monkeypatch.setattr(WeightedSum, "forward", lambda self, logits, target: logits.sum() * float("nan"))
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(TrainingDiverged, match=r"step 1: .*samples: a, b"):
        run.step(images, list(torch.zeros(2, 16, 16, dtype=torch.int64)), ["a", "b"])
    after = run.model.state_dict()
    assert [k for k in before if not torch.equal(before[k], after[k])] == []


def test_out_of_memory_halves_what_is_worked_on_at_once(shapes: Path, tmp_path: Path, monkeypatch) -> None:
    sizes = []
    forward = WeightedSum.forward

    def limited(self, logits, target):
        sizes.append(len(logits))
        if len(logits) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, logits, target)

    monkeypatch.setattr(WeightedSum, "forward", limited)
    train(shapes_recipe(shapes, optim__epochs=1, optim__batch_size=4), tmp_path / "run", progress=QUIET)
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr(WeightedSum, "forward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none left")))
    with pytest.raises(ResourceError, match="batch_size"):
        train(shapes_recipe(shapes), tmp_path / "other", progress=QUIET)


def test_early_stop_after_validations_without_gain(shapes: Path, tmp_path: Path) -> None:
    recipe = shapes_recipe(shapes, optim__lr=1e-12, optim__epochs=20, run__validate_every=1, run__patience=3)
    outcome = train(recipe, tmp_path / "run", progress=QUIET)
    assert outcome["stop"]
    assert outcome["steps"] < 60
    assert len(read_rows(tmp_path / "run" / "val.csv")) == outcome["steps"] // 3


def test_loss_terms_follow_the_run(shapes: Path, tmp_path: Path) -> None:
    terms = [{"name": "cross_entropy", "end": 0.5}, {"name": "dice", "start": 0.5}]
    run = loop._Run(shapes_recipe(shapes, loss=terms, optim__epochs=2), tmp_path / "run", False, QUIET)
    seen = []
    step = run.step
    run.step = lambda *batch: (step(*batch), seen.append(run.task.criterion.active()[0]))[0]  # type: ignore[method-assign]
    run.go()
    assert seen == ["cross_entropy"] * 3 + ["dice"] * 3


def test_average_of_weights_is_what_is_kept(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(shapes_recipe(shapes, optim__ema=0.0, optim__epochs=2), out, progress=QUIET)
    last = weights(out / "last.safetensors")
    assert all(torch.equal(last[f"average/{k[6:]}"], v) for k, v in last.items() if k.startswith("model/"))
    train(shapes_recipe(shapes, optim__ema=0.9, optim__epochs=2), tmp_path / "mean", progress=QUIET)
    last = weights(tmp_path / "mean" / "last.safetensors")
    assert not torch.equal(last["average/head.weight"], last["model/head.weight"])


def test_frozen_backbone_keeps_weights_and_statistics(shapes: Path, tmp_path: Path) -> None:
    model = {"name": "fcn", "pretrained": True}
    recipe = shapes_recipe(shapes, model=model, augment__crop=[32, 32], optim__freeze_stride=4, optim__epochs=1)
    run = loop._Run(recipe, tmp_path / "run", False, QUIET)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.go()
    after = run.model.state_dict()
    changed = {
        k.split(".")[3] for k in before if k.startswith("backbone.body.blocks") and not before[k].equal(after[k])
    }
    assert changed == {"2", "3", "4", "5", "6"}
    assert torch.equal(before["backbone.body.bn1.running_mean"], after["backbone.body.bn1.running_mean"])


def test_fine_tuning_starts_from_a_bundle(shapes: Path, tmp_path: Path) -> None:
    train(shapes_recipe(shapes, optim__epochs=1), tmp_path / "first", progress=QUIET)
    bundle = tmp_path / "first" / "best.safetensors"
    model = {"name": "unet", "base_channels": 4, "depth": 2, "init": str(bundle)}
    run = loop._Run(shapes_recipe(shapes, model=model), tmp_path / "second", False, QUIET)
    assert torch.equal(run.model.state_dict()["head.weight"], load_bundle(bundle)[0].state_dict()["head.weight"])
    other = {"name": "fcn", "init": str(bundle)}
    with pytest.raises(ConfigError, match="shares no layer"):
        loop._Run(shapes_recipe(shapes, model=other), tmp_path / "third", False, QUIET)


def test_runs_are_not_overwritten_nor_mixed_up(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="no run to resume"):
        train(shapes_recipe(shapes), out, resume=True, progress=QUIET)
    train(shapes_recipe(shapes, optim__epochs=1), out, progress=QUIET)
    with pytest.raises(ConfigError, match="--resume"):
        train(shapes_recipe(shapes, optim__epochs=1), out, progress=QUIET)
    with pytest.raises(ConfigError, match=r"differs in optim\.lr"):
        train(shapes_recipe(shapes, optim__epochs=1, optim__lr=0.5), out, resume=True, progress=QUIET)
    (out / "last.safetensors").write_bytes((out / "last.safetensors").read_bytes()[:500])
    with pytest.raises(ValueError, match="cannot be resumed"):
        train(shapes_recipe(shapes, optim__epochs=1), out, resume=True, progress=QUIET)


def test_faulty_data_is_refused_before_training(tmp_path: Path) -> None:
    root = make_shapes(tmp_path / "data")
    (root / "images" / "train" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"3\.png"):
        train(shapes_recipe(root), tmp_path / "run", progress=QUIET)
    assert not (tmp_path / "run").exists()


def test_split_of_ignored_pixels_only_trains(tmp_path: Path) -> None:
    """A batch in which nothing counts has loss 0 and moves nothing to NaN."""
    root = make_shapes(tmp_path / "data", train=2)
    from PIL import Image

    Image.new("L", (32, 24), 255).save(root / "labels" / "train" / "0.png")
    train(shapes_recipe(root, optim__batch_size=1), tmp_path / "run", progress=QUIET)
    assert 0.0 in [float(r["loss"]) for r in read_rows(tmp_path / "run" / "train.csv")]


def test_ctrl_c_and_kill_leave_a_run_that_resumes(shapes: Path, tmp_path: Path) -> None:
    """A real process: Ctrl-C (exit 130), then resumed and killed with SIGKILL; what is left still resumes."""
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(RECIPE_TOML.format(data=shapes, epochs=4000, batch=3) + "checkpoint_minutes = 0.001\n")
    command = [sys.executable, "-m", "segscape", "train", str(recipe), "--out", str(out), "--quiet"]

    def stop_at_row(rows: int, how: signal.Signals, *extra: str) -> int:
        process = subprocess.Popen([*command, *extra])
        until = time.monotonic() + 200
        while len(read_rows(out / "train.csv")) < rows and time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(how)
        return process.wait(100)

    assert stop_at_row(3, signal.SIGINT) == 130
    steps = len(read_rows(out / "train.csv"))
    assert steps >= 3
    assert stop_at_row(steps + 9, signal.SIGKILL, "--resume") == -signal.SIGKILL
    run = loop._Run(read_recipe(recipe), out, True, QUIET)
    assert steps < run.state["step"] <= steps + 20


def test_two_processes_equal_one_with_twice_the_batch(shapes: Path, tmp_path: Path) -> None:
    """`accelerate launch` on two CPU processes. Crops differ in how many pixels count; there is no batch norm."""
    for name, batch in (("one", 2), ("two", 1)):
        (tmp_path / f"{name}.toml").write_text(RECIPE_TOML.format(data=shapes, epochs=4, batch=batch))
    assert main(["train", str(tmp_path / "one.toml"), "--out", str(tmp_path / "one"), "--quiet"]) == 0
    # --multi_gpu names accelerate's launcher of several processes; the recipe's device makes them CPU processes.
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
    rest = f"--dynamo_backend no -m segscape train {tmp_path}/two.toml --out {tmp_path}/two --quiet"
    done = subprocess.run(
        [sys.executable, *launch.split(), *rest.split()],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (read_rows(tmp_path / name / "train.csv") for name in ("one", "two"))
    assert len(one) == len(two) == 12
    for column in ("loss", "gradient_norm"):
        assert [float(r[column]) for r in one] == pytest.approx([float(r[column]) for r in two], rel=1e-3)

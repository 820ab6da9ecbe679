"""Learning label maps and learning objects: samples, losses, measures, and whole runs of a small Mask R-CNN."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from train_help import QUIET, Interrupting, assert_same_run, blobs_recipe, make_blobs, make_shapes, shapes_recipe

from segscape.cli import main
from segscape.data import open_dataset
from segscape.data.objects import Objects
from segscape.errors import ConfigError, DataError, ModelError, TrainingDiverged
from segscape.evaluate.image_objects import Instances
from segscape.models.bundle import load_bundle
from segscape.predict.predictor import Predictor, load
from segscape.preprocess import Preprocess
from segscape.train import setup
from segscape.train.logs import read_rows
from segscape.train.loop import train
from segscape.train.tasks import InstanceTask, SemanticTask

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blobs(tmp_path_factory.mktemp("blobs"))


@pytest.fixture
def task(blobs: Path) -> InstanceTask:
    return InstanceTask(blobs_recipe(blobs, augment__copy_paste=1.0), open_dataset(f"numbered:{blobs}"), 100)


# --- objects, part by part


def test_a_sample_is_drawn_by_its_generator_alone(task: InstanceTask) -> None:
    for item in task.items[:3]:
        first, second, other = (task.sample(item, np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert first[0].shape == (3, 32, 32)
        assert torch.equal(first[0], second[0])
        assert first[1].keys() == second[1].keys() == {"boxes", "labels", "numbers", "ids", "crowd_boxes"}
        assert all(torch.equal(value, second[1][key]) for key, value in first[1].items())
        assert not torch.equal(first[0], other[0])


def test_copy_paste_draws_from_the_whole_split(task: InstanceTask, monkeypatch: pytest.MonkeyPatch) -> None:
    read, names = task.dataset.read_instances, []
    watched = SimpleNamespace(read_instances=lambda item: (names.append(item.name), read(item))[1])
    monkeypatch.setattr(task, "dataset", watched)
    for seed in range(30):
        task.sample(task.items[0], np.random.default_rng(seed))
    assert names[::2] == ["train/0"] * 30
    assert set(names[1::2]) == {f"train/{i}" for i in range(6)}


def test_the_loss_is_the_sum_of_the_networks_own(task: InstanceTask) -> None:
    given = []

    def net(images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        given.append((images, targets))
        return {"class": torch.tensor(1.5), "mask": torch.tensor(2.0)}

    images, targets = torch.zeros(2, 3, 4, 4), [{"boxes": torch.zeros(0, 4)}, {"boxes": torch.ones(1, 4)}]
    assert task.loss(net, images, targets, 0.5).item() == 3.5  # type: ignore[arg-type]
    assert given[0][0] is images
    assert [target["boxes"].shape for target in given[0][1]] == [(0, 4), (1, 4)]


class Oracle(nn.Module):
    """Finds what it is told to, image after image: (boxes, scores) each."""

    bytes_per_pixel = 1.0

    def __init__(self, answers: list[tuple[Any, list[float]]]) -> None:
        super().__init__()
        self.answers = iter(answers)

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        boxes, scores = next(self.answers)
        n = len(scores)
        return [
            {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(n, 4),
                "labels": torch.ones(n, dtype=torch.int64),
                "scores": torch.tensor(scores),
                "masks": torch.ones(n, 28, 28),
            }
        ]


def truth(task: InstanceTask, split: str = "val") -> list[Objects]:
    return [task.dataset.read_objects(item) for item in task.dataset.split(split)]


def measured(task: InstanceTask, answers: list[tuple[Any, list[float]]]) -> list[tuple[Instances, Instances]]:
    return task.measure(Oracle(answers), Preprocess(), "cpu", task.dataset.split("val"))


def test_found_objects_are_scored_by_their_masks(task: InstanceTask) -> None:
    answers = [(o.boxes, np.linspace(0.9, 0.6, len(o)).tolist()) for o in truth(task)]
    part = measured(task, answers)
    assert [(len(found), len(true)) for found, true in part] == [(4, 4), (0, 0)]
    score, row = task.summary([part])
    assert score == row["map_mask_all"] == row["map_box_all"] > 0.8  # the mask head's grid rounds corners off
    assert row["map50_mask_all"] == pytest.approx(1.0)
    assert row["mean_ap"] is not None
    assert row["mean_ap"] > 0.8
    assert row["min_score"] == pytest.approx(0.3), "midway between the last hit and nothing"
    assert pickle.loads(pickle.dumps(part))[0][0].rles == part[0][0].rles


def test_processes_measure_what_one_does(task: InstanceTask) -> None:
    boxes = truth(task)[0].boxes
    part = measured(task, [(boxes[:3] + 1, [0.9, 0.8, 0.3]), ([[1, 1, 9, 9]], [0.7])])
    score, row = task.summary([part])
    assert 0 < score < 1
    assert task.summary([part[:1], part[1:]]) == (score, row)
    assert task.summary([[], part]) == (score, row)


def test_nothing_found_and_nothing_there(task: InstanceTask) -> None:
    none = measured(task, [([], []), ([], [])])
    assert task.summary([none]) == (
        0.0,
        {"map_mask_all": 0.0, "map50_mask_all": 0.0, "map_box_all": 0.0, "mean_ap": None, "min_score": None},
    )
    score, row = task.summary([none[1:]])
    assert score == 0.0
    assert set(row.values()) == {None}


# --- label maps


def test_label_maps_are_learned_with_cross_entropy_unless_told_otherwise(tmp_path: Path) -> None:
    root = make_shapes(tmp_path)
    dataset = open_dataset(root)
    task = SemanticTask(shapes_recipe(root), dataset, CPU)
    (image, target) = task.sample(dataset.split("train")[0], np.random.default_rng(0))
    assert (image.shape, target.shape) == ((3, 16, 16), (16, 16))
    logits = torch.randn(1, 3, 16, 16)
    loss = task.loss(lambda _: logits, image[None].float(), [target], 0.25)  # type: ignore[arg-type]
    assert task.criterion.done == 0.25
    wanted = nn.functional.cross_entropy(logits, target[None], ignore_index=255)
    assert loss.item() == pytest.approx(wanted.item())


def test_parts_of_a_confusion_matrix_are_added_up(tmp_path: Path) -> None:
    root = make_shapes(tmp_path)
    task = SemanticTask(shapes_recipe(root), open_dataset(root), CPU)
    a, b = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]])
    score, row = task.summary([a, b])
    assert row["iou sky"] is None
    assert (row["iou ground"], row["iou ball"]) == (pytest.approx(4 / 6), pytest.approx(4 / 6))
    assert score == row["miou"] == pytest.approx(4 / 6)
    assert row["pixel_accuracy"] == pytest.approx(0.8)


# --- whole runs


def test_a_run_through_the_command_line_and_what_it_leaves(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = blobs_recipe(blobs)
    (tmp_path / "r.toml").write_text(toml(recipe.model_dump(exclude_none=True)))
    assert main(["train", str(tmp_path / "r.toml"), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("best val mask AP ")
    assert "anchor_sizes [10, 20]" in said.err
    assert "val mask AP" in said.err
    assert [int(r["step"]) for r in read_rows(tmp_path / "run" / "train.csv")] == [1, 2]
    (row,) = read_rows(tmp_path / "run" / "val.csv")
    assert list(row) == ["step", "map_mask_all", "map50_mask_all", "map_box_all", "mean_ap", "min_score"]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    model, card = load_bundle(tmp_path / "run" / "best.safetensors")
    assert (card.network, card.task, card.finds_objects) == ("mask_rcnn", "instance", True)
    assert card.options["anchor_sizes"] == [10, 20], "what was derived travels with the weights"
    assert card.metrics["val"] == {"map_mask_all": pytest.approx(float(row["map_mask_all"]), abs=1e-5)}
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"] == recipe.to_dict()
    assert type(model).__name__ == "MaskRCNN"
    result = load(tmp_path / "run", device="cpu").predict(np.zeros((40, 50, 3), np.uint8), min_score=0.0)
    assert result.single_objects
    assert result.label_map is None


def toml(table: dict[str, Any]) -> str:
    """Sections of plain values, which JSON writes as TOML does."""
    top = [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict | tuple)]
    sections = [
        "\n".join([f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())])
        for name, values in table.items()
        if isinstance(values, dict)
    ]
    return "\n".join([*top, *sections])


def test_resumed_run_equals_uninterrupted_one_whoever_loads_the_data(blobs: Path, tmp_path: Path) -> None:
    recipe = blobs_recipe(blobs, optim__epochs=2, run__validate_every=1)
    train(recipe, tmp_path / "whole", progress=QUIET)
    parts = blobs_recipe(blobs, optim__epochs=2, run__validate_every=1, data__workers=2)
    with pytest.raises(KeyboardInterrupt):
        train(parts, tmp_path / "parts", progress=Interrupting(1))
    torch.manual_seed(99)  # a new process begins with another random state
    train(parts, tmp_path / "parts", resume=True, progress=QUIET)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert len(read_rows(tmp_path / "parts" / "train.csv")) == 4


def test_a_batch_without_any_object_trains(tmp_path: Path) -> None:
    root = make_blobs(tmp_path / "data", train=2, val=1)
    train(blobs_recipe(root, optim__batch_size=1, augment={"crop": [48, 48]}), tmp_path / "run", progress=QUIET)
    assert len(read_rows(tmp_path / "run" / "train.csv")) == 2


def test_damaged_weights_are_a_diverged_run_that_names_the_image(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ModelError("the network's objects are not finite")

    monkeypatch.setattr("segscape.train.tasks.detect", broken)
    with pytest.raises(TrainingDiverged, match="after step 2, val/0: the network's objects are not finite"):
        train(blobs_recipe(blobs), tmp_path / "run", progress=QUIET)


# --- what is refused before anything is trained


def test_data_sets_of_the_other_kind_are_refused(blobs: Path, tmp_path: Path) -> None:
    shapes = make_shapes(tmp_path / "shapes")
    with pytest.raises(DataError, match="has label maps but no single objects"):
        train(blobs_recipe(shapes, data__path=f"folder:{shapes}"), tmp_path / "run", progress=QUIET)
    with pytest.raises(DataError, match="single objects but no label maps"):
        train(shapes_recipe(blobs, data__path=f"numbered:{blobs}"), tmp_path / "run", progress=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_training_split_without_objects_is_refused(tmp_path: Path) -> None:
    root = make_blobs(tmp_path / "data", train=2, val=1, objects=0)
    with pytest.raises(DataError, match="not one object in the training split; there is nothing to learn"):
        train(blobs_recipe(root), tmp_path / "run", progress=QUIET)


def test_losses_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"mask_rcnn has its own losses; leave \[\[loss\]\] out"):
        blobs_recipe(Path("none"), loss=[{"name": "dice"}])


def test_torchvisions_networks_have_no_imagenet_weights_here(blobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = nn.ModuleDict({name: nn.Linear(1, 1) for name in RESNET})
    monkeypatch.setattr(setup, "build_model", lambda *_: SimpleNamespace(backbone=body))
    recipe = blobs_recipe(blobs, model={"name": "mask_rcnn", "backbone": "resnet50_fpn"})
    with pytest.raises(ConfigError, match=r"model\.init = \"coco-maskrcnn\", or set model\.pretrained = false"):
        setup.make_model(recipe, recipe.model.options, 1)


RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@pytest.mark.parametrize(("stride", "learning"), [(2, 5), (4, 3), (8, 2), (16, 1), (32, 0)])
def test_torchvisions_resnet_can_be_frozen_in_part(blobs: Path, stride: int, learning: int) -> None:
    body = nn.ModuleDict({name: nn.Linear(1, 1) for name in RESNET})
    recipe = blobs_recipe(blobs, optim__freeze_stride=stride)
    frozen = setup.frozen_modules(SimpleNamespace(backbone=body, modules=list), recipe)  # type: ignore[arg-type]
    assert len(frozen) + learning == 8
    assert [next(m.parameters()).requires_grad for m in body.values()] == [False] * len(frozen) + [True] * learning


def test_a_predictor_is_what_is_measured(task: InstanceTask) -> None:
    """The training loop's objects are those that prediction gives."""
    from segscape.models import build_model
    from segscape.models.card import ModelCard
    from segscape.runtime.torch_engine import TorchDetector

    torch.manual_seed(0)
    model = build_model("mask_rcnn", 1, {"channels": 8, "box_channels": 16, "anchor_sizes": (10, 20)})
    preprocess = Preprocess(zoom=1.5)
    items = task.dataset.split("val")[:1]
    found = task.measure(model, preprocess, "cpu", items)[0][0]
    options = {"max_objects": 1000}
    card = ModelCard("m", "mask_rcnn", options, task.dataset.label_set, preprocess, task="instance")
    predictor = Predictor(TorchDetector(model, "cpu"), card)  # type: ignore[arg-type]
    result = predictor.predict(task.dataset.read_instances(items[0]).pixels, min_score=0.0)
    assert len(found) == len(result.regions) > 0
    assert found.boxes.tolist() == [list(region.box) for region in result.regions]
    assert found.scores.tolist() == [region.score for region in result.regions]

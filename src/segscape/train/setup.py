"""What a run needs before its first step, each part made from the recipe by one function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segscape.data import open_dataset
from segscape.data.checks import check_dataset
from segscape.data.sample import Dataset
from segscape.errors import ConfigError, DataError
from segscape.labels import LabelSet
from segscape.models import OBJECT_MODELS, build_model
from segscape.models.backbones import Backbone, load_imagenet, normalization
from segscape.models.bundle import ModelCard, load_bundle
from segscape.models.efficientnet_lite import SCALES
from segscape.predict.locate import find_model
from segscape.preprocess import Preprocess
from segscape.progress import Progress
from segscape.train import logs
from segscape.train.plan import object_plan
from segscape.train.recipe import Recipe
from segscape.train.tasks import InstanceTask, SemanticTask, Task


def check_folder(recipe: Recipe, out: Path, resume: bool) -> None:
    """Whether a run may start or go on in ``out``.

    Raises:
        ConfigError: it holds a run and ``resume`` is off, holds none and ``resume`` is on, or holds another one.
    """
    there = (out / "last.safetensors").exists()
    if there and not resume:
        raise ConfigError(f"{str(out)!r} holds a run already; add --resume to go on, or choose another --out")
    if resume and not there:
        raise ConfigError(f"{str(out)!r} holds no run to resume; leave --resume out to start one")
    if resume and (changed := logs.changed_keys(out, recipe.to_dict())):
        raise ConfigError(f"{str(out)!r} was trained with another recipe; it differs in {', '.join(changed)}")


def open_checked(recipe: Recipe, progress: Progress) -> Dataset:
    """The data set, after a check of every file.

    Raises:
        DataError: it has faults, the first ten of which are listed.
    """
    dataset = open_dataset(recipe.data.path, strict=False)  # so that the check lists what is wrong with the layout too
    progress.message(f"data: {dataset.kind} at {dataset.root}")
    if faults := check_dataset(dataset, progress).errors:
        listing = "\n".join(f"  {fault}" for fault in faults[:10])
        raise DataError(f"{dataset.root}: {len(faults)} fault(s); see `segscape data check`\n{listing}")
    for split in (recipe.data.train, recipe.data.val):
        if unlabelled := [item.name for item in dataset.split(split) if item.labels is None]:
            raise DataError(f"{dataset.root}: split {split!r} has images without labels, first {unlabelled[0]!r}")
    return dataset


def mixed_precision(recipe: Recipe, device: torch.device) -> str:
    """ "bf16" or "no", as accelerate names them; see ``optim.precision``."""
    if recipe.optim.precision != "auto":
        return "no" if recipe.optim.precision == "fp32" else "bf16"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    # The backward pass of depthwise convolutions is slower in bf16 than in fp32 on a CPU.
    depthwise = recipe.model.options.get("backbone", "tf_efficientnet_lite0") in SCALES and recipe.model.name not in (
        "unet",
        "mask_rcnn",
    )
    fast = device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return "bf16" if fast and not depthwise else "no"


def make_task(
    recipe: Recipe, dataset: Dataset, device: torch.device, progress: Progress
) -> tuple[Task, dict[str, Any], float]:
    """What is learned, the network's options, and the factor on photos' size in prediction.

    Raises:
        ConfigError: a loss that there is not.
        DataError: the data set has no objects for a network that finds them.
    """
    options = recipe.model.options
    if recipe.model.name not in OBJECT_MODELS:
        return SemanticTask(recipe, dataset, device), options, 1.0
    plan = object_plan(dataset, dataset.split(recipe.data.train), progress)
    derived = plan.pop("zoom")
    zoom = recipe.data.predict_zoom or derived
    # torchvision's own networks come with their anchors.
    wanted = ("max_objects",) if str(options.get("backbone", "")).startswith("resnet50_fpn") else plan
    options = {key: plan[key] for key in wanted} | options
    told = ", ".join(f"{key} {value}" for key, value in {**options, "zoom": zoom}.items())
    progress.message(f"for objects of these sizes, where the recipe states nothing else: {told}")
    return InstanceTask(recipe, dataset, options["max_objects"]), options, zoom


def make_model(recipe: Recipe, options: Mapping[str, Any], num_classes: int) -> tuple[nn.Module, str]:
    """The network with its first weights, and where they came from.

    Raises:
        ConfigError: no such network, or weights that cannot be had or do not fit.
    """
    section = recipe.model
    model = build_model(section.name, num_classes, options)
    backbone = getattr(model, "backbone", None)
    if section.init:
        donor, card = load_bundle(find_model(section.init))
        own = model.state_dict()
        fitting = {k: v for k, v in donor.state_dict().items() if k in own and own[k].shape == v.shape}
        if not fitting:
            raise ConfigError(f"model.init {section.init!r} shares no layer with network {section.name!r}")
        model.load_state_dict({**own, **fitting})
        return model, f"{card.id} ({len(fitting)} of {len(own)} tensors)"
    if section.pretrained and backbone is not None:
        if not isinstance(backbone, Backbone):
            raise ConfigError(
                f"backbone {options['backbone']!r} has no ImageNet weights of its own: start from published ones with "
                'model.init = "coco-maskrcnn", or set model.pretrained = false'
            )
        return model, load_imagenet(backbone)
    return model, "random weights"


def frozen_modules(model: nn.Module, recipe: Recipe) -> list[nn.Module]:
    """Modules that stay in evaluation mode; the frozen part of the backbone also stops learning.

    Raises:
        ConfigError: there is no backbone to freeze.
    """
    frozen: list[nn.Module] = []
    if recipe.optim.freeze_stride:
        backbone = getattr(model, "backbone", None)
        if backbone is None:
            raise ConfigError(f"optim.freeze_stride: network {recipe.model.name!r} has no backbone to freeze")
        if isinstance(backbone, Backbone):
            frozen = backbone.upto_stride(recipe.optim.freeze_stride)
        else:  # torchvision's ResNet
            end = {2: "relu", 4: "layer1", 8: "layer2", 16: "layer3", 32: "layer4"}[recipe.optim.freeze_stride]
            names = list(backbone)
            frozen = [backbone[name] for name in names[: names.index(end) + 1]]
        for module in frozen:
            module.requires_grad_(False)
    if recipe.optim.freeze_norm:
        frozen += [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return frozen


def make_preprocess(recipe: Recipe, model: nn.Module, zoom: float) -> Preprocess:
    """What the network expects: its backbone's normalisation, the recipe's size for prediction."""
    backbone = getattr(model, "backbone", None)
    mean, std = normalization(backbone.name if backbone is not None else None)
    return Preprocess(mean, std, recipe.data.predict_long_side or recipe.data.long_side, zoom=zoom)


def num_workers(recipe: Recipe, device: torch.device) -> int:
    """Loader processes; see ``data.workers``."""
    if recipe.data.workers != "auto":
        return recipe.data.workers
    return 0 if device.type == "cpu" else min(8, (os.cpu_count() or 2) - 1)


def facts(recipe: Recipe, dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """What ``run.json`` and the model's card say about how the model came to be."""
    data = recipe.data
    name = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"{device.type}, {torch.get_num_threads()} threads"
    )
    return {
        "recipe": recipe.to_dict(),
        "versions": logs.versions(),
        "data": {
            "kind": dataset.kind,
            "terms": data.terms,
            "images": {split: len(dataset.split(split)) for split in (data.train, data.val)},
            "fingerprint": {split: dataset.fingerprint(split) for split in (data.train, data.val)},
        },
        "device": name,
    }


def make_card(
    recipe: Recipe,
    task: Task,
    options: Mapping[str, Any],
    labels: LabelSet,
    preprocess: Preprocess,
    facts: Mapping[str, Any],
    state: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> ModelCard:
    """The card of a model as it is now: `facts` of the run, its ``state``, and what was measured by split."""
    told = ("versions", "start", "device", "processes", "precision", "parameters", "steps")
    return ModelCard(
        name=recipe.name,
        network=recipe.model.name,
        options=options,
        label_set=labels,
        preprocess=preprocess,
        task=task.name,
        data=facts["data"],
        metrics=metrics,
        recipe=recipe.to_dict(),
        training={key: facts[key] for key in told} | {"step": state["step"], "seconds": round(state["seconds"], 1)},
    )

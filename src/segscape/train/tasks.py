"""What differs between learning label maps and learning objects: samples, loss, and how good a model is.

The loop (`segscape.train.loop`) knows a `Task` and nothing of either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from segscape.data.frequencies import class_frequencies
from segscape.data.instance_transforms import InstanceTransform
from segscape.data.sample import Dataset, InstanceSample, Item
from segscape.data.transforms import TrainTransform
from segscape.evaluate.coco import COCO_DETECTIONS, CocoScores, average_precisions
from segscape.evaluate.image_objects import Instances
from segscape.evaluate.matching import best_min_score, match, overlaps
from segscape.evaluate.metrics import ConfusionMatrix
from segscape.losses import WeightedSum, build_loss, class_weights
from segscape.predict.objects import detect, object_regions
from segscape.preprocess import Preprocess
from segscape.result import Segmentation
from segscape.runtime.inference import classify, run_network
from segscape.runtime.torch_engine import TorchDetector, TorchEngine
from segscape.train.recipe import Recipe


class Task(Protocol):
    """See the module.

    Attributes:
        name: "semantic" or "instance", as on the model's card.
        metric: what the best model is chosen by: the key of `summary`'s row and of the card's metrics.
        shown: the metric's name for people.
    """

    name: str
    metric: str
    shown: str

    def sample(self, item: Item, rng: np.random.Generator) -> tuple[Tensor, Any]:
        """An augmented image (3, h, w) uint8 and its target."""
        ...

    def loss(self, net: nn.Module, images: Tensor, targets: list[Any], done: float) -> Tensor:
        """The scalar to be minimised; ``done`` is the share of the run that lies behind."""
        ...

    def measure(self, model: nn.Module, preprocess: Preprocess, device: str, items: Iterable[Item]) -> Any:
        """What this process saw of a model on its part of the validation split; can be pickled.

        Raises:
            ModelError: the network's scores are not finite.
        """
        ...

    def summary(self, parts: Sequence[Any]) -> tuple[float, dict[str, float | None]]:
        """From what all processes saw: the metric, 0…1, and the row for ``val.csv``."""
        ...


class SemanticTask:
    """Label maps: weighted sum of losses, chosen by mIoU."""

    name, metric, shown = "semantic", "miou", "mIoU"

    def __init__(self, recipe: Recipe, dataset: Dataset, device: torch.device) -> None:
        counts = class_frequencies(dataset, recipe.data.train)
        self.dataset, self.labels = dataset, dataset.label_set
        self.criterion: WeightedSum = build_loss(
            recipe.loss or ({"name": "cross_entropy"},),
            num_classes=len(self.labels),
            ignore_index=self.labels.ignore_index,
            class_pixels=counts.class_pixels,
            class_image_pixels=counts.class_image_pixels,
        ).to(device)
        rare = tuple(class_weights("inverse_log", counts.class_pixels).tolist()) if recipe.augment.rare else ()
        self.transform = make_transform(recipe, self.labels.ignore_index, rare)

    def sample(self, item: Item, rng: np.random.Generator) -> tuple[Tensor, Any]:
        sample = self.dataset.read(item)
        return self.transform(sample.pixels, sample.labels, rng)

    def loss(self, net: nn.Module, images: Tensor, targets: list[Any], done: float) -> Tensor:
        self.criterion.done = done
        logits = net(images)
        return self.criterion(logits, torch.stack(targets).to(images.device, non_blocking=True))

    def measure(self, model: nn.Module, preprocess: Preprocess, device: str, items: Iterable[Item]) -> np.ndarray:
        engine = TorchEngine(model, device)  # type: ignore[arg-type]
        matrix = ConfusionMatrix(len(self.labels), self.labels.ignore_index)
        for item in items:
            sample = self.dataset.read(item)
            label_map, _ = classify(run_network(engine, preprocess, sample.pixels), confidence=False)
            matrix.update(sample.labels, label_map)
        return matrix.matrix

    def summary(self, parts: Sequence[Any]) -> tuple[float, dict[str, float | None]]:
        matrix = ConfusionMatrix(len(self.labels), self.labels.ignore_index)
        matrix.matrix[:] = sum(parts)
        counts = matrix.counts
        scores = zip(self.labels.names, counts.iou().tolist(), strict=True)
        iou = {f"iou {name}": None if math.isnan(score) else score for name, score in scores}
        miou = float(np.nan_to_num(counts.mean_iou()))
        return miou, {"miou": miou, "pixel_accuracy": float(counts.pixel_accuracy()), **iou}


class InstanceTask:
    """Objects: the five losses of Mask R-CNN, chosen by COCO's AP of masks, of as many detections as there can be."""

    name, metric, shown = "instance", "map_mask_all", "mask AP"

    def __init__(self, recipe: Recipe, dataset: Dataset, max_objects: int) -> None:
        self.dataset, self.items = dataset, dataset.split(recipe.data.train)
        self.transform = InstanceTransform(make_transform(recipe, 0), recipe.augment.copy_paste)
        self.max_objects = max_objects

    def sample(self, item: Item, rng: np.random.Generator) -> tuple[Tensor, Any]:
        def another() -> InstanceSample:
            return self.dataset.read_instances(self.items[int(rng.integers(len(self.items)))])

        return self.transform(self.dataset.read_instances(item), rng, another)

    def loss(self, net: nn.Module, images: Tensor, targets: list[Any], done: float) -> Tensor:
        device = images.device
        there = [{key: value.to(device, non_blocking=True) for key, value in target.items()} for target in targets]
        return torch.stack(list(net(images, there).values())).sum()

    def measure(
        self, model: nn.Module, preprocess: Preprocess, device: str, items: Iterable[Item]
    ) -> list[tuple[Instances, Instances]]:
        engine = TorchDetector(model, device)  # type: ignore[arg-type]
        labels = self.dataset.label_set
        same = {i: i for i in range(len(labels))}
        pairs = []
        for item in items:
            sample = self.dataset.read_instances(item)
            regions = object_regions(detect(engine, preprocess, sample.pixels), sample.objects.size)
            result = Segmentation(sample.objects.size, labels, None, regions)
            pairs.append((Instances.found(result, same), Instances.true(sample.objects)))
        return pairs

    def summary(self, parts: Sequence[Any]) -> tuple[float, dict[str, float | None]]:
        names = self.dataset.label_set.names
        coco, matches = CocoScores(names, max(COCO_DETECTIONS, self.max_objects)), []
        for found, true in (pair for part in parts for pair in part):
            coco.update(found, true)
            matches.append(match(found, true, overlaps(found, true), len(names)))
        mask, box = (average_precisions(coco.precision(kind)) for kind in ("segm", "bbox"))
        chosen = best_min_score(matches) if any(len(m.scores) for m in matches) else None
        scores = {"map_mask_all": mask["map_all"], "map50_mask_all": mask["map50_all"], "map_box_all": box["map_all"]}
        row = {key: None if math.isnan(value) else value for key, value in scores.items()}
        row |= {"mean_ap": chosen and chosen.mean_ap, "min_score": chosen and chosen.min_score}
        return row[self.metric] or 0.0, row


def make_transform(recipe: Recipe, ignore_index: int, rare_weights: Sequence[float] = ()) -> TrainTransform:
    """Geometry and colour as the recipe's ``[augment]`` says."""
    options = recipe.augment.model_dump(exclude={"copy_paste"})
    return TrainTransform(
        ignore_index=ignore_index, long_side=recipe.data.long_side, rare_weights=rare_weights, **options
    )

"""Every network can learn: it overfits eight images, until 95 % of their pixels are right, or nearly all objects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscape.data import InstanceSample, Sample, open_dataset
from segscape.data.instance_transforms import make_target
from segscape.data.objects import Objects, objects_from_numbers
from segscape.evaluate.image_objects import Instances
from segscape.evaluate.matching import best_min_score, count, match, overlaps
from segscape.labels import Label, LabelSet
from segscape.losses import build_loss
from segscape.models import MODELS, OBJECT_MODELS, build_model
from segscape.models.backbones import Backbone, load_imagenet, normalization
from segscape.models.network import Network
from segscape.predict.objects import detect, object_regions
from segscape.preprocess import Preprocess
from segscape.result import Segmentation
from segscape.runtime.torch_engine import TorchDetector

CAMVID = Path(__file__).parents[2].parent / "shared" / "data" / "camvid"
COUNT, BATCH, GOAL = 8, 4, 0.95
LR = 5e-3
FULL, HALF, THIRD = (480, 360), (240, 180), (160, 120)  # width, height

# Name, options, image size, epochs at most. FCN-32s needs the full size: at half of it the best possible scores on a
# grid of stride 32 give 94 % of the pixels. The original U-Net has no ImageNet start and needs more epochs.
CASES: list[tuple[str, dict[str, Any], tuple[int, int], int]] = [
    ("fcn", {"variant": "32s"}, FULL, 120),
    ("fcn", {"variant": "16s"}, HALF, 100),
    ("fcn", {"variant": "8s"}, HALF, 100),
    ("unet", {"base_channels": 16}, THIRD, 200),
    ("unet_backbone", {"decoder_channels": (64, 48, 32, 24, 16)}, HALF, 100),
    ("deeplabv3", {"output_stride": 8, "aspp_channels": 64}, HALF, 100),
    ("deeplabv3plus", {"aspp_channels": 64, "decoder_channels": 64}, HALF, 100),
]
# Name, options, epochs at most.
OBJECT_CASES: list[tuple[str, dict[str, Any], int]] = [
    ("mask_rcnn", {"channels": 64, "box_channels": 256, "anchor_sizes": (16, 32, 64), "samples": 128}, 150),
]
OBJECT_LABELS = LabelSet("shapes", (Label("disc", (200, 60, 50), thing=True), Label("box", (50, 80, 200), thing=True)))
OBJECT_GOAL = 0.95  # TP / (TP + FP + FN) at IoU 0.5
IDS = [" ".join([name, *map(str, list(options.values())[:1])]) for name, options, *_ in CASES]


def shapes(count: int, width: int, height: int) -> list[Sample]:
    """Noisy drawings for where CamVid is not: 0 ground, 1 disc, 2 box; 3 is ignored, as CamVid's void."""
    random = np.random.default_rng(0)
    colors = np.array([(90, 110, 90), (200, 60, 50), (50, 80, 200), (0, 0, 0)])
    samples = []
    for index in range(count):
        labels = np.zeros((height, width), np.uint8)
        for _ in range(3):
            x, y = int(random.integers(width)), int(random.integers(height))
            cv2.circle(labels, (x, y), int(random.integers(15, 40)), 1, -1)
            x, y = int(random.integers(width)), int(random.integers(height))
            cv2.rectangle(labels, (x, y), (x + int(random.integers(20, 80)), y + int(random.integers(20, 80))), 2, -1)
        labels[:3] = 3
        pixels = np.clip(colors[labels] + random.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
        samples.append(Sample(f"shapes/{index}", pixels, labels))
    return samples


def eight_images(width: int, height: int) -> tuple[list[Sample], int, int]:
    """Samples of that size, number of classes, ignore index."""
    if not CAMVID.is_dir():
        return shapes(COUNT, width, height), 3, 3
    dataset = open_dataset(f"camvid:{CAMVID}")
    items = dataset.split("train")
    samples = []
    for item in items[:: len(items) // COUNT][:COUNT]:
        sample = dataset.read(item)
        pixels = cv2.resize(sample.pixels, (width, height), interpolation=cv2.INTER_AREA)
        labels = cv2.resize(sample.labels, (width, height), interpolation=cv2.INTER_NEAREST)
        samples.append(Sample(sample.name, pixels, labels))
    return samples, len(dataset.label_set), dataset.label_set.ignore_index


def drawn_objects(count: int, width: int, height: int) -> list[InstanceSample]:
    """Noisy drawings of discs and boxes, up to six in each, some of which touch; the last one is empty."""
    random = np.random.default_rng(0)
    samples = []
    for index in range(count):
        numbers, labels = np.zeros((height, width), np.uint8), []
        for cell in range(6 if index < count - 1 else 0):
            y, x = (2 * (cell // 3) + 1) * height // 4, (2 * (cell % 3) + 1) * width // 6
            y, x, size = y + int(random.integers(-6, 7)), x + int(random.integers(-6, 7)), int(random.integers(8, 20))
            labels.append(int(random.integers(2)))
            if labels[-1]:
                cv2.rectangle(numbers, (x - size, y - size), (x + size, y + size), cell + 1, -1)
            else:
                cv2.circle(numbers, (x, y), size, cell + 1, -1)
        found = objects_from_numbers(numbers)
        classes = np.array(labels, np.int64)[found.ids - 1]
        objects = Objects(found.size, classes, found.boxes, found.masks, found.crowd, found.ids)
        colors = np.array([(90, 110, 90), *(OBJECT_LABELS[i].color for i in labels)])
        pixels = np.clip(colors[numbers] + random.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
        samples.append(InstanceSample(f"shapes/{index}", pixels, objects))
    return samples


def ready(name: str, num_classes: int, options: Mapping[str, Any]) -> tuple[Any, Preprocess]:
    """The network with ImageNet weights where it has a backbone, and what it wants of its input."""
    model = build_model(name, num_classes, options)
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, Backbone):
        load_imagenet(backbone)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # EfficientNet's 0.01 is for long training: here statistics would lag behind
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model, Preprocess(*normalization(backbone.name if backbone else None))


def pixel_accuracy(model: Network, x: Tensor, target: Tensor, ignore_index: int) -> float:
    model.eval()
    with torch.inference_mode():
        found = torch.cat([model(part).argmax(1) for part in x.split(BATCH)])
    model.train()
    return (found == target)[target != ignore_index].float().mean().item()


def test_every_network_is_here():
    assert {name for name, *_ in CASES} == set(MODELS)
    assert {name for name, *_ in OBJECT_CASES} == set(OBJECT_MODELS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "options", "size", "epochs"), CASES, ids=IDS)
def test_overfits_eight_images(name, options, size, epochs):
    torch.manual_seed(0)
    samples, num_classes, ignore_index = eight_images(*size)
    model, preprocess = ready(name, num_classes, options)
    x = torch.from_numpy(np.concatenate([preprocess.batch(sample.pixels) for sample in samples]))
    x = x.contiguous(memory_format=torch.channels_last)
    target = torch.from_numpy(np.stack([sample.labels for sample in samples])).long()
    loss = build_loss(
        [{"name": "cross_entropy"}], num_classes=num_classes, ignore_index=ignore_index, class_pixels=None
    )
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0)
    steps = epochs * COUNT // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.2)
    accuracies = []
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(COUNT).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[batch]), target[batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        if epoch % 10 == 0:
            accuracies.append(round(pixel_accuracy(model, x, target, ignore_index), 4))
            if accuracies[-1] >= GOAL:
                break
    assert accuracies[-1] >= GOAL, f"pixel accuracy after each ten epochs: {accuracies}"


def object_precision(model: nn.Module, preprocess: Preprocess, samples: list[InstanceSample]) -> float:
    """TP / (TP + FP + FN) at IoU 0.5, at the best lowest score."""
    engine: Any = TorchDetector(model, "cpu")  # type: ignore[arg-type]
    matches = []
    for sample in samples:
        regions = object_regions(detect(engine, preprocess, sample.pixels), sample.objects.size)
        found = Instances.found(Segmentation(sample.objects.size, OBJECT_LABELS, None, regions), {0: 0, 1: 1})
        true = Instances.true(sample.objects)
        matches.append(match(found, true, overlaps(found, true), 2))
    model.train()
    if not any(len(image.scores) for image in matches):
        return 0.0
    return float(count(matches, best_min_score(matches).min_score).sum((0, 1)).average_precision()[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "options", "epochs"), OBJECT_CASES, ids=OBJECT_MODELS)
def test_overfits_the_objects_of_eight_images(name, options, epochs):
    torch.manual_seed(0)
    samples = drawn_objects(COUNT, *THIRD)
    model, preprocess = ready(name, len(OBJECT_LABELS), options)
    x = torch.from_numpy(np.concatenate([preprocess.batch(sample.pixels) for sample in samples]))
    x = x.contiguous(memory_format=torch.channels_last)
    every = [sample.objects for sample in samples]
    targets = [make_target(torch.from_numpy(o.numbered()), o.labels, o.crowd) for o in every]
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR / 5, weight_decay=0.0)
    steps = epochs * COUNT // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR / 5, total_steps=steps, pct_start=0.2)
    scores = []
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(COUNT).split(BATCH):
            optimizer.zero_grad()
            sum(model(x[batch], [targets[i] for i in batch.tolist()]).values()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        if epoch % 10 == 0:
            scores.append(round(object_precision(model, preprocess, samples), 4))
            if scores[-1] >= OBJECT_GOAL:
                break
    assert scores[-1] >= OBJECT_GOAL, f"TP / (TP + FP + FN) at IoU 0.5 after each ten epochs: {scores}"

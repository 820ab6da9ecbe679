"""Learning: a sample on its way from disk into a batch, and a step of the optimizer."""

from __future__ import annotations

import copy
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure import ROOT, Row, row_of
from photos import many_photos
from PIL import Image

TITLE = "Learning"
ABOUT = """Photos of 480 × 360, 11 classes. A sample: photo and label map read from disk, then scale, crop, flip,
brightness, contrast, saturation, hue and blur as `recipes/street.toml` has them, on one worker; torchvision's
transforms v2 do the same to its own decoded tensors. A step: forward, loss, backward, clipping, AdamW and averaging of
the weights, of the network and batch that a recipe states, all layers learning; the peer is the same network and loss
in torch as it comes, in float32."""
NUM_PHOTOS, SIZE = 16, (360, 480)


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return "" if find_spec("torchvision") else "torchvision is not installed"


@contextmanager
def data_set() -> Iterator[Path]:
    """A folder of photos with label maps of 11 classes in blocks."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for seed, split in enumerate(("train", "val")):
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True)
            for path in many_photos(root / "images" / split, NUM_PHOTOS, SIZE[1], SIZE[0], seed):
                blocks = rng.integers(0, 11, (9, 12)).astype(np.uint8)
                labels = cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
                Image.fromarray(labels).save(root / "labels" / split / f"{path.stem}.png")
        names = [{"name": f"class {i}", "color": [20 * i, 0, 0]} for i in range(11)]
        (root / "labels.json").write_text(json.dumps({"name": "blocks", "ignore_index": 255, "labels": names}), "utf-8")
        yield root


def recipe_for(root: Path, name: str, **changes: Any) -> Any:
    """A bundled recipe with other data, no start but random weights, and ``changes`` to its [model] and [optim]."""
    import tomllib

    from segscape.train.recipe import make_recipe

    content = tomllib.loads((ROOT / "recipes" / f"{name}.toml").read_text("utf-8"))
    content["data"] |= {"path": f"folder:{root}", "train": "train", "val": "val"}
    content["model"] = {**content["model"], "pretrained": False, **changes.pop("model", {})}
    content["model"].pop("init", None)
    content["optim"] |= {"freeze_stride": 0, "device": "cpu", **changes.pop("optim", {})}
    content["run"] = {"tensorboard": False}
    return make_recipe(content)


def sample(quick: bool) -> Row:
    import torch
    from torchvision import tv_tensors
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    from segscape.data import open_dataset
    from segscape.train.tasks import SemanticTask

    torch.set_num_threads(1)
    with data_set() as root:
        recipe = recipe_for(root, "street")
        dataset = open_dataset(recipe.data.path)
        task = SemanticTask(recipe, dataset, torch.device("cpu"))
        items, augment = dataset.split("train"), recipe.augment
        numbers = itertools.count()
        low, high = (s * 720 / 480 for s in augment.scale)  # the recipe brings photos to a long side of 720 first

        transform = v2.Compose(
            [
                v2.RandomChoice([v2.Resize(int(360 * s)) for s in np.geomspace(low, high, 12)]),
                v2.RandomCrop(augment.crop, pad_if_needed=True, fill={tv_tensors.Image: 128, tv_tensors.Mask: 255}),
                v2.RandomHorizontalFlip(augment.flip),
                v2.ColorJitter(augment.brightness, augment.contrast, augment.saturation, augment.hue),
                v2.RandomApply([v2.GaussianBlur(7, (0.1, 1.5))], augment.blur),
            ]
        )

        def ours() -> Any:
            index = next(numbers)
            return [task.sample(item, np.random.default_rng([index, i])) for i, item in enumerate(items)]

        def peer() -> Any:
            return [
                transform(
                    tv_tensors.Image(decode_image(str(item.image), ImageReadMode.RGB)),
                    tv_tensors.Mask(decode_image(str(item.labels), ImageReadMode.GRAY)),
                )
                for item in items
            ]

        assert ours()[0][0].shape == peer()[0][0].shape
        name = "torchvision transforms v2"
        per = dict.fromkeys((name, "ours"), len(items))
        return row_of("a sample", {name: peer, "ours": ours}, peer=name, quick=quick, per=per)


def step(name: str, what: str, quick: bool, **changes: Any) -> Row:
    import torch

    from segscape.progress import Progress
    from segscape.train import loop

    if quick:
        changes["optim"] = {**changes.get("optim", {}), "batch_size": 1}
    with data_set() as root:
        recipe = recipe_for(root, name, **changes)
        run = loop._Run(recipe, root / "run", False, Progress(quiet=True))
        size = recipe.optim.batch_size
        samples = [run.task.sample(item, np.random.default_rng(i)) for i, item in enumerate(run.train_items[:size])]
        images, targets = torch.stack([s[0] for s in samples]), [s[1] for s in samples]
        plain: Any = copy.deepcopy(run.model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(plain.parameters(), lr=recipe.optim.lr)
        average = copy.deepcopy(plain)

        def ours() -> float:
            torch.use_deterministic_algorithms(True)
            return run.step(images, targets, [])[0]

        def peer() -> float:
            torch.use_deterministic_algorithms(False)
            plain.train()
            optimizer.zero_grad()
            loss = run.task.criterion(plain((images.float() / 255 - run.mean) / run.std), torch.stack(targets))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), recipe.optim.clip)
            optimizer.step()
            with torch.no_grad():
                for kept, new in zip(average.state_dict().values(), plain.state_dict().values(), strict=True):
                    if kept.is_floating_point():
                        kept.lerp_(new, 1 - recipe.optim.ema)
            return float(loss.detach())

        run.task.criterion.done = 0.0
        first, other = ours(), peer()
        assert abs(first - other) < 0.05 * abs(other), f"losses of the first step differ: {first} and {other}"
        peer_name = "torch eager"
        precision = run.accelerator.mixed_precision
        row = row_of(
            what,
            {peer_name: peer, "ours": ours},
            peer=peer_name,
            quick=quick,
            seconds=40,
            least=4,
            notes=(f"ours in {'float32' if precision == 'no' else precision}, channels-last",),
        )
        run.log.close()
        return row


def unet(quick: bool) -> Row:
    # Dense convolutions, which the recipes' auto precision learns in bf16 where the CPU has it.
    changes = {"model": {"backbone": "resnet18"}, "optim": {"precision": "auto", "batch_size": 4}}
    return step("street", "a step: U-Net-R18, 4 of 576 × 432", quick, **changes)


ROWS: dict[str, Callable[[bool], Row]] = {
    "sample": sample,
    "step-unet": unet,
    "step-street": partial(step, "street", "a step: `street`'s network, 4 of 576 × 432"),
}

"""What several tests share. torch is imported inside the fixtures, so that tests without it stay quick.

``tiny_labels``      three classes: sky, road, car
``tiny_bundle``      a .safetensors bundle of an untrained U-Net for them, made once: copy it before changing it
``tiny_predictor``   that bundle, loaded once
``tiny_objects``     a bundle of an untrained Mask R-CNN that finds "car"s, made once: copy it before changing it
``run``              run("predict", "a.jpg") runs the command line in tmp_path: (exit code, stdout, stderr)
``make_photo``       make_photo("a.jpg", height=24, width=32) writes a small picture and returns its path
``make_mask_folder`` make_mask_folder(train=2, test=1) writes a mask folder data set of the tiny classes
``make_numbered``    make_numbered(train=2, test=1) writes a data set of numbered "car"s
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segscape.labels import Label, LabelSet

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SEGSCAPE_CACHE"] = tempfile.mkdtemp(prefix="segscape-tests-")  # never the user's own
TINY_LABELS = LabelSet(
    "tiny",
    (
        Label("sky", (70, 130, 180), "天空"),
        Label("road", (128, 64, 128), "道路"),
        Label("car", (0, 0, 142), "汽车", True),
    ),
)


def photo_pixels(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: soft blobs, so that neighbouring pixels are alike as in a photo."""
    import cv2

    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="session")
def tiny_labels() -> LabelSet:
    return TINY_LABELS


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from torch import nn

    from segscape.models import build_model
    from segscape.models.bundle import ModelCard, save_bundle
    from segscape.preprocess import Preprocess

    options = {"base_channels": 4, "depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model("unet", len(TINY_LABELS), options).train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # one batch sets the statistics; without it one class wins everywhere
        with torch.no_grad():
            model(torch.randn(4, 3, 32, 32))
    card = ModelCard("tiny", "unet", options, TINY_LABELS, Preprocess(), data={"kind": "folder", "terms": "none"})
    path = tmp_path_factory.mktemp("bundle") / "tiny.safetensors"
    save_bundle(path, model.state_dict(), card)
    return path


@pytest.fixture(scope="session")
def tiny_predictor(tiny_bundle: Path) -> Predictor:
    from segscape.predict.predictor import load

    return load(tiny_bundle, engine="torch", device="cpu")


@pytest.fixture(scope="session")
def tiny_objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from segscape.models import build_model
    from segscape.models.bundle import ModelCard, save_bundle
    from segscape.preprocess import Preprocess

    options = {"channels": 8, "box_channels": 8, "anchor_sizes": [8, 16], "pool_stride": 2, "max_objects": 5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model("mask_rcnn", 1, options)
    cars = LabelSet("cars", (TINY_LABELS[2],))
    data = {"kind": "numbered", "terms": "none"}
    card = ModelCard("tiny-objects", "mask_rcnn", options, cars, Preprocess(), task="instance", data=data)
    path = tmp_path_factory.mktemp("objects") / "tiny-objects.safetensors"
    save_bundle(path, model.state_dict(), card)
    return path


@pytest.fixture(autouse=True)
def _a_random_detector_gives_all_it_can(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "tiny_objects" in request.fixturenames:
        monkeypatch.setattr("segscape.predict.objects.warn_if_full", lambda *_: None)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    from segscape.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSCAPE_DEBUG", raising=False)

    def go(*arguments: object) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return go


@pytest.fixture
def make_photo(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, *, height: int = 24, width: int = 32, seed: int = 0) -> Path:
        from PIL import Image

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo_pixels(height, width, seed)).save(path)
        return path

    return make


@pytest.fixture
def make_mask_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "data", **splits: int) -> Path:
        """A data set with so many images of 24 × 32 in each split; sky above road, a car, some of it ignored."""
        import json

        from PIL import Image

        root = tmp_path / name
        seed = 0
        for split, count in splits.items():
            for part in ("images", "labels"):
                (root / part / split).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                seed += 1
                labels = np.zeros((24, 32), np.uint8)
                labels[10 + seed % 5 :] = 1
                labels[12:20, 4 + seed % 9 : 12 + seed % 9] = 2
                labels[:, -2:] = TINY_LABELS.ignore_index
                Image.fromarray(photo_pixels(seed=seed)).save(root / "images" / split / f"{i}.png")
                Image.fromarray(labels).save(root / "labels" / split / f"{i}.png")
        (root / "labels.json").write_text(json.dumps(TINY_LABELS.to_dict()), "utf-8")
        return root

    return make


@pytest.fixture
def make_numbered(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "numbered", **splits: int) -> Path:
        """A data set with so many images of 24 × 32 in each split, two cars in each; open it as "numbered:PATH"."""
        import json

        from PIL import Image

        root = tmp_path / name
        seed = 0
        for split, count in splits.items():
            for part in ("images", "labels"):
                (root / part / split).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                seed += 1
                numbers = np.zeros((24, 32), np.uint16)
                numbers[3:12, 2:12] = 1
                numbers[10 : 20 + seed % 4, 15:29] = 7
                Image.fromarray(photo_pixels(seed=seed)).save(root / "images" / split / f"{i}.png")
                Image.fromarray(numbers).save(root / "labels" / split / f"{i}.png")
        labels = LabelSet("cars", (TINY_LABELS[2],))
        (root / "labels.json").write_text(json.dumps(labels.to_dict()), "utf-8")
        return root

    return make

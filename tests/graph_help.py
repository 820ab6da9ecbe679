"""Small networks as graphs."""

from pathlib import Path

import numpy as np

from segscape.labels import LabelSet
from segscape.models.card import ModelCard
from segscape.preprocess import Preprocess

# Every network, small.
SMALL = [
    ("fcn", {}),
    ("unet", {"base_channels": 4, "depth": 2}),
    ("unet_backbone", {"decoder_channels": [16, 8]}),
    ("deeplabv3", {"aspp_channels": 8}),
    ("deeplabv3plus", {"aspp_channels": 8, "decoder_channels": 8, "low_channels": 8}),
]


def save_small(path: Path, network: str, options: dict, labels: LabelSet, seed: int = 0) -> Path:
    """A bundle of a network whose weights and statistics all differ from a new one's."""
    import torch

    from segscape.models import build_model
    from segscape.models.bundle import save_bundle

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(network, len(labels), options).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    save_bundle(path, model.state_dict(), ModelCard("small", network, options, labels, Preprocess()))
    return path


def noise(height: int, width: int, n: int = 1, seed: int = 0) -> np.ndarray:
    """(n, 3, height, width) float32."""
    return np.random.default_rng(seed).normal(size=(n, 3, height, width)).astype(np.float32)

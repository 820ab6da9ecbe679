"""The peer of the whole route: a network in torch, eager, float32, with Pillow around it, as tutorials write it.

`python benchmarks/torch_and_pillow.py PHOTO LABELS.png` is one photo in a fresh process: the same network and weights
as the bundled model `street`, and a label map at the photo's own size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from segscape.models.bundle import load_bundle
from segscape.predict.locate import find_model


class TorchAndPillow:
    """A bundled model of label maps the usual way; a path in, (H, W) uint8 out."""

    def __init__(self, name: str = "street") -> None:
        self.model, card = load_bundle(find_model(name))
        self.preprocess = card.preprocess
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (card.preprocess.mean, card.preprocess.std))

    @torch.inference_mode()
    def __call__(self, path: Path) -> np.ndarray:
        photo = Image.open(path).convert("RGB")
        size = (photo.height, photo.width)
        height, width = self.preprocess.network_size(size)
        pixels = np.array(photo.resize((width, height), Image.Resampling.BILINEAR))
        x = torch.from_numpy(pixels).permute(2, 0, 1).float().div(255)
        logits = F.interpolate(self.model(((x - self.mean) / self.std)[None]), size=size, mode="bilinear")
        return logits.argmax(1)[0].byte().numpy()


def save(label_map: np.ndarray, path: Path) -> None:
    """As a grey PNG."""
    Image.fromarray(label_map).save(path)


if __name__ == "__main__":
    save(TorchAndPillow()(Path(sys.argv[1])), Path(sys.argv[2]))

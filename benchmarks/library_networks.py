"""Networks that people use, each as its own library makes it, and as a graph for our engines with the same weights."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.models.bundle import load_bundle
from segscape.models.network import Network, gflops
from segscape.predict.locate import find_model

CLASSES = 21


@dataclass(frozen=True)
class LibraryNetwork:
    """A network.

    Attributes:
        what: its name for people.
        model: of its own library, in evaluation mode.
        scores: (model, (N, 3, H, W)) → (N, C, H, W), as that library's docs get them.
        coarse: (model, (N, 3, H, W)) → scores before the last upsampling, for sides that are multiples of 32.
        stride: of these.
        bundle: where it comes from, if it is one of ours.
    """

    what: str
    model: nn.Module
    scores: Callable[[Any, Tensor], Tensor]
    coarse: Callable[[Any, Tensor], Tensor]
    stride: int
    bundle: Path | None = None

    def label_map(self, model: Any, x: Tensor) -> Tensor:
        """(H, W) class ids, by ``model`` in place of `model`: compiled, or of another layout."""
        return self.scores(model, x).argmax(1)[0]

    def network(self) -> Network:
        """For our torch engine."""
        return _Coarse(self)

    def graph(self) -> Any:
        """For our engines."""
        from segscape.runtime.graphs import Graph, bundle_graph

        if self.bundle:
            return bundle_graph(self.bundle)
        example = np.zeros((1, 3, 64, 96), np.float32)
        content = onnx(lambda x: self.coarse(self.model, x), self.model, example, any_size=True)
        return Graph("onnx", lambda: content, 32, self.stride, self.what)

    def gflop(self, side: int) -> float:
        """10⁹ floating-point operations of one square image, the last upsampling not counted."""
        return gflops(self.network(), side, side)


class _Coarse(Network):
    def __init__(self, network: LibraryNetwork) -> None:
        super().__init__(num_classes=CLASSES, multiple=32, stride=network.stride)
        self.model, self._coarse = network.model, network.coarse

    def score(self, x: Tensor) -> Tensor:
        return self._coarse(self.model, x)


def onnx(forward: Callable[[Tensor], Tensor], model: nn.Module, x: np.ndarray, *, any_size: bool) -> bytes:
    """An ONNX model of ``forward``, which runs ``model``: "image" in, "scores" out, at the size of ``x`` or at any."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Tensor) -> Tensor:
            return forward(image)

    content = io.BytesIO()
    axes = {"image": {2: "h", 3: "w"}, "scores": {2: "score_h", 3: "score_w"}} if any_size else None
    torch.onnx.export(
        Whole().eval(),
        (torch.from_numpy(x),),
        content,  # type: ignore[arg-type]  # what the older exporter takes as well
        dynamo=False,  # the newer takes minutes for some of these
        opset_version=17,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes=axes,
    )
    return content.getvalue()


@torch.no_grad()
def settled(model: nn.Module) -> nn.Module:
    """Random weights whose batch norms fit them: else scores explode, and rounding with them."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
    model.train()
    for seed in range(2):
        model(torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(seed)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def _torchvision(what: str, name: str, stride: int) -> LibraryNetwork:
    from torchvision.models import segmentation

    torch.manual_seed(0)
    model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=CLASSES)

    def coarse(model: Any, x: Tensor) -> Tensor:
        features = model.backbone(x)
        return model.classifier(features if "low" in features else features["out"])

    return LibraryNetwork(what, settled(model), lambda m, x: m(x)["out"], coarse, stride)


def _smp() -> LibraryNetwork:
    from segmentation_models_pytorch import Unet

    torch.manual_seed(0)
    model = settled(Unet("resnet34", encoder_weights=None, classes=CLASSES))
    return LibraryNetwork("U-Net-R34 (segmentation-models-pytorch)", model, _call, _call, 1)


def _ours(name: str) -> LibraryNetwork:
    bundle = find_model(name)
    model: Any = load_bundle(bundle)[0]
    return LibraryNetwork(f"`{name}`, 11 classes", model, _call, lambda m, x: m.low_logits(x), model.stride, bundle)


def _segformer() -> LibraryNetwork:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=CLASSES)).eval()  # the defaults are B0

    def scores(model: Any, x: Tensor) -> Tensor:
        return F.interpolate(model(pixel_values=x).logits, size=x.shape[-2:], mode="bilinear", align_corners=False)

    return LibraryNetwork("SegFormer-B0 (transformers)", model, scores, lambda m, x: m(pixel_values=x).logits, 4)


def _call(model: Any, x: Tensor) -> Tensor:
    return model(x)


NETWORKS: dict[str, Callable[[], LibraryNetwork]] = {
    "fcn-r50": lambda: _torchvision("FCN-R50 (torchvision)", "fcn_resnet50", 8),
    "deeplabv3-r50": lambda: _torchvision("DeepLabV3-R50 (torchvision)", "deeplabv3_resnet50", 8),
    "deeplabv3-mnv3": lambda: _torchvision("DeepLabV3-MobileNetV3 (torchvision)", "deeplabv3_mobilenet_v3_large", 16),
    "lraspp-mnv3": lambda: _torchvision("LRASPP-MobileNetV3 (torchvision)", "lraspp_mobilenet_v3_large", 8),
    "unet-r34": _smp,
    "street-unet": lambda: _ours("street-unet"),
    "street": lambda: _ours("street"),
    "segformer-b0": _segformer,
}

"""What docs/networks.md shows of our code: its tables, which `make docs` writes, and its pictures.

    python docs/networks.py                 the tables (a second; no weights are needed)
    python docs/networks.py --diagrams      docs/networks/border-weights.png and docs/networks/atrous.png
    python docs/networks.py --skips runs/fcn-32s runs/fcn-16s runs/fcn-8s --photo examples/photos/street.jpg
                                            docs/networks/skips.jpg: one photo through FCN-32s, 16s and 8s, each a
                                            bundled model's name, a bundle or a run folder; then the tables again

Photos come from examples/photos: images of a data set must not enter the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from build import ROOT, replace_between
from torch import nn

import segscape
from segscape.files import atomic_write, write_text
from segscape.losses import boundary_weight_map
from segscape.models import MODELS, build_model
from segscape.models.network import gflops, num_parameters
from segscape.render import color_labels, side_by_side, write_jpeg

PAGE = ROOT / "docs" / "networks.md"
PICTURES = ROOT / "docs" / "networks"
PHOTO_SIZE = (360, 480)  # height, width of CamVid's photos
NUM_CLASSES = 11
PANEL_WIDTH_PX = 360
FILES = {
    "FCN": "fcn.py",
    "UNet": "unet.py",
    "UNetBackbone": "unet.py",
    "DeepLabV3": "deeplab.py",
    "DeepLabV3Plus": "deeplab.py",
}


class Stage(NamedTuple):
    """A row of a table: ``part`` is "in" or "out" of the module, or which of a backbone's features."""

    what: str
    module: str
    part: str | int = "out"


def unet_stages(depth: int = 4) -> list[Stage]:
    rows = [Stage("photo, padded to a multiple of 16", "down.0", "in")]
    for i in range(depth + 1):
        rows.append(Stage("halved, two convolutions" if i else "two convolutions", f"down.{i}"))
    for i in range(depth):
        rows.append(Stage("up-convolution: size × 2, channels ÷ 2", f"up.{i}"))
        rows.append(Stage("joined with the skip of this size", f"merge.{i}", "in"))
        rows.append(Stage("two convolutions", f"merge.{i}"))
    return [*rows, Stage("1 × 1 convolution to the classes", "head"), Stage("cut to the photo's size", "")]


STAGES: dict[str, tuple[str, dict[str, Any], list[Stage]]] = {
    "fcn": (
        "fcn",
        {"variant": "8s"},
        [
            Stage("photo, padded to a multiple of 32", "backbone", "in"),
            *(Stage(f"backbone, stride {2 ** (i + 1)}", "backbone", i) for i in range(5)),
            Stage("head: class scores at stride 32", "head"),
            Stage("transposed convolution × 2", "ups.0"),
            Stage("scores from stride 16, added", "skips.0"),
            Stage("transposed convolution × 2", "ups.1"),
            Stage("scores from stride 8, added", "skips.1"),
            Stage("bilinear × 8, cut to the photo's size", ""),
        ],
    ),
    "unet": ("unet", {}, unet_stages()),
    "deeplab": (
        "deeplabv3plus",
        {},
        [
            Stage("photo, padded to a multiple of 16", "backbone", "in"),
            *(Stage(f"backbone, stride {2 ** (i + 1)}", "backbone", i) for i in range(4)),
            Stage("backbone's last stage, dilated: stride stays 16", "backbone", 4),
            Stage("ASPP: five branches side by side", "aspp.project", "in"),
            Stage("ASPP, projected", "aspp"),
            Stage("stride-4 features, reduced", "reduce"),
            Stage("ASPP × 4, joined with them", "decoder", "in"),
            Stage("decoder: two 3 × 3 convolutions", "decoder"),
            Stage("1 × 1 convolution to the classes", "head"),
            Stage("bilinear × 4, cut to the photo's size", ""),
        ],
    ),
}


def shapes(name: str, options: dict[str, Any], stages: Sequence[Stage]) -> list[tuple[int, ...]]:
    """(C, H, W) at each stage of the real network for a 480 × 360 photo, by forward hooks.

    On torch's meta device, which computes shapes and no values: it takes no time and needs no weights.
    """
    seen: dict[tuple[str, str | int], tuple[int, ...]] = {}

    def record(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
            seen[path, "in"] = tuple(inputs[0].shape[1:])
            for part, tensor in enumerate(output) if isinstance(output, list) else [("out", output)]:
                seen[path, part] = tuple(tensor.shape[1:])

        return hook

    with torch.device("meta"):
        model = build_model(name, NUM_CLASSES, options).eval()
        for path, module in model.named_modules():
            if path in {stage.module for stage in stages}:
                module.register_forward_hook(record(path))
        model(torch.empty(1, 3, *PHOTO_SIZE))
    return [seen[stage.module, stage.part] for stage in stages]


def stage_table(name: str, options: dict[str, Any], stages: Sequence[Stage]) -> str:
    """The stages of a network as a Markdown table."""
    rows = ["| stage | in the code | channels × height × width |", "|---|---|---|"]
    for stage, shape in zip(stages, shapes(name, options, stages), strict=True):
        code = f"`{stage.module}`" if stage.module else "the network"
        if isinstance(stage.part, int):
            code += f"[{stage.part}]"
        elif stage.part == "in":
            code = f"into {code}"
        rows.append(f"| {stage.what} | {code} | {' × '.join(map(str, shape))} |")
    return "\n".join(rows)


def network_table() -> str:
    """All networks with their default options."""
    rows = [
        "| in a recipe | class | scores are made at | their grid | parameters | GFLOPs |",
        "|---|---|---|---|---|---|",
    ]
    for name, cls in MODELS.items():
        with torch.device("meta"):
            model = build_model(name, NUM_CLASSES).eval()
            grid = model.low_logits(torch.empty(1, 3, *PHOTO_SIZE)).shape[-2:]
            cost = f"{num_parameters(model) / 1e6:.2f} M | {gflops(model, *PHOTO_SIZE):.1f}"
        link = f"[`{cls.__name__}`](../src/segscape/models/{FILES[cls.__name__]})"
        stride = f"stride {model.stride}" if model.stride > 1 else "full size"
        rows.append(f"| `{name}` | {link} | {stride} | {grid[1]} × {grid[0]} | {cost} |")
    return "\n".join(rows)


def skips_picture() -> str:
    """The picture of what each skip adds, once it has been drawn."""
    if not (PICTURES / "skips.jpg").exists():
        return "*(A photo through all three follows when they are trained; docs/networks.py draws it.)*"
    return "![One photo through FCN-32s, FCN-16s and FCN-8s](networks/skips.jpg)"


def written(page: str) -> str:
    """The page with every generated part as it should be."""
    parts = {f"stages of {key}": stage_table(*network) for key, network in STAGES.items()}
    parts |= {"networks": network_table(), "what each skip adds": skips_picture()}
    for key, content in parts.items():
        begin, end = f"<!-- {key}: written by `make docs` -->", f"<!-- end of {key} -->"
        page = replace_between(page, begin, end, content)
    return page


def draw_skips(models: Sequence[str], photo: Path, path: Path) -> None:
    """The photo and what FCN-32s, 16s and 8s see in it, side by side, as JPEG."""
    panels = []
    for title, model in zip(("FCN-32s", "FCN-16s", "FCN-8s"), models, strict=True):
        result = segscape.load(model, device="cpu").predict(photo, refine="none")
        assert result.image is not None
        assert result.label_map is not None
        if not panels:
            panels.append(("photo", result.image.pixels))
        panels.append((title, color_labels(result.label_map, result.label_set)))
    height, width = result.size
    size = (PANEL_WIDTH_PX, round(height * PANEL_WIDTH_PX / width))
    smaller = [(title, cv2.resize(picture, size, interpolation=cv2.INTER_AREA)) for title, picture in panels]
    write_jpeg(path, side_by_side(smaller), quality=88)


def draw_border_weights(path: Path) -> None:
    """A label map of touching cells and the border term of U-Net's weight map on it, as PNG."""
    from matplotlib.figure import Figure

    cells = np.zeros((96, 144), np.uint8)
    shapes_px = (((30, 28), (20, 17)), ((68, 26), (15, 16)), ((50, 66), (24, 17)), ((112, 42), (21, 30)))
    for number, (centre, axes) in enumerate(shapes_px, 1):
        cell = cv2.ellipse(np.zeros_like(cells), centre, axes, 15 * number, 0, 360, 1, -1)
        cells[(cell > 0) & (cv2.dilate(cells, np.ones((3, 3), np.uint8)) == 0)] = 1  # never quite touching
    weights = boundary_weight_map(cells, w0=10, sigma=5, background=0, ignore_index=255)
    figure = Figure(figsize=(8, 2.9), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(cells, cmap="gray", interpolation="nearest")
    left.set_title("labels: 1 cell, 0 background", fontsize=10)
    shown = right.imshow(1 + weights, cmap="magma", interpolation="nearest")
    right.set_title("w(x) = 1 + 10 exp(−(d1 + d2)² / (2 · 5²))", fontsize=10)
    right.contour(cells, levels=[0.5], colors="#7d8590", linewidths=0.7)
    figure.colorbar(shown, ax=right, shrink=0.9)
    for axes in (left, right):
        axes.set_axis_off()
    _save(figure, path)


def draw_atrous(path: Path) -> None:
    """The pixels that a 3 × 3 filter reads at rates 1, 2 and 4, as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(8, 3.05), dpi=110, layout="constrained")
    side, centre = 11, 5
    for axes, rate in zip(figure.subplots(1, 3), (1, 2, 4), strict=True):
        image = torch.zeros(1, 1, side, side, requires_grad=True)
        kernel = torch.ones(1, 1, 3, 3)
        nn.functional.conv2d(image, kernel, padding=rate, dilation=rate)[0, 0, centre, centre].backward()
        assert image.grad is not None
        read = image.grad[0, 0].numpy() > 0
        reach = 2 * rate + 1
        for y, x in np.ndindex(side, side):
            inside = max(abs(y - centre), abs(x - centre)) <= rate
            color = "#1a5fb4" if read[y, x] else "#dbe6f4" if inside else "#ffffff"
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=color, edgecolor="#b9c0c9", linewidth=0.6))
        axes.set_title(f"rate {rate}: 9 weights, {reach} × {reach} pixels", fontsize=10)
        axes.set(xlim=(-0.1, side + 0.1), ylim=(side + 0.1, -0.1), aspect="equal")
        axes.set_axis_off()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diagrams", action="store_true", help="draw the two diagrams")
    parser.add_argument("--skips", nargs=3, metavar=("FCN32S", "FCN16S", "FCN8S"), help="draw one photo through them")
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "photos" / "street.jpg")
    options = parser.parse_args()
    if options.diagrams:
        draw_border_weights(PICTURES / "border-weights.png")
        draw_atrous(PICTURES / "atrous.png")
    if options.skips:
        draw_skips(options.skips, options.photo, PICTURES / "skips.jpg")
    write_text(PAGE, written(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()

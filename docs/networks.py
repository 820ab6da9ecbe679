"""What docs/networks.md shows of our code: its tables, which `make docs` writes, and its pictures.

    python docs/networks.py                 the tables (seconds; no weights are needed)
    python docs/networks.py --diagrams      border-weights.png, atrous.png and roialign.png in docs/networks
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
from segscape.render import color_labels, side_by_side
from segscape.result_files import write_jpeg

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
    """A row of a table: ``part`` is "in" or "out" of the module, or which one where it gives a list or a dict."""

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

NUCLEI_OPTIONS: dict[str, Any] = {
    "backbone": "tf_efficientnet_lite0",
    "channels": 96,
    "box_channels": 512,
    "samples": 128,
    "anchor_sizes": [10, 20, 40, 80],
    "anchor_stride": 4,
    "pool_stride": 2,
    "max_objects": 500,
}
OBJECT_STAGES = [
    Stage("image, a multiple of 32 already", "backbone", "in"),
    *(Stage(f"backbone, stride {2 ** (i + 1)}", "backbone", i) for i in range(5)),
    *(Stage(f"pyramid, stride {2 ** (i + 1)}", "fpn", str(i)) for i in range(5)),
    Stage("RPN at stride 4 (then at 8, 16 and 32 with the same weights)", "rpn.head.conv"),
    Stage("objectness of 3 anchors a place", "rpn.head.cls_logits"),
    Stage("4 offsets of each of the 3", "rpn.head.bbox_pred"),
    Stage("RoIAlign, of each proposal", "roi_heads.box_roi_pool"),
    Stage("two fully connected layers", "roi_heads.box_head"),
    Stage("scores: background, nucleus", "roi_heads.box_predictor.cls_score"),
    Stage("4 offsets for each of the two", "roi_heads.box_predictor.bbox_pred"),
    Stage("RoIAlign, of each box that is kept", "roi_heads.mask_roi_pool"),
    Stage("four 3 × 3 convolutions", "roi_heads.mask_head"),
    Stage("transposed convolution × 2", "roi_heads.mask_predictor.conv5_mask"),
    Stage("masks: background (never used), nucleus", "roi_heads.mask_predictor.mask_fcn_logits"),
]


def watch(model: nn.Module, stages: Sequence[Stage]) -> dict[tuple[str, str | int], tuple[int, ...]]:
    """What fills with the shape at each stage, without the batch, when the model runs; of several calls the first."""
    seen: dict[tuple[str, str | int], tuple[int, ...]] = {}

    def record(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            parts: dict[str | int, Any] = {"in": inputs[0], "out": output}
            if isinstance(output, (list, dict)):
                parts |= output if isinstance(output, dict) else dict(enumerate(output))
            for part, tensor in parts.items():
                if isinstance(tensor, torch.Tensor):
                    seen.setdefault((path, part), tuple(tensor.shape[1:]))

        return hook

    for path, module in model.named_modules():
        if path in {stage.module for stage in stages}:
            module.register_forward_hook(record(path))
    return seen


def stage_row(stage: Stage, shape: tuple[int, ...]) -> str:
    """The first three cells of a row."""
    code = f"`{stage.module}`" if stage.module else "the network"
    if stage.part == "in":
        code = f"into {code}"
    elif stage.part != "out":
        code += f"[{stage.part}]" if isinstance(stage.part, int) else f'["{stage.part}"]'
    return f"| {stage.what} | {code} | {' × '.join(map(str, shape))} |"


def stage_table(name: str, options: dict[str, Any], stages: Sequence[Stage]) -> str:
    """The stages of a network for a 480 × 360 photo as a Markdown table.

    On torch's meta device, which computes shapes and no values: it takes no time and needs no weights.
    """
    with torch.device("meta"):
        model = build_model(name, NUM_CLASSES, options).eval()
        seen = watch(model, stages)
        model(torch.empty(1, 3, *PHOTO_SIZE))
    rows = [stage_row(stage, seen[stage.module, stage.part]) for stage in stages]
    return "\n".join(["| stage | in the code | channels × height × width |", "|---|---|---|", *rows])


def object_table() -> str:
    """The stages of the nuclei's Mask R-CNN for one image of 256 × 256 as a Markdown table, with parameters.

    A module's parameters stand in its last row.
    """
    model: Any = build_model("mask_rcnn", 1, NUCLEI_OPTIONS).eval()
    model.roi_heads.score_thresh = 1.0  # no object is found: no shape depends on how many are, but the time does
    seen = watch(model, OBJECT_STAGES)
    with torch.inference_mode():
        model.detect(torch.zeros(1, 3, 256, 256))
    last = {stage.module: stage for stage in OBJECT_STAGES}
    rows = ["| stage | in the code | channels × height × width | parameters |", "|---|---|---|---|"]
    for stage in OBJECT_STAGES:
        own = num_parameters(model.get_submodule(stage.module)) if last[stage.module] is stage else 0
        rows.append(f"{stage_row(stage, seen[stage.module, stage.part])} {f'{own:,}' if own else ''} |")
    return "\n".join([*rows, f"| together | the network | | {num_parameters(model):,} |"])


def network_table() -> str:
    """All networks with their default options."""
    rows = [
        "| in a recipe | class | scores are made at | their grid | parameters | GFLOPs |",
        "|---|---|---|---|---|---|",
    ]
    for name, cls in MODELS.items():
        with torch.device("meta"):
            model: Any = build_model(name, NUM_CLASSES).eval()
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
    parts |= {
        "networks": network_table(),
        "what each skip adds": skips_picture(),
        "stages of mask_rcnn": object_table(),
    }
    for key, content in parts.items():
        begin, end = f"<!-- {key}: written by `make docs` -->", f"<!-- end of {key} -->"
        page = replace_between(page, begin, end, content)
    return page


def draw_skips(models: Sequence[str], photo: Path, path: Path) -> None:
    """The photo and what FCN-32s, 16s and 8s see in it, side by side, as JPEG."""
    panels = []
    for title, model in zip(("FCN-32s", "FCN-16s", "FCN-8s"), models, strict=True):
        result = segscape.load(model, engine="torch", device="cpu").predict(photo, refine="none")
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


def draw_roialign(path: Path) -> None:
    """Which features RoIPool and RoIAlign read for 2 × 2 bins of a box at stride 16, as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    stride, box_px = 16, np.array([[100, 22], [150, 70]])  # (x, y) of its corners, in pixels of the image
    box = box_px / stride
    figure = Figure(figsize=(8, 3.3), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    features = np.stack(np.meshgrid(np.arange(5, 12), np.arange(0, 7)), axis=-1).reshape(-1, 2)
    colors = np.array(["#1a5fb4", "#c64600", "#26a269", "#813d9c"])

    first, last = np.rint(box).astype(int)
    inside = features[((features >= first) & (features <= last)).all(axis=1)]
    halves = (inside - first) * 2 // (last - first + 1)
    for number in range(4):
        corner = first + (last - first + 1) * np.array([number % 2, number // 2]) / 2 - 0.5
        size = (last - first + 1) / 2
        left.add_patch(Rectangle(corner, *size, facecolor="none", edgecolor=colors[number], linewidth=1.6))
    left.set_title("RoIPool: rounded to whole features, the largest of each bin", fontsize=9)

    right.scatter(*features.T, s=16, color="#b9c0c9", zorder=2)
    left.scatter(*features.T, s=16, color="#b9c0c9", zorder=2)
    left.scatter(*inside.T, s=34, color=colors[halves[:, 0] + 2 * halves[:, 1]], zorder=3)
    step = (box[1] - box[0]) / 4
    samples = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2)
    points, bins = box[0] + (samples + 0.5) * step, samples // 2
    for number in range(4):
        corner = box[0] + 2 * step * np.array([number % 2, number // 2])
        right.add_patch(Rectangle(corner, *(2 * step), facecolor="none", edgecolor=colors[number], linewidth=1.6))
    right.scatter(*points.T, s=22, marker="x", color=colors[bins[:, 0] + 2 * bins[:, 1]], zorder=3)
    for neighbour in (np.floor(points[0]) + np.array(offset) for offset in ((0, 0), (1, 0), (0, 1), (1, 1))):
        right.plot(*np.stack((points[0], neighbour)).T, color=colors[0], linewidth=0.8)
    right.set_title("RoIAlign: nothing rounded, 4 places a bin, interpolated", fontsize=9)

    for axes in (left, right):
        axes.add_patch(Rectangle(box[0], *(box[1] - box[0]), fill=False, edgecolor="black", linestyle="--"))
        axes.set(xlim=(4.6, 11.4), ylim=(6.4, -0.4), aspect="equal")
        axes.set_xticks(range(5, 12), [str(stride * i) for i in range(5, 12)], fontsize=8)
        axes.set_yticks(range(7), [str(stride * i) for i in range(7)], fontsize=8)
        axes.set_xlabel("x in pixels of the image", fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diagrams", action="store_true", help="draw the three diagrams")
    parser.add_argument("--skips", nargs=3, metavar=("FCN32S", "FCN16S", "FCN8S"), help="draw one photo through them")
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "photos" / "street.jpg")
    options = parser.parse_args()
    if options.diagrams:
        draw_border_weights(PICTURES / "border-weights.png")
        draw_atrous(PICTURES / "atrous.png")
        draw_roialign(PICTURES / "roialign.png")
    if options.skips:
        draw_skips(options.skips, options.photo, PICTURES / "skips.jpg")
    write_text(PAGE, written(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()

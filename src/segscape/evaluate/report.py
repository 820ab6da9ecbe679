"""What people read of a `SemanticReport`: a page, two pictures, a JSON file, a table on the screen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import DataError
from segscape.evaluate import ratio
from segscape.evaluate.page import (
    Theme,
    draw_figures,
    encode,
    headline,
    new_figure,
    percent,
    reread,
    span,
    style,
    write_page,
)
from segscape.evaluate.semantic import DEFINITIONS, SemanticReport
from segscape.ignore import valid_mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from segscape.data.sample import Dataset, Sample
    from segscape.labels import LabelSet
    from segscape.result import Segmentation

_WRONG_RGB = (230, 30, 70)
_IGNORED_RGB = (128, 128, 128)
_PANEL_WIDTH_PX = 480
_MOST_CLASSES_WITH_NUMBERS = 30
_SCORES = {
    "accuracy": ("accuracy", "class_accuracy", "accuracy"),
    "dice_per_class": ("Dice", "dice", "dice"),
    "boundary_f_per_class": ("boundary F", "boundary_f", "boundary_f"),
    "boundary_iou_per_class": ("boundary IoU", "boundary_iou", "boundary_iou"),
}  # field by class -> heading, field of the mean, definition


def write_report(
    report: SemanticReport,
    folder: str | os.PathLike[str],
    dataset: Dataset,
    predict: Callable[[Sample], Segmentation],
    num_worst: int = 6,
    num_best: int = 3,
) -> dict[str, Path]:
    """Write report.json, confusion_matrix.png, reliability.png (given a confidence) and report.html into ``folder``.

    The page is one file with its images inside, and needs no network. It shows the images of lowest and highest
    mIoU, for which ``predict`` runs once more.

    Args:
        report: from `segscape.evaluate.semantic.evaluate_semantic` with the same ``dataset`` and ``predict``.
        folder: made when missing; each file in it is replaced whole.
        num_worst: images of lowest mIoU to show.
        num_best: images of highest mIoU to show; none is shown twice.

    Returns:
        The paths written, by their stem, and "json" for report.json.

    Raises:
        ConfigError: matplotlib or jinja2 is not installed.
        DataError: ``dataset`` is not the one the report is of.
        ResourceError, InputError: a file cannot be written.
    """
    figures: dict[str, Callable[[SemanticReport, Theme], Figure]] = {"confusion_matrix": _confusion_figure}
    if report.reliability:
        figures["reliability"] = _reliability_figure
    drawn = draw_figures(report, figures)
    worst, best = _extremes(report, dataset, predict, num_worst, num_best)
    pixels = report.confusion_matrix.sum(1)
    values = {
        "scores": _SCORES,
        "definitions": DEFINITIONS,
        "shares": dict(zip(report.iou, pixels / max(1, pixels.sum()), strict=True)),
        "worst": worst,
        "best": best,
    }
    return write_page(Path(folder), "report.html.jinja", report, drawn, values)


def render_table(report: SemanticReport) -> Table:
    """The scores by class and their means, in percent, as a table for a `rich` console."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{headline(report)}: {report.num_images} images"),
        caption=Text(
            f"pixel accuracy {percent(report.pixel_accuracy)} · frequency-weighted IoU {percent(report.fwiou)} · "
            f"calibration error {percent(report.ece)} · {report.seconds_per_image * 1000:.0f} ms an image"
            + (f"\n{partition_line(report.partition)}" if report.partition else "")
        ),
        show_footer=True,
    )
    table.add_column("class (in %)", "mean")
    table.add_column("IoU", percent(report.miou), justify="right")
    table.add_column("95 % interval", span(report.miou_interval), justify="right")
    for heading, mean, _ in _SCORES.values():
        table.add_column(heading, percent(getattr(report, mean)), justify="right")
    for name, iou in report.iou.items():
        scores = [percent(getattr(report, field)[name]) for field in _SCORES]
        table.add_row(Text(name), percent(iou), span(report.iou_interval[name]), *scores)
    return table


def partition_line(partition: Mapping[str, Any]) -> str:
    """The scores of `PartitionReport.to_dict` in one line."""
    rand, information = partition["best_rand"], partition["best_information"]
    return (
        f"V_Rand {percent(rand['rand']['f'])} · V_info {percent(information['information']['f'])} "
        f"{'after' if partition['thin'] else 'without'} thinning · "
        f"challenge's pixel error {percent(partition['challenge_pixel_error'])}"
    )


def _extremes(
    report: SemanticReport,
    dataset: Dataset,
    predict: Callable[[Sample], Segmentation],
    num_worst: int,
    num_best: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images of lowest and of highest mIoU, each with its four panels."""
    scored = [i for i, image in enumerate(report.per_image) if image["miou"] is not None]
    order = sorted(scored, key=lambda i: report.per_image[i]["miou"])
    worst = order[:num_worst]
    best = order[len(worst) :][::-1][:num_best]

    def show(index: int) -> dict[str, Any]:
        sample = reread(report, dataset, index, dataset.read)
        return {**report.per_image[index], "panels": _panels(sample, predict(sample), report.label_set)}

    return [show(i) for i in worst], [show(i) for i in best]


def _panels(sample: Sample, result: Segmentation, label_set: LabelSet) -> dict[str, str]:
    """Heading -> data URI: photo, prediction, truth, errors; at most `_PANEL_WIDTH_PX` wide."""
    import cv2

    from segscape.render import color_labels

    if result.label_map is None:
        raise DataError(f"{sample.name}: the model gave no label map this time; pass the predict that was evaluated")
    height, width = sample.labels.shape
    scale = min(1.0, _PANEL_WIDTH_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = cv2.resize(sample.pixels, size, interpolation=cv2.INTER_AREA)
    truth = cv2.resize(sample.labels, size, interpolation=cv2.INTER_NEAREST)
    prediction = cv2.resize(result.label_map, size, interpolation=cv2.INTER_NEAREST)

    valid = valid_mask(truth, label_set.ignore_index)
    errors = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 96, 3, axis=2)
    errors[~valid] = _IGNORED_RGB
    errors[valid & (truth != prediction)] = _WRONG_RGB
    return {
        "photo": encode(photo, "jpg"),
        "prediction": encode(color_labels(prediction, label_set), "png"),
        "truth": encode(color_labels(truth, label_set), "png"),
        "errors": encode(errors, "jpg"),
    }


def _confusion_figure(report: SemanticReport, colors: Theme) -> Figure:
    """Rows normalised to the true pixels of the class, in percent."""
    names = report.label_set.names
    rows = ratio(report.confusion_matrix, np.broadcast_to(report.confusion_matrix.sum(1)[:, None], (len(names),) * 2))
    numbers = len(names) <= _MOST_CLASSES_WITH_NUMBERS
    side = 1.8 + len(names) * (0.5 if numbers else 0.16)
    figure = new_figure(max(4.2, side + 0.4), max(3.8, side), colors)
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    axes = figure.add_subplot()
    ramp = LinearSegmentedColormap.from_list("share", [colors["paper"], colors["accent"]])
    # The square root lets confusions of a few percent be seen beside a diagonal near 100.
    axes.imshow(np.sqrt(np.nan_to_num(rows)), cmap=ramp, vmin=0, vmax=1)
    style(axes, colors)
    edges = np.arange(len(names) + 1) - 0.5
    axes.hlines(edges, -0.5, len(names) - 0.5, color=colors["line"], linewidth=0.5)
    axes.vlines(edges, -0.5, len(names) - 0.5, color=colors["line"], linewidth=0.5)
    font: dict[str, Any] = {"size": 9 if numbers else 6, "parse_math": False}
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", **font)
    axes.set_yticks(range(len(names)), names, **font)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for (t, p), share in np.ndenumerate(rows) if numbers else ():
        if np.isnan(share) or share < 0.005:
            continue
        cell = np.mean(ramp(np.sqrt(share))[:3])
        ink = max((colors["paper"], colors["ink"]), key=lambda color: abs(np.mean(to_rgb(color)) - cell))
        weight = "bold" if t == p else "normal"
        axes.text(p, t, f"{100 * share:.0f}", ha="center", va="center", size=9, color=ink, weight=weight)
    return figure


def _reliability_figure(report: SemanticReport, colors: Theme) -> Figure:
    """Accuracy against confidence in each bin, and below how many pixels the bin holds."""
    figure = new_figure(5.2, 5.6, colors)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    total = sum(int(row["pixels"] or 0) for row in report.reliability)
    top.plot([0, 1], [0, 1], color=colors["ink"], linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    top.text(0.04, 0.95, f"expected calibration error {percent(report.ece)} %", va="top", color=colors["ink"])
    for row in report.reliability:
        low, width = float(row["low"] or 0), float(row["high"] or 0) - float(row["low"] or 0)
        bottom.bar(low, (row["pixels"] or 0) / max(1, total), width * 0.88, align="edge", color=colors["muted"])
        if row["accuracy"] is not None:
            top.bar(low, row["accuracy"], width * 0.88, align="edge", color=colors["accent"], alpha=0.85)
    top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    bottom.set(xlabel="confidence", ylabel="pixels", yticks=[])
    for axes in (top, bottom):
        style(axes, colors)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=colors["line"], linewidth=0.6)
    return figure

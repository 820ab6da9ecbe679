"""What people read of an `InstanceReport`: a page, its pictures, a JSON file, a table on the screen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segscape.evaluate.instance import DEFINITIONS, InstanceReport
from segscape.evaluate.instance_pictures import OUTLINES, mistakes, panels
from segscape.evaluate.matching import THRESHOLDS
from segscape.evaluate.page import Theme, draw_figures, headline, new_figure, percent, reread, span, style, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

    from segscape.data.sample import Dataset, InstanceSample
    from segscape.result import Segmentation

_KINDS = {
    "found": "found",
    "false": "false: no object fits it",
    "missed": "missed (dashed)",
    "merged": "merged: covers two or more objects",
}


def write_instance_report(
    report: InstanceReport,
    folder: str | os.PathLike[str],
    dataset: Dataset,
    predict: Callable[[InstanceSample], Segmentation],
    num_worst: int = 6,
    num_lowest: int = 3,
) -> dict[str, Path]:
    """Write report.json, precision_recall.png, ap_curve.png, sizes.png and report.html into ``folder``.

    The page is one file with its images inside, and needs no network. It shows the images with the most mistakes and
    those of lowest average precision, for which ``predict`` runs once more.

    Args:
        report: from `segscape.evaluate.instance.evaluate_instances` with the same ``dataset`` and ``predict``.
        folder: made when missing; each file in it is replaced whole.
        num_worst: images to show with the most false, missed and merged objects; none without any.
        num_lowest: images to show of lowest mean AP, beside those.

    Returns:
        The paths written, by their stem, and "json" for report.json.

    Raises:
        ConfigError: matplotlib or jinja2 is not installed.
        DataError: ``dataset`` is not the one the report is of.
        ResourceError, InputError: a file cannot be written.
    """
    wrong = [i for i, image in enumerate(report.per_image) if _num_mistakes(image)]
    worst = sorted(wrong, key=lambda i: -_num_mistakes(report.per_image[i]))[:num_worst]
    rest = [i for i in wrong if i not in worst and report.per_image[i]["mean_ap"] is not None]
    lowest = sorted(rest, key=lambda i: report.per_image[i]["mean_ap"])[:num_lowest]

    def show(index: int) -> dict[str, Any]:
        sample = reread(report, dataset, index, dataset.read_instances)
        outlines = mistakes(sample, predict(sample), report.label_set, report.min_score)
        return {**report.per_image[index], "panels": panels(sample, outlines)}

    classes = sorted(report.per_class, key=lambda name: -report.per_class[name]["objects"])
    values = {
        "definitions": DEFINITIONS,
        "thresholds": list(report.ap),
        "curves": _curves(report),
        "classes": classes,
        "kinds": [(OUTLINES[kind], text) for kind, text in _KINDS.items()],
        "worst": [show(i) for i in worst],
        "lowest": [show(i) for i in lowest],
    }
    drawn = draw_figures(report, {"precision_recall": _recall_figure, "ap_curve": _ap_figure, "sizes": _sizes_figure})
    return write_page(Path(folder), "instance_report.html.jinja", report, drawn, values)


def render_instance_table(report: InstanceReport) -> Table:
    """AP(t) = TP / (TP + FP + FN) of all images and of each group, in percent, with its 95 % interval; others below."""
    from rich.table import Table
    from rich.text import Text

    counts = report.counts
    lines = [
        f"mask AP (COCO) {percent(report.map_mask)}"
        + (f", all detections {percent(report.map_mask_all)}" if report.map_mask_all is not None else "")
        + f" · box AP {percent(report.map_box)} · PQ {percent(report.pq)} · F1 {percent(report.f1)} "
        f"(precision {percent(report.precision)}, recall {percent(report.recall)})",
        f"{counts['objects']} objects: {counts['true_positives']} found, {counts['missed']} missed, "
        f"{counts['false_positives']} false; {counts['merged']} merged, {counts['split']} split · "
        f"score ≥ {report.min_score:g} · {report.seconds_per_image * 1000:.0f} ms an image",
    ]
    if report.unknown_classes:
        lines.append(f"not known to the model, all missed: {', '.join(report.unknown_classes)}")
    table = Table(title=Text(f"{headline(report)}: {report.num_images} images"), caption=Text("\n".join(lines)))
    curves = _curves(report)
    table.add_column("IoU")
    for name in curves:
        table.add_column(Text(name), justify="right")
    for threshold in report.ap:
        intervals = [(scores["ap_interval"] or {}).get(threshold) for scores in curves.values()]
        shown = [
            percent(scores["ap"][threshold]) + (f" ({span(interval)})" if interval else "")
            for scores, interval in zip(curves.values(), intervals, strict=True)
        ]
        table.add_row(threshold, *shown)
    table.add_section()
    table.add_row("mean", *(percent(scores["mean_ap"]) for scores in curves.values()))
    return table


def _num_mistakes(image: Any) -> int:
    return image["false_positives"] + image["missed"] + image["merged"]


def _curves(report: InstanceReport) -> dict[str, dict[str, Any]]:
    """Heading -> "ap", "mean_ap", "ap_interval" (None for the mean of images), for all images and each group."""
    keys = ("ap", "mean_ap", "ap_interval")
    rows = {f"all {report.num_images} images": {key: getattr(report, key) for key in keys}}
    for name, group in report.groups.items():
        rows[f"{name} ({group['num_images']})"] = {key: group[key] for key in keys}
    rows["mean over images"] = {"ap": report.ap_by_image, "mean_ap": report.mean_ap_by_image, "ap_interval": None}
    return rows


def _recall_figure(report: InstanceReport, theme: Theme) -> Figure:
    """Precision over recall at IoU 0.5, 0.75 and on average."""
    figure, axes = _percent_axes(theme, "recall", "precision")
    lines = {"iou50": "IoU 0.50", "iou75": "IoU 0.75", "mean": "mean 0.50 … 0.95"}
    recall = np.array(report.precision_recall["recall"], float)
    for (key, name), color in zip(lines.items(), theme["series"], strict=False):
        precision = np.array(report.precision_recall[key], float)
        label = f"{name}: area {percent(None if np.isnan(precision).any() else float(precision.mean()))}"
        axes.plot(100 * recall, 100 * precision, color=color, linewidth=2, label=label)
    _legend(axes, theme, "lower left")
    return figure


def _ap_figure(report: InstanceReport, theme: Theme) -> Figure:
    """AP(t) over t, of all images and of each group."""
    figure, axes = _percent_axes(theme, "IoU threshold t", "AP(t) = TP / (TP + FP + FN)")
    axes.set(xlim=(0.49, 0.91), xticks=THRESHOLDS, xticklabels=[f"{t:.2f}" for t in THRESHOLDS])
    rows = [(name, row) for name, row in _curves(report).items() if row["ap_interval"] is not None]
    for (name, row), color in zip(rows, theme["series"], strict=False):
        ap = 100 * np.array(list(row["ap"].values()), float)
        axes.plot(THRESHOLDS, ap, color=color, linewidth=2, marker="o", markersize=4, label=name)
        for threshold, ends in row["ap_interval"].items():
            if ends is not None:
                axes.vlines(float(threshold), 100 * ends[0], 100 * ends[1], color=color, linewidth=5, alpha=0.25)
    _legend(axes, theme, "lower left")
    return figure


def _sizes_figure(report: InstanceReport, theme: Theme) -> Figure:
    """Objects found and missed by their diameter."""
    edges = report.sizes["edges_px"]
    found, missed = np.array(report.sizes["found"]), np.array(report.sizes["missed"])
    used = np.flatnonzero(found + missed)
    figure = new_figure(5.6, 3.6, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
    places = np.arange(first, last)
    axes.bar(places, found[first:last], 0.86, color=theme["accent"], label="found")
    axes.bar(places, missed[first:last], 0.86, bottom=found[first:last], color=theme["series"][1], label="missed")
    for place in places.tolist():
        if total := found[place] + missed[place]:
            text = f"{100 * found[place] / total:.0f} %"
            axes.text(place, total, text, ha="center", va="bottom", size=7, color=theme["muted"])
    axes.set_xticks(np.arange(first, last + 1) - 0.5, [*map(str, edges), ""][first : last + 1], size=8)
    axes.set(xlabel="diameter of the object in px", ylabel="objects")
    axes.margins(y=0.12)
    _grid(axes, theme)
    _legend(axes, theme, "upper right")
    return figure


def _percent_axes(theme: Theme, x: str, y: str) -> tuple[Figure, Axes]:
    figure = new_figure(5.6, 4.2, theme)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel=x, ylabel=y)
    style(axes, theme)
    _grid(axes, theme)
    return figure, axes


def _grid(axes: Axes, theme: Theme) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme["line"], linewidth=0.6)


def _legend(axes: Axes, theme: Theme, place: Literal["lower left", "upper right"]) -> None:
    legend = axes.legend(
        loc=place, fontsize=9, labelcolor=theme["ink"], facecolor=theme["paper"], edgecolor="none", framealpha=0.85
    )
    for text in legend.get_texts():
        text.set_parse_math(False)

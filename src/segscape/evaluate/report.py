"""What people read of a `SemanticReport`: a page, two pictures, a JSON file, a table on the screen."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import ConfigError, DataError
from segscape.evaluate import ratio
from segscape.evaluate.semantic import DEFINITIONS, SemanticReport
from segscape.files import write_bytes, write_text
from segscape.ignore import valid_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

    from segscape.data.sample import Dataset, Sample
    from segscape.labels import LabelSet
    from segscape.result import Segmentation

# The page shows a figure in the reader's theme; the PNG files are the light ones.
_THEMES = {
    "light": {"paper": "#ffffff", "ink": "#1c2128", "muted": "#636c76", "line": "#d5dae0", "accent": "#1a5fb4"},
    "dark": {"paper": "#161b22", "ink": "#e6edf3", "muted": "#9198a1", "line": "#3d444d", "accent": "#62a8ff"},
}
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
    folder = Path(folder)
    figures = {"confusion_matrix": _confusion_figure}
    if report.reliability:
        figures["reliability"] = _reliability_figure
    drawn = {name: {t: _png(draw(report, c)) for t, c in _THEMES.items()} for name, draw in figures.items()}
    worst, best = _extremes(report, dataset, predict, num_worst, num_best)
    page = _page(report, drawn, worst, best)

    paths = {name: folder / f"{name}.png" for name in drawn}
    paths |= {"json": folder / "report.json", "report": folder / "report.html"}
    for name, themes in drawn.items():
        write_bytes(paths[name], themes["light"])
    write_text(paths["json"], json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(paths["report"], page)
    return paths


def render_table(report: SemanticReport) -> Table:
    """The scores by class and their means, in percent, as a table for a `rich` console."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{_headline(report)}: {report.num_images} images"),
        caption=Text(
            f"pixel accuracy {_percent(report.pixel_accuracy)} · frequency-weighted IoU {_percent(report.fwiou)} · "
            f"calibration error {_percent(report.ece)} · {report.seconds_per_image * 1000:.0f} ms an image"
            + (f"\n{partition_line(report.partition)}" if report.partition else "")
        ),
        show_footer=True,
    )
    table.add_column("class (in %)", "mean")
    table.add_column("IoU", _percent(report.miou), justify="right")
    table.add_column("95 % interval", _span(report.miou_interval), justify="right")
    for heading, mean, _ in _SCORES.values():
        table.add_column(heading, _percent(getattr(report, mean)), justify="right")
    for name, iou in report.iou.items():
        scores = [_percent(getattr(report, field)[name]) for field in _SCORES]
        table.add_row(Text(name), _percent(iou), _span(report.iou_interval[name]), *scores)
    return table


def partition_line(partition: Mapping[str, Any]) -> str:
    """The scores of `PartitionReport.to_dict` in one line."""
    rand, information = partition["best_rand"], partition["best_information"]
    return (
        f"V_Rand {_percent(rand['rand']['f'])} · V_info {_percent(information['information']['f'])} "
        f"{'after' if partition['thin'] else 'without'} thinning · "
        f"challenge's pixel error {_percent(partition['challenge_pixel_error'])}"
    )


def _headline(report: SemanticReport) -> str:
    return f"{report.model or 'Model'} on {report.data['kind']} {report.split}"


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}"


def _span(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{_percent(interval[0])} – {_percent(interval[1])}"


def _page(
    report: SemanticReport,
    figures: dict[str, dict[str, bytes]],
    worst: list[dict[str, Any]],
    best: list[dict[str, Any]],
) -> str:
    with _needs_train_extra():
        from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "span": _span}
    pixels = report.confusion_matrix.sum(1)
    template = resources.files("segscape.evaluate").joinpath("report.html.jinja").read_text("utf-8")
    return environment.from_string(template).render(
        report=report,
        headline=_headline(report),
        scores=_SCORES,
        definitions=DEFINITIONS,
        shares=dict(zip(report.iou, pixels / max(1, pixels.sum()), strict=True)),
        figures={name: {t: _data_uri(p, "png") for t, p in themes.items()} for name, themes in figures.items()},
        worst=worst,
        best=best,
    )


def _extremes(
    report: SemanticReport,
    dataset: Dataset,
    predict: Callable[[Sample], Segmentation],
    num_worst: int,
    num_best: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The images of lowest and of highest mIoU, each with its four panels."""
    items = dataset.split(report.split)
    scored = [i for i, image in enumerate(report.per_image) if image["miou"] is not None]
    order = sorted(scored, key=lambda i: report.per_image[i]["miou"])
    worst = order[:num_worst]
    best = order[len(worst) :][::-1][:num_best]

    def show(index: int) -> dict[str, Any]:
        sample = dataset.read(items[index]) if index < len(items) else None
        image = report.per_image[index]
        if sample is None or sample.name != image["name"]:
            raise DataError(
                f"the report is of {image['name']!r}, which is not there in {str(dataset.root)!r}, split "
                f"{report.split!r}; write it with the data set it was made on"
            )
        return {**image, "panels": _panels(sample, predict(sample), report.label_set)}

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
        "photo": _encode(photo, "jpg"),
        "prediction": _encode(color_labels(prediction, label_set), "png"),
        "truth": _encode(color_labels(truth, label_set), "png"),
        "errors": _encode(errors, "jpg"),
    }


def _encode(rgb: np.ndarray, kind: str) -> str:
    import cv2

    # Colour at full resolution: the errors are thin red lines.
    options = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, content = cv2.imencode(f".{kind}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options if kind == "jpg" else [])
    return _data_uri(content.tobytes(), {"jpg": "jpeg"}.get(kind, kind))


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@contextlib.contextmanager
def _needs_train_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a report needs {error.name}, which is not installed: pip install 'segscape[train]'"
        ) from error


def _new_figure(width_in: float, height_in: float, colors: dict[str, str]) -> Figure:
    # A Figure of its own, not pyplot's: nothing global, no window system, safe in threads.
    with _needs_train_extra():
        from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=150, facecolor=colors["paper"], layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _style(axes: Axes, colors: dict[str, str]) -> None:
    axes.set_facecolor(colors["paper"])
    axes.tick_params(colors=colors["muted"], labelcolor=colors["ink"], length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(colors["muted"])


def _confusion_figure(report: SemanticReport, colors: dict[str, str]) -> Figure:
    """Rows normalised to the true pixels of the class, in percent."""
    names = report.label_set.names
    rows = ratio(report.confusion_matrix, np.broadcast_to(report.confusion_matrix.sum(1)[:, None], (len(names),) * 2))
    numbers = len(names) <= _MOST_CLASSES_WITH_NUMBERS
    side = 1.8 + len(names) * (0.5 if numbers else 0.16)
    figure = _new_figure(max(4.2, side + 0.4), max(3.8, side), colors)
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    axes = figure.add_subplot()
    ramp = LinearSegmentedColormap.from_list("share", [colors["paper"], colors["accent"]])
    # The square root lets confusions of a few percent be seen beside a diagonal near 100.
    axes.imshow(np.sqrt(np.nan_to_num(rows)), cmap=ramp, vmin=0, vmax=1)
    _style(axes, colors)
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


def _reliability_figure(report: SemanticReport, colors: dict[str, str]) -> Figure:
    """Accuracy against confidence in each bin, and below how many pixels the bin holds."""
    figure = _new_figure(5.2, 5.6, colors)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    total = sum(int(row["pixels"] or 0) for row in report.reliability)
    top.plot([0, 1], [0, 1], color=colors["ink"], linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    top.text(0.04, 0.95, f"expected calibration error {_percent(report.ece)} %", va="top", color=colors["ink"])
    for row in report.reliability:
        low, width = float(row["low"] or 0), float(row["high"] or 0) - float(row["low"] or 0)
        bottom.bar(low, (row["pixels"] or 0) / max(1, total), width * 0.88, align="edge", color=colors["muted"])
        if row["accuracy"] is not None:
            top.bar(low, row["accuracy"], width * 0.88, align="edge", color=colors["accent"], alpha=0.85)
    top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    bottom.set(xlabel="confidence", ylabel="pixels", yticks=[])
    for axes in (top, bottom):
        _style(axes, colors)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=colors["line"], linewidth=0.6)
    return figure

"""What the pages of every report share: themes, figures, pictures inside the page, percent, templates."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from segscape.errors import ConfigError, DataError
from segscape.files import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from segscape.data.sample import Dataset, InstanceSample, Sample
    from segscape.evaluate.instance import InstanceReport
    from segscape.evaluate.semantic import SemanticReport

    Report = SemanticReport | InstanceReport

S = TypeVar("S", bound="Sample | InstanceSample")

# The page shows a figure in the reader's theme; the PNG files are the light ones. "series" are the colours of lines
# (Okabe & Ito 2008, told apart by the colour-blind), lighter where the ground is dark.
THEMES: Mapping[str, Mapping[str, Any]] = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1c2128",
        "muted": "#636c76",
        "line": "#d5dae0",
        "accent": "#1a5fb4",
        "series": ("#1a5fb4", "#d55e00", "#007a5a", "#a3457f", "#8a6d00"),
    },
    "dark": {
        "paper": "#161b22",
        "ink": "#e6edf3",
        "muted": "#9198a1",
        "line": "#3d444d",
        "accent": "#62a8ff",
        "series": ("#62a8ff", "#ff8f45", "#2cc79a", "#dd8fc0", "#e2c541"),
    },
}
Theme = Mapping[str, Any]
Figures = dict[str, dict[str, bytes]]  # name -> theme -> PNG


def percent(score: float | None) -> str:
    """A share as a number of percent, or a dash."""
    return "–" if score is None else f"{100 * score:.1f}"


def span(interval: tuple[float, float] | None) -> str:
    """An interval of shares as numbers of percent, or a dash."""
    return "–" if interval is None else f"{percent(interval[0])} – {percent(interval[1])}"


def headline(report: Report) -> str:
    """What was measured on what."""
    return f"{report.model or 'Model'} on {report.data['kind']} {report.split}"


def draw_figures(report: Any, figures: Mapping[str, Callable[[Any, Theme], Figure]]) -> Figures:
    """Each figure in each theme, as PNG."""
    return {name: {t: _png(draw(report, c)) for t, c in THEMES.items()} for name, draw in figures.items()}


def write_page(
    folder: Path, template: str, report: Report, figures: Figures, values: Mapping[str, Any]
) -> dict[str, Path]:
    """Write report.json, report.html and each figure in its light theme into ``folder``, made when missing.

    Returns:
        The paths written, by their stem, and "json" for report.json.

    Raises:
        ConfigError: jinja2 is not installed.
        ResourceError, InputError: a file cannot be written.
    """
    page = _render(template, report, figures, values)
    paths = {name: folder / f"{name}.png" for name in figures}
    paths |= {"json": folder / "report.json", "report": folder / "report.html"}
    for name, themes in figures.items():
        write_bytes(paths[name], themes["light"])
    write_text(paths["json"], json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(paths["report"], page)
    return paths


def _render(template: str, report: Report, figures: Figures, values: Mapping[str, Any]) -> str:
    with needs_train_extra():
        from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: resources.files("segscape.evaluate").joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "span": span}
    return environment.get_template(template).render(
        report=report,
        headline=headline(report),
        figures={name: {t: data_uri(p, "png") for t, p in themes.items()} for name, themes in figures.items()},
        **values,
    )


def reread(report: Report, dataset: Dataset, index: int, read: Callable[[Any], S]) -> S:
    """The sample of row ``index`` of the report's images, by ``dataset.read`` or ``dataset.read_instances``.

    Raises:
        DataError: ``dataset`` is not the one the report is of.
    """
    items, name = dataset.split(report.split), report.per_image[index]["name"]
    sample = read(items[index]) if index < len(items) else None
    if sample is None or sample.name != name:
        raise DataError(
            f"the report is of {name!r}, which is not there in {str(dataset.root)!r}, split "
            f"{report.split!r}; write it with the data set it was made on"
        )
    return sample


def encode(rgb: np.ndarray, kind: str) -> str:
    """(H, W, 3) uint8 RGB as the data URI of a "jpg" or "png"."""
    import cv2

    # Colour at full resolution: what marks errors are thin coloured lines.
    options = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, content = cv2.imencode(f".{kind}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options if kind == "jpg" else [])
    return data_uri(content.tobytes(), {"jpg": "jpeg"}.get(kind, kind))


def data_uri(content: bytes, kind: str) -> str:
    """An image file's content as what stands in ``src``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@contextlib.contextmanager
def needs_train_extra() -> Iterator[None]:
    """Turn a missing package into a `ConfigError` that names the extra which brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a report needs {error.name}, which is not installed: pip install 'segscape[train]'"
        ) from error


def new_figure(width_in: float, height_in: float, theme: Theme) -> Figure:
    """An empty matplotlib figure in the theme's colours."""
    # A Figure of its own, not pyplot's: nothing global, no window system, safe in threads.
    with needs_train_extra():
        from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=150, facecolor=theme["paper"], layout="constrained")


def style(axes: Axes, theme: Theme) -> None:
    """The theme's colours and no frame."""
    axes.set_facecolor(theme["paper"])
    axes.tick_params(colors=theme["muted"], labelcolor=theme["ink"], length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme["muted"])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

"""What a run leaves behind for people and programs: CSV, TensorBoard, learning curves as a picture."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from segscape.errors import ConfigError
from segscape.files import atomic_write, write_text

PACKAGES = ("segscape", "torch", "torchvision", "timm", "accelerate", "numpy", "safetensors")


class RunLog:
    """Rows of numbers in a run folder: ``train.csv`` a step a row, ``val.csv`` a validation a row.

    Args:
        folder: of the run.
        upto: the step a resumed run starts at; later rows (of work that is done again) are removed. 0 starts afresh.
        writes: False in all processes of a run but one: they must leave the files alone.
        tensorboard: write event files too.
    """

    def __init__(self, folder: Path, *, upto: int, writes: bool, tensorboard: bool) -> None:
        self.folder = folder
        self.writer = None
        if not writes:
            return
        for table in ("train", "val"):
            self._cut(folder / f"{table}.csv", upto)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=upto or None)

    def row(self, table: str, step: int, values: Mapping[str, float | int | None]) -> None:
        """Append a row to ``train`` or ``val``; the first row decides the columns."""
        path = self.folder / f"{table}.csv"
        first = not path.exists() or path.stat().st_size == 0
        with path.open("a", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, ["step", *values], lineterminator="\n")
            if first:
                out.writeheader()
            out.writerow({"step": step, **{k: _short(v) for k, v in values.items()}})
        if self.writer:
            for name, value in values.items():
                if value is not None:
                    self.writer.add_scalar(f"{table}/{name}", value, step)

    def close(self) -> None:
        """Flush what is held back."""
        if self.writer:
            self.writer.close()

    @staticmethod
    def _cut(path: Path, upto: int) -> None:
        rows = read_rows(path) if upto else []
        path.unlink(missing_ok=True)
        kept = [r for r in rows if int(r["step"]) <= upto]
        if kept:
            with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                out = csv.DictWriter(file, list(kept[0]), lineterminator="\n")
                out.writeheader()
                out.writerows(kept)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file that `RunLog` wrote; none when it is missing, and none that a crash cut short."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [r for r in rows if None not in r.values() and (r["step"] or "").isdigit()]


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``run.json``: the resolved recipe, package versions, data hash."""
    write_text(folder / "run.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


# What may differ between a run and its resumption without changing what is learned.
_FREE_KEYS = ("run.checkpoint_minutes", "run.tensorboard", "data.workers", "data.path", "optim.device", "description")


def changed_keys(folder: Path, recipe: Mapping[str, Any]) -> list[str]:
    """Keys in which ``recipe`` differs from the one that the run in ``folder`` was started with."""
    try:
        before = json.loads((folder / "run.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{str(folder / 'run.json')!r} cannot be read, so the run cannot be resumed") from error
    old, new = _flat(before), _flat(json.loads(json.dumps(recipe)))
    return sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and k not in _FREE_KEYS)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def versions() -> dict[str, str]:
    """Versions of Python and the packages that decide a run."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def draw_curves(folder: Path, title: str, metric: str, shown: str) -> None:
    """Write ``curves.png``: training loss and ``metric``, a column of ``val.csv`` in 0…1, over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    train, val = read_rows(folder / "train.csv"), read_rows(folder / "val.csv")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    steps = [int(r["step"]) for r in train]
    loss = [float(r["loss"]) for r in train]
    left.plot(steps, loss, color="tab:blue", alpha=0.25, linewidth=0.8)
    left.plot(steps, _smooth(loss), color="tab:blue", label="training loss (smoothed)")
    left.set(xlabel="step", ylabel="training loss", title=title)
    right = left.twinx()
    score = [100 * float(r[metric] or 0) for r in val]
    right.plot([int(r["step"]) for r in val], score, color="tab:orange", marker="o", markersize=3, label=f"val {shown}")
    right.set(ylabel=f"validation {shown} (%)")
    right.set_ylim(0, 100)
    figure.legend(loc="outside lower center", ncols=2)
    FigureCanvasAgg(figure)
    with atomic_write(folder / "curves.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _smooth(values: list[float]) -> list[float]:
    """Exponential mean over about a fiftieth of the run."""
    keep = 1 - 1 / max(2, len(values) / 50)
    out: list[float] = []
    for value in values:
        out.append(value if not out else keep * out[-1] + (1 - keep) * value)
    return out


def _short(value: float | int | None) -> str | int:
    if value is None:
        return ""
    return value if isinstance(value, int) else f"{value:.6g}"

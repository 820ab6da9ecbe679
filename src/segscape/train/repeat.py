"""A recipe trained several times, over folds or seeds: what its number is worth."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segscape.data import open_dataset
from segscape.errors import ConfigError
from segscape.evaluate.semantic import evaluate_semantic
from segscape.files import write_text
from segscape.models.bundle import record_metrics
from segscape.predict.predictor import load
from segscape.progress import Progress
from segscape.train.loop import train
from segscape.train.recipe import Recipe


def fold_recipes(recipe: Recipe, folds: int) -> dict[str, tuple[Recipe, str]]:
    """Run name -> (recipe, split to measure on): each fold of the recipe's training split is left out once.

    A fold the recipe itself leaves out (``train[-0/5]``) is put back first.

    Raises:
        ConfigError: fewer than two folds.
    """
    if folds < 2:
        raise ConfigError(f"--folds must be at least 2, got {folds}")
    whole = recipe.data.train.partition("[")[0]
    runs = {}
    for k in range(folds):
        left_out = f"{whole}[{k}/{folds}]"
        data = recipe.data.model_copy(update={"train": f"{whole}[-{k}/{folds}]", "val": left_out})
        runs[f"fold-{k}"] = recipe.model_copy(update={"data": data}), left_out
    return runs


def seed_recipes(recipe: Recipe, seeds: int, split: str) -> dict[str, tuple[Recipe, str]]:
    """Run name -> (recipe, split to measure on), for the recipe's own seed and those after it.

    Raises:
        ConfigError: fewer than two seeds.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds must be at least 2, got {seeds}")
    first = recipe.run.seed
    return {
        f"seed-{seed}": (recipe.model_copy(update={"run": recipe.run.model_copy(update={"seed": seed})}), split)
        for seed in range(first, first + seeds)
    }


def repeat(
    runs: Mapping[str, tuple[Recipe, str]],
    out: Path,
    *,
    device: str = "auto",
    border: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and measure each run in its own folder of ``out``; runs that are there already are gone on with.

    Args:
        runs: of `fold_recipes` or `seed_recipes`.
        out: gets a run folder a run, and ``repeat.json``.
        device: that measures; training uses the recipe's.
        border: as in `evaluate_semantic`.

    Returns:
        {"runs": {name: {"split", "bundle", score: value}}, "summary": {score: {"mean", "sd", "values"}}}; sd is that
        of a sample (n − 1). Each run's card gets the summary under its metrics, as "repeated".

    Raises:
        as `train` and `evaluate_semantic`.
    """
    progress = progress or Progress()
    measured: dict[str, dict[str, Any]] = {}
    for name, (recipe, split) in runs.items():
        folder = out / name
        progress.message(f"{name}: measured on {split}")
        train(recipe, folder, resume=(folder / "last.safetensors").exists(), progress=progress)
        bundle = folder / "best.safetensors"
        predictor = load(bundle, device=device)
        report = evaluate_semantic(
            lambda sample, p=predictor: p.predict(sample.pixels, confidence=True, keep_image=False),
            open_dataset(recipe.data.path),
            split,
            progress=progress,
            bootstrap=0,
            border=border,
        )
        measured[name] = {"split": split, "bundle": str(bundle), **_scores(report.to_dict())}
    summary = summarize(list(measured.values()))
    outcome = {"runs": measured, "summary": summary}
    write_text(out / "repeat.json", json.dumps(outcome, indent=1) + "\n")
    for name, run in measured.items():
        record_metrics(run["bundle"], "repeated", {"runs": list(runs), "this": name, "scores": summary})
    return outcome


def summarize(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean, sample standard deviation and values of every number that all runs have."""
    shared = [
        key for key, value in runs[0].items() if isinstance(value, float) and all(r.get(key) is not None for r in runs)
    ]
    table = {}
    for key in shared:
        values = [run[key] for run in runs]
        table[key] = {"mean": statistics.fmean(values), "sd": statistics.stdev(values), "values": values}
    return table


def _scores(report: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of a report that are worth a mean over runs."""
    scores: dict[str, float | None] = {key: report[key] for key in ("miou", "pixel_accuracy", "ece", "boundary_f")}
    if report["pixel_accuracy"] is not None:
        scores["pixel_error"] = 1 - report["pixel_accuracy"]
    scores |= {f"iou {name}": iou for name, iou in report["iou"].items()}
    if partition := report["partition"]:
        scores["v_rand"] = partition["best_rand"]["rand"]["f"]
        scores["v_info"] = partition["best_information"]["information"]["f"]
        scores["challenge_pixel_error"] = partition["challenge_pixel_error"]
    return scores

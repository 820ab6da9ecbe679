"""``segscape evaluate``, ``segscape tune-objects`` and ``segscape tune-crf``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from segscape.cli.common import Json, Quiet, Switch, console, print_json, say
from segscape.errors import ConfigError
from segscape.progress import Progress


def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: str = "test",
    out: Path | None = None,
    tta: str = "",
    size: str = "model",
    refine: str = "model",
    device: str = "auto",
    border: str | None = None,
    record: Switch = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure a model on a data set: mIoU, boundaries, calibration; of objects AP, panoptic quality, errors.

    Example: segscape evaluate street camvid:CamVid --split test --out report

    Parameters
    ----------
    model
        A bundled model, a bundle or a run folder.
    data
        A folder, or kind:path.
    split
        Of the data set.
    out
        Folder for report.html, report.json and pictures; none are written if not given.
    tta
        Test-time augmentation: flip, scale, or flip,scale.
    size
        Longer side in pixels at which the network sees the images, "model" or "native".
    refine
        crf (the dense CRF behind the network), none, or model (as its card says).
    device
        auto, cpu, cuda, mps.
    border
        Class that parts cells, e.g. membrane: adds the Rand and information scores of how well it does.
    record
        Write the numbers onto the model's card.
    """
    from segscape.data import open_dataset
    from segscape.predict.locate import find_model
    from segscape.predict.predictor import load

    kinds = tuple(kind for kind in tta.split(",") if kind)
    if record and (kinds or size != "model" or refine != "model"):
        raise ConfigError("--record writes what the model does as it is; leave out --tta, --size and --refine")
    dataset = open_dataset(data)
    predictor = load(model, engine="torch", device=device)
    progress = Progress(quiet=quiet)
    progress.message(f"data: {dataset.kind} at {dataset.root}")
    options: dict[str, Any] = {"tta": kinds, "long_side": size, "refine": refine, "keep_image": False}
    if predictor.card.finds_objects and border:
        raise ConfigError(f"--border is for label maps; model {predictor.card.name!r} finds objects")
    if dataset.objects is not None and not predictor.card.finds_objects:
        raise ConfigError(
            f"data set {str(dataset.root)!r} ({dataset.kind}) is of single objects, and model {predictor.card.name!r} "
            "makes label maps; `segscape data convert --to borders` makes some of them"
        )
    if predictor.card.finds_objects:
        report, table, written = _measure_objects(predictor, dataset, split, options, out, progress)
    else:
        report, table, written = _measure_label_maps(predictor, dataset, split, options, border, out, progress)
    if record:
        from segscape.evaluate.record import record as write_card

        write_card(find_model(model), report, dataset)
    if json_:
        print_json({**report.to_dict(), "written": {kind: str(path) for kind, path in written.items()}})
    else:
        console().print(table)
        for path in written.values():
            say(f"  {path}")
    return 0


def _measure_label_maps(
    predictor: Any,
    dataset: Any,
    split: str,
    options: dict[str, Any],
    border: str | None,
    out: Path | None,
    progress: Any,
) -> tuple[Any, Any, dict[str, Path]]:
    from segscape.evaluate.report import render_table, write_report
    from segscape.evaluate.semantic import evaluate_semantic

    def run(sample: Any) -> Any:
        return predictor.predict(sample.pixels, **options, confidence=True)

    report = evaluate_semantic(run, dataset, split, progress=progress, border=border)
    return report, render_table(report), write_report(report, out, dataset, run) if out else {}


def _measure_objects(
    predictor: Any, dataset: Any, split: str, options: dict[str, Any], out: Path | None, progress: Any
) -> tuple[Any, Any, dict[str, Path]]:
    from segscape.evaluate.groups import brightness
    from segscape.evaluate.instance import evaluate_instances
    from segscape.evaluate.instance_report import render_instance_table, write_instance_report

    def run(sample: Any) -> Any:
        return predictor.predict(sample.pixels, **options, min_score=0.0)

    report = evaluate_instances(
        run, dataset, split, min_score=predictor.default_min_score, group=brightness, progress=progress
    )
    return report, render_instance_table(report), write_instance_report(report, out, dataset, run) if out else {}


def tune_objects(
    model: str,
    data: str,
    /,
    *,
    split: str = "val",
    zooms: str = "",
    out: Path | None = None,
    device: str = "auto",
    record: Switch = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Choose how objects are made: lowest score, overlap and size; a border model's watershed; a panoptic fusion.

    Example: segscape tune-objects runs/mine nuclei:my/folder --zooms 1,1.5 --record

    Parameters
    ----------
    model
        A bundled model, a bundle or a run folder: one that finds objects, or has classes inside and border. Or
        SEMANTIC+INSTANCE, for `predict --panoptic`.
    data
        A folder with single objects, or kind:path.
    split
        To choose on: never the one the model is judged on.
    zooms
        Factors on the images' size to try, e.g. 1,1.5; for models that find objects.
    out
        Folder for tune-objects.json with all that was tried; not written if not given.
    device
        auto, cpu, cuda, mps.
    record
        Write the choice onto the model's card.
    """
    from segscape.data import open_dataset
    from segscape.evaluate.tune_objects import ObjectTuning
    from segscape.evaluate.tune_objects import tune_objects as tune
    from segscape.evaluate.tune_panoptic import tune_panoptic
    from segscape.models.bundle import record_objects
    from segscape.predict.panoptic_predictor import load_panoptic
    from segscape.predict.predictor import load

    try:
        factors = [float(zoom) for zoom in zooms.split(",") if zoom]
    except ValueError:
        raise ConfigError(f"--zooms takes numbers with commas between them, e.g. 1,1.5; got {zooms!r}") from None
    dataset, progress = open_dataset(data), Progress(quiet=quiet)
    if joined := "+" in model and not Path(model).exists():
        if record or zooms:
            raise ConfigError("two models have no card in common: keep the outcome with --out, and leave --zooms out")
        tuning = tune_panoptic(load_panoptic(model, engine="torch", device=device), dataset, split, progress=progress)
    else:
        tuning = tune(load(model, engine="torch", device=device), dataset, split, zooms=factors, progress=progress)
    written = [tuning.save(out)] if out else []
    if record and isinstance(tuning, ObjectTuning):
        _change_card(model, lambda path: record_objects(path, tuning.objects, tuning.zoom), progress)
    if json_:
        print_json({**tuning.to_dict(), "written": [str(path) for path in written]})
        return 0
    key, shown = ("pq", "PQ of things") if joined else ("mean_ap", "mean AP")
    for trial in sorted(tuning.trials, key=lambda trial: -trial[key])[:10]:
        parts = ", ".join(f"{name} {value:g}" for name, value in trial.items() if name != key)
        say(f"{shown} {100 * trial[key]:.2f} %: {parts}")
    for path in written:
        say(f"  {path}")
    return 0


def tune_crf(
    model: str,
    data: str,
    /,
    *,
    split: str = "val",
    images: int = 24,
    trials: int = 40,
    out: Path | None = None,
    device: str = "auto",
    record: Switch = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fit the dense CRF of --refine crf to a model, and measure what it gains.

    Example: segscape tune-crf street camvid:CamVid --split val --record

    Parameters
    ----------
    model
        A bundled model, a bundle or a run folder.
    data
        A folder, or kind:path.
    split
        To tune on: never the one the model is judged on.
    images
        So many of them for the search; the outcome is measured on all.
    trials
        Sets of parameters to try.
    out
        Folder for tune-crf.json with all that was tried; not written if not given.
    device
        auto, cpu, cuda, mps.
    record
        Write the parameters onto the model's card; the default from then on if they help.
    """
    from segscape.data import open_dataset
    from segscape.models.bundle import record_refinement
    from segscape.predict.predictor import load
    from segscape.refine.tune import tune

    dataset = open_dataset(data)
    predictor = load(model, engine="torch", device=device)
    progress = Progress(quiet=quiet)
    tuning = tune(predictor, dataset, split, num_images=images, num_trials=trials, progress=progress)
    written = [tuning.save(out)] if out else []
    if record:
        _change_card(model, lambda path: record_refinement(path, tuning.on_card()), progress)
    if json_:
        print_json({**tuning.to_dict(), "written": [str(path) for path in written]})
    else:
        _say_tuning(tuning)
        for path in written:
            say(f"  {path}")
    return 0


def _change_card(model: str, change: Callable[[Path], Any], progress: Progress) -> None:
    """Let ``change`` write a choice onto a model's card, and say so if the card lost its metrics by it."""
    from segscape.models.reading import read_card
    from segscape.predict.locate import find_model

    path = find_model(model)
    before = read_card(path).metrics
    if change(path).metrics != before:
        progress.message("the card's metrics were of the model as it was; run `segscape evaluate --record` again")


def _say_tuning(tuning: Any) -> None:
    from rich.table import Table

    names = list(tuning.parameters.to_dict())
    table = Table(
        *names, f"mIoU on {tuning.subset_images} images", caption=f"without: {100 * tuning.subset_miou:.2f} %"
    )
    for trial in sorted(tuning.trials, key=lambda trial: -trial.miou):
        table.add_row(*(f"{value:g}" for value in trial.parameters.to_dict().values()), f"{100 * trial.miou:.2f} %")
    console().print(table)
    low, high = (100 * end for end in tuning.gain_interval)
    say(
        f"{tuning.split}, {tuning.num_images} images: mIoU {100 * tuning.miou_before:.2f} % without, "
        f"{100 * tuning.miou_after:.2f} % with the CRF: {100 * tuning.gain:+.2f} ({low:+.2f}…{high:+.2f}) points, "
        f"{'the default' if tuning.helps else 'not the default'} when recorded"
    )

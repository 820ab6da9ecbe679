"""The command line: one verb, one short function.

Results go to stdout (tables, or one JSON document with ``--json``), progress and errors to stderr. Exit codes: 0 done,
1 a check said no, 2 bad input, 3 training diverged, 4 out of memory or disk, 130 interrupted.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from segscape import __version__
from segscape.errors import ConfigError, ResourceError, SegscapeError
from segscape.progress import Progress

_EXIT_CODES = (
    "Exit codes: 0 done, 1 a check said no, 2 bad input, 3 training diverged, 4 out of memory, 130 interrupted."
)
app = App(
    name="segscape",
    help="Segment images; train and measure the networks that do it. Example: segscape predict photo.jpg",
    help_epilogue=_EXIT_CODES,
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
data_app = App(name="data", help="Look at a data set before training on it.")
models_app = App(name="models", help="Models that come with Segscape, and what their cards say.")
app.command(data_app)
app.command(models_app)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, Parameter(name="--quiet", negative="", help="Show no progress.")]


@app.command
def predict(
    inputs: list[str],
    /,
    *,
    model: str = "street",
    out: Path | None = None,
    tta: str = "",
    size: str = "model",
    refine: str = "model",
    device: str = "auto",
    max_pixels: int = 250_000_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment images: overlay, label map and JSON for each.

    Example: segscape predict photo.jpg 'holiday/*.png' --out results

    Parameters
    ----------
    inputs
        Files, folders or patterns. After --, names may begin with a dash.
    model
        A bundled model, a .safetensors bundle, or a run folder of `segscape train`.
    out
        Folder for the results; segscape-out if not given (with --json: nothing is written).
    tta
        Test-time augmentation: flip, scale, or flip,scale. Slower, a little better.
    size
        Longer side in pixels at which the network sees the image, "model" (as trained) or "native".
    refine
        crf (borders follow the photo's edges; slower), none, or model (as its card says).
    device
        auto, cpu, cuda, mps.
    max_pixels
        Larger images are refused.
    """
    from segscape.image import image_files
    from segscape.predict.files import predict_files
    from segscape.predict.predictor import load

    files = image_files(inputs)
    kinds = tuple(kind for kind in tta.split(",") if kind)
    folder = out or (None if json_ else Path("segscape-out"))
    predictor = load(model, device=device)
    progress = Progress(quiet=quiet or len(files) == 1)
    results, failed = [], []
    outcomes = predict_files(predictor, files, folder, max_pixels=max_pixels, tta=kinds, long_side=size, refine=refine)
    for outcome in progress.track(outcomes, len(files), "predict"):
        if outcome.segmentation is None:
            failed.append({"source": str(outcome.source), "error": str(outcome.error)})
            continue
        if json_:
            written = {kind: str(path) for kind, path in (outcome.written or {}).items()}
            results.append({**outcome.segmentation.to_dict(), "written": written})
        else:
            _say_result(outcome)
    if json_:
        _print_json({"model": predictor.card.id, "results": results, "failed": failed})
    for failure in failed:
        _complain(failure["error"])
    if failed and len(files) > 1:
        _complain(f"{len(failed)} of {len(files)} inputs failed; the others are done")
    return 2 if failed else 0


def _say_result(outcome: Any) -> None:
    result = outcome.segmentation
    height, width = result.size
    areas = sorted(result.class_areas().items(), key=lambda pair: -pair[1])
    shares = ", ".join(f"{name} {100 * area / (height * width):.1f} %" for name, area in areas)
    milliseconds = sum(result.timings_ms.values())
    _say(f"{outcome.source}: {width} × {height}, {milliseconds:.0f} ms: {shares}")
    for path in (outcome.written or {}).values():
        _say(f"  {path}")


@app.command
def train(
    recipe: Path,
    /,
    *,
    out: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    resume: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a network as a recipe says. Ctrl-C leaves a run that --resume goes on with.

    Example: segscape train recipes/custom.toml --set data.path=my/folder --out runs/mine

    Parameters
    ----------
    recipe
        TOML file; recipes/custom.toml is a start, docs/recipes.md lists the keys.
    out
        Run folder; runs/NAME if not given.
    set_
        key=value: change a key of the recipe. May be given many times.
    resume
        Go on with the run in that folder.
    """
    _needs_train_extra()
    from segscape.train.loop import train as run
    from segscape.train.recipe import read_recipe

    checked = read_recipe(recipe, set_)
    outcome = run(checked, out or Path("runs") / checked.name, resume=resume, progress=Progress(quiet=quiet))
    if json_:
        _print_json(outcome)
    else:
        _say(f"best val mIoU {100 * outcome['miou']:.2f} % at step {outcome['best_step']}: {outcome['best']}")
    return 0


@app.command
def repeat(
    recipe: Path,
    /,
    *,
    folds: int | None = None,
    seeds: int | None = None,
    split: str = "val",
    border: str | None = None,
    out: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a recipe several times, over folds or seeds, and give mean and deviation. Run again to go on.

    Example: segscape repeat recipes/membrane.toml --folds 5 --border membrane

    Parameters
    ----------
    recipe
        TOML file.
    folds
        Cross-validation: each of so many parts of the training split is left out once, and measured on.
    seeds
        So many random seeds, measured on --split.
    split
        With --seeds.
    border
        Class that parts cells; see `segscape evaluate`.
    out
        Folder of the runs; runs/NAME-folds or runs/NAME-seeds if not given.
    set_
        key=value: change a key of the recipe. May be given many times.
    """
    _needs_train_extra()
    if (folds is None) == (seeds is None):
        raise ConfigError("give either --folds or --seeds")
    from segscape.train.recipe import read_recipe
    from segscape.train.repeat import fold_recipes, seed_recipes
    from segscape.train.repeat import repeat as run

    checked = read_recipe(recipe, set_)
    runs = fold_recipes(checked, folds) if folds is not None else seed_recipes(checked, seeds or 0, split)
    folder = out or Path("runs") / f"{checked.name}-{'seeds' if folds is None else 'folds'}"
    outcome = run(runs, folder, border=border, progress=Progress(quiet=quiet))
    if json_:
        _print_json(outcome)
        return 0
    for key, score in outcome["summary"].items():
        values = ", ".join(f"{value:.4f}" for value in score["values"])
        _say(f"{key}: {score['mean']:.4f} ± {score['sd']:.4f} ({values})")
    _say(f"  {folder / 'repeat.json'}")
    return 0


@app.command
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
    record: Annotated[bool, Parameter(negative="")] = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Measure a model on a data set: mIoU and its interval, accuracy, boundaries, calibration.

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
    from segscape.evaluate.report import render_table, write_report
    from segscape.evaluate.semantic import evaluate_semantic
    from segscape.predict.predictor import find_model, load

    kinds = tuple(kind for kind in tta.split(",") if kind)
    if record and (kinds or size != "model" or refine != "model"):
        raise ConfigError("--record writes what the model does as it is; leave out --tta, --size and --refine")
    dataset = open_dataset(data)
    predictor = load(model, device=device)
    progress = Progress(quiet=quiet)
    progress.message(f"data: {dataset.kind} at {dataset.root}")

    def run(sample: Any) -> Any:
        options: dict[str, Any] = {"tta": kinds, "long_side": size, "refine": refine}
        return predictor.predict(sample.pixels, **options, confidence=True, keep_image=False)

    report = evaluate_semantic(run, dataset, split, progress=progress, border=border)
    if record:
        from segscape.evaluate.record import record as write_card

        write_card(find_model(model), report, dataset)
    written = write_report(report, out, dataset, run) if out else {}
    if json_:
        _print_json({**report.to_dict(), "written": {kind: str(path) for kind, path in written.items()}})
    else:
        _console().print(render_table(report))
        for path in written.values():
            _say(f"  {path}")
    return 0


@app.command
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
    record: Annotated[bool, Parameter(negative="")] = False,
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
    from segscape.models.bundle import read_card, record_refinement
    from segscape.predict.predictor import find_model, load
    from segscape.refine.tune import tune

    dataset = open_dataset(data)
    predictor = load(model, device=device)
    progress = Progress(quiet=quiet)
    tuning = tune(predictor, dataset, split, num_images=images, num_trials=trials, progress=progress)
    written = [tuning.save(out)] if out else []
    if record:
        measured = read_card(find_model(model)).metrics
        if record_refinement(find_model(model), tuning.on_card()).metrics != measured:
            progress.message("the card's metrics were of the model as it was; run `segscape evaluate --record` again")
    if json_:
        _print_json({**tuning.to_dict(), "written": [str(path) for path in written]})
    else:
        _say_tuning(tuning)
        for path in written:
            _say(f"  {path}")
    return 0


def _say_tuning(tuning: Any) -> None:
    from rich.table import Table

    names = list(tuning.parameters.to_dict())
    table = Table(
        *names, f"mIoU on {tuning.subset_images} images", caption=f"without: {100 * tuning.subset_miou:.2f} %"
    )
    for trial in sorted(tuning.trials, key=lambda trial: -trial.miou):
        table.add_row(*(f"{value:g}" for value in trial.parameters.to_dict().values()), f"{100 * trial.miou:.2f} %")
    _console().print(table)
    low, high = (100 * end for end in tuning.gain_interval)
    _say(
        f"{tuning.split}, {tuning.num_images} images: mIoU {100 * tuning.miou_before:.2f} % without, "
        f"{100 * tuning.miou_after:.2f} % with the CRF: {100 * tuning.gain:+.2f} ({low:+.2f}…{high:+.2f}) points, "
        f"{'the default' if tuning.helps else 'not the default'} when recorded"
    )


@data_app.command
def check(data: str, /, *, json_: Json = False, quiet: Quiet = False) -> int:
    """Read every file of a data set and report all faults at once; exit 1 if there are errors.

    Example: segscape data check my/folder

    Parameters
    ----------
    data
        A folder, or kind:path.
    """
    from segscape.data.checks import check_dataset

    report = check_dataset(data, Progress(quiet=quiet))
    if json_:
        _print_json(report.to_dict())
    else:
        for line in report.lines():
            _say(line)
    return 0 if report.ok else 1


@models_app.command(name="list")
def list_models(*, json_: Json = False) -> int:
    """List the bundled models.

    Example: segscape models list
    """
    from rich.table import Table

    from segscape.models.bundle import read_card
    from segscape.predict.predictor import bundled_models

    cards = {name: read_card(path) for name, path in bundled_models().items()}
    if json_:
        _print_json([{"name": name, "path": str(bundled_models()[name]), **c.summary()} for name, c in cards.items()])
        return 0
    table = Table("model", "network", "classes", "data", "parameters", "mIoU")
    for name, card in cards.items():
        row = card.summary()
        scores = ", ".join(f"{split} {100 * miou:.1f} %" for split, miou in row["miou"].items())
        millions = f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else ""
        table.add_row(name, row["network"], str(row["classes"]), row["data"], millions, scores)
    _console().print(table)
    return 0


@models_app.command
def show(name: str, /, *, json_: Json = False) -> int:
    """Print a model's card: network, classes, data and its terms, numbers, recipe.

    Example: segscape models show street

    Parameters
    ----------
    name
        A bundled model, a bundle or a run folder.
    """
    from segscape.models.bundle import read_card
    from segscape.predict.predictor import find_model

    card = read_card(find_model(name)).to_dict()
    if json_:
        _print_json(card)
        return 0
    card["label_set"] = ", ".join(label["name"] for label in card["label_set"]["labels"])
    for line in _outline(card):
        _say(line)
    return 0


def _outline(values: dict[str, Any], indent: str = "") -> list[str]:
    """Nested tables as indented lines."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_outline(value, indent + "  ")]
        elif value not in (None, "", {}, []):
            shown = f"{value:.4f}" if isinstance(value, float) and 0.001 <= abs(value) < 1 else str(value)
            lines.append(f"{indent}{key}: {shown}")
    return lines


def _needs_train_extra() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("accelerate", "pydantic", "torchvision") if find_spec(name) is None]:
        raise ConfigError(f"training needs {', '.join(missing)}: pip install 'segscape[train]'")


def _console() -> Any:
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty())


def _say(text: str) -> None:
    print(_plain(text))


def _complain(text: str) -> None:
    print(f"segscape: {_plain(text, keep_lines=True)}", file=sys.stderr)


def _plain(text: str, *, keep_lines: bool = False) -> str:
    """Text that cannot play tricks on the terminal: control characters are escaped (file names may hold any)."""
    return "".join(
        c if c.isprintable() or (keep_lines and c == "\n") else c.encode("unicode_escape").decode() for c in text
    )


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. A user never sees a traceback (set SEGSCAPE_DEBUG=1 for it)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is no text must not end the run while it is printed
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        _complain(f"{error}\nsegscape: `segscape --help` shows what there is")
        return 2
    except SegscapeError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # `segscape … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as error:  # rich's way to say the same
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except MemoryError:
        _complain("out of memory")
        return ResourceError.exit_code
    except Exception as error:
        if os.environ.get("SEGSCAPE_DEBUG"):
            raise
        _complain(f"a fault of Segscape's own: {type(error).__name__}: {error}; SEGSCAPE_DEBUG=1 shows where")
        return 1

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
_RECORDED = (
    "miou",
    "miou_interval",
    "iou",
    "pixel_accuracy",
    "class_accuracy",
    "fwiou",
    "dice",
    "boundary_f",
    "boundary_iou",
    "ece",
    "num_images",
    "data",
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
    outcomes = predict_files(predictor, files, folder, max_pixels=max_pixels, tta=kinds, long_side=size)
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
def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: str = "test",
    out: Path | None = None,
    tta: str = "",
    size: str = "model",
    device: str = "auto",
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
    device
        auto, cpu, cuda, mps.
    record
        Write the numbers onto the model's card.
    """
    from segscape.data import open_dataset
    from segscape.evaluate.report import render_table, write_report
    from segscape.evaluate.semantic import evaluate_semantic
    from segscape.predict.predictor import find_model, load

    kinds = tuple(kind for kind in tta.split(",") if kind)
    if record and (kinds or size != "model"):
        raise ConfigError("--record writes what the model does as it is; leave out --tta and --size")
    dataset = open_dataset(data)
    predictor = load(model, device=device)
    progress = Progress(quiet=quiet)
    progress.message(f"data: {dataset.kind} at {dataset.root}")

    def run(sample: Any) -> Any:
        return predictor.predict(sample.pixels, tta=kinds, long_side=size, confidence=True, keep_image=False)

    report = evaluate_semantic(run, dataset, split, progress=progress)
    if record:
        from segscape.models.bundle import record_metrics

        plain = report.to_dict()
        record_metrics(find_model(model), split, {key: plain[key] for key in _RECORDED})
    written = write_report(report, out, dataset, run) if out else {}
    if json_:
        _print_json({**report.to_dict(), "written": {kind: str(path) for kind, path in written.items()}})
    else:
        _console().print(render_table(report))
        for path in written.values():
            _say(f"  {path}")
    return 0


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

"""What every verb needs: its flags, and how it speaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from segscape.errors import ConfigError, InputError
from segscape.text import printable as plain

if TYPE_CHECKING:
    from segscape.predict.files import Outcome
    from segscape.predict.panoptic_predictor import PanopticPredictor
    from segscape.predict.predictor import Predictor
    from segscape.result import Segmentation

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, Parameter(name="--quiet", negative="", help="Show no progress.")]
Overrides = Annotated[tuple[str, ...], Parameter(name="--set", negative="")]
MANY = 8
"""Images from which on several at once pay: their threads take time to get going, and each waits longer."""
Switch = Annotated[bool, Parameter(negative="")]


def needs_train_extra() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("accelerate", "pydantic", "torchvision") if find_spec(name) is None]:
        raise ConfigError(f"training needs {', '.join(missing)}: pip install 'segscape[train]'")


def console() -> Any:
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty())


def say(text: str) -> None:
    print(plain(text))


def complain(text: str) -> None:
    print(f"segscape: {plain(text, keep_lines=True)}", file=sys.stderr)


def print_json(document: Any) -> None:
    # Not json.dump, which is not written in C.
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def open_predictor(model: str, panoptic: str, engine: str, *, many: bool = False) -> Predictor | PanopticPredictor:
    """What --model, or --panoptic instead of it, names, on --engine: ENGINE or torch:DEVICE.

    --panoptic is SEMANTIC+INSTANCE, and may end in @FILE, what `segscape tune-objects` wrote of these two. With
    ``many`` images, the engine runs several at once.
    """
    from segscape.predict.predictor import load

    name, _, device = engine.partition(":")
    options = {"engine": name, "device": device or "auto", "mode": "throughput" if many else "latency"}
    if not panoptic:
        return load(model, **options)
    if model != "street":
        raise ConfigError("--panoptic names both models; leave --model out")
    from segscape.predict.panoptic import read_fusion
    from segscape.predict.panoptic_predictor import load_panoptic

    models, _, fusion = panoptic.rpartition("@") if panoptic.endswith(".json") else (panoptic, "", "")
    return load_panoptic(models, parameters=read_fusion(Path(fusion)) if models != panoptic else None, **options)


def successes(
    outcomes: Iterable[Outcome], failed: list[dict[str, str]], codes: list[int]
) -> Iterator[tuple[int, Outcome, Segmentation]]:
    """Place, outcome and segmentation of each file that could be done; of the others ``failed`` and ``codes`` get the
    error and its exit code."""
    for place, outcome in enumerate(outcomes):
        if outcome.segmentation is not None:
            yield place, outcome, outcome.segmentation
            continue
        failed.append({"source": str(outcome.source), "error": str(outcome.error)})
        codes.append(outcome.error.exit_code if outcome.error else InputError.exit_code)


def complain_of(failed: Sequence[Mapping[str, str]], num_files: int, rest: str = "the others are done") -> None:
    """Say each file's error, and of how many."""
    for failure in failed:
        complain(failure["error"])
    if failed and num_files > 1:
        complain(f"{len(failed)} of {num_files} inputs failed; {rest}")

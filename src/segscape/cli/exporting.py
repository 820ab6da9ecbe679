"""``segscape export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segscape.cli.common import Json, Quiet, complain, console, print_json, say
from segscape.errors import ConfigError, SegscapeError

if TYPE_CHECKING:
    from segscape.models.card import ModelCard


def export(
    model: str, /, *, to: str, out: Path, int8: str | None = None, json_: Json = False, quiet: Quiet = False
) -> int:
    """Write a model for machines without torch: a graph, and all that stands before and behind it.

    Example: segscape export street --to onnx --out street-onnx

    Example: segscape export street --to openvino --int8 camvid:CamVid --out street-int8

    The folder is a model by itself: segscape predict photo.jpg --model street-onnx.

    Parameters
    ----------
    model
        A bundled model, a .safetensors bundle or a run folder of `segscape train`.
    to
        openvino or onnx.
    out
        Folder for graph and card.
    int8
        Compute in eight bits: labelled data (a folder, or kind:path) to calibrate on, and to judge the outcome on. If
        a class loses more than 1.5 points of IoU or the mIoU 0.5 (objects: 1 point of AP), exit code 1 and no files.
    """
    from segscape.export.check import largest_difference
    from segscape.export.folder import CARD, write_exported
    from segscape.models.reading import read_card
    from segscape.predict.locate import find_model
    from segscape.runtime.choose import graph_of

    path = find_model(model)
    if path.is_dir():
        raise ConfigError(f"{model!r} is an exported model; export the bundle it was made from")
    card = read_card(path)
    if int8:
        return _export_int8(path, card, to, out, int8, json_, quiet)
    files = write_exported(out, to, graph_of(path, card), card)
    try:
        difference = largest_difference(out, path)
    except BaseException:  # Ctrl-C too: what was not compared is no model
        (out / CARD).unlink(missing_ok=True)  # no longer taken for a model
        raise
    if json_:
        print_json({"model": card.id, "to": to, "files": [str(f) for f in files], "largest_difference": difference})
        return 0
    compared = (
        "not compared with torch, which takes both installed"
        if difference is None
        else f"scores within {difference:.1e} of torch"
    )
    say(f"{card.id} for {to}: {compared}")
    for file in files:
        say(f"  {file}")
    return 0


def _export_int8(path: Path, card: ModelCard, to: str, out: Path, data: str, json_: bool, quiet: bool) -> int:
    from segscape.data import open_dataset
    from segscape.export.folder import write_exported
    from segscape.export.int8 import quantized
    from segscape.progress import Progress

    if to != "openvino":
        raise ConfigError("--int8 goes with --to openvino alone: what ONNX Runtime gains by it is little")
    dataset, progress = open_dataset(data), Progress(quiet=quiet)
    progress.message(f"data: {dataset.kind} at {dataset.root}")
    with quantized(path, dataset, progress=progress) as made:
        passed = made.comparison.passed
        files = write_exported(out, to, made.graph, card, int8=made.said) if passed else []
    if json_:
        print_json({"model": card.id, "to": to, "files": [str(f) for f in files], "int8": made.said})
    else:
        console().print(made.comparison.table())
        say(f"{made.num_layers - len(made.kept)} of {made.num_layers} layers in int8")
        for layer in made.kept:
            say(f"  not {layer}")
        for file in files:
            say(f"  {file}")
    if not passed:
        complain(f"int8 costs {card.name!r} too much: nothing was written")
    return 0 if passed else SegscapeError.exit_code

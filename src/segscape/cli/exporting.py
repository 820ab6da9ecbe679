"""``segscape export``."""

from __future__ import annotations

from pathlib import Path

from segscape.cli.common import Json, print_json, say
from segscape.errors import ConfigError, ModelError


def export(model: str, /, *, to: str, out: Path, json_: Json = False) -> int:
    """Write a model for machines without torch: a graph, and all that stands before and behind it.

    Example: segscape export street --to onnx --out street-onnx

    The folder is a model by itself: segscape predict photo.jpg --model street-onnx.

    Parameters
    ----------
    model
        A bundled model, a .safetensors bundle or a run folder of `segscape train`.
    to
        openvino or onnx.
    out
        Folder for graph and card.
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
    files = write_exported(out, to, graph_of(path, card), card)
    try:
        difference = largest_difference(out, path)
    except ModelError:
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

"""``segscape describe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segscape.cli.common import Json, Quiet, Switch, complain_of, open_predictor, print_json, say, successes
from segscape.errors import ConfigError
from segscape.progress import Progress

if TYPE_CHECKING:
    from segscape.scene.scene import Scene


def describe(
    inputs: list[str],
    /,
    *,
    model: str = "street",
    panoptic: str = "",
    lang: Literal["en", "zh"] = "en",
    length: Literal["short", "normal", "full"] = "normal",
    cite: Switch = False,
    compare: Path | None = None,
    out: Path | None = None,
    size: str = "model",
    engine: str = "auto",
    max_pixels: int = 250_000_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say in words what images show, each word measured from the masks.

    Example: segscape describe photo.jpg --lang zh --length full

    Parameters
    ----------
    inputs
        Files, folders or patterns.
    model
        As `segscape predict` takes it.
    panoptic
        SEMANTIC+INSTANCE: two models joined, so that each object is told apart and each pixel has one owner.
    lang
        en or zh.
    length
        short, normal or full.
    cite
        Name the regions of each clause, as in "two cars [4, 7]".
    compare
        A later photo of the same size: also say what appeared, vanished, moved or grew. With one input.
    out
        Also write each scene as STEM.scene.json and its relations as STEM.graph.jpg, .graphml, .dot and .jsonld.
    size
        Longer side in pixels at which the network sees the image, "model" (as trained) or "native".
    engine
        What the network runs on: auto (says which and why), openvino, onnx, torch, torch-compile; torch's on a device
        as in torch:cuda:1.
    max_pixels
        Larger images are refused.
    """
    from segscape.image import image_files
    from segscape.predict.files import predict_files, unique_stems

    files = image_files(inputs)
    if compare and len(files) != 1:
        raise ConfigError(f"--compare takes one photo to compare with, got {len(files)}")
    predictor = open_predictor(model, panoptic, engine)
    options: dict[str, Any] = {"long_side": size, "max_pixels": max_pixels}
    later = predictor.predict(compare, **options).scene() if compare else None
    progress = Progress(quiet=quiet or len(files) == 1)
    results, failed, codes, stems = [], [], [], unique_stems(files)
    outcomes = progress.track(predict_files(predictor, files, None, **options), len(files), "describe")
    for place, outcome, segmentation in successes(outcomes, failed, codes):
        scene = segmentation.scene()
        description = scene.describe(lang, length, cite=cite)
        difference = scene.diff(later) if later else None
        written = _write(scene, out, stems[place]) if out else {}
        if json_:
            entry: dict[str, Any] = {"scene": scene.to_dict(), "description": description.to_dict()}
            if difference:
                entry["difference"] = {**difference.to_dict(), "text": difference.text(lang)}
            results.append({**entry, "written": {kind: str(path) for kind, path in written.items()}})
            continue
        say(f"{outcome.source}: {description.text}" if len(files) > 1 else description.text)
        if difference:
            say(difference.text(lang))
        for path in written.values():
            say(f"  {path}")
    if json_:
        print_json({"model": predictor.id, "results": results, "failed": failed})
    complain_of(failed, len(files))
    return max(codes, default=0)


def _write(scene: Scene, folder: Path, stem: str) -> dict[str, Path]:
    """The scene as JSON, and its graph in every form."""
    from segscape.result_files import safe_stem
    from segscape.scene.graph import write_graph

    endings = ("scene.json", "graph.jpg", "graph.graphml", "graph.dot", "graph.jsonld")
    paths = {ending: folder / f"{safe_stem(stem)}.{ending}" for ending in endings}
    for path in paths.values():
        write_graph(scene, path)
    return paths

"""``segscape report``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segscape.cli.common import Json, Quiet, complain_of, open_predictor, print_json, say, successes
from segscape.progress import Progress

if TYPE_CHECKING:
    from segscape.scene.scene import Scene


def report(
    inputs: list[str],
    /,
    *,
    out: Path,
    model: str = "street",
    panoptic: str = "",
    lang: Literal["en", "zh"] = "en",
    title: str = "",
    max_images: int = 100,
    size: str = "model",
    engine: str = "auto",
    max_pixels: int = 250_000_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what is in images: one HTML page with pictures, sentences, tables and figures, and the same as JSON.

    Example: segscape report 'holiday/*.jpg' --out holiday-report

    Parameters
    ----------
    inputs
        Files, folders or patterns. After --, names may begin with a dash.
    out
        Folder for report.html and report.json.
    model
        A bundled model, a .safetensors bundle, a run folder, or a known model to download (see `segscape predict`).
    panoptic
        SEMANTIC+INSTANCE: two models joined, so that each object is told apart and each pixel has one owner.
    lang
        en or zh, the language in which the page opens; it holds both.
    title
        Headline of the page.
    max_images
        The page shows so many, the first ones; figures and report.json are of all.
    size
        Longer side in pixels at which the network sees the image, "model" (as trained) or "native".
    engine
        What the network runs on: auto (says which and why), openvino, onnx, torch, torch-compile; torch's on a device
        as in torch:cuda:1.
    max_pixels
        Larger images are refused.
    """
    from segscape.image import image_files
    from segscape.predict.files import predict_files
    from segscape.report.page import check_options, write_report

    check_options(lang, max_images)  # before a model has worked for nothing
    files = image_files(inputs)
    predictor = open_predictor(model, panoptic, engine)
    failed: list[dict[str, str]] = []
    codes: list[int] = []
    sources: list[dict[str, Any]] = []
    outcomes = predict_files(predictor, files, None, max_pixels=max_pixels, long_side=size)

    def scenes() -> Iterator[Scene]:
        tracked = Progress(quiet=quiet or len(files) == 1).track(outcomes, len(files), "report")
        for _, _, segmentation in successes(tracked, failed, codes):
            scene = segmentation.scene()
            sources.append({"source": scene.source, "regions": len(scene.regions), "kind": scene.kind.name})
            yield scene

    made = scenes()
    first = next(made, None)
    written: dict[str, Path] = {}
    if first is not None:
        written = write_report(
            _with_first(first, made), out, lang=lang, title=title, max_images=max_images, failed=failed
        )
    if json_:
        paths = {kind: str(path) for kind, path in written.items()}
        print_json({"model": predictor.id, "written": paths, "images": sources, "failed": failed})
    elif written:
        total = sum(entry["regions"] for entry in sources)
        say(f"{len(sources)} image{'s' * (len(sources) != 1)}, {total} region{'s' * (total != 1)}")
        if len(sources) > max_images:
            say(f"  the page shows the first {max_images} (--max-images); its figures are of all")
        for path in written.values():
            say(f"  {path}")
    complain_of(failed, len(files), "the others are done" if written else "no report")
    return max(codes, default=0)


def _with_first(first: Scene, rest: Iterator[Scene]) -> Iterator[Scene]:
    yield first
    del first
    yield from rest

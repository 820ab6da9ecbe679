"""``segscape predict``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from segscape.cli.common import Json, Quiet, complain_of, open_predictor, print_json, say, successes
from segscape.progress import Progress


def predict(
    inputs: list[str],
    /,
    *,
    model: str = "street",
    out: Path | None = None,
    tta: str = "",
    size: str = "model",
    refine: str = "model",
    min_score: str = "model",
    panoptic: str = "",
    fusion: Path | None = None,
    engine: str = "auto",
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
        A bundled model, a .safetensors bundle, a run folder of `segscape train`; or, downloaded on first use,
        coco-maskrcnn, coco-maskrcnn-v2, voc-deeplab, voc-fcn.
    out
        Folder for the results; segscape-out if not given (with --json: nothing is written).
    tta
        Test-time augmentation: flip, scale, or flip,scale. Slower, a little better.
    size
        Longer side in pixels at which the network sees the image, "model" (as trained) or "native".
    refine
        crf (borders follow the photo's edges; slower), none, or model (as its card says).
    min_score
        Objects of a lower score are left out: 0 to 1, or model (as its card says).
    panoptic
        SEMANTIC+INSTANCE: two models joined so that each pixel has one owner; also writes COCO's panoptic format.
    fusion
        With --panoptic: the file that `segscape tune-objects SEMANTIC+INSTANCE DATA --out DIR` wrote.
    engine
        What the network runs on: auto (says which and why), openvino, onnx, torch; or torch:DEVICE, e.g. torch:cuda:1.
    max_pixels
        Larger images are refused.
    """
    from segscape.image import image_files
    from segscape.predict.files import predict_files, unique_stems

    files = image_files(inputs)
    kinds = tuple(kind for kind in tta.split(",") if kind)
    folder = out or (None if json_ else Path("segscape-out"))
    predictor = open_predictor(model, panoptic, engine, fusion, num_images=len(files))
    progress = Progress(quiet=quiet or len(files) == 1)
    results, failed, codes, stems = [], [], [], unique_stems(files)
    options: dict[str, Any] = {"tta": kinds, "long_side": size, "refine": refine, "min_score": min_score}
    if not folder:  # nothing is drawn
        options["keep_image"] = False
    outcomes = predict_files(predictor, files, folder, max_pixels=max_pixels, **options)

    def done() -> Iterator[tuple[int, str, Any]]:
        tracked = progress.track(outcomes, len(files), "predict")
        for place, outcome, segmentation in successes(tracked, failed, codes):
            if json_:
                written = {kind: str(path) for kind, path in (outcome.written or {}).items()}
                said = {**segmentation.to_dict(), "source": str(outcome.source)}
                results.append({**said, "written": written})
            else:
                _say_result(outcome)
            yield place + 1, f"{stems[place]}{outcome.source.suffix}", segmentation

    segmented, joined = done(), None
    if panoptic and folder and (first := next(segmented, None)):  # none if every file failed
        from segscape.predict.panoptic_export import save_coco_panoptic

        joined = save_coco_panoptic(chain([first], segmented), folder)
    for _ in segmented:
        pass
    if json_:
        extra = {"panoptic": str(joined)} if joined else {}
        ran = {"name": predictor.engine_name, "reason": predictor.reason}
        print_json({"model": predictor.id, "engine": ran, "results": results, "failed": failed, **extra})
    elif joined:
        say(f"  {joined}")
    if not json_ and len(failed) < len(files):
        say(f"{predictor.id} ran on {predictor.engine_name}: {predictor.reason}")
    complain_of(failed, len(files))
    return max(codes, default=0)


def _say_result(outcome: Any) -> None:
    result = outcome.segmentation
    height, width = result.size
    areas = sorted(result.class_areas().items(), key=lambda pair: -pair[1])
    counts = Counter(result.label_set[region.label].name for region in result.regions if result.single_objects)
    parts = []
    for name, area in areas:
        number = f"{counts[name]} " if counts[name] and result.label_set[result.label_set.index(name)].thing else ""
        parts.append(f"{number}{name} {100 * area / (height * width):.1f} %")
    milliseconds = sum(result.timings_ms.values())
    say(f"{outcome.source}: {width} × {height}, {milliseconds:.0f} ms: {', '.join(parts) or 'nothing found'}")
    for path in (outcome.written or {}).values():
        say(f"  {path}")

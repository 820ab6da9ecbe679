"""``segscape predict``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segscape.cli.common import MANY, Json, Quiet, Switch, complain_of, open_predictor, print_json, say, successes
from segscape.errors import ConfigError, InputError, ResourceError
from segscape.progress import Progress

if TYPE_CHECKING:
    from segscape.predict.panoptic_predictor import PanopticPredictor
    from segscape.predict.predictor import Predictor


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
    engine: str = "auto",
    max_memory: str = "auto",
    tiled: Switch = False,
    workers: int = 0,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment images: overlay, label map and JSON for each.

    Example: segscape predict photo.jpg 'holiday/*.png' --out results

    Parameters
    ----------
    inputs
        Files, folders or patterns; Zarr arrays; tiles:FOLDER for tiles of one picture, their names ending in row and
        column. After --, names may begin with a dash.
    model
        A bundled model, a .safetensors bundle, a run folder of `segscape train`, a folder of `segscape export`; or,
        downloaded on first use, coco-maskrcnn, coco-maskrcnn-v2, voc-deeplab, voc-fcn.
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
        With @FILE behind it, joined as that file of `segscape tune-objects SEMANTIC+INSTANCE DATA --out DIR` says.
    engine
        What the network runs on: auto (says which and why), openvino, onnx, torch, torch-compile; torch's on a device
        as in torch:cuda:1.
    max_memory
        As in 2GB. TIFFs that take more are done by tiles, at their own resolution; other images are refused. auto:
        half of what is free, and more than 250 megapixels are too many.
    tiled
        By tiles whatever the size, at the picture's own resolution, as TIFF; georeferenced ones always are if --out,
        --tta and the like allow it.
    workers
        Threads that read, and as many that write; 0 for half as many as there are cores.
    """
    from segscape.image import image_files
    from segscape.predict.files import predict_files, spare_the_inputs, unique_stems
    from segscape.predict.huge_files import memory_limit, split_inputs, too_large

    limit = memory_limit(max_memory)
    if workers < 0:
        raise ConfigError(f"--workers must be 0 or more, got {workers}")
    named, folders = split_inputs(inputs)
    files = image_files(named) if named or not folders else []
    kinds = tuple(kind for kind in tta.split(",") if kind)
    folder = out or (None if json_ else Path("segscape-out"))
    predictor = open_predictor(model, panoptic, engine, many=len(files) >= MANY)
    placed = bool(folder) and not (kinds or panoptic or refine == "crf")
    huge = list(files) if tiled else too_large(files, limit, predictor, long_side=size, placed=placed)
    by_tiles = set(huge)
    files = [path for path in files if path not in by_tiles]
    huge += folders
    if huge and (not folder or kinds or refine == "crf"):
        raise ConfigError(f"{str(huge[0])!r} is done by tiles: give --out, and neither --tta nor --refine crf")
    progress = Progress(quiet=quiet or len(files) == 1)
    results, failed, codes, stems = [], [], [], unique_stems([*files, *huge])
    if huge and folder:
        spare_the_inputs([*files, *huge], stems[len(files) :], folder, [".labels.tif"])
    options: dict[str, Any] = {"tta": kinds, "long_side": size, "refine": refine, "min_score": min_score}
    if not folder:  # nothing is drawn
        options["keep_image"] = False
    outcomes = predict_files(
        predictor, files, folder, workers=workers or None, stems=stems, max_pixels=limit.max_pixels, **options
    )

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
    if huge and folder:
        pictures, progress = zip(huge, stems[len(files) :], strict=True), Progress(quiet=quiet)
        how = {"max_memory": limit.num_bytes, "long_side": size, "min_score": min_score, "progress": progress}
        for document in _by_tiles(predictor, pictures, folder, failed, codes, **how):
            if json_:
                results.append(document)
            else:
                _say_huge(document)
    if json_:
        extra = {"panoptic": str(joined)} if joined else {}
        ran = {"name": predictor.engine_name, "reason": predictor.reason}
        print_json({"model": predictor.id, "engine": ran, "results": results, "failed": failed, **extra})
    elif joined:
        say(f"  {joined}")
    if not json_ and len(failed) < len(files) + len(huge):
        say(f"{predictor.id} ran on {predictor.engine_name}: {predictor.reason}")
    complain_of(failed, len(files) + len(huge))
    return max(codes, default=0)


def _by_tiles(
    predictor: Predictor | PanopticPredictor,
    pictures: Iterable[tuple[Path, str]],
    folder: Path,
    failed: list[dict[str, str]],
    codes: list[int],
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """What is said of each picture; of those that cannot be done ``failed`` and ``codes`` get the error."""
    from segscape.predict.huge_files import predict_huge_file

    for source, stem in pictures:
        try:
            yield predict_huge_file(predictor, source, folder, stem, **options)
        except (InputError, ResourceError) as error:
            failed.append({"source": str(source), "error": str(error)})
            codes.append(error.exit_code)


def _say_huge(document: dict[str, Any]) -> None:
    shares = sorted(document["classes"], key=lambda entry: -entry["area_px"])
    parts = ", ".join(f"{entry['label']} {100 * entry['area_share']:.1f} %" for entry in shares)
    size, seconds = document["size"], document["timings_ms"]["all"] / 1000
    objects = f"{document['num_objects']} objects, " if "num_objects" in document else ""
    say(
        f"{document['source']}: {size['width']} × {size['height']}, {document['tiles']['count']} tiles, "
        f"{seconds:.0f} s: {objects}{parts}"
    )
    for path in document["written"].values():
        say(f"  {path}")


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

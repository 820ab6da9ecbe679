"""The inference path: anything that is an image in, a `Segmentation` out."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from segscape.errors import ConfigError, ResourceError
from segscape.image import MAX_PIXELS, Image
from segscape.predict.locate import find_model
from segscape.predict.pipeline import Enough, image_reader, segmentations
from segscape.predict.regions import regions_from_label_map
from segscape.preprocess import Preprocess
from segscape.refine import crf
from segscape.refine.scores import refine_scores, working_size
from segscape.result import Segmentation
from segscape.runtime.engine import Engine, ObjectEngine
from segscape.runtime.inference import (
    SampledConfidence,
    classify,
    lattice_spacing,
    run_network,
    tta_scales,
)

if TYPE_CHECKING:
    from segscape.models.card import ModelCard

PIXELS_AT_ONCE = 2**22
"""Of what a network is given at once: about 1.2 GB of memory for `street`."""

REFINEMENTS = ("model", "none", "crf")


def load(
    name: str | os.PathLike[str] = "street",
    *,
    engine: str = "auto",
    device: str = "auto",
    mode: str = "latency",
    precision: str = "auto",
) -> Predictor:
    """A model ready to predict.

    Args:
        name: a bundled model, a bundle (.safetensors), a run folder of `segscape train` or a folder of
            `segscape export`.
        engine: "torch", "torch-compile", "openvino", "onnx", or "auto", which picks by machine and model;
            `Predictor.engine_name` has its name and `Predictor.reason` why. Torch is imported only if it is the engine,
            or to make the graph of a network that the package has none of, once.
        device: of torch: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", "mps".
        mode: "latency" gets one image done soonest, "throughput" the most images per second (`predict_many`).
        precision: "f32", "bf16", or "auto": of OpenVINO bf16 where the CPU computes in it, of torch bf16 on GPUs
            that do and f32 on a CPU. ONNX Runtime and, in torch, networks that find objects use float32.

    Raises:
        ModelError: no such model, or a file that is none.
        ConfigError: no such engine or device, or one that cannot run this model.
        ResourceError: out of memory.
    """
    from segscape.runtime.choose import open_engine

    chosen = open_engine(find_model(name), engine, device=device, mode=mode, precision=precision)
    return Predictor(chosen.engine, chosen.card, chosen.reason)


class Predictor:
    """A model that segments images.

    Args:
        engine: runs the network: an `Engine` for a model of task "semantic", an `ObjectEngine` for "instance".
        card: says what goes in and what comes out.
        reason: why this engine, in a few words.
    """

    def __init__(self, engine: Engine | ObjectEngine, card: ModelCard, reason: str = "") -> None:
        self.engine, self.card, self.reason = engine, card, reason

    @property
    def id(self) -> str:
        """Name and hash of the model, as on its card."""
        return self.card.id

    @property
    def engine_name(self) -> str:
        """What the network runs on."""
        return self.engine.name

    @property
    def concurrency(self) -> int:
        """How many calls of `predict`, from as many threads, use the machine best."""
        return self.engine.concurrency

    @property
    def score_engine(self) -> Engine:
        """The engine of a model of task "semantic"."""
        return cast(Engine, self.engine)

    @property
    def object_engine(self) -> ObjectEngine:
        """The engine of a model of task "instance"."""
        return cast(ObjectEngine, self.engine)

    @property
    def default_min_score(self) -> float:
        """The score from which on objects are kept: what the card says, else 0.5 for detections and 0 for others."""
        return float(self.card.objects.get("min_score", 0.5 if self.card.task == "instance" else 0.0))

    def predict(
        self,
        source: Any,
        *,
        tta: Sequence[str] = (),
        long_side: int | str = "model",
        refine: str | crf.CrfParameters = "model",
        min_score: float | str = "model",
        confidence: bool = False,
        keep_image: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> Segmentation:
        """Segment one image.

        A model of task "semantic" gives a label map and its connected pieces, one of task "instance" objects, each with
        its score; ``tta``, ``refine`` and ``confidence`` are of the former, ``min_score`` of the latter. A semantic
        model with a watershed on its card gives objects too.

        Args:
            source: a path, encoded bytes, a PIL image, an `Image`, or an RGB array (H, W, 3) uint8; more in `as_image`.
            tta: test-time augmentation: "flip", "scale", both or none.
            long_side: pixels to which the image's longer side is brought for the network: a number, "model" (as it
                was trained) or "native" (no change). Large values find finer detail and take more time; beyond 4
                megapixels the network is given windows that overlap, so memory hardly grows.
            refine: what follows the network: "crf" draws the borders along the photo's edges with the dense CRF of
                `segscape.refine.crf`, with the parameters on the model's card or else its defaults; "none" does not;
                "model" does what the card says, which holds for the model's own ``long_side`` alone: at another one it
                does not. Parameters may also be given themselves.
            min_score: 0…1, objects of a lower score are left out; "model" is what its card says
                (if nothing: 0.5 of detectors, 0 behind a watershed).
            confidence: keep the probability of each pixel's class, (H, W) float32. Without it, the scores of pieces in
                photos much larger than what the network sees are means over fewer pixels (`Region`).
            keep_image: keep the image, which `Segmentation.plot` and `save` draw on. A file that need not be kept is
                decoded no larger than the network can use (`reader`).
            max_pixels: larger images are refused before they are decoded.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is out of range.
            ModelError: the network's scores are not finite.
            ResourceError: out of memory, or an image too large to be refined.
        """
        preprocess = self.preprocess_at(long_side)
        try:
            if self.card.task == "instance":
                self._refuse("objects", tta=tta, refine=refine != "model" and refine != "none", confidence=confidence)
                lowest = self.checked_min_score(min_score)
                read = self.reader(long_side=long_side, keep_image=keep_image, max_pixels=max_pixels)
                image, decode_ms = _timed(read, source)
                result = self._objects(image, decode_ms, preprocess, lowest)
            else:
                if self.card.finds_objects:
                    self._refuse("objects", confidence=confidence)
                else:
                    self._refuse("label maps", min_score=min_score != "model")
                parameters, lowest = self._crf(refine, preprocess), self.checked_min_score(min_score)
                read = self.reader(tta=tta, long_side=long_side, keep_image=keep_image, max_pixels=max_pixels)
                image, decode_ms = _timed(read, source)
                result = self._of_scores(image, decode_ms, preprocess, tta, parameters, confidence, lowest)
        except MemoryError as error:
            raise ResourceError("out of memory; give a smaller --size (long_side) or a smaller image") from error
        return replace(result, image=image) if keep_image else result

    def reader(
        self,
        *,
        tta: Sequence[str] = (),
        long_side: int | str = "model",
        keep_image: bool = True,
        max_pixels: int = MAX_PIXELS,
        **_: Any,
    ) -> Callable[[Any], Image]:
        """What makes of a source the image that `predict` takes with the same options, for those who read ahead.

        Raises:
            ConfigError: as `predict`.
        """
        return image_reader(self.enough(tta, long_side), keep_image=keep_image, max_pixels=max_pixels)

    def enough(self, tta: Sequence[str] = (), long_side: int | str = "model") -> Enough:
        """What says for an image's (height, width) which (height, width) of it suffices for the network.

        Raises:
            ConfigError: as `predict`.
        """
        return functools.partial(self.preprocess_at(long_side).enough, zoom=tta_scales(tta)[-1])

    def _objects(self, image: Image, decode_ms: float, preprocess: Preprocess, min_score: float) -> Segmentation:
        from segscape.predict.objects import detect, object_regions, warn_if_full

        start = time.perf_counter()
        size = image.full_size
        found = detect(self.object_engine, preprocess, image.pixels, size)
        warn_if_full(found, self.card, min_score, f"{image.source!r}")
        ran = time.perf_counter()
        regions = object_regions(found, size, min_score, overlap=self.card.objects.get("overlap", True))
        end = time.perf_counter()
        return Segmentation(
            size=size,
            label_set=self.card.label_set,
            label_map=None,
            regions=regions,
            model=self.card.id,
            timings_ms={"decode": decode_ms, "network": 1000 * (ran - start), "masks": 1000 * (end - ran)},
            single_objects=True,
        )

    def _of_scores(
        self,
        image: Image,
        decode_ms: float,
        preprocess: Preprocess,
        tta: Sequence[str],
        parameters: crf.CrfParameters | None,
        confidence: bool,
        min_score: float,
    ) -> Segmentation:
        start = time.perf_counter()
        if parameters:  # before the network has worked for nothing
            crf.check_size(working_size(preprocess, image.full_size), len(self.card.label_set))
        engine = self._engine_for(preprocess.network_size(image.full_size, tta_scales(tta)[-1]))
        scores = run_network(engine, preprocess, image.pixels, tta, image.full_size)
        ran = time.perf_counter()
        if parameters:
            scores = refine_scores(scores, image.pixels, parameters, preprocess)
        refined = time.perf_counter()
        if self.card.watershed:
            from segscape.predict.objects import watershed_regions

            regions = watershed_regions(scores, self.card, min_score)
            return Segmentation(
                size=scores.size,
                label_set=self.card.result_labels,
                label_map=None,
                regions=regions,
                model=self.card.id,
                timings_ms={
                    "decode": decode_ms,
                    "network": 1000 * (ran - start),
                    "watershed": 1000 * (time.perf_counter() - refined),
                },
                single_objects=True,
            )
        every = 1 if confidence else lattice_spacing(scores.size, preprocess.network_size(scores.size))
        label_map, probability = classify(scores, confidence=every == 1)
        labelled = time.perf_counter()
        sure = probability if every == 1 else SampledConfidence(scores, every)
        regions = regions_from_label_map(label_map, self.card.label_set, sure)
        end = time.perf_counter()
        return Segmentation(
            size=scores.size,
            label_set=self.card.label_set,
            label_map=label_map,
            regions=regions,
            confidence=probability if confidence else None,
            model=self.card.id,
            timings_ms={
                "decode": decode_ms,
                "network": 1000 * (ran - start),
                **({"refine": 1000 * (refined - ran)} if parameters else {}),
                "upsample": 1000 * (labelled - refined),
                "regions": 1000 * (end - labelled),
            },
        )

    def _engine_for(self, size: tuple[int, int]) -> Engine:
        """That of the model, behind sliding windows where the network's (height, width) is large."""
        return self.score_engine if size[0] * size[1] <= PIXELS_AT_ONCE else self._windowed

    @functools.cached_property
    def _windowed(self) -> Engine:
        from segscape.predict.tiling.windows import WindowedEngine

        return WindowedEngine(self.score_engine, PIXELS_AT_ONCE)

    def predict_many(self, sources: Iterable[Any], **options: Any) -> Iterator[Segmentation]:
        """Segment many images, in their order, decoding the next while the network works; see `predict`.

        As many are in the network at once as the engine has use for (`load` with ``mode="throughput"``).

        Raises as `predict` does at the first bad image; `segscape.predict.files.predict_files` goes on instead.
        """
        with closing(segmentations(self, sources, ahead=2, **options)) as done:
            yield from map(Future.result, done)  # no name holds one that was given

    def _crf(self, wanted: str | crf.CrfParameters, preprocess: Preprocess) -> crf.CrfParameters | None:
        if isinstance(wanted, crf.CrfParameters):
            return wanted
        if wanted not in REFINEMENTS:
            raise ConfigError(f"refine must be one of {', '.join(REFINEMENTS)}, got {wanted!r}")
        # That it helps was measured at the model's own size.
        by_default = self.card.refines and preprocess == self.card.preprocess
        if wanted == "none" or (wanted == "model" and not by_default):
            return None
        return self.card.crf or crf.CrfParameters()

    def _refuse(self, made: str, **asked: Any) -> None:
        if wrong := [name for name, value in asked.items() if value]:
            raise ConfigError(f"model {self.card.name!r} makes {made}; it has no {' and no '.join(wrong)}")

    def checked_min_score(self, wanted: float | str) -> float:
        """The lowest score to keep, from what a caller wants: a number in 0…1, or "model" for what the card says.

        Raises:
            ConfigError: it is neither.
        """
        if wanted == "model":
            return self.default_min_score
        from segscape.predict.objects import LOWEST_SCORE

        try:
            value = float(wanted)
        except (ValueError, TypeError):
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f'min_score must be "model" or a number in 0…1, got {wanted!r}')
        return max(value, LOWEST_SCORE)

    def preprocess_at(self, wanted: int | str) -> Preprocess:
        """The card's, with the image brought to the wanted long side.

        Raises:
            ConfigError: ``wanted`` is out of range.
        """
        if wanted == "model":
            return self.card.preprocess
        return replace(self.card.preprocess, long_side=checked_long_side(wanted), short_side=None, zoom=1.0)


def checked_long_side(wanted: int | str) -> int | None:
    """The pixels that a caller wants as the longer side; None for "model" and "native".

    Raises:
        ConfigError: it is none of these.
    """
    if wanted in ("model", "native"):
        return None
    if isinstance(wanted, str) and wanted.isdecimal() and len(wanted) <= 5:
        wanted = int(wanted)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 16 <= wanted <= 65536:
        raise ConfigError(f'long_side must be "model", "native" or 16…65536 pixels, got {wanted!r}')
    return wanted


def _timed(read: Callable[[Any], Image], source: Any) -> tuple[Image, float]:
    """The image and the milliseconds it took to decode."""
    start = time.perf_counter()
    return read(source), 1000 * (time.perf_counter() - start)

"""The inference path: anything that is an image in, a `Segmentation` out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segscape.errors import ConfigError, ModelError, ResourceError
from segscape.image import MAX_PIXELS, as_image
from segscape.predict.regions import regions_from_label_map
from segscape.preprocess import Preprocess
from segscape.refine import crf
from segscape.refine.scores import refine_scores, working_size
from segscape.result import Segmentation
from segscape.runtime.engine import Engine
from segscape.runtime.inference import classify, run_network

if TYPE_CHECKING:
    from segscape.models.bundle import ModelCard

_WEIGHTS = Path(__file__).parent.parent / "weights"
REFINEMENTS = ("model", "none", "crf")


def bundled_models() -> dict[str, Path]:
    """The models that come with the package: name to bundle."""
    return {path.stem: path for path in sorted(_WEIGHTS.glob("*.safetensors"))}


def find_model(name: str | os.PathLike[str]) -> Path:
    """The bundle of a bundled model's name, of a .safetensors file, or of a run folder (its best).

    Raises:
        ModelError: there is none.
    """
    text = os.fsdecode(name)
    path = Path(text)
    if text in (known := bundled_models()):
        return known[text]
    try:
        if path.is_dir() and (path / "best.safetensors").exists():
            return path / "best.safetensors"
        if path.exists():
            return path
    except OSError as error:
        raise ModelError(f"no model {text!r}: it cannot be looked at ({error.strerror}); check the path") from error
    raise ModelError(f"no model {text!r}: not a file, nor one of the bundled models ({', '.join(known) or 'none'})")


def load(name: str | os.PathLike[str] = "street", *, device: str = "auto") -> Predictor:
    """A model ready to predict.

    Args:
        name: a bundled model, a bundle (.safetensors) or a run folder of `segscape train`.
        device: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ModelError: no such model, or a file that is none.
        ConfigError: no such device.
    """
    from segscape.models.bundle import load_bundle
    from segscape.runtime.torch_engine import TorchEngine

    model, card = load_bundle(find_model(name))
    return Predictor(TorchEngine(model, device), card)


class Predictor:
    """A model that segments images.

    Args:
        engine: runs the network.
        card: says what goes in and what comes out.
    """

    def __init__(self, engine: Engine, card: ModelCard) -> None:
        self.engine, self.card = engine, card

    def predict(
        self,
        source: Any,
        *,
        tta: Sequence[str] = (),
        long_side: int | str = "model",
        refine: str | crf.CrfParameters = "model",
        confidence: bool = False,
        keep_image: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> Segmentation:
        """Segment one image.

        Args:
            source: a path, encoded bytes, a PIL image, an `Image`, or an RGB array (H, W, 3) uint8; more in `as_image`.
            tta: test-time augmentation: "flip", "scale", both or none.
            long_side: pixels to which the image's longer side is brought for the network: a number, "model" (as it
                was trained) or "native" (no change). Large values find finer detail and take more time and memory.
            refine: what follows the network: "crf" draws the borders along the photo's edges with the dense CRF of
                `segscape.refine.crf`, with the parameters on the model's card or else its defaults; "none" does not;
                "model" does what the card says, which holds for the model's own ``long_side`` alone: at another one it
                does not. Parameters may also be given themselves.
            confidence: keep the probability of each pixel's class, (H, W) float32.
            keep_image: keep the image, which `Segmentation.plot` and `save` draw on.
            max_pixels: larger images are refused before they are decoded.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is out of range.
            ModelError: the network's scores are not finite.
            ResourceError: out of memory, or an image too large to be refined.
        """
        preprocess = replace(self.card.preprocess, long_side=self._long_side(long_side))
        parameters = self._crf(refine, preprocess)
        try:
            return self._predict(source, preprocess, tta, parameters, confidence, keep_image, max_pixels)
        except MemoryError as error:
            raise ResourceError("out of memory; give a smaller --size (long_side) or a smaller image") from error

    def _predict(
        self,
        source: Any,
        preprocess: Preprocess,
        tta: Sequence[str],
        parameters: crf.CrfParameters | None,
        confidence: bool,
        keep_image: bool,
        max_pixels: int,
    ) -> Segmentation:
        start = time.perf_counter()
        image = as_image(source, max_pixels=max_pixels)
        decoded = time.perf_counter()
        if parameters:  # before the network has worked for nothing
            crf.check_size(working_size(preprocess, image.pixels.shape[:2]), len(self.card.label_set))
        scores = run_network(self.engine, preprocess, image.pixels, tta)
        ran = time.perf_counter()
        if parameters:
            scores = refine_scores(scores, image.pixels, parameters, preprocess)
        refined = time.perf_counter()
        label_map, probability = classify(scores)
        labelled = time.perf_counter()
        regions = regions_from_label_map(label_map, self.card.label_set, probability)
        end = time.perf_counter()
        return Segmentation(
            size=scores.size,
            label_set=self.card.label_set,
            label_map=label_map,
            regions=regions,
            confidence=probability if confidence else None,
            model=self.card.id,
            timings_ms={
                "decode": 1000 * (decoded - start),
                "network": 1000 * (ran - decoded),
                **({"refine": 1000 * (refined - ran)} if parameters else {}),
                "upsample": 1000 * (labelled - refined),
                "regions": 1000 * (end - labelled),
            },
            image=image if keep_image else None,
        )

    def predict_many(self, sources: Iterable[Any], **options: Any) -> Iterator[Segmentation]:
        """Segment many images, one after another, decoding the next while the network works; see `predict`.

        Raises as `predict` does at the first bad image; `segscape.predict.files.predict_files` goes on instead.
        """
        max_pixels = options.get("max_pixels", MAX_PIXELS)
        with ThreadPoolExecutor(1, "decode") as pool:
            waiting: list[Future[Any]] = []
            for source in sources:
                waiting.append(pool.submit(as_image, source, max_pixels=max_pixels))
                if len(waiting) > 2:
                    yield self.predict(waiting.pop(0).result(), **options)
            for future in waiting:
                yield self.predict(future.result(), **options)

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

    def _long_side(self, wanted: int | str) -> int | None:
        if wanted == "model":
            return self.card.preprocess.long_side
        if wanted == "native":
            return None
        if isinstance(wanted, str) and wanted.isdecimal() and len(wanted) <= 5:
            wanted = int(wanted)
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 16 <= wanted <= 65536:
            raise ConfigError(f'long_side must be "model", "native" or 16…65536 pixels, got {wanted!r}')
        return wanted

"""A semantic and an instance model as one predictor: every pixel of an image gets one owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from segscape.errors import ConfigError
from segscape.image import MAX_PIXELS, Image
from segscape.predict.label_mapping import LabelMapping, join_label_sets
from segscape.predict.panoptic import PanopticParameters, fuse
from segscape.predict.pipeline import image_reader
from segscape.predict.predictor import Predictor, load
from segscape.result import Segmentation


class PanopticPredictor:
    """Two models and how their results are joined (`segscape.predict.panoptic.fuse`).

    Args:
        semantic: gives label maps.
        objects: gives objects.
        aliases: see `segscape.predict.label_mapping.join_label_sets`.
        parameters: of the fusion; their ``min_score`` is the objects model's own if None.

    Raises:
        ConfigError: a model is of the other kind.
    """

    def __init__(
        self,
        semantic: Predictor,
        objects: Predictor,
        *,
        aliases: Mapping[str, str] | None = None,
        parameters: PanopticParameters | None = None,
    ) -> None:
        if semantic.card.finds_objects or not objects.card.finds_objects:
            raise ConfigError(
                "panoptic needs a model that makes label maps and one that finds objects, in this order: "
                f"SEMANTIC+INSTANCE; got {semantic.card.name!r} and {objects.card.name!r}"
            )
        self.semantic, self.objects = semantic, objects
        self.mapping: LabelMapping = join_label_sets(semantic.card.label_set, objects.card.result_labels, aliases)
        self.parameters = parameters or PanopticParameters(min_score=objects.default_min_score)

    @property
    def id(self) -> str:
        """The ids of both models, joined by "+"."""
        return f"{self.semantic.id}+{self.objects.id}"

    @property
    def engine_name(self) -> str:
        """What the networks run on, joined by "+"."""
        return f"{self.semantic.engine_name}+{self.objects.engine_name}"

    @property
    def reason(self) -> str:
        """Why they run on it, joined by "; "."""
        return f"{self.semantic.reason}; {self.objects.reason}"

    @property
    def concurrency(self) -> int:
        """How many calls of `predict`, from as many threads, use the machine best."""
        return min(self.semantic.concurrency, self.objects.concurrency)

    def predict(
        self,
        source: Any,
        *,
        tta: Sequence[str] = (),
        long_side: int | str = "model",
        refine: Any = "model",
        min_score: float | str = "model",
        confidence: bool = False,
        keep_image: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> Segmentation:
        """Segment one image; options as `Predictor.predict` takes them, each for the model it is of.

        Raises as `Predictor.predict`.
        """
        image = self.reader(tta=tta, long_side=long_side, keep_image=keep_image, max_pixels=max_pixels)(source)
        parameters = self.parameters
        if min_score != "model":
            parameters = replace(parameters, min_score=self.objects.checked_min_score(min_score))
        stuff = self.semantic.predict(
            image, tta=tta, long_side=long_side, refine=refine, confidence=confidence, keep_image=keep_image
        )
        things = self.objects.predict(image, min_score=parameters.min_score, keep_image=False)
        return fuse(stuff, things, self.mapping, parameters)

    def reader(
        self,
        *,
        tta: Sequence[str] = (),
        long_side: int | str = "model",
        keep_image: bool = True,
        max_pixels: int = MAX_PIXELS,
        **_: Any,
    ) -> Callable[[Any], Image]:
        """As `Predictor.reader`: the image suffices for both networks."""
        stuff = self.semantic.enough(tta, long_side)
        things = self.objects.enough()

        def enough(size: tuple[int, int]) -> tuple[int, int]:
            a, b = stuff(size), things(size)
            return max(a[0], b[0]), max(a[1], b[1])

        return image_reader(enough, keep_image=keep_image, max_pixels=max_pixels)


def load_panoptic(names: str, *, parameters: PanopticParameters | None = None, **options: str) -> PanopticPredictor:
    """The predictor for "SEMANTIC+INSTANCE", two names as `segscape.load` takes them, with its options.

    Raises:
        ConfigError: not two names, models of the wrong kind, no such device.
        ModelError: no such model.
    """
    semantic, plus, objects = names.partition("+")
    if not (semantic and plus and objects):
        raise ConfigError(f"panoptic takes two models, SEMANTIC+INSTANCE, e.g. street+coco-maskrcnn; got {names!r}")
    both = load(semantic, **options), load(objects, **options)
    return PanopticPredictor(*both, parameters=parameters)

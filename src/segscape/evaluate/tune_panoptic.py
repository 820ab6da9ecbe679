"""How a semantic and an instance result are best joined, chosen on a split that neither trained nor judges them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segscape.data.sample import Dataset
from segscape.errors import DataError
from segscape.evaluate.panoptic import Segments, panoptic_quality, truth_from_objects
from segscape.files import write_text
from segscape.labels import LabelSet
from segscape.predict.objects import LOWEST_SCORE
from segscape.predict.panoptic import PanopticParameters, fit_parameters
from segscape.predict.panoptic_predictor import PanopticPredictor
from segscape.result import Segmentation

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class PanopticTuning:
    """What `tune_panoptic` found.

    Attributes:
        parameters: the best of those tried.
        pq: panoptic quality of the things with them, 0…1.
        trials: all that was tried, each with its "pq", in that order.
        measured: "split", "num_images" and "data" it was chosen on.
    """

    parameters: PanopticParameters
    pq: float
    trials: tuple[dict[str, float], ...]
    measured: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types; `segscape.predict.panoptic.read_fusion` reads the parameters back."""
        chosen = {"panoptic": self.parameters.to_dict(), "pq": round(self.pq, 6)}
        return {**chosen, "measured": self.measured, "trials": list(self.trials)}

    def save(self, folder: Path) -> Path:
        """Write tune-panoptic.json into ``folder``; returns its path."""
        path = folder / "tune-panoptic.json"
        write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return path


def tune_panoptic(
    predictor: PanopticPredictor, dataset: Dataset, split: str = "val", *, progress: Track | None = None
) -> PanopticTuning:
    """Try combinations of the fusion's parameters on every image of a split, each model run once an image.

    What is raised is the panoptic quality of things (Kirillov et al. 2019, eq. 1): a data set of objects says nothing
    of stuff.

    Args:
        predictor: the two models.
        dataset, split: with single objects, whose classes are classes of the joint label set. Not the split that the
            models are judged on.
        progress: as in `segscape.evaluate.instance.evaluate_instances`.

    Raises:
        DataError: no such split, an empty one, one without objects, or with a class that the models do not have.
    """
    items, joint = dataset.split(split), predictor.mapping.joint
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    if foreign := [name for name in dataset.label_set.names if name not in joint.names]:
        raise DataError(
            f"the models have no class {', '.join(foreign)}; together they have {', '.join(joint.names)}. "
            "Tune on data labelled like the models'"
        )
    track = progress or (lambda values, _total, _text: values)
    rows: list[tuple[Segmentation, Segmentation, Segments]] = []
    for item in track(items, len(items), "both models"):
        sample = dataset.read_instances(item)
        semantic = predictor.semantic.predict(sample.pixels, keep_image=False)
        objects = predictor.objects.predict(sample.pixels, min_score=LOWEST_SCORE, keep_image=False)
        rows.append((semantic, objects, truth_from_objects(sample.objects, dataset.label_set)))

    def quality(pairs: Iterable[tuple[Segmentation, Segments]]) -> float:
        compared = ((_things(found, dataset.label_set), truth) for found, truth in pairs)
        return panoptic_quality(compared, dataset.label_set).things.pq or 0.0

    best, tried = fit_parameters(rows, predictor.mapping, quality, min_stuff_px_shares=(0.002,))
    trials = tuple({**parameters.to_dict(), "pq": round(pq, 6)} for parameters, pq in tried)
    measured = {"split": split, "num_images": len(items)}
    measured["data"] = {"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)}  # type: ignore[assignment]
    return PanopticTuning(best, max(pq for _, pq in tried), trials, measured)


def _things(result: Segmentation, labels: LabelSet) -> Segmentation:
    """The objects of a result that the data set knows, under its class ids."""
    ids = {i: labels.index(name) for i, name in enumerate(result.label_set.names) if name in labels.names}
    regions = [replace(region, label=ids[region.label]) for region in result.regions if region.label in ids]
    return Segmentation(result.size, labels, None, tuple(regions), single_objects=True)

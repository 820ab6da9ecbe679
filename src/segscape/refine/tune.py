"""Fitting the dense CRF to a model: which parameters raise mIoU most on a split that neither trained nor judges it.

The network runs once on each image; its coarse scores are kept and only the CRF is repeated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from segscape.data.sample import Dataset, Item, Sample
from segscape.errors import ConfigError, DataError
from segscape.evaluate.metrics import ClassCounts, ConfusionMatrix, number_or_none
from segscape.evaluate.semantic import check_same_classes
from segscape.files import write_text
from segscape.predict.predictor import Predictor
from segscape.refine.crf import CrfParameters
from segscape.refine.scores import refine_scores
from segscape.runtime.inference import Scores, classify, run_network

# Where to look. Each parameter is drawn evenly on a logarithmic scale.
SEARCHED: dict[str, tuple[float, float]] = {
    "gaussian_weight": (0.3, 10),
    "gaussian_sxy": (0.8, 6),
    "bilateral_weight": (0.3, 20),
    "bilateral_sxy": (8, 160),
    "bilateral_srgb": (2, 30),
}
LEAST_GAIN = 0.001  # of mIoU: less is not worth the time
_DEFAULTS = CrfParameters()
_FIRST_STEP, _LAST_STEP = 1.6, 1.05  # factors by which a parameter is raised and lowered
_CACHE_BYTES = 2**30
_RESAMPLES = 1000

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Trial:
    """Parameters and the mIoU they gave on the subset."""

    parameters: CrfParameters
    miou: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What `tune` found. mIoU is that of `segscape evaluate`, in 0…1.

    Attributes:
        parameters: the best of those tried.
        trials: all that were tried, in that order, on the subset.
        subset_miou: without CRF on the subset; ``subset_images`` is its size.
        miou_before, miou_after: without and with the CRF on the whole split.
        gain_interval: 95 % of the difference on the whole split, by bootstrap over images (both on the same draws).
        iou_before, iou_after: of each class by name; None for one that does not occur.
        split, num_images, data: what was measured on; ``data`` is {"kind", "fingerprint"}.
    """

    parameters: CrfParameters
    trials: tuple[Trial, ...]
    subset_miou: float
    subset_images: int
    miou_before: float
    miou_after: float
    gain_interval: tuple[float, float]
    iou_before: dict[str, float | None]
    iou_after: dict[str, float | None]
    split: str
    num_images: int
    data: dict[str, str]

    @property
    def gain(self) -> float:
        """mIoU with the CRF minus without, on the whole split."""
        return self.miou_after - self.miou_before

    @property
    def helps(self) -> bool:
        """Whether the gain is at least `LEAST_GAIN` and its interval lies above 0."""
        return self.gain >= LEAST_GAIN and self.gain_interval[0] > 0

    def on_card(self) -> dict[str, Any]:
        """What a model's card keeps: parameters, whether they are the default, and the numbers behind it."""
        measured = {
            "split": self.split,
            "num_images": self.num_images,
            "miou_before": round(self.miou_before, 6),
            "miou_after": round(self.miou_after, 6),
            "gain_interval": [round(end, 6) for end in self.gain_interval],
            "data": self.data,
        }
        return {"crf": self.parameters.to_dict(), "default": self.helps, "measured": measured}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types: what the card keeps, and the search."""
        return {
            **self.on_card(),
            "gain": round(self.gain, 6),
            "iou_before": {name: iou and round(iou, 6) for name, iou in self.iou_before.items()},
            "iou_after": {name: iou and round(iou, 6) for name, iou in self.iou_after.items()},
            "subset": {"num_images": self.subset_images, "miou_before": round(self.subset_miou, 6)},
            "trials": [{**t.parameters.to_dict(), "miou": round(t.miou, 6)} for t in self.trials],
        }

    def save(self, folder: Path) -> Path:
        """Write tune-crf.json into ``folder``; returns its path."""
        write_text(path := folder / "tune-crf.json", json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return path


def tune(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    *,
    num_images: int = 24,
    num_trials: int = 40,
    seed: int = 0,
    progress: Track | None = None,
) -> Tuning:
    """Search the CRF's parameters on some images of a split and measure the best of them on all.

    The defaults come first, then random draws from `SEARCHED` for half of the trials, then one parameter at a time is
    raised and lowered from the best so far. The same arguments give the same result.

    Args:
        predictor: the model, as it is apart from the CRF.
        dataset, split: its labels must have the model's classes. Not the split that the model is judged on.
        num_images: evenly spaced over the split, for the search; fewer if their scores would take more than 1 GiB.
        num_trials: how many parameters to try.
        seed: of the draws.
        progress: as in `segscape.evaluate.semantic.evaluate_semantic`.

    Raises:
        ConfigError: num_images or num_trials below 1.
        DataError: no such split, an empty one, other classes than the model's, or labels that cannot be read.
        ResourceError: an image too large for the CRF.
    """
    if num_images < 1 or num_trials < 1:
        raise ConfigError(f"images and trials must be 1 or more, got {num_images} and {num_trials}")
    items = dataset.split(split)
    if not items:
        raise DataError(f"split {split!r} of {str(dataset.root)!r} holds no images; choose another split")
    check_same_classes(predictor.card.label_set, dataset.label_set)
    track = progress or (lambda values, _total, _text: values)
    measure = _Measure(predictor, dataset)
    subset = _Images(measure, items, num_images, track)
    subset_miou = subset.miou(None)
    if math.isnan(subset_miou):
        raise DataError(f"split {split!r} of {str(dataset.root)!r}: the images tuned on hold no labelled pixel")
    trials: list[Trial] = []
    for parameters in track(_candidates(trials, num_trials, seed), num_trials, f"tune on {len(subset)} images"):
        trials.append(Trial(parameters, subset.miou(parameters)))
    best = _best(trials).parameters
    before, after = measure.both(items, best, track)

    def by_class(counts: ClassCounts) -> dict[str, float | None]:
        return {n: number_or_none(iou) for n, iou in zip(dataset.label_set.names, _total(counts).iou(), strict=True)}

    return Tuning(
        parameters=best,
        trials=tuple(trials),
        subset_miou=subset_miou,
        subset_images=len(subset),
        miou_before=float(_total(before).mean_iou()),
        miou_after=float(_total(after).mean_iou()),
        gain_interval=_gain_interval(before, after, seed),
        iou_before=by_class(before),
        iou_after=by_class(after),
        split=split,
        num_images=len(items),
        data={"kind": dataset.kind, "fingerprint": dataset.fingerprint(split)},
    )


class _Images:
    """Images of a split with the network's scores, kept so that each trial costs the CRF alone."""

    def __init__(self, measure: _Measure, items: Sequence[Item], num_images: int, track: Track) -> None:
        self._measure = measure
        first = measure.scored(items[0])
        size = first[0].pixels.nbytes + first[0].labels.nbytes + first[1].logits.nbytes
        count = min(num_images, len(items), max(1, _CACHE_BYTES // size))
        chosen = [items[i * len(items) // count] for i in range(count)]  # begins with the first
        self._scored = [first, *map(measure.scored, track(chosen[1:], count - 1, "network"))]

    def __len__(self) -> int:
        return len(self._scored)

    def miou(self, parameters: CrfParameters | None) -> float:
        counts = _stacked([self._measure.counts(sample, scores, parameters) for sample, scores in self._scored])
        return float(_total(counts).mean_iou())


class _Measure:
    """What the model makes of an item, with and without the CRF, against its truth."""

    def __init__(self, predictor: Predictor, dataset: Dataset) -> None:
        self._predictor, self._dataset = predictor, dataset

    def scored(self, item: Item) -> tuple[Sample, Scores]:
        sample = self._dataset.read(item)
        return sample, run_network(self._predictor.score_engine, self._predictor.card.preprocess, sample.pixels)

    def counts(self, sample: Sample, scores: Scores, parameters: CrfParameters | None) -> ClassCounts:
        if parameters is not None:
            scores = refine_scores(scores, sample.pixels, parameters, self._predictor.card.preprocess)
        label_map, _ = classify(scores, confidence=False)
        confusion = ConfusionMatrix(len(self._dataset.label_set), self._dataset.label_set.ignore_index)
        confusion.update(sample.labels, label_map)
        return confusion.counts

    def both(self, items: Sequence[Item], parameters: CrfParameters, track: Track) -> tuple[ClassCounts, ClassCounts]:
        """Counts of every image, arrays (N, C), without and with the CRF."""
        before, after = [], []
        for item in track(items, len(items), "measure"):
            sample, scores = self.scored(item)
            before.append(self.counts(sample, scores, None))
            after.append(self.counts(sample, scores, parameters))
        return _stacked(before), _stacked(after)


def _candidates(trials: Sequence[Trial], num_trials: int, seed: int) -> Iterator[CrfParameters]:
    """What to try next; the caller puts the outcome of each into ``trials`` before it asks for another."""
    rng = np.random.default_rng(seed)
    yield CrfParameters()
    for _ in range(num_trials // 2):
        yield _with(
            {name: math.exp(rng.uniform(math.log(low), math.log(high))) for name, (low, high) in SEARCHED.items()}
        )
    factor = _FIRST_STEP
    while factor > _LAST_STEP:
        start = _best(trials)
        for name in SEARCHED:
            for step in (factor, 1 / factor):
                best = _best(trials).parameters
                candidate = _with({name: getattr(best, name) * step}, best)
                if all(candidate != trial.parameters for trial in trials):
                    if len(trials) == num_trials:
                        return
                    yield candidate
        if _best(trials) is start:
            factor = math.sqrt(factor)


def _best(trials: Sequence[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.miou)


def _with(values: Mapping[str, float], others: CrfParameters = _DEFAULTS) -> CrfParameters:
    """Brought into the ranges searched and rounded to three digits; what is not given is as in ``others``."""
    rounded: dict[str, Any] = {name: float(f"{np.clip(value, *SEARCHED[name]):.3g}") for name, value in values.items()}
    return replace(others, **rounded)


def _stacked(counts: Sequence[ClassCounts]) -> ClassCounts:
    return ClassCounts(*(np.stack([getattr(c, f.name) for c in counts]) for f in fields(ClassCounts)))


def _total(counts: ClassCounts, weights: np.ndarray | None = None) -> ClassCounts:
    """Over the images, each counted once or by ``weights`` (R, N), which gives (R, C)."""
    if weights is None:
        weights = np.ones(len(counts.truth))
    return ClassCounts(*(weights @ getattr(counts, f.name).astype(np.float64) for f in fields(ClassCounts)))


def _gain_interval(before: ClassCounts, after: ClassCounts, seed: int) -> tuple[float, float]:
    num_images = len(before.truth)
    draws = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), size=_RESAMPLES)
    gains = _total(after, draws.astype(float)).mean_iou() - _total(before, draws.astype(float)).mean_iou()
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return float(low), float(high)

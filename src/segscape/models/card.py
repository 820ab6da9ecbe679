"""The card of a model: what stands beside its weights, and the careful reading of it from a stranger's file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.preprocess import Preprocess
from segscape.refine.crf import CrfParameters
from segscape.refine.watershed import WatershedParameters

FORMAT = 1
_MAX_DEPTH = 32
_OPTIONAL = ("refine", "objects")
_TEXTS = ("name", "network", "task", "sha256")
_TABLES = ("options", "data", "metrics", "recipe", "training")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What stands beside the weights.

    Attributes:
        name: of the model.
        network, options: what `segscape.models.build_model` makes it from.
        label_set: the classes.
        preprocess: what the network expects.
        task: "semantic" (a label map) or "instance" (objects).
        data: kind, splits, number of images, fingerprint and terms of the training data.
        metrics: by split, as `segscape evaluate` measured them.
        recipe: the resolved recipe.
        training: device, time, steps, package versions, where the ImageNet weights came from.
        sha256: of the weights; filled in when a bundle is written.
        refine: what `segscape tune-crf` found: "crf" with the parameters, "default" whether results are refined unless
            told otherwise, "measured" with the gain. Empty for a model that was not tuned.
        objects: how single objects are made, as `segscape tune-objects` chose it on validation images. Of detections:
            "min_score" (0…1), and "overlap", whether masks may. Of label maps with the classes inside and border:
            "watershed" with its parameters and "label" with "name", "zh" and "color" of the objects. Empty for the
            defaults: 0.5, true, no watershed.
    """

    name: str
    network: str
    options: Mapping[str, Any]
    label_set: LabelSet
    preprocess: Preprocess
    task: str = "semantic"
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    refine: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def crf(self) -> CrfParameters | None:
        """The dense CRF's parameters tuned for this model, if it was."""
        return CrfParameters.from_dict(self.refine["crf"]) if "crf" in self.refine else None

    @property
    def refines(self) -> bool:
        """Whether the dense CRF follows the network unless told otherwise."""
        return self.refine.get("default") is True

    @property
    def watershed(self) -> WatershedParameters | None:
        """How a label map's inside and border classes become objects, if they do."""
        return WatershedParameters.from_dict(self.objects["watershed"]) if "watershed" in self.objects else None

    @property
    def finds_objects(self) -> bool:
        """Whether results are single objects and not label maps."""
        return self.task == "instance" or "watershed" in self.objects

    @property
    def result_labels(self) -> LabelSet:
        """The label set of results: the network's, or that of the objects a watershed makes."""
        if "watershed" not in self.objects:
            return self.label_set
        return LabelSet(self.label_set.name, (_object_label(self.objects["label"]),))

    @property
    def id(self) -> str:
        """Name and the first eight digits of the weights' hash: "street@3fa9c1d2"."""
        return f"{self.name}@{self.sha256[:8]}"

    def summary(self) -> dict[str, Any]:
        """The line a list of models shows."""
        key = "map_mask" if self.finds_objects else "miou"
        measured = {split: values.get(f"{key}_all", values.get(key)) for split, values in self.metrics.items()}
        scores = {split: score for split, score in measured.items() if score is not None}
        return {
            "network": " ".join(str(part) for part in (self.network, self.options.get("backbone")) if part),
            "classes": len(self.label_set),
            "data": self.data.get("kind", ""),
            "terms": self.data.get("terms", ""),
            "parameters": self.training.get("parameters"),
            key: scores,
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        for key in _OPTIONAL:
            if not values[key]:
                del values[key]  # cards written before there was one do not have it either
        return {
            "format": FORMAT,
            **values,
            "label_set": self.label_set.to_dict(),
            "preprocess": asdict(self.preprocess),
        }

    def to_json(self) -> str:
        """As JSON text; `from_json` reads it back.

        Raises:
            InputError: a value is of no JSON type, or is not finite.
        """
        try:
            text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"card of model {self.name!r} cannot be written: {error}") from error
        # A file name that is not valid UTF-8 holds lone surrogates; their backslash form is their JSON escape.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` wrote.

        Raises:
            InputError: a field is missing or wrong.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"the card is not an object but {type(values).__name__}")
        if values.get("format") != FORMAT:
            raise InputError(f"card format {values.get('format')!r}, but this version reads {FORMAT}")
        try:
            fields = {key: values[key] for key in cls.__dataclass_fields__ if key not in _OPTIONAL}
            fields["refine"] = _read_refine(values.get("refine", {}))
            fields["objects"] = _read_objects(values.get("objects", {}))
            for key, kind, article in [(k, str, "text") for k in _TEXTS] + [(k, Mapping, "an object") for k in _TABLES]:
                if not isinstance(fields[key], kind):
                    raise InputError(f"the card's {key!r} must be {article}, got {type(fields[key]).__name__}")
            if not all(isinstance(measured, Mapping) for measured in fields["metrics"].values()):
                raise InputError("the card's 'metrics' must hold an object for each split")
            fields["label_set"] = LabelSet.from_dict(values["label_set"])
            fields["preprocess"] = _read_preprocess(values["preprocess"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the card is incomplete or wrong ({type(error).__name__}: {error})") from error

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read what `to_json` wrote.

        Raises:
            InputError: no card, or a doubled key, a number that is not finite or too deep a nesting in it.
        """
        return cls.from_dict(strict_json(text))


def strict_json(text: str) -> Any:
    """Parse JSON from a stranger.

    Raises:
        InputError: not JSON, a key twice in one object (which of the two is meant?), NaN or an infinity, or nested
            deeper than any card.
    """
    try:
        value = json.loads(text, object_pairs_hook=_no_doubles, parse_float=_finite, parse_constant=_finite)
        _check_depth(value, _MAX_DEPTH)
        return value
    except RecursionError:
        raise InputError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"its JSON is damaged ({error})") from error


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise InputError(f"key {name!r} occurs twice in its JSON")
        result[name] = value
    return result


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise InputError(f"its JSON holds {text}, which is not a finite number")
    return value


def _check_depth(value: Any, allowed: int) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        if not allowed:
            raise InputError("its JSON is nested too deeply")
        for inner in value.values() if kind is dict else value:
            if type(inner) is dict or type(inner) is list:  # most are numbers and texts, thousands in a bundle's header
                _check_depth(inner, allowed - 1)


def _read_refine(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InputError(f"the card's 'refine' must be an object, got {type(values).__name__}")
    if "crf" in values:
        if not isinstance(values["crf"], Mapping):
            raise InputError("the card's 'crf' must be an object of parameters")
        CrfParameters.from_dict(values["crf"])
    if not isinstance(values.get("default", False), bool) or (values.get("default") and "crf" not in values):
        raise InputError("the card's 'refine' must say whether it is the default with true or false, and have a 'crf'")
    return values


def _read_objects(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InputError(f"the card's 'objects' must be an object, got {type(values).__name__}")
    score = values.get("min_score", 0.5)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InputError(f"the card's 'min_score' must be a number in 0…1, got {score!r}")
    if not isinstance(values.get("overlap", True), bool):
        raise InputError("the card's 'overlap' must be true or false")
    if "watershed" in values:
        WatershedParameters.from_dict(values["watershed"])
        _object_label(values["label"])
    return values


def _object_label(values: Mapping[str, Any]) -> Label:
    return Label(values["name"], tuple(values["color"]), values.get("zh", ""), thing=True)


def _read_preprocess(values: Mapping[str, Any]) -> Preprocess:
    mean, std = ([float(v) for v in values[key]] for key in ("mean", "std"))
    long_side = values["long_side"]
    if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise InputError("mean and std need three finite numbers each, std above 0")
    if long_side is not None and (type(long_side) is not int or not 1 <= long_side <= 65536):
        raise InputError(f"long_side must be a whole number of pixels in 1…65536, got {long_side!r}")
    short_side, zoom = values.get("short_side"), float(values.get("zoom", 1.0))
    if short_side is not None and (type(short_side) is not int or not 1 <= short_side <= 65536):
        raise InputError(f"short_side must be a whole number of pixels in 1…65536, got {short_side!r}")
    if not 1 / 64 <= zoom <= 64:
        raise InputError(f"zoom must be a number in 1/64…64, got {zoom}")
    return Preprocess((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), long_side, short_side, zoom)

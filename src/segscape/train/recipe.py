"""Recipes: everything that decides a training run, in one TOML file, checked before anything starts."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from segscape.errors import ConfigError
from segscape.models import OBJECT_MODELS

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ModelSection(_Section):
    """``[model]``: which network. Keys beyond these three are the network's own options."""

    model_config = ConfigDict(extra="allow")
    name: str
    """A key of `segscape.models.MODELS`: fcn, unet, unet_backbone, deeplabv3, deeplabv3plus; or mask_rcnn."""
    pretrained: bool = True
    """Start the backbone from ImageNet weights."""
    init: str | None = None
    """A bundled model's name, a bundle or a run folder to start all weights from, where names and shapes agree."""

    @property
    def options(self) -> dict[str, Any]:
        """The network's own options."""
        return dict(self.model_extra or {})


class DataSection(_Section):
    """``[data]``: which images."""

    path: str
    """A folder, or ``kind:path``; relative to the working folder."""
    train: str = "train"
    """Split to learn from."""
    val: str = "val"
    """Split that chooses the best checkpoint."""
    long_side: Positive | None = None
    """Photos are brought to this long side before they are augmented; unset keeps their size."""
    predict_zoom: Annotated[float, Field(ge=0.25, le=8)] | None = None
    """Networks that find objects: factor on the photos' size in validation and prediction; unset derives it from the
    objects' sizes."""
    predict_long_side: Positive | None = None
    """Long side in validation and prediction; unset takes ``long_side``. A network that learned from crops, which show
    little around an object, often does better on smaller photos than it was trained on: choose it on val."""
    terms: str = "not stated"
    """Licence or terms of the data, written on the model's card."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that read and augment; auto: none on a CPU, up to 8 beside a GPU. The outcome does not depend on it."""


class AugmentSection(_Section):
    """``[augment]``: see `segscape.data.transforms.TrainTransform`."""

    crop: tuple[Positive, Positive] = (256, 256)
    """Height and width of a training picture in pixels."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Lowest and highest zoom."""
    flip: Probability = 0.5
    """Probability of mirroring left and right."""
    vertical_flip: Probability = 0.0
    """Probability of mirroring top and bottom; for pictures without an up, like microscopy."""
    quarter_turns: bool = False
    """Turn by a random multiple of 90°."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest angle in degrees, to both sides."""
    elastic: Annotated[float, Field(ge=0)] = 0.0
    """Elastic deformation: σ in pixels of the shifts of a coarse grid's points; 10 in the U-Net paper."""
    elastic_grid: Annotated[int, Field(ge=2, le=64)] = 3
    """Points a side of that grid; 3 in the U-Net paper."""
    brightness: Probability = 0.3
    """Largest relative change; 0.3 gives factors 0.7 to 1.3."""
    contrast: Probability = 0.3
    """As brightness."""
    saturation: Probability = 0.3
    """As brightness."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift as a share of the colour circle."""
    blur: Probability = 0.1
    """Probability of a Gaussian blur."""
    copy_paste: Probability = 0.0
    """Networks that find objects: probability that objects of another image are pasted on top (Ghiasi et al. 2021)."""
    rare: Probability = 0.0
    """Probability that a crop is placed around a pixel of a class drawn with more weight on rare ones."""

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("must be two numbers, 0 < lowest <= highest")
        return value


class OptimSection(_Section):
    """``[optim]``: optimizer, schedule, precision."""

    name: Literal["adamw", "sgd"] = "adamw"
    """Optimizer."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Highest learning rate."""
    backbone_lr: Annotated[float, Field(ge=0)] = 1.0
    """Factor on ``lr`` for the backbone."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Not applied to biases and batch norm."""
    momentum: Probability = 0.9
    """Of SGD (Nesterov)."""
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    """How the rate falls: (1 - t)^0.9, half a cosine, or not."""
    warmup: Probability = 0.05
    """Share of the steps over which the rate rises from zero."""
    epochs: Positive = 50
    """Times each training image is seen."""
    batch_size: Positive = 8
    """Images a process works on at once."""
    accumulate: Positive = 1
    """Batches whose gradients are added up before a step."""
    clip: Annotated[float, Field(gt=0)] | None = 5.0
    """Largest norm of the gradient."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the averaged weights that are validated and kept; 0 keeps the plain ones."""
    freeze_norm: bool = False
    """Leave batch norm statistics as they were loaded."""
    freeze_stride: Literal[0, 2, 4, 8, 16, 32] = 0
    """The backbone's layers up to the features at this stride keep their weights: faster, and safer on few images."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on GPUs and CPUs that compute in it, but fp32 for depthwise backbones on a CPU (faster there)."""
    channels_last: bool = True
    """Memory layout; faster almost everywhere."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: the GPU if there is one."""


class RunSection(_Section):
    """``[run]``: what is kept and when."""

    seed: Annotated[int, Field(ge=0)] = 0
    """The same seed gives the same run on the CPU."""
    validate_every: Positive = 5
    """Epochs between validations; a checkpoint is written at each."""
    patience: Positive | None = None
    """Validations without a better mIoU after which training stops."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0
    """Besides, a checkpoint is written this often."""
    tensorboard: bool = True
    """Write event files besides the CSV tables."""


class Recipe(_Section):
    """A training run."""

    name: str
    """Of the model, e.g. "street"."""
    description: str = ""
    """One line for people."""
    model: ModelSection
    data: DataSection
    augment: AugmentSection = AugmentSection()
    loss: tuple[dict[str, Any], ...] = ()
    """``[[loss]]`` tables: name, weight (default 1), start and end (the share of the run in which the term counts,
    default 0 and 1) and the loss's own options; their weighted sum is minimised. None: cross_entropy. Mask R-CNN takes
    none, its five losses are its own."""
    optim: OptimSection = OptimSection()
    run: RunSection = RunSection()

    @model_validator(mode="after")
    def _named_losses(self) -> Recipe:
        if any("name" not in term for term in self.loss):
            raise ValueError("loss: each [[loss]] table needs a name")
        if self.loss and self.model.name in OBJECT_MODELS:
            raise ValueError(f"loss: network {self.model.name} has its own losses; leave [[loss]] out")
        return self

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return self.model_dump(mode="json")


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides, e.g. ``optim.lr=0.01`` (values as in TOML; bare words are text).

    Raises:
        ConfigError: unreadable file, unknown key or value out of range; the message lists every fault.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no recipe at {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"recipe {str(path)!r} cannot be read: {error}") from error
    for override in overrides:
        _apply(content, override)
    return make_recipe(content, str(path))


def make_recipe(content: dict[str, Any], where: str = "recipe") -> Recipe:
    """Check a recipe given as nested tables.

    Raises:
        ConfigError: every fault, with the key it is in.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, f['loc'])) or 'recipe'}: {f['msg']} (got {json.dumps(f['input'], default=str)[:80]})"
            for f in error.errors()
        ]
        raise ConfigError(f"{where}: {len(faults)} fault(s)\n" + "\n".join(faults)) from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set {override!r}: write key=value, e.g. optim.lr=0.01")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table: Any = content
    for part in parts[:-1]:
        table = _enter(table, part, override)
    if isinstance(table, list):
        table[_place(table, parts[-1], override)] = value
    elif isinstance(table, dict):
        table[parts[-1]] = value
    else:
        raise ConfigError(f"--set {override!r}: {'.'.join(parts[:-1])} is a value, not a table")


def _enter(table: Any, part: str, override: str) -> Any:
    if isinstance(table, list):
        return table[_place(table, part, override)]
    if not isinstance(table, dict):
        raise ConfigError(f"--set {override!r}: {part!r} lies inside a value, not a table")
    return table.setdefault(part, {})


def _place(table: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(table):
        raise ConfigError(
            f"--set {override!r}: {part!r} must be a number below {len(table)} here, e.g. loss.0.weight=2"
        )
    return int(part)

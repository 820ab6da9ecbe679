"""Weights that torchvision publishes, made into bundles of ours: ``coco-maskrcnn``, ``voc-deeplab``, ``voc-fcn``.

They are downloaded on first use, checked against the SHA-256 digits in their file's name, read without unpickling any
code, renamed to our layers and kept as an ordinary bundle in the user's cache: ``$SEGSCAPE_CACHE``, else
``segscape`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. Where there is no network, put the file there by hand.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segscape.cache import cache_folder
from segscape.errors import ConfigError, ModelError
from segscape.files import atomic_write
from segscape.labels import Label, LabelSet
from segscape.models import build_model
from segscape.models.bundle import save_bundle
from segscape.models.card import ModelCard
from segscape.models.network import num_parameters
from segscape.preprocess import Preprocess

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Names in files that torchvision wrote before its version 0.13, and still publishes -> later names.
_BEFORE_0_13 = (
    (re.compile(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
    (re.compile(r"^(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
    *((re.compile(rf"^(roi_heads\.mask_head)\.mask_fcn{i + 1}\.(weight|bias)$"), rf"\1.{i}.0.\2") for i in range(4)),
)
# Our prefix -> torchvision's.
_FCN = {"backbone.body.": "backbone.", "head.": "classifier."}
_DEEPLAB = {
    "backbone.body.": "backbone.",
    "aspp.branches.": "classifier.0.convs.",
    "aspp.pool.": "classifier.0.convs.4.",
    "aspp.project.": "classifier.0.project.",
    "head.0.": "classifier.1.",
    "head.1.": "classifier.2.",
    "head.3.": "classifier.4.",
}
_MASK_RCNN = {"backbone.": "backbone.body.", "fpn.": "backbone.fpn.", "rpn.": "rpn.", "roi_heads.": "roi_heads."}


@dataclass(frozen=True, slots=True)
class Published:
    """Where a model comes from and what it becomes.

    Attributes:
        weights: name of the torchvision enum and of its entry.
        network, options: ours, for `build_model`.
        task: as on the card.
        names: our prefix of layers -> theirs.
        preprocess: what the network expects.
        dropped: prefix of theirs that we have no use for, or "".
    """

    weights: tuple[str, str]
    network: str
    options: Mapping[str, Any]
    task: str
    names: Mapping[str, str]
    preprocess: Preprocess
    dropped: str = ""


_DETECT, _SEGMENT = Preprocess(*_IMAGENET, 1333, 800), Preprocess(*_IMAGENET, None, 520)
_AS_VOC = "COCO_WITH_VOC_LABELS_V1"
_DILATED = {"backbone": "resnet50", "output_stride": 8}
PUBLISHED: dict[str, Published] = {
    "coco-maskrcnn": Published(
        ("MaskRCNN_ResNet50_FPN_Weights", "COCO_V1"),
        "mask_rcnn",
        {"backbone": "resnet50_fpn"},
        "instance",
        _MASK_RCNN,
        _DETECT,
    ),
    "coco-maskrcnn-v2": Published(
        ("MaskRCNN_ResNet50_FPN_V2_Weights", "COCO_V1"),
        "mask_rcnn",
        {"backbone": "resnet50_fpn_v2"},
        "instance",
        _MASK_RCNN,
        _DETECT,
    ),
    "voc-deeplab": Published(
        ("DeepLabV3_ResNet50_Weights", _AS_VOC),
        "deeplabv3",
        _DILATED,
        "semantic",
        _DEEPLAB,
        _SEGMENT,
        dropped="aux_classifier.",
    ),
    "voc-fcn": Published(
        ("FCN_ResNet50_Weights", _AS_VOC),
        "fcn",
        {**_DILATED, "variant": "32s"},
        "semantic",
        _FCN,
        _SEGMENT,
        dropped="aux_classifier.",
    ),
}


def published_bundle(name: str) -> Path:
    """The bundle of a published model, downloaded and converted on first use.

    Raises:
        ModelError: it cannot be downloaded, or the file is not what its name says.
        ConfigError: torchvision is not installed.
        ResourceError, InputError: the cache cannot be written to.
    """
    bundle = cache_folder() / f"{name}.safetensors"
    if not bundle.exists():
        entry = PUBLISHED[name]
        url, categories = _source(entry)
        state = read_checked(fetch(url))
        weights, card = convert(name, entry, state, categories)
        save_bundle(bundle, weights, card, half=False)
    return bundle


def _source(entry: Published) -> tuple[str, list[str]]:
    """Address of the weights and torchvision's names of the classes, which it keeps beside them."""
    try:
        from torchvision import models
    except ImportError as error:
        raise ConfigError("published models need torchvision: pip install 'segscape[train]'") from error
    enum, member = entry.weights
    place = models.detection if hasattr(models.detection, enum) else models.segmentation
    weights = getattr(place, enum)[member]
    return weights.url, list(weights.meta["categories"])


def fetch(url: str) -> Path:
    """The file at ``url`` in the cache, downloaded if it is not there yet.

    Raises:
        ModelError: it cannot be downloaded.
    """
    path = cache_folder() / url.rpartition("/")[2]
    if path.exists():
        return path
    with atomic_write(path) as temporary:
        try:
            torch.hub.download_url_to_file(url, str(temporary), progress=os.isatty(2))
        except (OSError, ValueError) as error:  # no network, no such address, no such host
            raise ModelError(
                f"{path.name!r} cannot be downloaded ({error}); with no network, fetch {url} elsewhere and put it into "
                f"{str(path.parent)!r}"
            ) from error
    return path


def read_checked(path: Path) -> dict[str, Tensor]:
    """The tensors of a downloaded file whose name ends in "-" and the first digits of its SHA-256.

    Raises:
        ModelError: the digits are not those of the file, or it does not hold tensors alone.
    """
    stated = re.search(r"-([0-9a-f]{8,64})\.", path.name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stated is None or not digest.startswith(stated[1]):
        raise ModelError(
            f"{str(path)!r}: its SHA-256 is {digest[:16]}…, not the one in its name; delete it to have it fetched anew"
        )
    try:  # weights_only: tensors are read, code in the pickle is refused
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{str(path)!r} cannot be read as weights: {error}") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise ModelError(f"{str(path)!r} holds something else than weights")
    return dict(state)


def convert(
    name: str, entry: Published, state: Mapping[str, Tensor], categories: list[str]
) -> tuple[dict[str, Tensor], ModelCard]:
    """The weights under our names, and the card.

    COCO's ids have gaps, for which torchvision's network has outputs that were never trained: they are left out.

    Raises:
        ModelError: the weights are of another network.
    """
    labels = _label_set(entry)
    renamed = under_our_names({k: v for k, v in state.items() if not _dropped(k, entry)}, entry.names)
    if entry.task == "instance":
        kept = [0, *(i for i, c in enumerate(categories) if c not in ("__background__", "N/A"))]
        renamed = {key: _rows(key, tensor, kept, len(categories)) for key, tensor in renamed.items()}
    model = build_model(entry.network, len(labels), entry.options)
    own = model.state_dict()
    # Frozen batch norm counts no batches, and whether a file has such counts says nothing about the network.
    renamed = {k: v for k, v in renamed.items() if k in own or not k.endswith("num_batches_tracked")}
    renamed |= {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in renamed}
    odd = sorted(k for k in own.keys() | renamed.keys() if k not in own or own[k].shape != _shape(renamed.get(k)))
    if odd:
        raise ModelError(
            f"weights for {name!r} do not fit network {entry.network!r}: {odd[0]!r} and {len(odd) - 1} more"
        )
    card = ModelCard(
        name=name,
        network=entry.network,
        options=entry.options,
        label_set=labels,
        preprocess=entry.preprocess,
        task=entry.task,
        data={"kind": "coco", "terms": "COCO 2017: annotations CC BY 4.0, photos under their own licences"},
        training={
            "start": f"torchvision {'.'.join(entry.weights)} (BSD-3-Clause)",
            "parameters": num_parameters(model),
        },
    )
    return renamed, card


def under_our_names(state: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """torchvision's state dict, of whatever age, with our names of layers; names of no known prefix stay."""
    longest_first = sorted(prefixes.items(), key=lambda pair: -len(pair[1]))
    renamed = {}
    for name, tensor in state.items():
        for before, later in _BEFORE_0_13:
            name = before.sub(later, name)
        ours, theirs = next(((o, t) for o, t in longest_first if name.startswith(t)), ("", ""))
        renamed[ours + name.removeprefix(theirs)] = tensor
    return renamed


def _label_set(entry: Published) -> LabelSet:
    from segscape.data.public_sets import COCO, VOC

    if entry.task == "instance":
        return COCO
    return LabelSet("voc", (Label("background", (0, 0, 0), "背景"), *VOC))


def _dropped(key: str, entry: Published) -> bool:
    return bool(entry.dropped) and key.startswith(entry.dropped)


def _rows(key: str, tensor: Tensor, kept: list[int], count: int) -> Tensor:
    """The rows of the ``kept`` classes, of a layer that has one row (four, for boxes) a class."""
    if key.startswith(("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits")):
        return tensor.reshape(count, -1, *tensor.shape[1:])[kept].flatten(0, 1).clone()
    return tensor


def _shape(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.shape

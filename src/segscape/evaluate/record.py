"""A report's numbers on the card of the model that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segscape.image import read_image
from segscape.models.bundle import load_bundle, record_metrics
from segscape.models.network import gflops

if TYPE_CHECKING:
    from segscape.data.sample import Dataset
    from segscape.evaluate.instance import InstanceReport
    from segscape.evaluate.semantic import SemanticReport
    from segscape.models.card import ModelCard

_RECORDED_OBJECTS = (
    "map_mask",
    "map_box",
    "map_mask_all",
    "map_box_all",
    "ap",
    "ap_interval",
    "ap_by_image",
    "mean_ap",
    "mean_ap_by_image",
    "precision",
    "recall",
    "matched_iou",
    "f1",
    "counts",
    "pq",
    "groups",
    "min_score",
    "num_images",
    "data",
)
_RECORDED = (
    "miou",
    "miou_interval",
    "iou",
    "pixel_accuracy",
    "class_accuracy",
    "fwiou",
    "dice",
    "boundary_f",
    "boundary_iou",
    "ece",
    "partition",
    "num_images",
    "data",
)


def record(path: Path, report: SemanticReport | InstanceReport, dataset: Dataset) -> ModelCard:
    """Write the report onto the card of the bundle at ``path``, and the network's work on the split's first photo.

    Raises:
        ModelError: not a bundle, or damaged.
        ImageError: the first photo cannot be read.
        ResourceError, InputError: see `segscape.files.atomic_write`.
    """
    plain = report.to_dict()
    model, card = load_bundle(path)
    photo = read_image(dataset.split(report.split)[0].image).pixels.shape[:2]
    work = gflops(model, *card.preprocess.network_size((photo[0], photo[1])))
    keys = _RECORDED_OBJECTS if card.finds_objects else _RECORDED
    values = {key: plain[key] for key in keys if plain[key] is not None}
    values["cost"] = {"photo": f"{photo[1]} × {photo[0]}", "gflops": round(work, 4)}
    return record_metrics(path, report.split, values)

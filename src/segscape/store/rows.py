"""A scene as rows of the tables: dicts by column."""

from __future__ import annotations

import datetime
import json
from typing import Any

from segscape.labels import LabelSet
from segscape.masks import to_coco_string
from segscape.scene.scene import Scene
from segscape.store.photos import Photo, as_text
from segscape.store.tables import SCENE_VERSION


def image_row(scene: Scene, image: int, photo: Photo) -> dict[str, Any]:
    """The row of "images"."""
    height, width = scene.size
    return {
        "id": image,
        "path": photo.path,
        "content_hash": photo.content_hash,
        "file_bytes": photo.file_bytes,
        "modified_ns": photo.modified_ns,
        "model": as_text(scene.model),
        "scene_version": SCENE_VERSION,
        "label_set": as_text(scene.label_set.name),
        "width": width,
        "height": height,
        "kind": scene.kind.name,
        "kind_strength": float(scene.kind.strength),
        "kind_reasons": [as_text(reason) for reason in scene.kind.reasons],
        "single_objects": scene.single_objects,
        "description_en": as_text(scene.describe("en").text),
        "description_zh": as_text(scene.describe("zh").text),
        "indexed_at": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
    }


def region_rows(scene: Scene, image: int) -> list[dict[str, Any]]:
    """Rows of "regions"."""
    return [
        {
            "image": image,
            "id": r.id,
            "class": as_text(r.name),
            "single": bool(r.single),
            "area_px": int(r.area_px),
            "share": float(r.share),
            **dict(zip(("x0", "y0", "x1", "y1"), map(int, r.box), strict=True)),
            "cx": float(r.centroid[0]),
            "cy": float(r.centroid[1]),
            "orientation_deg": float(r.orientation_deg),
            "elongation": float(r.elongation),
            "perimeter_px": float(r.perimeter_px),
            "border_px": int(r.border_px),
            "solidity": float(r.solidity),
            "parts": int(r.parts),
            "holes": int(r.holes),
            "place": r.place,
            "frame": list(r.frame),
            "nearness": _float(r.nearness),
            "distance": r.distance,
            "confidence": _float(r.confidence),
            "color": None if r.color is None else _hex(r.color),
            "color_name": r.color_name,
            "mask": to_coco_string(r.mask),
        }
        for r in scene.regions
    ]


def relation_rows(scene: Scene, image: int) -> list[dict[str, Any]]:
    """Rows of "relations"."""
    names = {region.id: as_text(region.name) for region in scene.regions}
    return [
        {
            "image": image,
            "subject": r.subject,
            "subject_class": names[r.subject],
            "predicate": r.predicate,
            "object": r.object,
            "object_class": names[r.object],
            "other": r.other,
            "other_class": None if r.other is None else names[r.other],
            "strength": float(r.strength),
            "evidence": json.dumps({name: float(value) for name, value in r.evidence.items()}, allow_nan=False),
        }
        for r in scene.relations
    ]


def label_rows(label_set: LabelSet) -> list[dict[str, Any]]:
    """Rows of "labels"."""
    return [
        {
            "label_set": as_text(label_set.name),
            "label": number,
            "class": as_text(label.name),
            "zh": as_text(label.zh),
            "color": _hex(label.color),
            "thing": label.thing,
        }
        for number, label in enumerate(label_set)
    ]


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*map(int, color))

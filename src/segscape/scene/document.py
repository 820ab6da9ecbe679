"""A scene as a JSON document, and back: the published form (``scene.schema.json``, JSON Schema 2020-12, version 1).

Numbers are written in full, so reading gives the same scene again, without its photo. Masks are COCO's compressed run
lengths over the whole image, as pycocotools reads them: ``{"size": [H, W], "counts": "…"}``. Counts of classes and
"distance" of regions stand in the document for its readers; they follow from the rest.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from segscape.errors import InputError
from segscape.labels import LabelSet
from segscape.masks import Box, RunLengths, from_coco_string, to_coco_string, uncrop
from segscape.scene.document_check import check_of
from segscape.scene.scene import Relation, Scene, SceneKind, SceneRegion

VERSION = 1


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of `to_dict`'s documents."""
    return json.loads(resources.files("segscape.scene").joinpath("scene.schema.json").read_text("utf-8"))


def to_dict(scene: Scene) -> dict[str, Any]:
    """As plain JSON types, by `schema`; `from_dict` reads it back."""
    height, width = scene.size
    return {
        "segscape_scene": VERSION,
        "source": scene.source,
        "model": scene.model,
        "size": {"height": int(height), "width": int(width)},
        "single_objects": bool(scene.single_objects),
        "label_set": scene.label_set.to_dict(),
        "kind": {
            "name": scene.kind.name,
            "strength": float(scene.kind.strength),
            "reasons": list(scene.kind.reasons),
            "reasons_zh": list(scene.kind.reasons_zh),
        },
        "shares": {name: float(share) for name, share in scene.shares.items()},
        "counts": scene.counts(),
        "layout": {
            place: {name: float(share) for name, share in shares.items()} for place, shares in scene.layout.items()
        },
        "regions": [_region_to_dict(region, scene.size) for region in scene.regions],
        "relations": [relation_to_dict(relation) for relation in scene.relations],
    }


def relation_to_dict(relation: Relation) -> dict[str, Any]:
    """A relation as it stands in `to_dict`'s documents."""
    return {
        "subject": int(relation.subject),
        "predicate": relation.predicate,
        "object": int(relation.object),
        "other": None if relation.other is None else int(relation.other),
        "strength": float(relation.strength),
        "evidence": {name: float(value) for name, value in relation.evidence.items()},
    }


def from_dict(document: Mapping[str, Any]) -> Scene:
    """Read what `to_dict` wrote.

    Raises:
        InputError: the document is of another version or form, or contradicts itself; says where.
    """
    version = document.get("segscape_scene") if isinstance(document, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise InputError(f"scene document of version {version}: this Segscape reads up to {VERSION}; update it")
    if fault := _first_fault()(document):
        raise InputError(f"not a scene document: {fault}")
    size = int(document["size"]["height"]), int(document["size"]["width"])
    label_set = LabelSet.from_dict(document["label_set"])
    regions = [_region_from_dict(entry, i, size, label_set) for i, entry in enumerate(document["regions"])]
    kind = document["kind"]
    scene = Scene(
        size=size,
        label_set=label_set,
        regions=tuple(regions),
        relations=tuple(_relation(x, i, len(regions)) for i, x in enumerate(document["relations"])),
        layout={
            place: {name: float(share) for name, share in shares.items()}
            for place, shares in document["layout"].items()
        },
        shares={name: float(share) for name, share in document["shares"].items()},
        kind=SceneKind(kind["name"], float(kind["strength"]), tuple(kind["reasons"]), tuple(kind["reasons_zh"])),
        single_objects=document["single_objects"],
        source=document["source"],
        model=document["model"],
    )
    known = set(label_set.names)
    for where, names in (("shares", scene.shares), *((f"layout.{p}", s) for p, s in scene.layout.items())):
        if strange := next((name for name in names if name not in known), None):
            raise InputError(f"not a scene document: {where} speaks of {strange!r}, which is not in the label set")
    if (counts := scene.counts()) != document["counts"]:
        raise InputError(f"not a scene document: counts are {document['counts']}, but the regions make {counts}")
    return scene


@functools.cache
def _first_fault() -> Callable[[Any], str | None]:
    return check_of(schema())


def _region_to_dict(region: SceneRegion, size: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": int(region.id),
        "label": region.name,
        "label_id": int(region.label),
        "single": bool(region.single),
        "area_px": int(region.area_px),
        "share": float(region.share),
        "box": [int(v) for v in region.box],
        "centroid": [float(v) for v in region.centroid],
        "orientation_deg": float(region.orientation_deg),
        "elongation": float(region.elongation),
        "perimeter_px": float(region.perimeter_px),
        "border_px": int(region.border_px),
        "solidity": float(region.solidity),
        "parts": int(region.parts),
        "holes": int(region.holes),
        "place": region.place,
        "frame": list(region.frame),
        "nearness": None if region.nearness is None else float(region.nearness),
        "distance": region.distance,
        "confidence": None if region.confidence is None else float(region.confidence),
        "color": None if region.color is None else [int(v) for v in region.color],
        "color_name": region.color_name,
        "mask": {
            "size": [int(v) for v in size],
            "counts": to_coco_string(uncrop(region.mask, region.box, size)),
        },
    }


def _region_from_dict(entry: Mapping[str, Any], i: int, size: tuple[int, int], label_set: LabelSet) -> SceneRegion:
    where = f"regions[{i}]"
    if entry["id"] != i + 1:
        raise InputError(f"not a scene document: {where}.id is {entry['id']}, but ids are 1, 2, 3, … in order")
    label = int(entry["label_id"])
    if label >= len(label_set) or label_set[label].name != entry["label"]:
        raise InputError(
            f"not a scene document: {where} is of class {entry['label']!r} with the id {label}, "
            f"which label set {label_set.name!r} does not have"
        )
    x0, y0, x1, y1 = (int(v) for v in entry["box"])
    if tuple(entry["mask"]["size"]) != size or not (x0 < x1 <= size[1] and y0 < y1 <= size[0]):
        raise InputError(
            f"not a scene document: {where} has the box {entry['box']} and a mask of {entry['mask']['size']}, "
            f"which do not fit the image of height {size[0]} and width {size[1]}"
        )
    try:
        mask = _cropped(from_coco_string(entry["mask"]["counts"], size), (x0, y0, x1, y1))
    except InputError as error:
        raise InputError(f"not a scene document: {where}.mask: {error}") from error
    if mask.area != entry["area_px"]:
        raise InputError(
            f"not a scene document: {where}.area_px is {entry['area_px']}, but its mask has {mask.area} pixels"
        )
    x, y = entry["centroid"]
    color = None if entry["color"] is None else (*(int(v) for v in entry["color"]),)
    region = SceneRegion(
        id=i + 1,
        label=label,
        name=entry["label"],
        single=entry["single"],
        area_px=mask.area,
        share=float(entry["share"]),
        box=(x0, y0, x1, y1),
        centroid=(float(x), float(y)),
        orientation_deg=float(entry["orientation_deg"]),
        elongation=float(entry["elongation"]),
        perimeter_px=float(entry["perimeter_px"]),
        border_px=int(entry["border_px"]),
        solidity=float(entry["solidity"]),
        parts=int(entry["parts"]),
        holes=int(entry["holes"]),
        place=entry["place"],
        frame=tuple(entry["frame"]),
        nearness=_float_or_none(entry["nearness"]),
        confidence=_float_or_none(entry["confidence"]),
        color=color,  # pyright: ignore[reportArgumentType]  # the schema has seen to it that there are three
        color_name=entry["color_name"],
        mask=mask,
    )
    if region.distance != entry["distance"]:
        raise InputError(
            f"not a scene document: {where}.distance is {entry['distance']!r}, but its nearness makes it "
            f"{region.distance!r}"
        )
    return region


def _relation(entry: Mapping[str, Any], i: int, num_regions: int) -> Relation:
    ids = [int(entry[key]) for key in ("subject", "object", "other") if entry[key] is not None]
    if max(ids) > num_regions or len(set(ids)) != len(ids):
        raise InputError(
            f"not a scene document: relations[{i}] is between the regions {ids}, but needs different ones "
            f"of 1…{num_regions}"
        )
    try:
        return Relation(
            subject=int(entry["subject"]),
            predicate=entry["predicate"],
            object=int(entry["object"]),
            strength=float(entry["strength"]),
            evidence={name: float(value) for name, value in entry["evidence"].items()},
            other=None if entry["other"] is None else int(entry["other"]),
        )
    except InputError as error:
        raise InputError(f"not a scene document: relations[{i}]: {error}") from error


def _cropped(mask: RunLengths, box: Box) -> RunLengths:
    """The part of a mask in ``box``; nothing of it may lie outside."""
    x0, y0, x1, y1 = box
    x, top, bottom = mask.column_spans()
    if len(x) and (x[0] < x0 or x[-1] >= x1 or top.min() < y0 or bottom.max() > y1):
        raise InputError(f"it leaves its box {list(box)}")
    start = (x - x0) * (y1 - y0) - y0
    return RunLengths.from_intervals(start + top, start + bottom, (y1 - y0, x1 - x0))


def _float_or_none(value: float | None) -> float | None:
    return None if value is None else float(value)

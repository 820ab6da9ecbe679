"""One image's objects drawn on its photo: found, false, missed and merged ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from segscape.evaluate.image_objects import Instances, thing_ids
from segscape.evaluate.matching import assign, merging, overlaps
from segscape.evaluate.page import encode
from segscape.polygons import to_polygons

if TYPE_CHECKING:
    from segscape.data.sample import InstanceSample
    from segscape.labels import LabelSet
    from segscape.masks import RunLengths
    from segscape.result import Segmentation

# Told apart by the colour-blind (Okabe & Ito 2008); missed ones are dashed besides.
OUTLINES: Mapping[str, tuple[int, int, int]] = {
    "found": (0, 190, 140),
    "false": (255, 110, 20),
    "missed": (86, 180, 255),
    "merged": (250, 235, 70),
}
_SMALLEST_PX, _LARGEST_PX = 560, 1000
_DASH_PX = 5
_DIM = 0.55
_FAINT_CONTRAST = 128

Outline = tuple["RunLengths", tuple[int, int]]  # a cropped mask and the corner (x0, y0) of its box


def mistakes(
    sample: InstanceSample, result: Segmentation, label_set: LabelSet, min_score: float
) -> dict[str, list[Outline]]:
    """The masks of each kind of `OUTLINES` at IoU 0.5 and ``min_score``: what the numbers of the report count.

    A detection that covers two or more objects is "merged" even where it is matched with one of them; one that lies in
    a crowd is none of them.
    """
    ids = thing_ids(result.label_set, label_set)
    things = [r for r in result.regions if r.label in ids]
    found, true = Instances.found(result, ids), Instances.true(sample.objects)
    pairs = overlaps(found, true)
    kept = np.flatnonzero(found.scores >= min_score)
    pairs = pairs.of(kept)
    rows, columns = assign(pairs.iou)
    kinds = np.full(len(kept), "false", object)
    kinds[pairs.in_crowd >= 0.5] = ""
    kinds[rows] = "found"
    kinds[merging(pairs)] = "merged"
    missed = ~true.crowd
    missed[columns] = False
    outlines: dict[str, list[Outline]] = {kind: [] for kind in OUTLINES}
    for index, kind in zip(kept.tolist(), kinds.tolist(), strict=True):
        if kind:
            outlines[kind].append((things[index].mask, things[index].box[:2]))
    for index in np.flatnonzero(missed).tolist():
        x0, y0 = sample.objects.boxes[index, :2].tolist()
        outlines["missed"].append((sample.objects.masks[index], (x0, y0)))
    return outlines


def panels(sample: InstanceSample, outlines: Mapping[str, Iterable[Outline]]) -> dict[str, str]:
    """Heading -> data URI: the photo, and its grey version with the outlines; 560 to 1000 px wide.

    Photos of low contrast, as those of fluorescence are, are stretched to be seen.
    """
    import cv2

    height, width = sample.pixels.shape[:2]
    scale = min(max(_SMALLEST_PX / width, 1.0), _LARGEST_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = cv2.resize(_visible(sample.pixels), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ground = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) * _DIM
    marked = np.repeat(ground.astype(np.uint8)[..., None], 3, axis=2)
    # Mistakes last, so that they lie on top.
    for kind in ("found", "missed", "false", "merged"):
        for mask, corner in outlines[kind]:
            _draw(marked, mask, corner, scale, OUTLINES[kind], dashed=kind == "missed", thin=kind == "found")
    return {"photo": encode(photo, "jpg"), "objects": encode(marked, "jpg")}


def _visible(pixels: np.ndarray) -> np.ndarray:
    """The photo itself, or stretched from its 0.5th to its 99.5th percentile where it is faint."""
    low, high = np.percentile(pixels, (0.5, 99.5))
    if high - low >= _FAINT_CONTRAST:
        return pixels
    return ((pixels - low) * (255 / max(1.0, high - low))).clip(0, 255).astype(np.uint8)


def _draw(
    canvas: np.ndarray,
    mask: RunLengths,
    corner: tuple[int, int],
    scale: float,
    color: tuple[int, int, int],
    *,
    dashed: bool,
    thin: bool,
) -> None:
    import cv2

    for ring in (ring for part in to_polygons(mask, offset=corner) for ring in part):
        # Polygons run on pixel corners, OpenCV's on pixel centres; four more bits place them between.
        points = (np.array(ring, np.float64) * scale - 0.5) * 16
        closed = np.vstack((points, points[:1])).round().astype(np.int32)
        pieces = _dashes(closed) if dashed else [closed]
        cv2.polylines(canvas, pieces, False, color, 1 if thin else 2, cv2.LINE_AA, shift=4)


def _dashes(line: np.ndarray) -> list[np.ndarray]:
    """An open line of (N, 2) points in 16ths of a pixel, cut into dashes as long as the gaps between them."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    starts = np.arange(0, along[-1], 2 * _DASH_PX * 16)
    at = starts[:, None] + np.linspace(0, _DASH_PX * 16, 4)
    return [np.stack([np.interp(a, along, line[:, i]) for i in (0, 1)], 1).round().astype(np.int32) for a in at]

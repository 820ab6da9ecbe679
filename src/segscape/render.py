"""Pictures of a segmentation: the overlay with its legend, label maps in colour, pictures side by side.

Pictures are uint8 (H, W, 3) RGB arrays; `segscape.result_files` writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segscape.drawing import (
    INK,
    LegendEntry,
    above,
    canvas_of,
    font_for,
    font_size,
    legend,
    one_line,
    percent,
)
from segscape.errors import InputError
from segscape.labels import LabelSet

if TYPE_CHECKING:
    from segscape.result import Region, Segmentation


def overlay(pixels: np.ndarray, segmentation: Segmentation, alpha: float = 0.55) -> np.ndarray:
    """The photo in the colours of its classes, their borders in white, and a legend below.

    The legend lists the classes that occur and their share of the pixels, largest first, in as many rows as they
    need. Pixels without a class stay as they are in the photo. A picture narrower than its legend is centred on a
    wider canvas.

    Args:
        pixels: (H, W, 3) uint8 RGB, the photo.
        segmentation: of size (H, W); without a label map its regions are drawn, small ones over large ones.
        alpha: 0…1, how far the colours cover the photo.

    Returns:
        (H + legend, max(W, 240), 3) uint8 RGB.

    Raises:
        InputError: the photo does not fit the segmentation, or alpha is not in 0…1.
    """
    import cv2

    check_rgb(pixels)
    if pixels.shape[:2] != segmentation.size:
        raise InputError(f"photo of shape {pixels.shape} does not fit a segmentation of {segmentation.size}")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be in 0…1, got {alpha}")
    classes, pieces = _class_and_piece_maps(segmentation)
    colors = color_labels(classes, segmentation.label_set)
    if segmentation.single_objects:
        _shade(colors, pieces, segmentation)
    pixels = np.ascontiguousarray(pixels)
    painted = cv2.addWeighted(pixels, 1 - alpha, colors, alpha, 0)
    line = _borders(pieces)
    cv2.copyTo(cv2.addWeighted(painted, 0.35, painted, 0, 0.65 * 255), line, painted)
    if classes.max() >= len(segmentation.label_set):
        cv2.copyTo(pixels, (classes >= len(segmentation.label_set)).view(np.uint8), painted)
    return above(painted, legend(_legend(segmentation), *pixels.shape[:2], empty="no class found"))


def color_labels(label_map: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """A (H, W) uint8 or uint16 label map in the colours of its classes; other ids are black: (H, W, 3) uint8 RGB."""
    import cv2

    table = palette_of(label_map, label_set)
    if label_map.dtype == np.uint8:
        return cv2.LUT(cv2.cvtColor(np.ascontiguousarray(label_map), cv2.COLOR_GRAY2RGB), table[None])
    return table[label_map]


def side_by_side(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Pictures in a row, each below its title, aligned at the top.

    Args:
        panels: at least one (title, (H, W, 3) uint8 RGB); sizes may differ.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        InputError: there is no panel, or one is not an RGB picture.
    """
    if not panels:
        raise InputError("side_by_side needs at least one panel")
    for _, picture in panels:
        check_rgb(picture)
    size_px = font_size(max(p.shape[0] for _, p in panels), max(p.shape[1] for _, p in panels))
    titles = [one_line(title) for title, _ in panels]
    font = font_for(size_px, titles)
    margin, title_px = size_px, round(size_px * 2.2)
    widths = [max(p.shape[1], int(font.getlength(t)) + 1) for t, (_, p) in zip(titles, panels, strict=True)]
    height = title_px + max(p.shape[0] for _, p in panels) + margin
    canvas, draw = canvas_of(height, sum(widths) + margin * (len(panels) + 1))
    x = margin
    for title, width in zip(titles, widths, strict=True):
        draw.text((x, title_px / 2), title, font=font, fill=INK, anchor="lm")
        x += width + margin
    result = np.array(canvas)
    x = margin
    for (_, picture), width in zip(panels, widths, strict=True):
        result[title_px : title_px + picture.shape[0], x : x + picture.shape[1]] = picture
        x += width + margin
    return result


def _class_and_piece_maps(segmentation: Segmentation) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) class ids, no class being the label set's ignore index, and (H, W) ids that differ across borders."""
    label_map = segmentation.label_map
    if label_map is not None and not segmentation.single_objects:
        return label_map, label_map
    classes = np.full(segmentation.size, segmentation.label_set.ignore_index, np.uint16)
    pieces = np.zeros(segmentation.size, np.int32)
    if label_map is not None:
        classes[:] = label_map
        np.subtract(-1, label_map, out=pieces, dtype=np.int32, casting="unsafe")  # apart from the regions' numbers
    for number, region in enumerate(_largest_first(segmentation), 1):
        x0, y0, x1, y1 = region.box
        mask = region.mask.to_dense()
        classes[y0:y1, x0:x1][mask] = region.label
        pieces[y0:y1, x0:x1][mask] = number
    return classes, pieces


def _largest_first(segmentation: Segmentation) -> list[Region]:
    return sorted(segmentation.regions, key=lambda r: -r.area_px)


def _shade(colors: np.ndarray, pieces: np.ndarray, segmentation: Segmentation) -> None:
    """Give each object a shade of its own of its class's colour, in place: those that touch can be told apart."""
    palette = segmentation.label_set.palette().astype(float)
    table, shaded = [np.zeros(3)], [False]
    for region in _largest_first(segmentation):
        # The golden ratio spreads neighbouring ids evenly over the range.
        amount = (region.id * 0.61803398875) % 1 * 0.9 - 0.45
        toward = 255.0 if amount > 0 else 0.0
        table.append(palette[region.label] + abs(amount) * (toward - palette[region.label]))
        shaded.append(segmentation.label_set[region.label].thing)
    numbers = np.maximum(pieces, 0)
    there = np.array(shaded)[numbers]
    colors[there] = np.array(table).round().astype(np.uint8)[numbers[there]]


def _borders(pieces: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 1 on the lines between different ids, thicker in larger pictures, else 0."""
    import cv2

    height, width = pieces.shape
    differs = np.zeros(pieces.shape, bool)
    np.not_equal(pieces[:, 1:], pieces[:, :-1], out=differs[:, 1:])
    differs[1:] |= pieces[1:] != pieces[:-1]
    line = differs.view(np.uint8)
    thickness = max(1, round((height * width) ** 0.5 / 700))
    if thickness > 1:
        line = cv2.dilate(line, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thickness, thickness)))
    return line


def _legend(segmentation: Segmentation) -> list[LegendEntry]:
    """The classes that occur and their share of the pixels, largest first."""
    label_set, (height, width) = segmentation.label_set, segmentation.size
    counts = Counter(label_set[r.label].name for r in segmentation.regions if label_set[r.label].thing)
    entries = []
    for name, area in sorted(segmentation.class_areas().items(), key=lambda item: -item[1]):
        counted = segmentation.single_objects and counts[name]
        color = label_set[label_set.index(name)].color
        shown = f"{counts[name]} {name}" if counted else name
        entries.append(LegendEntry(color, shown, percent(area / (height * width))))
    return entries


def palette_of(label_map: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """The label set's colours for every value of the label map's type: (256 or 65536, 3) uint8."""
    if label_map.ndim != 2 or label_map.dtype not in (np.uint8, np.uint16):
        raise InputError(f"a label map must be uint8 or uint16 (H, W), got {label_map.dtype} {label_map.shape}")
    table = np.zeros((np.iinfo(label_map.dtype).max + 1, 3), np.uint8)
    colors = label_set.palette()[: len(table)]
    table[: len(colors)] = colors
    return table


def check_rgb(pixels: np.ndarray) -> None:
    """Raise `InputError` unless ``pixels`` is a picture: uint8 (H, W, 3), not empty."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"a picture must be uint8 (H, W, 3) RGB, got {pixels.dtype} {pixels.shape}")

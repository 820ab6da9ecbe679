"""Regions at the size in which a page shows them, as SVG paths."""

from __future__ import annotations

import numpy as np

from segscape.masks import Box, RunLengths
from segscape.polygons import to_polygons

UNITS = 2  # units of a path's coordinates in a pixel shown: corners are cut halfway along pixel edges


def fitted_size(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """(height, width) brought down in proportion so that no side is above ``longest_px``; never enlarged."""
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(mask: RunLengths, box: Box, size: tuple[int, int], shown: tuple[int, int]) -> RunLengths:
    """A cropped mask over the whole image at another size, by nearest neighbour: a partition stays one.

    Args:
        mask: run lengths cropped to ``box``.
        box: (x0, y0, x1, y1) in an image of ``size``.
        size: (height, width) of the image.
        shown: (height, width) wanted, no larger than ``size``. A mask that no sampled pixel meets comes out empty.
    """
    columns, rows = (_sampled(whole, part) for whole, part in zip(size[::-1], shown[::-1], strict=True))
    x, y0, y1 = mask.column_spans()
    column = np.searchsorted(columns, x + box[0])
    kept = (column < len(columns)) & (columns[np.minimum(column, len(columns) - 1)] == x + box[0])
    first = np.searchsorted(rows, y0[kept] + box[1])
    last = np.searchsorted(rows, y1[kept] + box[1])
    offset = column[kept] * shown[0]
    return RunLengths.from_intervals(offset + first, offset + last, shown)


def _sampled(whole: int, part: int) -> np.ndarray:
    """The pixel of ``whole`` under the centre of each of ``part`` pixels, (part,) int64."""
    return (2 * np.arange(part) + 1) * whole // (2 * part)


def svg_path(mask: RunLengths) -> str:
    """The outlines of a mask as the ``d`` of an SVG path, in `UNITS` a pixel; "" for an empty mask.

    Corners are cut from the middle of one pixel edge to the middle of the next, so a diagonal is straight and not a
    staircase. Both sides of a border are cut alike: regions that fill the picture still do.
    """
    return "".join(_ring(np.array(ring)) for part in to_polygons(mask) for ring in part)


def _ring(corners: np.ndarray) -> str:
    following = np.roll(corners, -1, axis=0)
    towards = np.sign(following - corners)
    came = np.roll(towards, 1, axis=0)
    points = np.stack((UNITS * corners - came, UNITS * corners + towards), 1).reshape(-1, 2)
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    step = np.roll(points, -1, axis=0) - points
    before = np.roll(step, 1, axis=0)
    points = points[step[:, 0] * before[:, 1] != step[:, 1] * before[:, 0]]
    steps = np.diff(points, axis=0).tolist()
    x, y = points[0].tolist()
    return f"M{x} {y}l{' '.join(f'{dx} {dy}' for dx, dy in steps)}z".replace(" -", "-")


def anchor(mask: RunLengths, point: tuple[float, float]) -> tuple[float, float]:
    """The centre (x, y) of the mask's pixel nearest to ``point``: where a label for it belongs.

    The mask must not be empty.
    """
    x, y0, y1 = mask.column_spans()
    row = np.clip(np.floor(point[1]), y0, y1 - 1)
    nearest = int(np.argmin((x + 0.5 - point[0]) ** 2 + (row + 0.5 - point[1]) ** 2))
    return float(x[nearest]) + 0.5, float(row[nearest]) + 0.5

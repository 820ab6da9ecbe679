"""Tiny pieces go to what surrounds them, so that a scene is not told from a network's noise.

The rule. A speck is a connected piece of a class with fewer pixels than the threshold; single objects are never specks.
Specks go smallest first (of equal ones, that whose first pixel comes first, row by row), each to the neighbour with
which it shares the most pixel edges; of equal ones the larger, then the one whose first pixel comes first. It takes
that neighbour's class, and pieces of this class that it touches (by one of eight neighbours) become one with it. What
is still a speck goes on in its turn. No speck goes to void or to a single object: one that has no other neighbour
stays.
"""

from __future__ import annotations

import numpy as np

from segscape.scene.speck_kernels import BITS, merge

_SHARE = 1e-4
_MOST_PX = 32 * 32


def default_speck_px(size: tuple[int, int]) -> int:
    """The area in pixels below which a piece of an image of ``size`` (H, W) is a speck.

    A ten-thousandth of the image (a hundredth of its height by a hundredth of its width), rounded, but at most 32 × 32:
    one cell of the coarsest grid on which networks see, so a large map keeps its small fields. At least 1, which merges
    nothing.
    """
    return max(1, min(_MOST_PX, round(_SHARE * size[0] * size[1])))


def merge_specks(
    first: np.ndarray, x0: np.ndarray, width: int, piece: np.ndarray, label: np.ndarray, area_px: np.ndarray, least: int
) -> np.ndarray:
    """Merge specks by the module's rule, in time linear in the runs (times log ``least`` at worst).

    Args:
        first, x0: as in `RunMap`.
        width: of the image.
        piece: (R,) int32, the piece of each run, numbered by their first pixels.
        label: (P,) int32 class id of each piece; -1 for void and for single objects, which take no part.
        area_px: (P,) int64.
        least: the area from which on a piece is no speck.

    Returns:
        (P,) int64, for each piece the one that it is part of now; one that stands for others has the lowest number of
        them, and its label and area are written into ``label`` and ``area_px``.
    """
    specks = np.flatnonzero((label >= 0) & (area_px < least))
    if not len(specks):
        return np.arange(len(label))
    heap = np.empty(len(specks) + len(label), np.int64)
    heap[: len(specks)] = np.sort((area_px[specks] << BITS) | specks)
    return merge(first, x0, width, piece, label, area_px, least, heap, len(specks))

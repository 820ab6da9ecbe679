"""An image cut into regions, as runs row by row: what everything in a scene is measured from.

Runs are the partition's own compressed form: a 50-megapixel map of 5,000 regions is a few million runs. Only finding
them looks at pixels, in bands of rows, so a map that comes in tiles is never in memory as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class RunMap:
    """Runs that cover every row of an image from its left to its right.

    Attributes:
        size: (height, width).
        first: (H + 1,) int64, row y has the runs first[y] … first[y + 1] − 1.
        x0: (R,) int32, where a run begins; it ends where the next of its row begins, or at the width.
        region: (R,) int32, the row of `Measures` that it belongs to; neighbours in a row differ.
    """

    size: tuple[int, int]
    first: np.ndarray
    x0: np.ndarray
    region: np.ndarray

    @property
    def x1(self) -> np.ndarray:
        """(R,) int32, where a run ends, exclusive."""
        x1 = np.empty_like(self.x0)
        x1[:-1] = self.x0[1:]
        x1[self.first[1:] - 1] = self.size[1]
        return x1

    @property
    def y(self) -> np.ndarray:
        """(R,) int32, the row of a run."""
        return np.repeat(np.arange(self.size[0], dtype=np.int32), np.diff(self.first))

    def to_dense(self) -> np.ndarray:
        """(H, W) int32: the row of `Measures` that each pixel belongs to."""
        return np.repeat(self.region, self.x1 - self.x0).reshape(self.size)

"""Objects of tiles as they are found: arrays on disk, a file a tile."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segscape.bigimage.parts import Parts
from segscape.errors import ResourceError
from segscape.masks import Box, RunLengths
from segscape.result import Region

_ARRAYS = ("boxes", "labels", "scores", "ends", "counts")


@dataclass(frozen=True, slots=True, eq=False)
class PackedObjects:
    """The objects of one tile in five arrays, some hundred bytes an object.

    Attributes:
        boxes: (N, 4) int64 x0 y0 x1 y1 in the picture's pixels, half open.
        labels: (N,) int64 class ids.
        scores: (N,) float32; NaN for an object without one.
        ends: (N,) int64: where each one's run lengths end in ``counts``.
        counts: (M,) uint32: the run lengths of all masks, each within its box.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    ends: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, regions: Sequence[Region], offset: tuple[int, int]) -> PackedObjects:
        """From a tile's regions; the tile begins at ``offset``, (y, x) of the picture."""
        y, x = offset
        return cls(
            boxes=np.array([r.box for r in regions], np.int64).reshape(-1, 4) + np.array([x, y, x, y]),
            labels=np.array([r.label for r in regions], np.int64),
            scores=np.array([np.nan if r.score is None else r.score for r in regions], np.float32),
            ends=np.cumsum([len(r.mask.counts) for r in regions], dtype=np.int64),
            counts=np.concatenate([np.zeros(0, np.uint32), *(r.mask.counts for r in regions)]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def spans(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Object k's vertical spans, x, y0 and y1 in the picture's pixels; see `RunLengths.column_spans`."""
        x0, y0, x1, y1 = self.boxes[k].tolist()
        counts = self.counts[self.ends[k - 1] if k else 0 : self.ends[k]]
        x, top, bottom = RunLengths((y1 - y0, x1 - x0), counts).column_spans()
        return x + x0, top + y0, bottom + y0


@dataclass(frozen=True, slots=True, eq=False)
class WholeObject:
    """An object of the whole picture.

    Attributes:
        id: from 1, by the first of its tiles.
        label: class id.
        score: the highest of its parts'; None where the model gives none.
        box: x0 y0 x1 y1.
        mask: within the box.
    """

    id: int
    label: int
    score: float | None
    box: Box
    mask: RunLengths


class ObjectParts(Parts):
    """The tiles whose objects are found, a part each; see `Parts`."""

    def __contains__(self, tile: tuple[int, int]) -> bool:
        """Whether a tile's part is there and sound."""
        try:
            self._get(_name(tile))
        except ResourceError:
            return False
        return True

    def put(self, tile: tuple[int, int], objects: PackedObjects) -> None:
        """Keep the objects of the tile at (row, column); they are on disk when this returns.

        Raises:
            ResourceError: the disk is full.
        """
        data = io.BytesIO()
        np.savez_compressed(data, **{name: getattr(objects, name) for name in _ARRAYS})
        self._put(_name(tile), data.getvalue())

    def get(self, tile: tuple[int, int]) -> PackedObjects:
        """
        Raises:
            ResourceError: the part was changed or removed meanwhile.
        """
        with np.load(io.BytesIO(self._get(_name(tile))), allow_pickle=False) as arrays:
            return PackedObjects(*(arrays[name] for name in _ARRAYS))

    def rows(self, rows: int, columns: int) -> Iterator[list[PackedObjects]]:
        """The tiles of each row."""
        for row in range(rows):
            yield [self.get((row, column)) for column in range(columns)]


def _name(tile: tuple[int, int]) -> str:
    return f"objects-{tile[0]:06d}-{tile[1]:06d}"

"""Objects of tiles as they are found: a file a tile, there whole or not at all, so that a killed run can go on."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segscape.errors import ResourceError
from segscape.files import write_bytes, write_text
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


class ObjectParts:
    """The tiles whose objects are found.

    Args:
        folder: where they are kept; made if missing. Nothing else may be in it.
        job: plain JSON that says what is made from what, tiles and all. Parts of another job are removed.
        resume: whether to go on with parts that are there.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = folder
        text = json.dumps(job)
        try:
            same = (folder / "job.json").read_text("utf-8") == text
        except (OSError, ValueError):
            same = False
        if not (resume and same):
            self.remove()
        write_text(folder / "job.json", text)

    def __contains__(self, tile: tuple[int, int]) -> bool:
        return self._path(tile).exists()

    def put(self, tile: tuple[int, int], objects: PackedObjects) -> None:
        """Keep the objects of the tile at (row, column); they are on disk when this returns.

        Raises:
            ResourceError: the disk is full.
        """
        data = io.BytesIO()
        np.savez_compressed(data, **{name: getattr(objects, name) for name in _ARRAYS})
        write_bytes(self._path(tile), data.getvalue())

    def get(self, tile: tuple[int, int]) -> PackedObjects:
        """
        Raises:
            ResourceError: the part was changed or removed meanwhile.
        """
        try:
            with np.load(io.BytesIO(self._path(tile).read_bytes()), allow_pickle=False) as arrays:
                return PackedObjects(*(arrays[name] for name in _ARRAYS))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ResourceError(
                f"{str(self._path(tile))!r}: a finished part cannot be read again ({error}); remove its folder and "
                "start anew"
            ) from error

    def rows(self, rows: int, columns: int) -> Iterator[list[PackedObjects]]:
        """The tiles of each row."""
        for row in range(rows):
            yield [self.get((row, column)) for column in range(columns)]

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, tile: tuple[int, int]) -> Path:
        return self.folder / f"objects-{tile[0]:06d}-{tile[1]:06d}.npz"

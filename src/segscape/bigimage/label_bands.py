"""Label maps as they are made: bands of rows on disk, named by their first row.

Bands lie below one another without a gap; what is not in the folder is not done.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.parts import Parts
from segscape.errors import ResourceError

_FAST = 1  # zlib's level: label maps shrink to a few per cent at any


class LabelBands(Parts):
    """The finished bands of one label map.

    Args:
        folder, job, resume: see `Parts`.
        size: (height, width) of the label map.
        dtype: uint8 or uint16.
    """

    def __init__(
        self, folder: Path, job: Mapping[str, Any], size: tuple[int, int], dtype: np.dtype[Any], *, resume: bool
    ) -> None:
        super().__init__(folder, job, resume=resume)
        self.size, self.dtype = size, np.dtype(dtype)
        self.rows_done = 0
        """Rows that are on disk, from the top."""
        self._bands: list[tuple[int, int]] = []
        while (rows := self._rows_of(self.rows_done)) > 0:
            self._bands.append((self.rows_done, rows))
            self.rows_done += rows

    def append(self, labels: np.ndarray) -> None:
        """Write the next band, (rows, W); it is on disk when this returns.

        Raises:
            ResourceError: the disk is full.
        """
        assert labels.shape[1] == self.size[1], labels.shape
        assert labels.dtype == self.dtype, labels.dtype
        self._put(_name(self.rows_done), len(labels).to_bytes(8, "little") + zlib.compress(labels.tobytes(), _FAST))
        self._bands.append((self.rows_done, len(labels)))
        self.rows_done += len(labels)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The bands from the top, (rows, W) each.

        Raises:
            ResourceError: one was changed or removed meanwhile.
        """
        for y0, rows in self._bands:
            yield np.frombuffer(zlib.decompress(self._get(_name(y0))[8:]), self.dtype).reshape(rows, self.size[1])

    def _rows_of(self, y0: int) -> int:
        """Rows of the band that begins at ``y0``; 0 if there is none or it is damaged."""
        try:
            return int.from_bytes(self._get(_name(y0))[:8], "little")
        except ResourceError:
            return 0


def _name(y0: int) -> str:
    return f"rows-{y0:010d}"

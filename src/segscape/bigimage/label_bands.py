"""Label maps as they are made: bands of rows on disk, each there whole or not at all, so that a killed run can go on.

A folder beside the result holds ``job.json``, which says what is being made from what, and a file for each finished
band, named by its first row. Bands lie below one another without a gap; what is not in the folder is not done.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segscape.errors import ResourceError
from segscape.files import write_bytes, write_text

_FAST = 1  # zlib's level: label maps shrink to a few per cent at any


class LabelBands:
    """The finished bands of one label map.

    Args:
        folder: where they are kept; made if missing. Nothing else may be in it.
        job: plain JSON that says what is made from what. If the folder holds bands of another job, they are removed.
        size: (height, width) of the label map.
        dtype: uint8 or uint16.
        resume: whether to go on with bands that are there.
    """

    def __init__(
        self, folder: Path, job: Mapping[str, Any], size: tuple[int, int], dtype: np.dtype[Any], *, resume: bool
    ) -> None:
        self.folder, self.size, self.dtype = folder, size, np.dtype(dtype)
        self._job = json.loads(json.dumps(job))
        kept = self._stored()
        if not resume or kept.get("job") != self._job:
            self.remove()
            kept = {}
        self.state: dict[str, Any] = kept.get("state", {})
        """Plain JSON of the maker's, kept with the bands; see `keep`."""
        self.rows_done = 0
        """Rows that are on disk, from the top."""
        self._bands: list[tuple[int, int]] = []
        while (rows := self._rows_of(self.rows_done)) > 0:
            self._bands.append((self.rows_done, rows))
            self.rows_done += rows

    def keep(self, **state: Any) -> None:
        """Add to `state`, and write it to disk."""
        self.state.update(state)
        write_text(self.folder / "job.json", json.dumps({"job": self._job, "state": self.state}))

    def append(self, labels: np.ndarray) -> None:
        """Write the next band, (rows, W); it is on disk when this returns.

        Raises:
            ResourceError: the disk is full.
        """
        assert labels.shape[1] == self.size[1], labels.shape
        assert labels.dtype == self.dtype, labels.dtype
        header = len(labels).to_bytes(8, "little")
        data = zlib.compress(labels.tobytes(), _FAST)
        write_bytes(self._path(self.rows_done), header + zlib.crc32(data).to_bytes(4, "little") + data)
        self._bands.append((self.rows_done, len(labels)))
        self.rows_done += len(labels)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The bands from the top, (rows, W) each.

        Raises:
            ResourceError: one was changed or removed meanwhile.
        """
        for y0, rows in self._bands:
            try:
                data = self._path(y0).read_bytes()
                labels = np.frombuffer(zlib.decompress(data[12:]), self.dtype).reshape(rows, self.size[1])
            except (OSError, ValueError, zlib.error) as error:
                raise ResourceError(
                    f"{str(self._path(y0))!r}: a finished part cannot be read again ({error}); remove its folder and "
                    "start anew"
                ) from error
            yield labels

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _stored(self) -> dict[str, Any]:
        try:
            stored = json.loads((self.folder / "job.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def _path(self, y0: int) -> Path:
        return self.folder / f"rows-{y0:010d}"

    def _rows_of(self, y0: int) -> int:
        """Rows of the band that begins at ``y0``; 0 if there is none or it is damaged."""
        try:
            data = self._path(y0).read_bytes()
        except OSError:
            return 0
        if len(data) < 12 or zlib.crc32(data[12:]).to_bytes(4, "little") != data[8:12]:
            return 0
        return int.from_bytes(data[:8], "little")

"""Unfinished work on disk: a folder of parts, each there whole or not at all, so that a killed run can go on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.label_tiff import write_label_tiff
from segscape.bigimage.windowed import Georeference
from segscape.errors import ResourceError
from segscape.files import explain_os_error, write_bytes, write_text
from segscape.labels import LabelSet

try:
    import fcntl
except ImportError:  # Windows: two processes are not kept apart there
    fcntl = None

_JOB = "job.json"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}  # of some file systems in a network


class Parts:
    """The finished parts of one result; what a part is, `LabelBands` and `ObjectParts` say.

    A part is a file: the CRC-32 of its content, then that.

    Args:
        folder: where they are kept; made if missing. Nothing else may be in it.
        job: plain JSON that says what is made from what. Parts of another job are removed.
        resume: whether to go on with parts that are there.

    Raises:
        ResourceError: parts of another job cannot be removed.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self._job = _plain(job)
        stored = self._stored()
        self.state: dict[str, Any] = stored.get("state", {})
        """Plain JSON of the maker's, kept with the parts; see `keep`."""
        if not resume or stored.get("job") != self._job:
            self.clear()

    def keep(self, **state: Any) -> None:
        """Add to `state`, and write it to disk; before this, no part may be put."""
        self.state.update(_plain(state))
        write_text(self.folder / _JOB, json.dumps({"job": self._job, "state": self.state}))

    def write_map(
        self,
        target: Path,
        bands: Iterable[np.ndarray],
        size: tuple[int, int],
        dtype: np.dtype[Any],
        label_set: LabelSet,
        georeference: Georeference | None,
    ) -> None:
        """Write the whole map, see `write_label_tiff`, and put it in place.

        In the folder first: what is left of it where a run is killed goes with the parts.
        """
        whole = self.folder / "whole.tif"
        write_label_tiff(whole, bands, size, dtype, label_set, georeference)
        try:
            whole.replace(target)
        except OSError as error:
            raise explain_os_error(error, target) from error

    def clear(self) -> None:
        """Remove the parts and `state`.

        Raises:
            ResourceError: something stays, which would be taken for a part of this job.
        """
        self.remove()
        if self.folder.exists():
            raise ResourceError(
                f"{str(self.folder)!r}: holds what another run left, and it cannot be removed; close what has it open, "
                "remove the folder and run it again"
            )
        self.state = {}

    def remove(self) -> None:
        """Remove the folder when all is done. What another program has open may stay: it is in nobody's way."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put(self, name: str, content: bytes) -> None:
        """Write a part; it is on disk when this returns.

        Raises:
            ResourceError: the disk is full.
        """
        write_bytes(self.folder / name, _crc(content) + content)

    def _get(self, name: str) -> bytes:
        """A part's content.

        Raises:
            ResourceError: the part was changed or removed meanwhile.
        """
        path, reason = self.folder / name, "it was changed or damaged"
        try:
            data = path.read_bytes()
            content = data[4:]
            if data[:4] == _crc(content):
                return content
        except OSError as error:
            reason = error.strerror or str(error)
        raise ResourceError(
            f"{str(path)!r}: a finished part cannot be read again ({reason}); remove its folder and start anew"
        )

    def _stored(self) -> dict[str, Any]:
        try:
            stored = json.loads((self.folder / _JOB).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}


@contextlib.contextmanager
def only_maker(target: Path) -> Iterator[Path]:
    """Be the only process that makes ``target`` while in here; yields the folder for its `Parts`, ".NAME.parts".

    The lock is on the file ".NAME.lock". It ends with the process, however that ends, so that a killed run can go on.

    Raises:
        ResourceError: another process, or thread, is at it.
        InputError: the folder of ``target`` cannot be written to.
    """
    path = target.with_name(f".{target.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = None if fcntl is None else _locked(path)
    except BlockingIOError as error:
        raise ResourceError(
            f"{str(target)!r} is being made by another process; wait for it, or give another --out"
        ) from error
    except OSError as error:
        raise explain_os_error(error, target) from error
    try:
        yield target.with_name(f".{target.name}.parts")
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):
                path.unlink()  # before the lock ends: afterwards it may be another's
            os.close(lock)


def _locked(path: Path) -> int:
    """A descriptor of the file at ``path``, locked."""
    assert fcntl is not None
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                return lock
            # Who held it before may have removed it since it was opened here: then it keeps nobody out.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), path.stat()):
                    return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back, tuples as lists, so that they compare."""
    return json.loads(json.dumps(values))

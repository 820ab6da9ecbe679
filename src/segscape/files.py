"""Writing files so that nothing is ever half there: beside the target first, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from segscape.errors import InputError, ResourceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def explain_os_error(error: OSError, target: str | os.PathLike[str]) -> InputError | ResourceError:
    """The error of ours that says what an ``OSError`` while writing ``target`` means."""
    where = os.fspath(target)
    if error.errno in _FULL:
        return ResourceError(f"{where!r}: no space left to write it; free some disk space and run it again")
    if error.errno in _FORBIDDEN:
        return InputError(f"{where!r}: cannot be written here ({error.strerror}); choose another place")
    return ResourceError(f"{where!r}: could not be written ({error.strerror or error}); check the disk and try again")


@contextlib.contextmanager
def atomic_write(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it is flushed to disk and renamed onto ``target``.

    Readers see the old file or the new one, never a part. On any error the temporary file is removed and
    ``target`` is untouched.

    Raises:
        ResourceError: the disk is full or fails.
        InputError: the folder cannot be written to, or the name is too long.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The target's suffix is kept, because libraries choose the format by it. Not tempfile.mkstemp: its files
        # are private, and giving them the usual mode means changing the umask of all threads for a moment.
        temporary = target.parent / f".writing-{secrets.token_hex(8)}{target.suffix}"
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise explain_os_error(error, target) from error
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise explain_os_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``target`` atomically (see `atomic_write`)."""
    with atomic_write(target) as path:
        path.write_bytes(content)


def write_text(target: str | os.PathLike[str], content: str) -> None:
    """Write ``content`` as UTF-8 to ``target`` atomically (see `atomic_write`).

    A file name that is not valid UTF-8 holds lone surrogates; they are written as \\udcXX, which is their JSON escape.
    """
    write_bytes(target, content.encode("utf-8", "backslashreplace"))

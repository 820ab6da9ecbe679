"""The truth of a store: Parquet parts in a folder, each written whole, never changed, taken in by their numbers.

``scenes.duckdb.parts/00000001/`` holds one file for each of `segscape.store.tables.TABLES`. A part is what one step of
indexing added: new images with their regions, relations and labels, new places of images, and images that were removed,
in this order. It is written beside and renamed into place, so a killed process leaves either the part or nothing; the
DuckDB file is made from the parts.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from segscape.errors import ConfigError, ResourceError
from segscape.files import explain_os_error
from segscape.store.tables import TABLES, columns_sql, unnest_sql

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_UNFINISHED = ".writing-"
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def duckdb_module() -> Any:
    """The module ``duckdb``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise ConfigError(f"a store needs {error.name}: pip install 'segscape[store]'") from error
    return duckdb


def parts_folder(store: Path) -> Path:
    """Where the parts of the store are: beside it."""
    return store.with_name(store.name + ".parts")


def part_numbers(folder: Path) -> list[int]:
    """The numbers of the parts that are there, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir())


def part_file(folder: Path, number: int, table: str) -> Path:
    """The Parquet file of one table in one part."""
    return folder / f"{number:08d}" / f"{table}.parquet"


@contextlib.contextmanager
def writing_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of ``folder`` (made when missing); the system frees the lock when the process dies.

    Raises:
        ResourceError: another process, or another `Store` of this one, is writing.
        InputError: the folder cannot be written to.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise explain_os_error(error, path) from error
    with file:
        try:
            _take(file)
        except OSError:
            file.seek(0)
            who = f"process {text}" if (text := file.read().strip()) else "another process"
            raise ResourceError(
                f"{str(folder)!r}: {who} is writing to this store; wait until it is done, or use another --store"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        for entry in folder.glob(f"{_UNFINISHED}*"):  # of a process that was killed
            shutil.rmtree(entry, ignore_errors=True)
        yield


@contextlib.contextmanager
def new_part(folder: Path, number: int, rows: Rows) -> Iterator[None]:
    """Write rows (table -> dicts by column) as part ``number``; it is there when the block is left without an error.

    Raises:
        ResourceError, InputError: it cannot be written.
    """
    duckdb = duckdb_module()
    beside = folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
    target = folder / f"{number:08d}"
    try:
        beside.mkdir()
        with duckdb.connect() as connection:
            for table, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {table} ({columns_sql(table)})")
                if there := rows.get(table):
                    lists = [[row[column.name] for row in there] for column in columns]
                    connection.execute(f"INSERT INTO {table} {unnest_sql(table)}", lists)
                file = beside / f"{table}.parquet"
                connection.execute(f"COPY {table} TO ? (FORMAT parquet, COMPRESSION zstd)", [str(file)])
                _flush(file)
        _flush(beside)
        yield
        beside.rename(target)
        _flush(folder)
    except OSError as error:
        raise explain_os_error(error, target) from error
    except duckdb.Error as error:
        why = f"could not be written ({str(error).splitlines()[0]})"
        raise ResourceError(f"{str(target)!r}: {why}; check the disk and run it again") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _flush(path: Path) -> None:
    if path.is_dir() and sys.platform == "win32":
        return  # it cannot open folders
    handle = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

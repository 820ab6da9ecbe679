"""The DuckDB file of a store: the parts' rows in tables of its own, for quick answers. It can always be made again."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segscape.errors import InputError, ResourceError
from segscape.files import explain_os_error
from segscape.store.parts import duckdb_module, part_file, part_numbers, parts_folder
from segscape.store.tables import ABOUT, LAYOUT, VIEWS, columns_sql

# Whoever asks may read the store and nothing else: no other file, no network, no extension, no variable of the program.
_ASKING = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "lock_configuration": "true",
}


_MOST_LOOSE_ROWS = 500_000
"""So many relations may lie unsorted, or as many as lie sorted: each is then sorted a few times at most."""
_BUSY = ("Could not set lock", "different configuration", "being used by another process")


class BusyError(ResourceError):
    """The file is open elsewhere, so that it cannot be opened this way now."""


def checked(store: Path) -> int:
    """The number of the last part that the file has taken in.

    Raises:
        InputError: the file is no store, or of another layout.
        BusyError: another process is writing to it.
    """
    with opened(store, read_only=True, patience_s=5.0) as connection:
        found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'segscape_store'").fetchall()
        if not found:
            raise InputError(f"{str(store)!r}: a DuckDB file, but no store of segscape; give another name")
        ((layout, last),) = connection.execute("SELECT layout, last_part FROM segscape_store").fetchall()
    if layout != LAYOUT:
        raise InputError(
            f"{str(store)!r}: a store of layout {layout}, this segscape writes {LAYOUT}; index into a new one"
        )
    return last


def create(store: Path) -> int:
    """Make the file, with empty tables; the number of the last part that it has taken in is 0.

    Raises:
        InputError: its folder cannot be written to.
    """
    duckdb = duckdb_module()
    beside = store.with_name(f".writing-{secrets.token_hex(8)}.duckdb")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(beside)) as connection:
            connection.execute("BEGIN")
            for table in ABOUT:
                connection.execute(f"CREATE TABLE {table} ({columns_sql(table)})")
            for view, (_, query) in VIEWS.items():
                connection.execute(f"CREATE VIEW {view} AS {query}")
            connection.execute(
                "CREATE TABLE segscape_store (layout INTEGER, last_part INTEGER, next_image INTEGER, sorted BIGINT)"
            )
            connection.execute("INSERT INTO segscape_store VALUES (?, 0, 1, 0)", [LAYOUT])
            connection.execute("COMMIT")
        store.with_name(store.name + ".wal").unlink(missing_ok=True)  # of a file that was deleted
        beside.rename(store)
    except (OSError, duckdb.Error) as error:
        if isinstance(error, OSError):
            raise explain_os_error(error, store) from error
        raise InputError(f"{str(store)!r}: cannot be written here ({_reason(error)}); choose another place") from error
    finally:
        for leftover in (beside, beside.with_name(beside.name + ".wal")):
            leftover.unlink(missing_ok=True)
    return 0


@contextlib.contextmanager
def opened(store: Path, *, read_only: bool, patience_s: float = 0.0) -> Iterator[Any]:
    """A connection to the file, closed in the end. Reading, it can do nothing but read this file.

    Args:
        store: the DuckDB file.
        read_only: see above.
        patience_s: for how long to try again while it is busy.

    Raises:
        BusyError: another process has it open for writing, or (to write) at all.
        InputError: it is no DuckDB file, or cannot be opened.
    """
    connection = connect(store, read_only=read_only, patience_s=patience_s)
    try:
        yield connection
    finally:
        connection.close()


def connect(store: Path, *, read_only: bool, patience_s: float = 0.0) -> Any:
    """As `opened`; the caller closes it."""
    duckdb = duckdb_module()
    until = time.monotonic() + patience_s
    while True:
        try:
            return duckdb.connect(str(store), read_only=read_only, config=_ASKING if read_only else {})
        except duckdb.Error as error:
            busy = any(
                sign in str(error) for sign in ("Could not set lock", "different configuration", "being used by")
            )
            if not busy:
                again = f"; delete it: it is made again from {str(parts_folder(store))!r}"
                raise InputError(
                    f"{str(store)!r}: cannot be opened as a store ({_reason(error)})"
                    + (again if part_numbers(parts_folder(store)) else "; name the file that `segscape index` wrote")
                ) from error
            if time.monotonic() >= until:
                raise BusyError(f"{str(store)!r}: is open elsewhere; try again when it is closed") from error
        time.sleep(0.05)


def take_in(store: Path, last: int, *, patience_s: float) -> int:
    """Bring the file up to date with its parts, one transaction a part.

    Args:
        store: the DuckDB file.
        last: the number of the last part that it had taken in when that was asked; it may have more by now.
        patience_s: for how long to try while it is open elsewhere.

    Returns:
        the number of the last part that is in it now.

    Raises:
        BusyError: it stayed open elsewhere.
        InputError: a part is damaged.
        ResourceError: the disk is full.
    """
    duckdb, folder = duckdb_module(), parts_folder(store)
    new = [number for number in part_numbers(folder) if number > last]
    if not new:
        return last
    with opened(store, read_only=False, patience_s=patience_s) as connection:
        (last,) = connection.execute("SELECT last_part FROM segscape_store").fetchone()
        for number in new:
            if number <= last:
                continue
            try:
                connection.execute("BEGIN")
                _take_in_part(connection, folder, number)
                connection.execute("COMMIT")
                last = number
            except duckdb.Error as error:
                where = str(folder / f"{number:08d}")
                message = f"{where!r}: this part of the store could not be taken in ({_reason(error)})"
                if "space" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
                    raise ResourceError(f"{message}; free some space and try again") from error
                again = f"if it is damaged, delete it and {str(store)!r}, and index again"
                raise InputError(f"{message}; {again}") from error
        _sort_relations(connection)
    return last


def _sort_relations(connection: Any) -> None:
    """Put relations of the same kind beside one another, once there are many new ones.

    Most queries are about one predicate between two classes. Where those lie together, DuckDB passes over the rest
    unread, so that a query takes as long as it finds much, not as long as there is much.
    """
    (rows,) = connection.execute("SELECT count(*) FROM relations").fetchone()
    (sorted_rows,) = connection.execute("SELECT sorted FROM segscape_store").fetchone()
    if rows - sorted_rows <= max(_MOST_LOOSE_ROWS, sorted_rows):
        return
    order = "predicate, subject_class, object_class, image, subject, object"
    connection.execute("BEGIN")
    connection.execute(f"CREATE TABLE sorted_relations AS SELECT * FROM relations ORDER BY {order}")
    connection.execute("DROP TABLE relations")
    connection.execute("ALTER TABLE sorted_relations RENAME TO relations")
    connection.execute("UPDATE segscape_store SET sorted = ?", [rows])
    connection.execute("COMMIT")


def _take_in_part(connection: Any, folder: Path, number: int) -> None:
    def run(sql: str, *tables: str) -> None:
        connection.execute(sql, [str(part_file(folder, number, table)) for table in tables])

    run("INSERT INTO labels BY NAME (SELECT * FROM read_parquet(?) EXCEPT SELECT * FROM labels)", "labels")
    for table in ("images", "regions", "relations"):
        run(f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?)", table)
    run(
        "UPDATE images SET path = m.path, file_bytes = m.file_bytes, modified_ns = m.modified_ns "
        "FROM read_parquet(?) m WHERE id = m.image",
        "moved",
    )
    for table, column in (("images", "id"), ("regions", "image"), ("relations", "image")):
        run(f"DELETE FROM {table} WHERE {column} IN (SELECT image FROM read_parquet(?))", "removed")
    run(
        f"UPDATE segscape_store SET last_part = {number:d}, "
        "next_image = greatest(next_image, (SELECT coalesce(max(id), 0) + 1 FROM read_parquet(?)))",
        "images",
    )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]

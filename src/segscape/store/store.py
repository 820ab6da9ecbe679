"""A store of scenes: add them one by one, ask for them in the short language or in SQL."""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from segscape.errors import ConfigError, InputError
from segscape.scene.scene import Scene
from segscape.store import database
from segscape.store.answers import Answer, Drawn, ask, ask_sql, drawn
from segscape.store.parts import new_part, part_numbers, parts_folder, writing_lock
from segscape.store.photos import Indexed, Photo, as_text, is_no_file, photo_path
from segscape.store.rows import image_row, label_rows, region_rows, relation_rows
from segscape.store.tables import SCENE_VERSION

_MOST_IMAGES, _MOST_ROWS, _MOST_SECONDS = 256, 100_000, 30.0
"""A part is written after so many images or rows, or this time: what a kill can cost, and what stays in memory."""
_PATIENCE_S = 10.0


class Store:
    """Scenes of many images; made by `open`, closed by `close` or the end of a ``with`` block.

    An image is known by its content, the model (name and hash) and the version of the scene, not by its name.
    """

    def __init__(self, path: Path, taken_in: int, *, read_only: bool) -> None:
        self.path = path
        self._taken_in = taken_in
        self.read_only = read_only
        self._lock = contextlib.ExitStack()
        self._asking: Any = None
        self._begin_part()
        self._images: dict[int, Indexed] = {}
        self._by_content: dict[tuple[str, str, int], int] = {}
        self._by_path: defaultdict[str, set[int]] = defaultdict(set)
        self._labels: set[tuple[Any, ...]] = set()
        self._next_image = self._next_part = 1

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Store:
        """Open the store at ``path`` (a DuckDB file; its Parquet parts lie in ``path + ".parts"``).

        Args:
            path: made when missing, unless ``read_only``.
            read_only: for asking alone; any number of processes may do so, also while one is writing.

        Raises:
            InputError: there is no store to read, or the file is something else, or it cannot be written.
            ResourceError: another process is writing to it.
            ConfigError: DuckDB is not installed.
        """
        store = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)
        if "?" in str(store) or (os.sep == "/" and "\\" in str(store)):
            # DuckDB would look for its files under other names.
            raise InputError(f"{str(store)!r}: a store's path cannot have ? or \\ in it; choose another place")
        folder = parts_folder(store)
        if read_only and not store.exists() and not part_numbers(folder):
            raise InputError(f"{os.fspath(path)!r}: no such store; `segscape index FOLDER --store …` makes one")
        with contextlib.ExitStack() as stack:
            # Before anything is made beside a file that is not ours.
            taken_in = database.checked(store) if store.exists() else None
            if not read_only:
                stack.enter_context(writing_lock(folder))
            if taken_in is None:
                taken_in = database.create(store)
            if not read_only:
                taken_in = database.take_in(store, taken_in, patience_s=_PATIENCE_S)
            elif os.access(store, os.W_OK):
                # A reader that finds the file busy answers from what was taken in before.
                with contextlib.suppress(database.BusyError):
                    taken_in = database.take_in(store, taken_in, patience_s=0.5)
            opened = cls(store, taken_in, read_only=read_only)
            if not read_only:
                opened._read_state()
            opened._lock = stack.pop_all()
        return opened

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what was added. Whoever opens the store next takes in what could not be while others read it."""
        try:
            if not self.read_only:
                self.flush(patience_s=_PATIENCE_S)
        finally:
            self._stop_asking()
            self._lock.close()

    def __len__(self) -> int:
        """Number of images."""
        if self.read_only:
            return self.sql("SELECT count(*) FROM images").rows[0][0]
        return len(self._images)

    def find(self, content_hash: str, model: str) -> Indexed | None:
        """The image of this content as this model saw it, if it is there in the present version of scenes."""
        self._check_writable()
        number = self._by_content.get((content_hash, as_text(model), SCENE_VERSION))
        return None if number is None else self._images[number]

    def at(self, path: str) -> list[Indexed]:
        """The images whose photo was last seen at ``path``, of any model."""
        self._check_writable()
        return [self._images[number] for number in sorted(self._by_path[path])]

    def add(self, scene: Scene, *, content_hash: str, file_bytes: int = 0, modified_ns: int = 0) -> bool:
        """Add a scene; what an earlier content of the same path gave under the same model's name is removed.

        Args:
            scene: its ``source`` is the photo's path.
            content_hash: of the photo's file, as `Photo`; file_bytes and modified_ns too.

        Returns:
            False if it was there already: then its path is brought up to date, and nothing else happens.

        Raises:
            InputError, ResourceError: the store is open for reading alone, or cannot be written.
        """
        photo = Photo(photo_path(scene.source), content_hash, file_bytes, modified_ns)
        if known := self.find(content_hash, scene.model):
            self.place(known.id, photo)
            self.drop_replaced(photo, scene.model)
            return False
        number = self._next_image
        self._next_image += 1
        labels = [row for row in label_rows(scene.label_set) if tuple(row.values()) not in self._labels]
        self._waiting_labels += labels
        self._labels |= {tuple(row.values()) for row in labels}
        # In one stroke, so that an interrupt leaves all rows of the image or none.
        self._waiting[number] = {
            "images": [image_row(scene, number, photo)],
            "regions": region_rows(scene, number),
            "relations": relation_rows(scene, number),
        }
        self._num_waiting_rows += len(scene.regions) + len(scene.relations)
        self._remember(Indexed(number, photo, as_text(scene.model), SCENE_VERSION))
        self.drop_replaced(photo, scene.model)
        self._flush_when_due()
        return True

    def place(self, number: int, photo: Photo) -> None:
        """Note where the photo of an image is now; nothing happens if that is known."""
        known = self._images[number]
        if known.photo == photo:
            return
        self._moved[number] = {
            "image": number,
            "path": photo.path,
            "file_bytes": photo.file_bytes,
            "modified_ns": photo.modified_ns,
        }
        self._by_path[known.photo.path].discard(number)
        self._remember(replace(known, photo=photo))
        self._flush_when_due()

    def drop_replaced(self, photo: Photo, model: str) -> int:
        """Remove what other contents of ``photo.path`` gave under the model's name; returns how many.

        Two versions of one model share their name (what stands before the @).
        """
        stale = [
            known
            for known in ([] if is_no_file(photo.path) else self.at(photo.path))
            if _name(known.model) == _name(as_text(model))
            and (known.photo.content_hash, known.model, known.scene_version)
            != (photo.content_hash, as_text(model), SCENE_VERSION)
        ]
        for known in stale:
            self._moved.pop(known.id, None)
            if self._waiting.pop(known.id, None) is None:
                self._removed.append({"image": known.id})
            del self._images[known.id]
            del self._by_content[known.photo.content_hash, known.model, known.scene_version]
            self._by_path[photo.path].discard(known.id)
        return len(stale)

    def flush(self, *, patience_s: float = 0.0) -> None:
        """Write what was added so far as a part, and take it into the DuckDB file unless that is in use."""
        self._check_writable()
        if self._waiting or self._moved or self._removed:
            rows = {
                "labels": self._waiting_labels,
                "moved": list(self._moved.values()),
                "removed": self._removed,
                **{
                    table: [row for image in self._waiting.values() for row in image[table]]
                    for table in ("images", "regions", "relations")
                },
            }
            with new_part(parts_folder(self.path), self._next_part, rows):
                # Let go before the part is there: an interrupt in between costs these rows, which a next run makes
                # again; the other way round it would write them twice.
                self._begin_part()
            self._next_part += 1
        self._stop_asking()
        with contextlib.suppress(database.BusyError):
            self._taken_in = database.take_in(self.path, self._taken_in, patience_s=patience_s)

    @property
    def behind(self) -> bool:
        """Whether there is more in the parts than in the answers, for the DuckDB file was in use."""
        with self._connection() as connection:
            (last,) = connection.execute("SELECT last_part FROM segscape_store").fetchone()
        return max(part_numbers(parts_folder(self.path)), default=0) > last

    def query(self, text: str, *, limit: int | None = 20, lang: str = "en") -> Answer:
        """The images that ``text`` asks for, in the short language (see `segscape.store.language`).

        Args:
            text: e.g. "person touching road and share(road) > 20%".
            limit: the most images to give; None gives all. `Answer.total` counts all.
            lang: "en" or "zh", of the descriptions and of what says why an image was found.

        Raises:
            InputError: the query cannot be read; the message shows where.
            ConfigError: the limit or the language is none.
        """
        with self._connection() as connection:
            return ask(connection, text, limit=_checked(limit), lang=lang)

    def sql(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] = (), *, limit: int | None = None) -> Answer:
        """The result of a query in SQL over the tables of `segscape.store.tables`.

        It can read the store and nothing else: it cannot write, open other files or load extensions.

        Args:
            text: DuckDB's SQL.
            parameters: for ? or $name in it.
            limit: the most rows to give; None gives all.

        Raises:
            InputError: DuckDB does not take it.
        """
        with self._connection() as connection:
            return ask_sql(connection, text, parameters, limit=_checked(limit))

    def drawn(self, answer: Answer) -> dict[int, list[Drawn]]:
        """The regions that matched, to be drawn: by the number of their image. See `segscape.store.showing`."""
        with self._connection() as connection:
            return drawn(connection, answer)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """For asking. A reader keeps it, which is quicker; a writer does not, for it could not take in parts."""
        if not self.read_only:
            self.flush(patience_s=_PATIENCE_S)
        if self._asking is None:
            self._asking = database.connect(self.path, read_only=True, patience_s=_PATIENCE_S)
        try:
            yield self._asking
        finally:
            if not self.read_only:
                self._stop_asking()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def _read_state(self) -> None:
        with database.opened(self.path, read_only=True, patience_s=_PATIENCE_S) as connection:
            columns = "id, path, content_hash, file_bytes, modified_ns, model, scene_version"
            for number, *photo, model, version in connection.execute(f"SELECT {columns} FROM images").fetchall():
                self._remember(Indexed(number, Photo(*photo), model, version))
            self._labels = set(connection.execute("SELECT * FROM labels").fetchall())
            last, self._next_image = connection.execute("SELECT last_part, next_image FROM segscape_store").fetchone()
            self._next_part = last + 1

    def _begin_part(self) -> None:
        self._waiting: dict[int, dict[str, list[dict[str, Any]]]] = {}
        self._waiting_labels: list[dict[str, Any]] = []
        self._moved: dict[int, dict[str, Any]] = {}
        self._removed: list[dict[str, Any]] = []
        self._num_waiting_rows = 0
        self._since = time.monotonic()

    def _remember(self, image: Indexed) -> None:
        self._images[image.id] = image
        self._by_content[image.photo.content_hash, image.model, image.scene_version] = image.id
        self._by_path[image.photo.path].add(image.id)

    def _flush_when_due(self) -> None:
        late = time.monotonic() - self._since > _MOST_SECONDS
        many = max(len(self._waiting) / _MOST_IMAGES, (self._num_waiting_rows + len(self._moved)) / _MOST_ROWS) >= 1
        if late or many:
            self.flush()

    def _check_writable(self) -> None:
        if self.read_only:
            raise InputError(f"{str(self.path)!r}: this store was opened for reading alone; open it without read_only")


def _name(model: str) -> str:
    return model.partition("@")[0]


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    return limit

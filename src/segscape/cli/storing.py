"""``segscape index`` and ``segscape query``."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from segscape.cli.common import (
    Json,
    Quiet,
    Switch,
    complain,
    complain_of,
    console,
    open_predictor,
    plain,
    print_json,
    say,
)
from segscape.errors import ConfigError
from segscape.progress import Progress

if TYPE_CHECKING:
    from segscape.store.answers import Answer

_PICTURES = ("html", "contact")
_WHOLE_LINES = 10_000
_BRIEF = ("image", "path", "found")
_FORMATS = {".json": "json", ".csv": "csv", ".html": "html", ".jpg": "contact", ".jpeg": "contact", ".txt": "table"}


def index(
    inputs: list[str],
    /,
    *,
    store: Path = Path("scenes.duckdb"),
    model: str = "street",
    panoptic: str = "",
    engine: str = "auto",
    max_pixels: int = 250_000_000,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment images and keep their scenes, to be asked for with `segscape query`. Run again, it does what is new.

    Example: segscape index holiday --store scenes.duckdb

    Parameters
    ----------
    inputs
        Folders, files or patterns; 'holiday/**/*.jpg' for all depths.
    store
        DuckDB file, made when missing. Its Parquet parts are written beside it, into a folder of this name + .parts.
    model
        As for predict. Images of several models can be in one store.
    panoptic
        SEMANTIC+INSTANCE: two models joined, as for predict.
    engine
        What the network runs on: auto (says which and why), openvino, onnx, torch, torch-compile; torch's on a device
        as in torch:cuda:1.
    max_pixels
        Larger images are refused.
    """
    from segscape.image import image_files
    from segscape.store.indexing import index_new, plan
    from segscape.store.store import Store

    files = image_files(inputs)
    progress = Progress(quiet=quiet or len(files) == 1)
    with Store.open(store) as opened:
        predictor = open_predictor(model, panoptic, engine)
        todo = plan(opened, progress.track(files, len(files), "read"), predictor.id)
        failed, added, removed = list(todo.failed), 0, todo.removed
        steps = index_new(opened, predictor, todo.new, max_pixels=max_pixels)
        for step in progress.track(steps, len(todo.new), "index"):
            if step.error:
                failed.append((step.source, step.error))
                continue
            added, removed = added + 1, removed + step.removed
            if not json_:
                say(f"{step.source}: {step.num_regions} regions, {step.num_relations} relations")
        counts = {"added": added, "kept": todo.kept, "moved": todo.moved, "doubles": todo.doubles, "removed": removed}
        images = len(opened)
    errors = [{"source": str(path), "error": str(error)} for path, error in failed]
    if json_:
        print_json({"store": str(store), "model": predictor.id, **counts, "images": images, "failed": errors})
    else:
        say(f"{store}: {images} images; {', '.join(f'{number} {name}' for name, number in counts.items() if number)}")
    complain_of(errors, len(files))
    return max((error.exit_code for _, error in failed), default=0)


def query(
    store: Path,
    text: str,
    /,
    *,
    sql: Switch = False,
    format_: Annotated[str, Parameter(name="--format")] = "",
    out: Path | None = None,
    limit: int = 20,
    lang: Literal["en", "zh"] = "en",
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Find images in a store by what is in them; docs/query.md has the language and the tables.

    Example: segscape query scenes.duckdb "person touching road and share(road) > 20%" --out found.html

    Parameters
    ----------
    store
        What `segscape index` wrote.
    text
        person touching road; count(car) >= 3 and share(road) > 20%; bicyclist left of car where near.
    sql
        The text is SQL over the tables images, regions, relations, labels, classes. It can read them and nothing else.
    format_
        table, json, csv, html (a page with the photos, matched regions drawn in) or contact (all in one JPEG); by the
        suffix of --out if not given.
    out
        File for the result; needed for html and contact.
    limit
        The most images, or rows of SQL, to give.
    lang
        en or zh: of the descriptions and reasons.
    """
    from segscape.files import write_text
    from segscape.result_files import write_jpeg
    from segscape.store.showing import contact_sheet, headline, page
    from segscape.store.store import Store

    chosen = _format(format_, out, json_)
    with Store.open(store, read_only=True) as opened:
        answer = opened.sql(text, limit=limit) if sql else opened.query(text, limit=limit, lang=lang)
        if chosen == "contact" and "image" not in answer.columns:
            raise ConfigError("a contact sheet shows photos: the SQL needs a column image (and region to mark them)")
        regions = opened.drawn(answer) if chosen in _PICTURES else {}
        behind = opened.behind
    if behind and not quiet:
        complain("the store is being written to or is open elsewhere: what was indexed last is not in the answer")
    if out and chosen == "contact":
        write_jpeg(out, contact_sheet(answer, regions))
    elif out:
        write_text(out, page(answer, regions, lang=lang) if chosen == "html" else _as_text(answer, chosen))
    if json_:
        print_json({"store": str(store), **answer.to_dict(), **({"written": str(out)} if out else {})})
    elif out:
        say(f"{out}: {headline(answer)}")
    elif chosen == "table":
        _print_table(answer, console())
    else:
        sys.stdout.write(_as_text(answer, chosen))
    return 0


def _format(wanted: str, out: Path | None, json_: bool) -> str:
    chosen = wanted or (_FORMATS.get(out.suffix.lower(), "") if out else "json" if json_ else "table")
    if chosen not in _FORMATS.values():
        known = f"--format is table, json, csv, html or contact; by the suffix of --out: {' '.join(_FORMATS)}"
        raise ConfigError(
            f"unknown format {wanted!r}; {known}" if wanted else f"{str(out)!r}: no known suffix; {known}"
        )
    if not out and (chosen in _PICTURES or (json_ and chosen != "json")):
        raise ConfigError(f"--format {chosen} needs --out FILE" + (" beside --json" if json_ else ""))
    return chosen


def _as_text(answer: Answer, chosen: str) -> str:
    from segscape.store.showing import csv_text

    if chosen == "csv":
        return csv_text(answer)
    if chosen == "json":
        return json.dumps(answer.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
    from rich.console import Console

    text = io.StringIO()
    _print_table(answer, Console(file=text, color_system=None))
    return text.getvalue()


def _print_table(answer: Answer, screen: Any) -> None:
    """Of a query: which photo, and why; of SQL: its columns."""
    from rich.table import Table
    from rich.text import Text

    from segscape.store.showing import cell, headline

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = answer.columns if answer.sql else _BRIEF
    for column in columns:
        table.add_column(Text(plain(column)), overflow="fold")
    for row in answer.rows:
        if not answer.sql:
            values = dict(zip(answer.columns, row, strict=True))
            row = (values["image"], _from_here(values["path"]), ", ".join(values["found"]))
        table.add_row(*(Text(plain(cell(value))) for value in row))
    if not screen.is_terminal:  # what reads a pipe or a file wants whole paths
        screen.width = _WHOLE_LINES
    if answer.rows:
        screen.print(table)
    screen.print(Text(headline(answer)))


def _from_here(path: str) -> str:
    return path.removeprefix(str(Path.cwd()) + os.sep)

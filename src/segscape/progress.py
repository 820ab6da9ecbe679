"""Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 20.0


class Progress:
    """Reports on a loop.

    Args:
        quiet: report nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.note = ""
        """Shown beside the bar, e.g. "loss 0.412"; set it at any time."""

    def track(self, iterable: Iterable[T], total: int | None, description: str, *, done: int = 0) -> Iterator[T]:
        """Yield from ``iterable`` and show how far it is; ``done`` of ``total`` were there before."""
        if self.quiet:
            return iter(iterable)
        if sys.stderr.isatty():
            return self._bar(iterable, total, description, done)
        return self._lines(iterable, total, description, done)

    def message(self, text: str) -> None:
        """One line, above the bar if there is one."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the one place that reports)

    def __call__(self, iterable: Iterable[T], total: int | None, description: str) -> Iterator[T]:
        return self.track(iterable, total, description)

    def _bar(self, iterable: Iterable[T], total: int | None, description: str, done: int) -> Iterator[T]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        # Beside a bar rich sends what goes to stdout to stderr: right on one screen, wrong for a file or pipe.
        aside = sys.stdout.isatty()
        with RichProgress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=aside) as bar:
            task = bar.add_task(escape(description), total=total, completed=done, note="")
            for value in iterable:
                yield value
                bar.update(task, advance=1, note=escape(self.note))

    def _lines(self, iterable: Iterable[T], total: int | None, description: str, done: int) -> Iterator[T]:
        start = last = time.monotonic()
        for count, value in enumerate(iterable, start=1):
            yield value
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES:
                last = now
                left = "" if not total else f", {(now - start) / count * (total - done - count):.0f} s left"
                of = f"/{total}" if total else ""
                note = f"  {self.note}" if self.note else ""
                self.message(f"{description} {done + count}{of}{left}{note}")

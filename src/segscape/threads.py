"""How many threads to use, and work on parts of an array in them, for functions that let go of the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def thread_limit() -> int | None:
    """How many threads the user allows with ``OMP_NUM_THREADS``, which not every runtime looks at by itself."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and int(first) else None


def num_threads() -> int:
    """As many as this process may use: what the user allows, else its cores."""
    if limit := thread_limit():
        return limit
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over(count: int, work: Callable[[int, int], object], *, least: int = 4096) -> None:
    """``work(start, stop)`` over as many pieces of range(count) as there are threads, each of ``least`` or more."""
    pieces = max(1, min(num_threads(), count // least))
    ends = [count * i // pieces for i in range(pieces + 1)]
    if pieces == 1:
        work(0, count)
        return
    with ThreadPoolExecutor(pieces) as pool:
        list(pool.map(work, ends[:-1], ends[1:]))

"""Work on parts of an array in threads, for functions that let go of the GIL (numpy, OpenCV, compiled by numba)."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def num_threads() -> int:
    """As many as this process may use: OMP_NUM_THREADS if that is set, else its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
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

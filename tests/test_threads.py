import os

import pytest

from segscape.threads import num_threads, over, thread_limit


@pytest.mark.parametrize(
    ("said", "limit"),
    [("", None), ("3", 3), ("4,2", 4), (" 2 ", 2), ("0", None), ("-1", None), ("many", None), ("²", None)],
)
def test_limits_as_openmp_writes_them(monkeypatch, said, limit):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert thread_limit() == limit
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert num_threads() == (limit or cores)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 1000])
def test_all_is_worked_on_once(monkeypatch, count):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    done = []
    over(count, lambda start, stop: done.extend(range(start, stop)), least=5)
    assert sorted(done) == list(range(count))

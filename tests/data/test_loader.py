"""The stream of samples is a function of the step."""

from __future__ import annotations

import pytest

from segscape.data.loader import StepSampler


def keys(**options: int) -> list[list[tuple[int, int]]]:
    return list(StepSampler(**{"num_items": 5, "per_step": 2, "start": 0, "stop": 10, "seed": 1, **options}))


def test_each_epoch_is_a_permutation() -> None:
    stream = [key for step in keys() for key in step]
    for epoch in range(4):
        part = stream[5 * epoch : 5 * epoch + 5]
        assert sorted(part) == [(epoch, index) for index in range(5)]
    assert stream[:5] != [(0, i) for _, i in stream[5:10]]


@pytest.mark.parametrize("start", [1, 4, 9])
def test_a_resumed_stream_is_the_rest(start: int) -> None:
    assert keys(start=start) == keys()[start:]


def test_two_processes_share_what_one_takes_alone() -> None:
    parts = [keys(rank=rank, world=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*parts, strict=True)] == keys(per_step=4)


def test_seeds_differ() -> None:
    assert keys(seed=1) == keys(seed=1) != keys(seed=2)


def test_length() -> None:
    assert len(StepSampler(5, 2, start=3, stop=10, seed=0)) == 7

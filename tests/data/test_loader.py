"""The stream of samples is a function of the step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segscape.data.loader import StepSampler, train_loader
from segscape.data.sample import Item


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


ITEMS = [Item(f"train/{i}", Path(f"{i}.png"), None) for i in range(5)]


def drawn(item: Item, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
    """An image of the item's number, and a target that only its generator decides."""
    return torch.full((3, 2, 2), int(item.image.stem), dtype=torch.uint8), {"drawn": float(rng.random())}


def batches(**options: int) -> list[tuple[list[int], list[float], list[str]]]:
    loader = train_loader(ITEMS, drawn, **{"per_step": 2, "start": 0, "stop": 6, "seed": 1, **options})
    return [(x[:, 0, 0, 0].tolist(), [t["drawn"] for t in targets], names) for x, targets, names in loader]


def test_batches_hold_images_targets_of_any_kind_and_names() -> None:
    found = batches()
    assert len(found) == 6
    assert [images for images, _, _ in found] == [[index for _, index in step] for step in keys(stop=6)]
    for images, drawn_numbers, names in found:
        assert names == [f"train/{i}" for i in images]
        assert len(drawn_numbers) == 2
    numbers = [number for _, targets, _ in found for number in targets]
    assert len(set(numbers)) == 12, "an image is augmented anew each time it is seen"


def test_what_is_drawn_depends_on_seed_and_place_alone() -> None:
    torch.manual_seed(5)
    before = batches()
    torch.manual_seed(6)
    assert batches() == before
    assert batches(start=2) == before[2:]
    assert batches(workers=1) == before
    assert batches(seed=2) != before

"""Batches as a function of the step: the same recipe and step give the same samples, whoever asks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from segscape.data.sample import Item

Key = tuple[int, int]  # (epoch, index of the item)
Row = tuple[Tensor, Any, str]
MakeSample = Callable[[Item, np.random.Generator], tuple[Tensor, Any]]


class _Augmented(TorchDataset[Row]):
    def __init__(self, items: Sequence[Item], sample: MakeSample, seed: int) -> None:
        self.items, self.sample, self.seed = tuple(items), sample, seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> Row:
        epoch, index = key
        item = self.items[index]
        image, target = self.sample(item, np.random.default_rng([self.seed, epoch, index]))
        return image, target, item.name


class StepSampler(Sampler[list[Key]]):
    """For each step from ``start`` on, the keys of the samples that this process works on.

    The stream is one permutation of the items after another; step s of P processes with n samples each takes the
    places s·P·n … (s+1)·P·n − 1, process p the p-th n of them. So two processes with n samples see in each step what
    one process with 2n sees.
    """

    def __init__(
        self, num_items: int, per_step: int, *, start: int, stop: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.num_items, self.per_step, self.start, self.stop = num_items, per_step, start, stop
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[Key]]:
        orders: dict[int, np.ndarray] = {}
        for step in range(self.start, self.stop):
            first = (step * self.world + self.rank) * self.per_step
            keys = []
            for place in range(first, first + self.per_step):
                epoch, position = divmod(place, self.num_items)
                if epoch not in orders:
                    orders = {k: v for k, v in orders.items() if k >= epoch - 1}
                    orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.num_items)
                keys.append((epoch, int(orders[epoch][position])))
            yield keys


def train_loader(
    items: Sequence[Item],
    sample: MakeSample,
    *,
    per_step: int,
    start: int,
    stop: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterable[tuple[Tensor, list[Any], list[str]]]:
    """Batches of (images (B, 3, h, w) uint8, B targets, names) for steps ``start`` … ``stop`` − 1.

    ``sample`` reads and augments an item with a generator of its own: image (3, h, w) uint8 and any target.
    """
    sampler = StepSampler(len(items), per_step, start=start, stop=stop, seed=seed, rank=rank, world=world)
    return DataLoader(  # type: ignore[return-value]  # typed by the data set's rows, but yields what _collate makes
        _Augmented(items, sample, seed),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
        generator=torch.Generator().manual_seed(seed),  # else the loader draws from, and so shifts, the global one
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_leave_signals_alone,
    )


def _leave_signals_alone(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the training loop decides when to stop, its loaders go on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collate(rows: list[Row]) -> tuple[Tensor, list[Any], list[str]]:
    images, targets, names = zip(*rows, strict=True)
    return torch.stack(images), list(targets), list(names)

"""Optimizers, schedules and averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segscape.train.optim import Average, lr_factor, make_optimizer, set_lr
from segscape.train.recipe import OptimSection


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "expected"),
    [
        ("constant", 0.0, 0, 1.0),
        ("constant", 0.0, 99, 1.0),
        ("constant", 0.1, 0, 1 / 11),
        ("constant", 0.1, 9, 10 / 11),
        ("constant", 0.1, 10, 1.0),
        ("poly", 0.0, 0, 1.0),
        ("poly", 0.0, 50, 0.5**0.9),
        ("poly", 0.2, 60, 0.5**0.9),
        ("cosine", 0.0, 50, 0.5),
        ("cosine", 0.0, 25, 0.5 * (1 + 2**-0.5)),
    ],
)
def test_lr_factor(schedule: str, warmup: float, step: int, expected: float) -> None:
    section = OptimSection(schedule=schedule, warmup=warmup)
    assert lr_factor(step, 100, section) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_rate_falls_after_warmup_and_stays_positive(schedule: str) -> None:
    section = OptimSection(schedule=schedule, warmup=0.05)
    rates = [lr_factor(step, 40, section) for step in range(40)]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert min(rates) > 0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)


def test_groups_of_rate_and_decay() -> None:
    model = Net()
    model.backbone[0].bias.requires_grad_(False)
    optimizer = make_optimizer(model, OptimSection(lr=0.1, backbone_lr=0.5, weight_decay=0.01))
    groups = {(g["base_lr"], g["weight_decay"]): sum(p.numel() for p in g["params"]) for g in optimizer.param_groups}
    assert groups == {(0.05, 0.01): 12, (0.05, 0.0): 8, (0.1, 0.01): 8, (0.1, 0.0): 2}
    set_lr(optimizer, 0.5)
    assert sorted({g["lr"] for g in optimizer.param_groups}) == [0.025, 0.05]


def test_average_follows_with_growing_decay() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, decay=0.5)
    nn.init.ones_(model.weight)
    expected = 0.0
    for update in range(1, 12):
        average.update(model)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay)
        assert average.state["weight"].item() == pytest.approx(expected)


def test_average_copies_counters_and_buffers() -> None:
    model = nn.BatchNorm2d(2)
    average = Average(model, decay=0.9)
    model.train()(torch.randn(4, 2, 3, 3) + 5)
    average.update(model)
    assert average.state["num_batches_tracked"] == 1
    assert (average.state["running_mean"] > 0).all()

"""Checkpoints hold everything, bit for bit, and are whole whenever the process is killed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from segscape.errors import ModelError
from segscape.train.checkpoint import load_checkpoint, save_checkpoint
from segscape.train.optim import Average, make_optimizer
from segscape.train.recipe import OptimSection


def make(name: str = "adamw", seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer, Average]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))
    model.to(memory_format=torch.channels_last)
    return model, make_optimizer(model, OptimSection(name=name)), Average(model, 0.9)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 6, 6)).square().mean().backward()
        optimizer.step()
        average.update(model)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_training_goes_on_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    first = make(name)
    learn(*first, steps=3)
    save_checkpoint(tmp_path / "c", *first, {"step": 3, "best": 0.1 + 0.2})
    learn(*first, steps=3)
    second = make(name, seed=7)
    assert load_checkpoint(tmp_path / "c", *second) == {"step": 3, "best": 0.1 + 0.2}
    learn(*second, steps=3)
    for a, b in zip(first[0].state_dict().values(), second[0].state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(a, second[2].state[k]) for k, a in first[2].state.items())
    assert first[2].updates == second[2].updates == 6


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_cut_checkpoint_is_refused(keep: int, tmp_path: Path) -> None:
    parts = make()
    save_checkpoint(tmp_path / "c", *parts, {})
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:keep])
    with pytest.raises(ModelError, match="cannot be resumed from"):
        load_checkpoint(tmp_path / "c", *parts)


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", *make(), {})
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(ModelError, match="cannot be resumed from"):
        load_checkpoint(tmp_path / "c", model, make_optimizer(model, OptimSection()), Average(model, 0.9))


def test_checkpoint_is_whole_whenever_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    parts = make()
    save_checkpoint(path, *parts, {"number": 0})
    rng = random.Random(0)
    for _ in range(12):
        child = os.fork()
        if child == 0:
            number = 1
            while True:
                save_checkpoint(path, *parts, {"number": number})
                number += 1
        time.sleep(rng.uniform(0.005, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert load_checkpoint(path, *parts)["number"] >= 0

"""Optimizers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segscape.train.recipe import OptimSection


def make_optimizer(model: nn.Module, section: OptimSection) -> torch.optim.Optimizer:
    """Optimizer with four groups: backbone or not, weight decay or not (biases and norms have none)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = section.backbone_lr if name.startswith("backbone.") else 1.0
        decay = section.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    params = [
        {"params": group, "lr": section.lr * factor, "weight_decay": decay, "base_lr": section.lr * factor}
        for (factor, decay), group in groups.items()
    ]
    if section.name == "sgd":
        return torch.optim.SGD(params, lr=section.lr, momentum=section.momentum, nesterov=section.momentum > 0)
    return torch.optim.AdamW(params, lr=section.lr)


def lr_factor(step: int, total: int, section: OptimSection) -> float:
    """Learning rate of ``step`` (0 … total − 1) as a share of the base rate.

    Linear warm-up, then poly (1 − t)^0.9 (DeepLab, Chen et al. 2017, section 4.1), half a cosine
    (Loshchilov & Hutter 2017, eq. 5 without restarts), or constant.
    """
    warmup = round(section.warmup * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    t = (step - warmup) / max(1, total - warmup)
    if section.schedule == "poly":
        return (1 - t) ** 0.9
    return 0.5 * (1 + math.cos(math.pi * t)) if section.schedule == "cosine" else 1.0


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


class Average:
    """Exponential moving average of a model's weights and buffers.

    The decay grows from 0 to ``decay`` by (1 + n) / (10 + n), so that the first steps are forgotten soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        for name, tensor in model.state_dict().items():
            mean = self.state[name]
            if mean.is_floating_point():
                mean.lerp_(tensor.to(mean.dtype), 1 - decay)
            else:
                mean.copy_(tensor)

    def load(self, state: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a checkpoint."""
        self.updates = updates
        for name, tensor in state.items():
            self.state[name].copy_(tensor)

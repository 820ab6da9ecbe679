"""The training loop: a recipe in, a run folder out.

Reading order: `train` checks and prepares, `_Run.go` loops over steps, `_Run.step` is one step of learning,
`_Run.validate` measures, `_Run.save` keeps. A run folder holds

- ``best.safetensors``: the model bundle with the highest validation mIoU so far,
- ``last.safetensors``: the checkpoint `--resume` goes on from,
- ``run.json``, ``train.csv``, ``val.csv``, ``curves.png``, ``tensorboard/``.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from segscape.data import open_dataset
from segscape.data.checks import check_dataset
from segscape.data.frequencies import class_frequencies
from segscape.data.loader import train_loader
from segscape.data.transforms import TrainTransform
from segscape.errors import ConfigError, DataError, ResourceError, TrainingDiverged
from segscape.evaluate.semantic import ConfusionMatrix
from segscape.losses import build_loss, class_weights
from segscape.models import build_model
from segscape.models.backbones import load_imagenet, normalization
from segscape.models.bundle import ModelCard, load_bundle, save_bundle
from segscape.models.efficientnet_lite import SCALES
from segscape.models.network import Network, num_parameters
from segscape.preprocess import Preprocess
from segscape.progress import Progress
from segscape.runtime.inference import classify, run_network
from segscape.runtime.torch_engine import TorchEngine, pick_device
from segscape.train import logs
from segscape.train.checkpoint import load_checkpoint, save_checkpoint
from segscape.train.optim import Average, lr_factor, make_optimizer, set_lr
from segscape.train.recipe import Recipe


def train(recipe: Recipe, out: Path, *, resume: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Train, validate and keep the best model.

    Args:
        recipe: everything that decides the run.
        out: the run folder; made if missing, and refused if it holds another run and ``resume`` is off.
        resume: go on from ``out/last.safetensors``; on the CPU the outcome equals an uninterrupted run bit for bit.
        progress: where to report.

    Returns:
        {"best": path of the bundle, "miou": its validation mIoU, "step": its step, "steps": taken in all,
        "stopped_early": bool, "seconds": of training}.

    Raises:
        ConfigError, DataError: something is wrong with the recipe or the data; nothing was trained.
        TrainingDiverged: the loss or gradient is not finite; the step was not taken.
        ResourceError: out of memory or disk.
        KeyboardInterrupt: after a checkpoint was written.
    """
    run = _Run(recipe, Path(out), resume, progress or Progress())
    try:
        return run.go()
    finally:
        run.log.close()


class _Run:
    def __init__(self, recipe: Recipe, out: Path, resume: bool, progress: Progress) -> None:
        self.recipe, self.out, self.optim = recipe, out, recipe.optim
        checkpoint = out / "last.safetensors"
        if checkpoint.exists() and not resume:
            raise ConfigError(f"{str(out)!r} holds a run already; add --resume to go on, or choose another --out")
        if resume and not checkpoint.exists():
            raise ConfigError(f"{str(out)!r} holds no run to resume; leave --resume out to start one")
        device = pick_device(self.optim.device)
        self.accelerator = Accelerator(mixed_precision=self._precision(device), cpu=device.type == "cpu")
        self.main = self.accelerator.is_main_process
        self.progress = progress if self.main else Progress(quiet=True)
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        set_seed(recipe.run.seed)
        torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")

        self.dataset = open_dataset(recipe.data.path)
        self.progress.message(f"data: {self.dataset.kind} at {self.dataset.root}")
        if faults := check_dataset(self.dataset, track=self.progress).errors:
            listing = "\n".join(f"  {fault}" for fault in faults[:10])
            raise DataError(f"{self.dataset.root}: {len(faults)} fault(s); see `segscape data check`\n{listing}")
        self.train_items = self.dataset.split(recipe.data.train)
        self.val_items = self.dataset.split(recipe.data.val)

        self.model, start = self._make_model()
        self.frozen = self._freeze()
        self.optimizer = make_optimizer(self.model, self.optim)
        self.average = Average(self.model, self.optim.ema)
        self.net = self.accelerator.prepare(self.model)
        mean, std = normalization(recipe.model.options.get("backbone"))
        self.preprocess = Preprocess(mean, std, recipe.data.long_side)  # type: ignore[arg-type]
        self.mean, self.std = (torch.tensor(v, device=self.accelerator.device)[:, None, None] for v in (mean, std))
        classes = class_frequencies(self.dataset, recipe.data.train)
        labels = self.dataset.label_set
        self.criterion = build_loss(
            recipe.loss,
            num_classes=len(labels),
            ignore_index=labels.ignore_index,
            class_pixels=classes.class_pixels,
            class_image_pixels=classes.class_image_pixels,
        ).to(self.accelerator.device)
        if self.world > 1:
            self.criterion.set_mean_over_processes(lambda t: self.accelerator.reduce(t, "mean"))
        augment = recipe.augment.model_dump()
        if augment["rare"]:
            augment["rare_weights"] = tuple(class_weights("inverse_log", classes.class_pixels).tolist())
        self.transform = TrainTransform(
            ignore_index=labels.ignore_index, long_side=recipe.data.long_side, **augment
        )
        per_epoch = self.optim.batch_size * self.optim.accumulate * self.world
        self.epoch_steps = math.ceil(len(self.train_items) / per_epoch)
        self.total = self.epoch_steps * self.optim.epochs
        self.micro = self.optim.batch_size
        self.state: dict[str, Any] = {"step": 0, "seconds": 0.0, "best": -1.0, "best_step": 0, "bad": 0, "stop": False}
        out.mkdir(parents=True, exist_ok=True)
        if resume:
            self.state = load_checkpoint(checkpoint, self.model, self.optimizer, self.average)
        self.facts = {
            "recipe": recipe.to_dict(),
            "versions": logs.versions(),
            "data": self._data_facts(),
            "backbone_start": start,
            "device": self._device_name(),
            "processes": self.world,
            "precision": self.accelerator.mixed_precision,
        }
        self.log = logs.RunLog(out, upto=self.state["step"], tensorboard=recipe.run.tensorboard and self.main)
        if self.main:
            logs.write_facts(out, self.facts)
        self.progress.message(
            f"{recipe.name}: {recipe.model.name}, {num_parameters(self.model) / 1e6:.2f} M parameters, start {start}; "
            f"{self.total} steps of {per_epoch} on {self.facts['device']}, {self.facts['precision']}"
        )

    def go(self) -> dict[str, Any]:
        run, step = self.recipe.run, self.state["step"]
        loader = train_loader(
            self.dataset,
            self.train_items,
            self.transform,
            per_step=self.optim.batch_size * self.optim.accumulate,
            start=step,
            stop=self.total,
            seed=run.seed,
            rank=self.rank,
            world=self.world,
            workers=self._workers(),
        )
        began = saved = time.monotonic()
        before = self.state["seconds"]
        tracked = self.progress.track(loader, self.total, f"train {self.recipe.name}", done=step)
        try:
            for images, targets, names in () if self.state["stop"] else tracked:
                loss, norm = self.step(images, targets, names)
                step = self.state["step"] = step + 1
                self.state["seconds"] = before + time.monotonic() - began
                if self.main:
                    self.log.row(
                        "train", step, {"loss": loss, "gradient_norm": norm, "lr": self.optimizer.param_groups[0]["lr"]}
                    )
                best = f", best mIoU {100 * self.state['best']:.1f}" if self.state["best"] >= 0 else ""
                self.progress.note = f"epoch {step / self.epoch_steps:.1f}, loss {loss:.3f}{best}"
                if step == self.total or step % (run.validate_every * self.epoch_steps) == 0:
                    self.validate()
                    self.save()
                    saved = time.monotonic()
                elif time.monotonic() - saved > 60 * run.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
                if self.state["stop"]:
                    break
        except KeyboardInterrupt:
            self.save()
            self.progress.message(f"interrupted at step {step}; go on with --resume --out {self.out}")
            raise
        return {
            "best": str(self.out / "best.safetensors"),
            "miou": self.state["best"],
            "step": self.state["best_step"],
            "steps": step,
            "stopped_early": self.state["stop"],
            "seconds": round(self.state["seconds"], 1),
        }

    def step(self, images: Tensor, targets: Tensor, names: list[str]) -> tuple[float, float]:
        """One step of the optimizer on a batch; returns loss and gradient norm."""
        set_lr(self.optimizer, lr_factor(self.state["step"], self.total, self.optim))
        self.net.train()
        for module in self.frozen:
            module.eval()
        loss = self._gradients(images, targets)
        limit = self.optim.clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingDiverged(
                f"step {self.state['step'] + 1}: loss {loss}, gradient norm {norm}; the step was not taken. "
                f"Samples: {', '.join(names)}. Lower optim.lr, or look at these samples; "
                f"the last checkpoint is in {str(self.out)!r}"
            )
        self.optimizer.step()
        self.average.update(self.model)
        return loss, norm

    def _gradients(self, images: Tensor, targets: Tensor) -> float:
        """Gradients of the mean loss over the batch, in parts that fit into memory."""
        while True:
            try:
                self.optimizer.zero_grad(set_to_none=True)
                total = torch.zeros((), device=self.accelerator.device)
                parts = list(zip(images.split(self.micro), targets.split(self.micro), strict=True))
                for index, (image, target) in enumerate(parts):
                    last = index == len(parts) - 1
                    with contextlib.nullcontext() if last else self.accelerator.no_sync(self.net):
                        logits = self.net(self._normalized(image))
                        target = target.to(self.accelerator.device, non_blocking=True)
                        loss = self.criterion(logits, target) * (len(image) / len(images))
                        self.accelerator.backward(loss)
                        total += loss.detach()
                return float(self.accelerator.reduce(total, "mean"))
            except (torch.OutOfMemoryError, MemoryError) as error:
                # Several processes would wait for one another for ever, so only a single one may try again.
                if self.micro == 1 or self.world > 1:
                    raise ResourceError("out of memory; lower optim.batch_size or augment.crop") from error
                self.micro = max(1, self.micro // 2)
                self.progress.message(f"out of memory: going on with {self.micro} images at once, same step size")
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def _normalized(self, images: Tensor) -> Tensor:
        x = (images.to(self.accelerator.device, non_blocking=True).float() / 255 - self.mean) / self.std
        return x.contiguous(memory_format=torch.channels_last) if self.optim.channels_last else x

    def validate(self) -> None:
        """Confusion matrix of the averaged weights on the validation split, each process a part."""
        model: Network = copy.deepcopy(self.model)
        model.load_state_dict(self.average.state)
        engine = TorchEngine(model, str(self.accelerator.device))
        labels = self.dataset.label_set
        matrix = ConfusionMatrix(len(labels), labels.ignore_index)
        mine = self.val_items[self.rank :: self.world]
        for item in self.progress.track(mine, len(mine), f"validate {self.recipe.name}"):
            sample = self.dataset.read(item)
            label_map, _ = classify(run_network(engine, self.preprocess, sample.pixels), confidence=False)
            matrix.update(sample.labels, label_map)
        everywhere = self.accelerator.reduce(
            torch.from_numpy(matrix.matrix).to(self.accelerator.device), "sum"
        )
        matrix.matrix[:] = everywhere.cpu().numpy()
        counts = matrix.counts
        step, miou = self.state["step"], float(counts.mean_iou())
        better = miou > self.state["best"]
        self.state.update(best=miou, best_step=step, bad=0) if better else self.state.update(bad=self.state["bad"] + 1)
        patience = self.recipe.run.patience
        self.state["stop"] = patience is not None and self.state["bad"] >= patience
        if not self.main:
            return
        iou = {f"iou {name}": None if np.isnan(v) else float(v) for name, v in zip(labels.names, counts.iou(), strict=True)}
        self.log.row(
            "val", step, {"miou": miou, "pixel_accuracy": float(counts.pixel_accuracy()), **iou}
        )
        logs.draw_curves(self.out, f"{self.recipe.name}: best val mIoU {100 * self.state['best']:.2f} %")
        self.progress.message(
            f"epoch {step / self.epoch_steps:.0f}: val mIoU {100 * miou:.2f}"
            + (" (best so far)" if better else f" (best {100 * self.state['best']:.2f})")
        )
        if better:
            save_bundle(self.out / "best.safetensors", self.average.state, self._card(miou))

    def save(self) -> None:
        """Checkpoint, atomically; only the main process writes."""
        self.accelerator.wait_for_everyone()
        if self.main:
            save_checkpoint(self.out / "last.safetensors", self.model, self.optimizer, self.average, self.state)

    def _make_model(self) -> tuple[Network, str]:
        section = self.recipe.model
        model = build_model(section.name, len(self.dataset.label_set), section.options)
        start = "random weights"
        if section.init:
            donor, card = load_bundle(section.init)
            own = model.state_dict()
            fitting = {k: v for k, v in donor.state_dict().items() if k in own and own[k].shape == v.shape}
            if not fitting:
                raise ConfigError(f"model.init {section.init!r} shares no layer with network {section.name!r}")
            model.load_state_dict({**own, **fitting})
            start = f"{card.id} ({len(fitting)} of {len(own)} tensors)"
        elif section.pretrained and hasattr(model, "backbone"):
            start = load_imagenet(model.backbone)  # type: ignore[arg-type]
        model.to(self.accelerator.device)
        return (model.to(memory_format=torch.channels_last) if self.optim.channels_last else model), start  # type: ignore[call-overload]

    def _freeze(self) -> list[nn.Module]:
        """Modules that stay in evaluation mode; the frozen part of the backbone also stops learning."""
        frozen: list[nn.Module] = []
        if self.optim.freeze_stride:
            if not hasattr(self.model, "backbone"):
                raise ConfigError(f"optim.freeze_stride: network {self.recipe.model.name!r} has no backbone to freeze")
            frozen = self.model.backbone.upto_stride(self.optim.freeze_stride)  # type: ignore[operator]
            for module in frozen:
                module.requires_grad_(False)
        if self.optim.freeze_norm:
            frozen += [m for m in self.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return frozen

    def _precision(self, device: torch.device) -> str:
        if self.optim.precision != "auto":
            return "no" if self.optim.precision == "fp32" else "bf16"
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported() else "no"
        depthwise = self.recipe.model.options.get("backbone") in SCALES
        fast = torch.backends.cpu.get_cpu_capability() == "AMX" or torch.cpu._is_avx512_bf16_supported()
        return "bf16" if device.type == "cpu" and fast and not depthwise else "no"

    def _workers(self) -> int:
        if self.recipe.data.workers != "auto":
            return self.recipe.data.workers
        cores = os.cpu_count() or 1
        return 0 if self.accelerator.device.type == "cpu" else min(8, cores - 1)

    def _device_name(self) -> str:
        if self.accelerator.device.type == "cuda":
            return torch.cuda.get_device_name()
        return f"{self.accelerator.device.type}, {torch.get_num_threads()} threads"

    def _data_facts(self) -> dict[str, Any]:
        data = self.recipe.data
        return {
            "kind": self.dataset.kind,
            "terms": data.terms,
            "images": {data.train: len(self.train_items), data.val: len(self.val_items)},
            "fingerprint": {name: self.dataset.fingerprint(name) for name in (data.train, data.val)},
        }

    def _card(self, miou: float) -> ModelCard:
        section = self.recipe.model
        return ModelCard(
            name=self.recipe.name,
            network=section.name,
            options=section.options,
            label_set=self.dataset.label_set,
            preprocess=self.preprocess,
            data=self.facts["data"],
            metrics={self.recipe.data.val: {"miou": miou}},
            recipe=self.recipe.to_dict(),
            training={
                **{key: self.facts[key] for key in ("versions", "backbone_start", "device", "processes", "precision")},
                "step": self.state["step"],
                "steps": self.total,
                "seconds": round(self.state["seconds"], 1),
                "parameters": num_parameters(self.model),
            },
        )

"""The training loop: a recipe in, a run folder out.

Reading order: `train` checks and prepares, `_Run.go` loops over steps, `_Run.step` is one step of learning,
`_Run.validate` measures, `_Run.save` keeps. A run folder holds

- ``best.safetensors``: the model bundle with the highest validation score so far (mIoU, or AP of masks),
- ``last.safetensors``: the checkpoint `--resume` goes on from,
- ``run.json``, ``train.csv``, ``val.csv``, ``curves.png``, ``tensorboard/``.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, set_seed
from torch import Tensor, nn

from segscape.data.loader import train_loader
from segscape.data.sample import Item
from segscape.errors import ModelError, ResourceError, TrainingDiverged
from segscape.models.bundle import save_bundle
from segscape.models.network import num_parameters
from segscape.progress import Progress
from segscape.runtime.memory import keep_freed_memory
from segscape.runtime.torch_engine import is_out_of_memory, pick_device
from segscape.train import logs, setup
from segscape.train.checkpoint import load_checkpoint, save_checkpoint
from segscape.train.optim import Average, lr_factor, make_optimizer, set_lr
from segscape.train.recipe import Recipe
from segscape.train.stop import StopSignal
from segscape.train.tasks import SemanticTask


def train(recipe: Recipe, out: Path, *, resume: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Train, validate and keep the best model.

    Args:
        recipe: everything that decides the run.
        out: the run folder; made if missing, and refused if it holds another run and ``resume`` is off.
        resume: go on from ``out/last.safetensors``; on the CPU the outcome equals an uninterrupted run bit for bit.

    Returns:
        {"best": path of the bundle, "miou" or "map_mask_all": its validation score, "best_step": its step,
        "steps": taken, "stop": whether it stopped early, "seconds": of training}.

    Raises:
        ConfigError, DataError: something is wrong with the recipe or the data; nothing was trained.
        TrainingDiverged, ResourceError: no finite step; no memory or disk. KeyboardInterrupt, after a checkpoint.
    """
    run = _Run(recipe, Path(out), resume, progress or Progress())
    try:
        return run.go()
    finally:
        run.log.close()


class _Run:
    def __init__(self, recipe: Recipe, out: Path, resume: bool, progress: Progress) -> None:
        self.recipe, self.out, self.optim = recipe, out, recipe.optim
        setup.check_folder(recipe, out, resume)
        device = pick_device(self.optim.device)
        self.accelerator = Accelerator(mixed_precision=setup.mixed_precision(recipe, device), cpu=device.type == "cpu")
        self.device, self.main = self.accelerator.device, self.accelerator.is_main_process
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.progress = progress if self.main else Progress(quiet=True)
        set_seed(recipe.run.seed)
        if device.type == "cpu":
            keep_freed_memory()
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # only costs time

        self.dataset = setup.open_checked(recipe, self.progress)
        self.train_items = self.dataset.split(recipe.data.train)
        self.val_items = self.dataset.split(recipe.data.val)
        self.task, self.options, zoom = setup.make_task(recipe, self.dataset, self.device, self.progress)
        if self.world > 1 and isinstance(self.task, SemanticTask):
            self.task.criterion.set_mean_over_processes(lambda value: self._reduced(value, "mean"))
        self.model, start = setup.make_model(recipe, self.options, len(self.dataset.label_set))
        self.layout = torch.channels_last if self.optim.channels_last else torch.contiguous_format
        self.model.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.preprocess = setup.make_preprocess(recipe, self.model, zoom)
        self.mean, self.std = (
            torch.tensor(v, device=self.device)[:, None, None] for v in (self.preprocess.mean, self.preprocess.std)
        )
        self.frozen = setup.frozen_modules(self.model, recipe)
        self.optimizer = make_optimizer(self.model, self.optim)
        self.average = Average(self.model, self.optim.ema)
        self.net = self.accelerator.prepare(self.model)

        self.per_step = self.optim.batch_size * self.optim.accumulate
        self.epoch_steps = math.ceil(len(self.train_items) / (self.per_step * self.world))
        self.total = self.epoch_steps * self.optim.epochs
        self.state: dict[str, Any] = {"step": 0, "seconds": 0.0, "micro": self.optim.batch_size}
        self.state |= {"best": -1.0, "best_step": 0, "bad": 0, "stop": False}  # of the validations
        if resume:
            self.state |= load_checkpoint(out / "last.safetensors", self.model, self.optimizer, self.average)
        self.facts = setup.facts(recipe, self.dataset, self.device) | {
            "start": start,
            "processes": self.world,
            "precision": self.accelerator.mixed_precision,
            "parameters": num_parameters(self.model),
            "steps": self.total,
        }
        out.mkdir(parents=True, exist_ok=True)
        self.log = logs.RunLog(out, upto=self.state["step"], writes=self.main, tensorboard=recipe.run.tensorboard)
        if self.main:
            logs.write_facts(out, self.facts)
        self.progress.message(
            f"{recipe.name}: {recipe.model.name}, {self.facts['parameters'] / 1e6:.2f} M parameters, start {start}; "
            f"{self.total} steps of {self.per_step * self.world} on {self.facts['device']}, {self.facts['precision']}"
        )

    def go(self) -> dict[str, Any]:
        run, step = self.recipe.run, self.state["step"]
        loader = train_loader(
            self.train_items,
            self.task.sample,
            per_step=self.per_step,
            start=step,
            stop=self.total,
            seed=run.seed,
            rank=self.rank,
            world=self.world,
            workers=setup.num_workers(self.recipe, self.device),
        )
        began = saved = time.monotonic()
        before = self.state["seconds"]
        tracked = self.progress.track(loader, self.total, f"train {self.recipe.name}", done=step)
        with StopSignal() as stop:
            for images, targets, names in () if self.state["stop"] else tracked:
                loss, norm = self.step(images, targets, names)
                step = self.state["step"] = step + 1
                self.state["seconds"] = before + time.monotonic() - began
                if self.main:
                    rate = max(group["lr"] for group in self.optimizer.param_groups)
                    self.log.row("train", step, {"loss": loss, "gradient_norm": norm, "lr": rate})
                best = max(0.0, 100 * self.state["best"])
                self.progress.note = (
                    f"epoch {step / self.epoch_steps:.1f}, loss {loss:.3f}, best {self.task.shown} {best:.1f}"
                )
                validated = step == self.total or step % (run.validate_every * self.epoch_steps) == 0
                if validated:
                    self.validate()
                interrupted = self._reduced(torch.tensor(float(stop.asked), device=self.device), "sum") > 0
                if validated or interrupted or time.monotonic() - saved > 60 * run.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
                if interrupted:
                    self.progress.message(f"interrupted after step {step}; go on with --resume --out {self.out}")
                    raise KeyboardInterrupt
                if self.state["stop"]:
                    break
        kept = {key: self.state[key] for key in ("best_step", "stop", "seconds")}
        return {"best": str(self.out / "best.safetensors"), self.task.metric: self.state["best"], "steps": step, **kept}

    def step(self, images: Tensor, targets: list[Any], names: list[str]) -> tuple[float, float]:
        """One step of the optimizer on a batch; returns loss and gradient norm."""
        set_lr(self.optimizer, lr_factor(self.state["step"], self.total, self.optim))
        self.net.train()
        for module in self.frozen:
            module.eval()
        loss = self._gradients(images, targets)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.optim.clip or math.inf))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingDiverged(
                f"step {self.state['step'] + 1}: loss {loss}, gradient norm {norm}; the step was not taken. Lower "
                f"optim.lr, or look at its samples: {', '.join(names)}. The last checkpoint is in {str(self.out)!r}"
            )
        self.optimizer.step()
        self.average.update(self.model)
        return loss, norm

    def _gradients(self, images: Tensor, targets: list[Any]) -> float:
        """Gradients of the mean loss over the batch, in parts that fit into memory."""
        while True:
            try:
                self.optimizer.zero_grad(set_to_none=True)
                total = torch.zeros((), device=self.device)
                size, done = self.state["micro"], self.state["step"] / self.total
                for first in range(0, len(images), size):
                    image, target = images[first : first + size], targets[first : first + size]
                    last = first + size >= len(images)
                    with contextlib.nullcontext() if last else self.accelerator.no_sync(self.net):
                        loss = self.task.loss(self.net, self._normalized(image), target, done)
                        loss = loss * (len(image) / len(images))
                        self.accelerator.backward(loss)
                        total += loss.detach()
                return float(self._reduced(total, "mean"))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                # Several processes would wait for one another for ever, so only a single one may try again.
                if self.state["micro"] == 1 or self.world > 1:
                    raise ResourceError("out of memory; lower optim.batch_size or augment.crop") from error
                self.state["micro"] = max(1, self.state["micro"] // 2)
                self.progress.message(f"out of memory: going on with {self.state['micro']} images at once")
                torch.cuda.empty_cache()

    def _normalized(self, images: Tensor) -> Tensor:
        x = (images.to(self.device, non_blocking=True).float() / 255 - self.mean) / self.std
        return x.contiguous(memory_format=self.layout)

    def validate(self) -> None:
        """Measure the averaged weights on the validation split, each process on a part of it."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average.state)
        mine = self.val_items[self.rank :: self.world]
        looked_at = ""

        def items() -> Iterator[Item]:
            nonlocal looked_at
            for item in self.progress.track(mine, len(mine), f"validate {self.recipe.name}"):
                looked_at = item.name
                yield item

        try:
            part = self.task.measure(model, self.preprocess, str(self.device), items())
        except ModelError as error:
            raise TrainingDiverged(f"validation after step {self.state['step']}, {looked_at}: {error}") from error
        score, row = self.task.summary(gather_object([part]))
        step, better = self.state["step"], score > self.state["best"]
        self.state.update(best=score, best_step=step, bad=0) if better else self.state.update(bad=self.state["bad"] + 1)
        patience = self.recipe.run.patience
        self.state["stop"] = patience is not None and self.state["bad"] >= patience
        if not self.main:
            return
        shown, best_score = self.task.shown, 100 * self.state["best"]
        self.log.row("val", step, row)
        title = f"{self.recipe.name}: best val {shown} {best_score:.2f} %"
        logs.draw_curves(self.out, title, self.task.metric, shown)
        best = "best so far" if better else f"best {best_score:.2f}"
        self.progress.message(f"epoch {step / self.epoch_steps:.0f}: val {shown} {100 * score:.2f} ({best})")
        if better:
            metrics = {self.recipe.data.val: {self.task.metric: score}}
            made = (self.recipe, self.task, self.options, self.dataset.label_set, self.preprocess)
            card = setup.make_card(*made, self.facts, self.state, metrics)
            save_bundle(self.out / "best.safetensors", self.average.state, card)

    def save(self) -> None:
        """Checkpoint, atomically; only the main process writes, the others wait for it in their next step."""
        if self.main:
            save_checkpoint(self.out / "last.safetensors", self.model, self.optimizer, self.average, self.state)

    def _reduced(self, value: Tensor, how: str) -> Tensor:
        """ "sum" or "mean" of ``value`` over the processes, the same in each; so all of them decide alike."""
        return cast(Tensor, self.accelerator.reduce(value, how))

"""Numbers gone bad while a phase trains: a loss or gradient that is no number, or a loss that exploded.

Each step's gradient norm, over all that is trained, is looked at before the optimiser steps, and its mean over an epoch
is logged as train/gradient_norm.  Processes that train together have the same gradients then, and decide alike.
Nothing that is trained is changed by looking.

`train.on_nan` says what becomes of a bad step:

- stop: the training ends with one line that names the step, its clips, and what there is to go on from;
- skip: the step is left out, with what its samples did to batch norm's running statistics;
- lower: so is it, and all learning rates are halved from there on.

Of 16-mixed, gradients that overflow belong to it: its scaler leaves those steps out itself.  There the loss alone
counts.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from avsep.errors import InputError

OnNan = Literal["stop", "skip", "lower"]
EARLY = 50  # steps whose largest loss tells how large a loss is ...
EXPLODED = 1000.0  # ... and so many times that is none any more
IN_A_ROW = 10  # bad steps after which skipping has no sense
TOLD = 10  # bad steps that get a line each
RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # of a group, and what schedules compute it from


class WatchNumbers(Callback):
    """Looks at each step, and counts the bad ones.

    `on_nan`: what becomes of them.  `scaled`: the precision is 16-mixed.  `state`: where the unfinished training lies.
    """

    def __init__(self, stage: str, on_nan: OnNan, *, scaled: bool, state: Path) -> None:
        self.stage, self.on_nan, self.scaled, self.state = stage, on_nan, scaled, state
        self.skipped = self.lowered = 0
        self.seen, self.usual = 0, 0.0  # early steps, and their largest loss
        self._in_a_row = 0
        self._before: list[Tensor] = []

    @property
    def counts(self) -> dict[str, int]:
        """For the metrics."""
        return {"skipped": self.skipped, "lowered": self.lowered}

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.on_nan != "stop":
            self._before = [buffer.clone() for buffer in pl_module.buffers()]

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        total = torch.nn.utils.get_total_norm(gradients)
        of_all = trainer.strategy.reduce(pl_module.loss_of_step, reduce_op="mean")  # one process: as it is
        norm, loss = torch.stack([total.float(), of_all.float()]).tolist()  # one wait for a GPU
        if bad := self._bad(loss, norm):
            self._answer(bad, trainer, pl_module, optimizer)
        else:
            self._in_a_row = 0
            pl_module.log("train/gradient_norm", norm, on_step=False, on_epoch=True, batch_size=pl_module.share)

    def _bad(self, loss: float, norm: float) -> str:
        """What is wrong with a step; nothing if all is well."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm) and not self.scaled:
            return f"the gradient's norm is {norm}"
        if self.seen >= EARLY and abs(loss) > EXPLODED * self.usual:
            return f"the loss is {loss:.3g}, and was {self.usual:.3g} at most in the first {EARLY} steps"
        if self.seen < EARLY:
            self.seen, self.usual = self.seen + 1, max(self.usual, abs(loss))
        return ""

    def _answer(self, bad: str, trainer: lightning.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        told = (
            f"{self.stage}: {bad} at step {trainer.global_step + 1}, in epoch {trainer.current_epoch + 1}, of clips"
            f" {clips_of(pl_module.videos_of_step)}"
        )
        self._in_a_row += 1
        if self.on_nan == "stop" or self._in_a_row > IN_A_ROW:
            raise InputError(
                f"{told}{'' if self.on_nan == 'stop' else f', as {IN_A_ROW} before it'}: the training diverged. Lower"
                f" train.lr or the stage's lr_*, or see train.on_nan; {self._good()}"
            )
        self.skipped += 1
        if not self.scaled:  # 16-mixed's scaler leaves the step out itself, and needs its gradients for that
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None  # which an optimiser passes over
        for buffer, before in zip(pl_module.buffers(), self._before, strict=True):
            buffer.copy_(before)
        if self.on_nan == "lower":
            self.lowered += 1
            lower(trainer, optimizer)
        if self.skipped <= TOLD and trainer.is_global_zero:
            did = "left out" if self.on_nan == "skip" else "left out, learning rates halved"
            logging.warning("%s: %s%s", told, did, "; no further ones are told" if self.skipped == TOLD else "")

    def _good(self) -> str:
        """What there is of the training."""
        states = sorted((path for path in self.state.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        if not states:
            return "no epoch was whole yet"
        return f"the last good checkpoint is {states[-1] / 'last.ckpt'}"

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "lowered": self.lowered, "seen": self.seen, "usual": self.usual}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped, self.lowered = state_dict["skipped"], state_dict["lowered"]
        self.seen, self.usual = state_dict["seen"], state_dict["usual"]


def lower(trainer: lightning.Trainer, optimizer: torch.optim.Optimizer) -> None:
    """Halves the learning rates, and what schedules compute later ones from."""
    for group in optimizer.param_groups:
        for name in RATES:
            if name in group:
                group[name] /= 2
    for config in trainer.lr_scheduler_configs:
        if hasattr(config.scheduler, "base_lrs"):
            config.scheduler.base_lrs = [rate / 2 for rate in config.scheduler.base_lrs]


def clips_of(videos: Mapping[str, Sequence[str]]) -> str:
    """The names of a batch's videos, the first of them."""
    names = sorted({name for of in videos.values() for name in of})
    return f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" or "unknown"

"""The one training loop: Lightning's, for any phase.

A phase is an objective: `objective(networks, heard, seen)` gives named scalars, of which "loss" is minimised.  What
it trains are named groups of parameters, each with its own learning rate.  The loop hears (waves -> spectrograms),
sees (pictures, or what was made of them before -> frozen features), steps, validates, keeps the best, resumes, and
shows all of it live.
"""

import contextlib
import ctypes
import dataclasses
import logging
import math
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from dvclive.lightning import DVCLiveLogger
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from avsep.clips.datasets import EpochSampler
from avsep.clips.mixtures import Heard
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.progress import first_process
from avsep.training.distributed import WholeBatch, ending_together, own_device, started_by, strategy
from avsep.training.memory import needed, refuse_too_much
from avsep.training.resume import ResumeFolder
from avsep.training.seeds import seed_step
from avsep.weights.checkpoints import load_weights, save_weights

Seen = Mapping[str, Any]  # of each seen object: what frozen networks make of it, a phase's own kind
Objective = Callable[[Any, Heard, Any], Mapping[str, Tensor]]  # -> scalars, one called "loss"
Validate = Callable[[Any, Heard, Any, Mapping[str, Tensor]], Mapping[str, Tensor]]  # -> (B,) each


@dataclasses.dataclass(frozen=True)
class Group:
    """Parameters that a phase trains, at `lr`; all others rest."""

    parameters: Sequence[nn.Parameter]
    lr: float


class Phase(lightning.LightningModule):
    """One phase's objective in Lightning's terms."""

    def __init__(
        self,
        networks: Any,
        objective: Objective,
        validate: Validate,
        groups: Mapping[str, Group],
        hear: Callable[[Mapping[str, Tensor]], Heard],
        see: Callable[[Mapping[str, Any]], Seen],
        milestones: Sequence[int],
        decay: float,
        seed: int,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        cosine_epochs: int | None = None,
    ) -> None:
        super().__init__()
        self.networks = networks
        self.objective, self.validate_batch, self.hear, self.see = objective, validate, hear, see
        self.optimizer, self.cosine_epochs = optimizer, cosine_epochs
        self.groups, self.milestones, self.decay, self.seed = groups, milestones, decay, seed
        networks.requires_grad_(False)
        for group in groups.values():
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
        seed_step(self.seed, self.global_step)
        values = self.objective(self.networks, self.hear(batch["waves"]), self.see(batch))
        size = len(next(iter(batch["waves"].values())))
        self.log("train/step_loss", values["loss"].detach(), prog_bar=True, batch_size=size, sync_dist=True)
        means = {f"train/{name}": value.detach() for name, value in values.items()}
        self.log_dict(means, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return values["loss"]

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        values = self.validate_batch(self.networks, self.hear(batch["waves"]), self.see(batch), batch["waves"])
        size = len(next(iter(batch["waves"].values())))
        means = {f"val/{name}": value.mean() for name, value in values.items()}
        # weighed by the batch's size: a mean over samples, not of batch means, whichever process has them
        self.log_dict(means, batch_size=size, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        groups = [{"params": list(g.parameters), "lr": g.lr, "name": name} for name, g in self.groups.items()]
        optimizer = self.optimizer(groups)
        schedules = torch.optim.lr_scheduler
        schedule: schedules.LRScheduler
        if self.cosine_epochs is None:
            schedule = schedules.MultiStepLR(optimizer, list(self.milestones), self.decay)
        else:
            schedule = schedules.CosineAnnealingLR(optimizer, self.cosine_epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class KeepBest(Callback):
    """Writes the networks whose `monitor` is the highest so far.  Remembers its metrics, and the last epoch's."""

    def __init__(self, monitor: str, path: Path) -> None:
        self.monitor, self.path = monitor, path
        self.score: float | None = None
        self.epoch = -1
        self.metrics: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if self.monitor not in metrics:
            raise InputError(f"params: monitor {self.monitor} is none of {', '.join(sorted(metrics))}")
        score = metrics[self.monitor]
        if math.isnan(score):
            raise InputError(
                f"epoch {trainer.current_epoch + 1}: {self.monitor} is not a number, the training diverged:"
                " lower train.lr, or the stage's lr_*"
            )
        if self.score is None or score > self.score:
            self.score, self.epoch, self.metrics = score, trainer.current_epoch, metrics
            if trainer.is_global_zero:
                save_weights(self.path, pl_module.networks.state_dict())  # type: ignore[union-attr]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        self.last = {name: value for name, value in metrics.items() if name != "train/step_loss"}

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "epoch": self.epoch, "metrics": self.metrics, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score, self.epoch, self.metrics = state_dict["score"], state_dict["epoch"], state_dict["metrics"]
        self.last = state_dict["last"]


class KeepCurves(Callback):
    """Keeps each whole epoch's curves beside its checkpoint: DVC deletes a stage's outputs before it runs again, and
    what a stopped epoch has written must not stand there twice.

    They are whole when the next epoch starts: Lightning logs an epoch's means after its last callback.
    """

    def __init__(self, live: Path, resume: ResumeFolder) -> None:
        self.live, self.resume = live, resume

    def restore(self) -> None:
        shutil.rmtree(self.live, ignore_errors=True)
        if self.resume.state:
            shutil.copytree(self.resume.state / "curves", self.live)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero and self.resume.unfinished.is_dir():  # the epoch's checkpoint is there
            shutil.copytree(self.live, self.resume.unfinished / "curves")
            self.resume.finish()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)


class EndAtOnce(Callback):
    """SIGTERM ends a training where it is: it loses no more than a kill, and says so.

    Lightning would have the processes tell each other in a signal handler, amid whatever else they tell each other, and
    both might wait for ever.
    """

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self._end)  # in place of Lightning's, which takes it back at the end

    @staticmethod
    def _end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
        raise SIGTERMException


class PlainProgress(Callback):
    """A line every ten seconds and at each epoch's end, where there is no terminal for a bar."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.started = self.told = 0.0
        self.first_step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.started = self.told = time.monotonic()
        self.first_step = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if time.monotonic() - self.told >= 10:
            self._tell(trainer, f"loss {float(trainer.callback_metrics['train/step_loss']):.4f}")

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        values = {n: float(v) for n, v in trainer.callback_metrics.items() if n.startswith("val/")}
        self._tell(trainer, ", ".join(f"{name} {value:.3f}" for name, value in values.items()))

    def _tell(self, trainer: lightning.Trainer, text: str) -> None:
        self.told = now = time.monotonic()
        steps = trainer.global_step - self.first_step
        if not trainer.is_global_zero or steps == 0:
            return
        rate = steps / (now - self.started)
        left = (int(trainer.estimated_stepping_batches) - trainer.global_step) / rate
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        logging.info("%s: %s, %s; %.2f steps/s, %.0f s left", self.stage, epoch, text, rate, left)


def keep_freed_memory() -> None:
    """Lets the C library keep what a step frees for the next one, where it is glibc.

    It would give large blocks back to the system at once, and each step would wait for some 40 MB of fresh pages, set
    to zero: a twentieth to a tenth of a step's time on a CPU.
    """
    with contextlib.suppress(OSError, AttributeError):  # another system, another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped by itself
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: bytes kept free at the heap's top


def _loss(
    networks: Any,
    batch: Mapping[str, Any],
    objective: Objective,
    hear: Callable[[Mapping[str, Tensor]], Heard],
    see: Callable[[Mapping[str, Any]], Seen],
) -> Tensor:
    """What a step minimises."""
    return objective(networks, hear(batch["waves"]), see(batch))["loss"]


def _cached(data: Dataset[Any]) -> Iterator[Tensor]:
    """The frozen features that a dataset holds ready."""
    for features in (getattr(data, "features", None) or {}).values():
        yield from features


def fit(
    stage: str,
    networks: Any,
    *,
    objective: Objective,
    validate: Validate,
    groups: Mapping[str, Group],
    train: Dataset[Any],
    val: Dataset[Any],
    hear: Callable[[Mapping[str, Tensor]], Heard],
    see: Callable[[Mapping[str, Any]], Seen],
    fingerprint: str,
    seed: int,
    device: str,
    epochs: int,
    milestones: Sequence[int],
    monitor: str,
    decay: float,
    batch: int,
    workers: int,
    devices: int,
    nodes: int,
    precision: str,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    cosine: bool = False,
    out: Path = Path("checkpoints"),
    live: Path = Path("metrics"),
) -> None:
    """Trains `networks` and writes checkpoints/<stage>/{weights,best}.safetensors, the last epoch's and the best's, and
    metrics/<stage>.json.  `hear` and `see` turn a batch's "waves", and the batch itself, into what the objective takes.

    Rates fall by `decay` at the milestones or, with `cosine`, from the first epoch on, to 0 after the last.
    A batch is over all `devices` of all `nodes`: each takes its share of the samples of each step, a process for each,
    and what is learned is what one would learn with all of them (avsep/training/distributed.py).  The first process
    alone writes.  A run that was stopped goes on from its last whole epoch if the fingerprint is the same, and ends in
    the same bytes as one that was not.
    Raises InputError if the params ask for what cannot be, the training diverges, or it is ended by SIGTERM.
    """
    length, held_out, processes = len(train), len(val), devices * nodes  # type: ignore[arg-type]
    if length < batch:
        raise InputError(f"{stage}: a batch is {batch} samples, and an epoch has {length}: raise train.repeats")
    if held_out < processes:
        raise InputError(
            f"{stage}: {held_out} validation mixtures for train.devices x train.nodes, {processes} processes: raise"
            " index.val_mixtures"
        )
    networks.to(memory_format=torch.channels_last)  # faster on a CPU: see benchmarks
    phase = Phase(
        networks, objective, validate, groups, hear, see, milestones, decay, seed, optimizer, epochs if cosine else None
    )
    need = needed(
        partial(_loss, objective=objective, hear=hear, see=see),
        phase.networks,
        train[0, 0],
        batch // processes,
        device=own_device(device),
        optimizer=optimizer,
        precision=precision,
        cached=_cached(train),
    )
    refuse_too_much(stage, need, own_device(device), devices)
    plugins = [*started_by(devices, nodes), *([WholeBatch()] if processes > 1 else [])]
    resume = ResumeFolder(stage, fingerprint, first=first_process())
    if resume.checkpoint:
        logging.info("%s: goes on from %s", stage, resume.checkpoint)
    curves = KeepCurves(live / stage, resume)
    if first_process():
        curves.restore()
    keep_freed_memory()
    best = KeepBest(monitor, resume.best)
    last = ModelCheckpoint(resume.unfinished, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    terminal = sys.stderr.isatty()
    logger = DVCLiveLogger(dir=str(live / stage), dvcyaml=None, save_dvc_exp=False, report=None, resume=True)
    trainer = lightning.Trainer(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy(processes),
        plugins=plugins,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        max_epochs=epochs,
        logger=logger,
        callbacks=[
            EndAtOnce(),
            best,
            TQDMProgressBar() if terminal else PlainProgress(stage),
            curves,
            last,
        ],
        enable_progress_bar=terminal,
        enable_model_summary=False,
        use_distributed_sampler=False,  # EpochSampler shares an epoch among the processes itself
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        default_root_dir=resume.path,
    )
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training")  # the frozen frame encoders
    sampler = EpochSampler(length, seed, trainer.global_rank, trainer.world_size)
    if resume.checkpoint:
        # Lightning makes its first iterator before it tells the sampler the epoch that it goes on with
        state = torch.load(resume.checkpoint, weights_only=True, map_location="cpu")
        sampler.set_epoch(state["epoch"] + 1)
    load = partial(DataLoader, batch_size=batch // processes, num_workers=workers, persistent_workers=workers > 0)
    with ending_together(trainer, resume.failed):
        try:
            trainer.fit(
                phase,
                load(train, sampler=sampler, drop_last=True),
                load(Subset(val, range(trainer.global_rank, held_out, processes))),
                ckpt_path=str(resume.checkpoint) if resume.checkpoint else None,
                weights_only=True,
            )
        except SIGTERMException:  # a SystemExit, which would end the process as if it had done all
            raise InputError(
                f"{stage}: ended by SIGTERM; run it again, and it goes on from its last whole epoch"
            ) from None
    if trainer.is_global_zero:
        folder = out / stage
        save_weights(folder / "weights.safetensors", networks.state_dict())
        # copied, not moved: a run that is stopped here finds all it needs to come here again
        save_weights(folder / "best.safetensors", load_weights(resume.best))
        write_metrics(
            stage,
            {
                "steps": trainer.global_step,
                "samples": trainer.global_step * batch,
                "best": {"epoch": best.epoch, **best.metrics},
                "last": best.last,
            },
        )
        resume.clear()

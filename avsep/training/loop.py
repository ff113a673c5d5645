"""The one training loop: Lightning's, for any phase (avsep/training/phase.py).

A phase's `objective(networks, heard, seen)` gives named scalars, of which "loss" is minimised.  What it trains are
named groups of parameters, each with its own learning rate.  The loop hears (waves -> spectrograms), sees (pictures,
or what was made of them before -> frozen features), steps, validates, keeps the best, resumes, and shows all of it
live.
"""

import contextlib
import ctypes
import dataclasses
import logging
import math
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from dvclive.lightning import DVCLiveLogger
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.utils.data import Dataset, Subset

from avsep.clips.datasets import EpochSampler
from avsep.clips.mixtures import hear
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.files.whole import telling_of_the_disk, write_json
from avsep.files.working import refuse_changed
from avsep.media.spectrogram import Spectrogram
from avsep.progress import Line, first_process, spoken_share, spoken_value
from avsep.training.distributed import WholeBatch, ending_together, own_device, started_by, strategy
from avsep.training.loaders import Loader, by_pipes
from avsep.training.memory import Needed, needed, refuse_too_much
from avsep.training.numbers import WatchNumbers
from avsep.training.phase import Objective, Phase, Seen
from avsep.training.resume import ResumeFolder, fingerprint
from avsep.training.seeds import seed_step
from avsep.training.visualization import Visualize
from avsep.weights.checkpoints import load_weights, save_weights

SHOWN = "visualization"  # the folder in metrics/<stage>
WAITING = 0.05  # the share of a step that waits for its samples, from which the line tells of it


def step_loss(
    networks: Any,
    batch: Mapping[str, Any],
    *,
    objective: Objective,
    spectrogram: Spectrogram,
    see: Callable[[Mapping[str, Any]], Seen],
) -> Tensor:
    """What a step minimises."""
    return objective(networks, hear(batch["waves"], spectrogram), see(batch))["loss"]


class Learner(lightning.LightningModule):
    """A phase in Lightning's terms. Of its networks the groups' parameters learn, and all others rest.

    So does a group whose rate is 0 beside others: no step would move it, and its gradients would be computed for
    nothing. Its batch norms take the statistics of what they see as before.
    """

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.phase, self.networks = phase, phase.networks
        # a function of networks and batch, to which a step's memory is computed without computing the step
        self.loss_of_step = torch.zeros(())
        self.videos_of_step: Mapping[str, Any] = {}
        self.loss = partial(step_loss, objective=phase.objective, spectrogram=phase.spectrogram, see=phase.see)
        self.networks.to(memory_format=torch.channels_last)  # faster on a CPU: see benchmarks
        self.networks.requires_grad_(False)
        learning = [group for group in phase.groups.values() if group.lr] or list(phase.groups.values())
        for group in learning:
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    @property
    def share(self) -> int:
        """Samples of a step that each process takes."""
        return self.phase.schedule.batch // self.phase.machine.processes

    def needs(self, sample: Mapping[str, Any], device: torch.device, cached: Iterable[Tensor] = ()) -> Needed:
        """What one process needs in memory on `device`, with samples like `sample`, one of a dataset's."""
        return needed(
            self.loss,
            self.networks,
            sample,
            self.share,
            device=device,
            optimizer=self.phase.schedule.optimizer,
            precision=self.phase.machine.precision,
            cached=cached,
        )

    def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
        seed_step(self.phase.seed, self.global_step)
        heard, seen = hear(batch["waves"], self.phase.spectrogram), self.phase.see(batch)
        values = self.phase.objective(self.networks, heard, seen)
        self.loss_of_step, self.videos_of_step = values["loss"].detach(), batch.get("videos", {})
        if self.phase.schedule.on_nan != "stop" and not torch.isfinite(self.loss_of_step):
            return values["loss"]  # it is left out, of the curves too
        size = len(next(iter(batch["waves"].values())))
        self.log("train/step_loss", values["loss"].detach(), batch_size=size, sync_dist=True)
        means = {f"train/{name}": value.detach() for name, value in values.items()}
        self.log_dict(means, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return values["loss"]

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        heard, seen = hear(batch["waves"], self.phase.spectrogram), self.phase.see(batch)
        values = self.phase.validate(self.networks, heard, seen, batch["waves"])
        size = len(next(iter(batch["waves"].values())))
        means = {f"val/{name}": value.mean() for name, value in values.items()}
        # weighed by the batch's size: a mean over samples, not of batch means, whichever process has them
        self.log_dict(means, batch_size=size, sync_dist=True)

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": list(g.parameters), "lr": g.lr, "name": name, **({} if g.decays else {"weight_decay": 0.0})}
            for name, g in self.phase.groups.items()
        ]
        given = self.phase.schedule
        optimizer = given.optimizer(groups)
        schedules = torch.optim.lr_scheduler
        schedule: schedules.LRScheduler
        if given.shape == "one_cycle":
            schedule = schedules.OneCycleLR(
                optimizer,
                [group.lr for group in self.phase.groups.values()],
                total_steps=int(self.trainer.estimated_stepping_batches),
                pct_start=given.warm_up,
                cycle_momentum=False,
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        if given.shape == "cosine":
            schedule = schedules.CosineAnnealingLR(optimizer, given.epochs)
        else:
            schedule = schedules.MultiStepLR(optimizer, list(given.milestones), given.decay)
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
    """Keeps each whole epoch's curves, and what is shown of it, beside its checkpoint: DVC deletes a stage's outputs
    before it runs again, and what a stopped epoch has written must not stand there twice.

    They are whole when the next epoch starts: Lightning logs an epoch's means after its last callback.
    """

    def __init__(self, live: Path, resume: ResumeFolder) -> None:
        self.live, self.resume = live, resume

    def restore(self) -> None:
        shutil.rmtree(self.live, ignore_errors=True)
        if self.resume.state:
            shutil.copytree(self.resume.state / "curves", self.live, copy_function=_keep)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.is_global_zero and self.resume.unfinished.is_dir():  # the epoch's checkpoint is there
            shutil.copytree(self.live, self.resume.unfinished / "curves", copy_function=_keep)
            self.resume.finish()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)


def _keep(source: str, target: str) -> None:
    """What is shown is written once, or replaced whole: a second name keeps it, and costs nothing. Curves grow."""
    if SHOWN in Path(source).parts:
        with contextlib.suppress(OSError):  # where files have one name, or the folders lie on two disks
            os.link(source, target)
            return
    shutil.copy2(source, target)


class EndAtOnce(Callback):
    """SIGTERM ends a training where it is: it loses no more than a kill, and says so.

    Lightning would have the processes tell each other in a signal handler, amid whatever else they tell each other, and
    both might wait for ever.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # in place of Lightning's, which is set between on_fit_start and here, and taken back at the end
        signal.signal(signal.SIGTERM, self._end)

    @staticmethod
    def _end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
        raise SIGTERMException


class ShowProgress(Callback):
    """One line on a terminal, and now and then one in a log: the epoch, validation's watched value, rate, time left."""

    def __init__(self, stage: str, monitor: str) -> None:
        self.stage, self.monitor = stage, monitor
        self.line: Line | None = None
        self.watched: float | None = None
        self.busy = self._began = 0.0  # seconds of this run's steps, without what they waited for

    def _waited(self, trainer: lightning.Trainer) -> tuple[float, float]:
        """The seconds of this run's steps, and the share of them that they waited for samples.

        A GPU works on while the next ones are waited for: there it is the most that they can cost.
        """
        waited: float = getattr(trainer.train_dataloader, "waited", 0.0)
        seconds = waited + self.busy
        return seconds, waited / seconds if seconds else 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        total, done = int(trainer.estimated_stepping_batches), trainer.global_step
        self.line = Line(self.stage, total, "step", done=done, say=partial(self._say, trainer))

    def _say(self, trainer: lightning.Trainer) -> str:
        told = [f"epoch {min(trainer.current_epoch + 1, trainer.max_epochs or 0)} of {trainer.max_epochs}"]
        if self.watched is not None:
            told.append(spoken_value(self.monitor, self.watched))
        elif (loss := trainer.callback_metrics.get("train/step_loss")) is not None:  # until there is a validation
            told.append(f"loss {float(loss):.4f}")
        if (share := self._waited(trainer)[1]) >= WAITING:
            told.append(f"{spoken_share(share)} waiting for samples")
        return ", ".join(told)

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._began = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.busy += time.monotonic() - self._began
        if self.line is not None:
            self.line.move()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.watched = float(trainer.callback_metrics[self.monitor])
        if self.line is not None:
            self.line.tell()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.line is not None:
            self.line.close()
        if trainer.is_global_zero:  # no output of the stage: it differs from run to run
            seconds, share = self._waited(trainer)
            told = {"seconds_of_steps": round(seconds, 3), "waiting": round(share, 4)}
            write_json(Path("metrics", "made", f"{self.stage}.json"), told, indent=2)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if self.line is not None:
            self.line.close()


def quiet_lightning() -> None:
    """Lightning tells in info messages which devices there are and what else its makers sell, and warns of what is
    meant here: each of these, and nothing else, stays unsaid. What it does say goes the way of all messages."""
    for logger in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric")):
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True
    for message, category in (
        (".*in eval mode at the start of training", UserWarning),  # the frozen frame encoders
        ("The number of training batches", UserWarning),  # of an epoch that is shorter than ten steps
        ("The '.*_dataloader' does not have many workers", UserWarning),  # train.workers says how many
        (".*LeafSpec.* is deprecated", FutureWarning),  # its own use of torch
    ):
        warnings.filterwarnings("ignore", message, category)


def keep_freed_memory() -> None:
    """Lets the C library keep what a step frees for the next one, where it is glibc.

    It would give large blocks back to the system at once, and each step would wait for some 40 MB of fresh pages, set
    to zero: a twentieth to a tenth of a step's time on a CPU.
    """
    with contextlib.suppress(OSError, AttributeError):  # another system, another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped by itself
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: bytes kept free at the heap's top


def _cached(data: Dataset[Any]) -> Iterator[Tensor]:
    """The frozen features that a dataset holds ready."""
    for features in (getattr(data, "features", None) or {}).values():
        yield from features


def learn(phase: Phase) -> None:
    """Trains a phase's networks and writes checkpoints/<stage>/{weights,best}.safetensors, the last epoch's and the
    best's, and metrics/<stage>.json.

    A batch is over all devices of all nodes: each takes its share of the samples of each step, a process for each, and
    what is learned is what one would learn with all of them (avsep/training/distributed.py).  The first process alone
    writes.  A run that was stopped goes on from its last whole epoch if its fingerprint is the same, and ends in the
    same bytes as one that was not.
    Raises InputError if the params ask for what cannot be, the training diverges, or it is ended by SIGTERM.
    """
    train, val = phase.data()
    # what made them goes: CLIP, where its tokens were computed beforehand
    phase = dataclasses.replace(phase, data=lambda: (train, val))
    stage, schedule, machine = phase.stage, phase.schedule, phase.machine
    length, held_out = len(train), len(val)  # type: ignore[arg-type]
    if length < schedule.batch:
        raise InputError(
            f"{stage}: a batch is {schedule.batch} samples, and an epoch has {length}: raise train.repeats"
        )
    if held_out < machine.processes:
        raise InputError(
            f"{stage}: {held_out} validation mixtures for train.devices x train.nodes, {machine.processes} processes:"
            " raise index.val_mixtures"
        )
    learner, own = Learner(phase), own_device(machine.device)
    sample = train[0, 0]
    refuse_too_much(stage, learner.needs(sample, own, _cached(train)), own, machine.devices)
    pipes = by_pipes(stage, sample, learner.share, machine.workers, machine.devices)
    plugins = [*started_by(machine.devices, machine.nodes), *([WholeBatch()] if machine.processes > 1 else [])]
    resume = ResumeFolder(stage, fingerprint(stage, phase.params, phase.reads), first=first_process())
    if resume.checkpoint:
        logging.info("%s: goes on from %s", stage, resume.checkpoint)
    live = Path("metrics", stage)
    curves = KeepCurves(live, resume)
    shown = [Visualize(phase, val, live / SHOWN)] if phase.show else []  # type: ignore[arg-type]
    if first_process():
        curves.restore()
    keep_freed_memory()
    best = KeepBest(schedule.monitor, resume.best)
    numbers = WatchNumbers(stage, schedule.on_nan, scaled=machine.precision == "16-mixed", state=resume.path)
    last = ModelCheckpoint(resume.unfinished, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    quiet_lightning()
    logger = DVCLiveLogger(dir=str(live), dvcyaml=None, save_dvc_exp=False, report=None, resume=True)
    trainer = lightning.Trainer(
        accelerator=machine.device,
        devices=machine.devices,
        num_nodes=machine.nodes,
        strategy=strategy(machine.processes),
        plugins=plugins,  # type: ignore[arg-type]
        precision=machine.precision,  # type: ignore[arg-type]
        max_epochs=schedule.epochs,
        logger=logger,
        callbacks=[
            EndAtOnce(),
            numbers,
            best,
            ShowProgress(stage, schedule.monitor),
            curves,
            *shown,
            last,
        ],
        enable_progress_bar=False,  # ShowProgress is one
        enable_model_summary=False,
        use_distributed_sampler=False,  # EpochSampler shares an epoch among the processes itself
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        default_root_dir=resume.path,
    )
    sampler = EpochSampler(length, phase.seed, stage, trainer.global_rank, trainer.world_size)
    if resume.checkpoint:
        # Lightning makes its first iterator before it tells the sampler the epoch that it goes on with
        state = torch.load(resume.checkpoint, weights_only=True, map_location="cpu")
        sampler.set_epoch(state["epoch"] + 1)
    workers = machine.workers
    load = partial(Loader, batch_size=learner.share, num_workers=workers, persistent_workers=workers > 0, pipes=pipes)
    with ending_together(trainer, resume.failed), telling_of_the_disk(resume.path):
        try:
            trainer.fit(
                learner,
                load(train, sampler=sampler, drop_last=True),
                load(Subset(val, range(trainer.global_rank, held_out, machine.processes))),
                ckpt_path=str(resume.checkpoint) if resume.checkpoint else None,
                weights_only=True,
            )
        except SIGTERMException:  # a SystemExit, which would end the process as if it had done all
            raise InputError(
                f"{stage}: ended by SIGTERM; run it again, and it goes on from its last whole epoch"
            ) from None
    if trainer.is_global_zero:
        refuse_changed()  # while the state is there
        folder = Path("checkpoints", stage)
        save_weights(folder / "weights.safetensors", phase.networks.state_dict(), phase.about.entry)
        # copied, not moved: a run that is stopped here finds all it needs to come here again
        save_weights(folder / "best.safetensors", load_weights(resume.best), phase.about.entry)
        write_metrics(
            stage,
            {
                "steps": trainer.global_step,
                "samples": trainer.global_step * schedule.batch,
                "best": {"epoch": best.epoch, **best.metrics},
                "last": best.last,
                **({} if schedule.on_nan == "stop" else {"bad_steps": numbers.counts}),
            },
        )
        resume.clear()

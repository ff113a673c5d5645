"""What each training stage says of its params in the same way. What is a phase's own stands in its stage."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from avsep.clips.index import listed_classes
from avsep.media.spectrogram import Spectrogram
from avsep.params.stages import TrainingParams
from avsep.training.data import INDEX
from avsep.training.phase import Machine, Schedule, Shape
from avsep.training.shown import Look, Show


def spectrogram_of(params: TrainingParams) -> Spectrogram:
    given = params.spectrogram
    return Spectrogram(
        n_fft=given.n_fft, hop=given.hop, log_bins=given.log_bins, align_corners=given.align_corners
    )  # fmt: skip


def machine_of(params: TrainingParams) -> Machine:
    return Machine(
        device=params.device,
        devices=params.train.devices,
        nodes=params.train.nodes,
        workers=params.train.workers,
        precision=params.train.precision,
    )


class Steps(Protocol):
    """The params of a training stage that say how long it learns, and at which rates."""

    @property
    def epochs(self) -> int: ...
    @property
    def schedule(self) -> Shape: ...
    @property
    def milestones(self) -> Sequence[int]: ...
    @property
    def monitor(self) -> str: ...


def steps_of(
    params: TrainingParams,
    given: Steps,
    *,
    batch: int,
    optimizer: Callable[..., torch.optim.Optimizer],
) -> Schedule:
    return Schedule(
        epochs=given.epochs,
        batch=batch,
        monitor=given.monitor,
        shape=given.schedule,
        milestones=given.milestones,
        decay=params.train.decay,
        warm_up=params.train.warm_up,
        optimizer=optimizer,
    )


def classes_of() -> list[str]:
    """Of the training videos, sorted. Raises InputError."""
    return listed_classes(INDEX / "train.csv")


def show_of(params: TrainingParams, look: Look, **others: Any) -> Show:
    """`others`: Show's, of phases that ask in words, or whose masks are no ratios."""
    return Show(look=look, mixtures=params.visualize.mixtures, every=params.visualize.every, **others)

"""What each training stage says of its params in the same way. What is a phase's own stands in its stage."""

from collections.abc import Callable, Sequence
from typing import Any

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


def steps_of(
    params: TrainingParams,
    *,
    epochs: int,
    shape: Shape,
    milestones: Sequence[int],
    monitor: str,
    batch: int,
    optimizer: Callable[..., torch.optim.Optimizer],
) -> Schedule:
    """How a stage learns, with what all of them share."""
    return Schedule(
        epochs=epochs,
        batch=batch,
        monitor=monitor,
        shape=shape,
        milestones=milestones,
        decay=params.train.decay,
        warm_up=params.train.warm_up,
        optimizer=optimizer,
        on_nan=params.train.on_nan,
    )


def classes_of() -> list[str]:
    """Of the training videos, sorted. Raises InputError."""
    return listed_classes(INDEX / "train.csv")


def show_of(params: TrainingParams, look: Look, **others: Any) -> Show:
    """`others`: Show's, of phases that ask in words, or whose masks are no ratios."""
    return Show(look=look, mixtures=params.visualize.mixtures, every=params.visualize.every, **others)

"""A training stage as a value: which networks learn what, from which samples, how long and on which machine.

Each of stages/{grounding,colearning,cyclic,ungated,baseline,trimodal,finetune}.py has a `phase` that makes its own, and
avsep.training.loop.learn trains any of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from avsep.clips.mixtures import Heard
from avsep.media.spectrogram import Spectrogram
from avsep.training.numbers import OnNan
from avsep.training.shown import Show
from avsep.weights.about import About

Seen = Mapping[str, Any]  # of each seen object: what frozen networks make of it, a phase's own kind
Objective = Callable[[Any, Heard, Any], Mapping[str, Tensor]]  # -> scalars, one called "loss"
Validate = Callable[[Any, Heard, Any, Mapping[str, Tensor]], Mapping[str, Tensor]]  # -> (B,) each
Shape = Literal["milestones", "cosine", "one_cycle"]  # of a learning rate over a training
Samples = tuple[Dataset[Any], Dataset[Any]]  # to train on, asked for by (epoch, index), and to validate on


@dataclass(frozen=True)
class Group:
    """Parameters that a phase trains, at `lr`; all others rest."""

    parameters: Sequence[nn.Parameter]
    lr: float
    decays: bool = True  # by the optimiser's weight decay, if it has one


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a phase learns, and in which steps.

    With `milestones` the rates fall by `decay` at each; with `cosine` from epoch to epoch, to 0 after the last; with
    `one_cycle` they rise for the share `warm_up` of all steps, and fall from step to step, to 0 at the last (Smith and
    Topin: Super-Convergence, 2017).
    """

    epochs: int
    batch: int  # samples of a step, over all devices of all nodes
    monitor: str  # validation's value by which an epoch is the best
    shape: Shape = "milestones"
    milestones: Sequence[int] = ()
    decay: float = 1.0
    warm_up: float = 0.0
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    on_nan: OnNan = "stop"  # what becomes of a step whose numbers went bad


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a phase is trained on, and how it computes there."""

    device: str  # cpu, cuda or mps
    devices: int  # of each node, a process for each
    nodes: int
    workers: int  # of each process, which load its samples
    precision: str  # as lightning.Trainer takes it

    @property
    def processes(self) -> int:
        return self.devices * self.nodes


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A training stage.

    `data` makes the samples: it is called once, by what trains, and may compute the frozen features of all frames
    before.  Networks whose start depends on what they see have it after that.
    `see` turns a batch of samples into what `objective` and `validate` take as seen.
    `params`, plain values, and `reads`, files and folders, are what the result depends on beside the code: an
    unfinished training goes on with the same ones alone (avsep/training/resume.py).
    `about` is what its weights will tell of themselves.
    """

    stage: str
    params: Mapping[str, Any]
    reads: Sequence[Path]
    seed: int
    networks: nn.Module
    objective: Objective
    validate: Validate
    groups: Mapping[str, Group]
    data: Callable[[], Samples]
    see: Callable[[Mapping[str, Any]], Seen]
    spectrogram: Spectrogram  # how a batch's waves are heard
    schedule: Schedule
    machine: Machine
    about: About
    show: Show | None = None  # what is seen and heard of it while it trains

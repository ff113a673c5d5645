"""Keywords that each training stage takes from its params in the same way: of its samples, of the loop, of validation.

What is a phase's own stands in its stage: networks, start, objective, groups, batch, epochs, milestones and monitor.
"""

from dataclasses import asdict
from functools import partial
from typing import Any

from avsep.clips.mixtures import hear
from avsep.media.spectrogram import Spectrogram
from avsep.params.stages import TrainingParams


def of_samples(params: TrainingParams) -> dict[str, Any]:
    """Keywords of avsep.training.data.training_data."""
    return {
        "repeats": params.train.repeats,
        "gain": params.train.gain,
        "seed": params.seed,
        "device": params.device,
        **asdict(params.extract),
        **asdict(params.audio),
    }


def of_loop(params: TrainingParams) -> dict[str, Any]:
    """Keywords of avsep.training.loop.fit."""
    return {
        "hear": partial(hear, how=Spectrogram(**asdict(params.spectrogram))),
        "seed": params.seed,
        "device": params.device,
        "decay": params.train.decay,
        "workers": params.train.workers,
        "devices": params.train.devices,
        "nodes": params.train.nodes,
        "precision": params.train.precision,
    }


def of_waves(params: TrainingParams) -> dict[str, Any]:
    """Keywords by which validation turns masks into waves."""
    return {"spectrogram": Spectrogram(**asdict(params.spectrogram))}

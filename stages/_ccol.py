"""What CCoL's training stages, and the separators beside them, make of their params: networks, samples, steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from avsep.clips.datasets import ClipReader
from avsep.clips.index import SOUNDING
from avsep.models.ccol import CCoL
from avsep.params.stages import CcolParams
from avsep.training.data import training_data
from avsep.training.optimizers import optimizer
from avsep.training.phase import Samples, Schedule
from avsep.weights.about import About, Kind, describe, refuse_other
from avsep.weights.ccol import CCOL
from avsep.weights.checkpoints import load_into, load_weights
from stages._training import classes_of, steps_of


def ccol_of(params: CcolParams) -> CCoL:
    """New networks."""
    return CCoL(
        params.resnet.width,
        sound_channels=params.model.sound_channels,
        head_std=params.model.head_std,
        unet_levels=params.model.unet_levels,
        unet_channels=params.model.unet_channels,
        unet_max_channels=params.model.unet_max_channels,
        embedding=params.model.embedding,
        query_std=params.model.query_std,
        batch_statistics=params.objective.as_published,
    )


def take_over(networks: CCoL, start: Path, params: CcolParams) -> None:
    """The weights that the phase before has left in `start`. Raises InputError for those of other params."""
    refuse_other(start, CCOL, asdict(params), start.parent.name)
    load_into(networks, load_weights(start), start)


def about_of(stage: str, params: CcolParams, kind: Kind = CCOL, sizes: Mapping[str, bool | int] | None = None) -> About:
    """What a phase's weights will tell of themselves."""
    return describe(kind, stage, asdict(params), classes=classes_of(), sizes=sizes)


def reader_of(
    params: CcolParams,
    *,
    objects: bool = True,
    fps: int | None = None,
    count: int | None = None,
    stride: int | None = None,
) -> ClipReader:
    """Reads crops to objects, or whole frames; as CCoL sees them, or as many and as far apart as given."""
    return ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=fps or params.frames.fps,
        kept_fps=params.extract.fps,
        count=count or params.frames.count,
        stride=stride or params.frames.stride,
        resize=params.frames.resize,
        size=params.frames.size,
        square=params.frames.square,
        objects=objects,
    )


def data_of(
    params: CcolParams,
    frames: nn.Module,
    stage: str,
    *,
    seen: Sequence[str],
    start: Callable[[Tensor], None] | None = None,
    **others: Any,
) -> Callable[[], Samples]:
    """Makes the samples, when it is called: as CCoL has them, but for `others`, keywords of training_data.

    `frames` sees them.  `start`: training_data's, for new networks.
    """
    return partial(
        training_data,
        frames=frames,
        heard=SOUNDING,
        seen=seen,
        stage=stage,
        start=start,
        **{
            "reader": reader_of(params),
            "seed": params.seed,
            "repeats": params.train.repeats,
            "gain": params.train.gain,
            "augment": params.frames.augment,
            "partners": params.train.partners,
            "margin": params.train.margin,
            "jitter": params.train.jitter,
            "cache": params.frames.cache,
            "device": params.device,
            "devices": params.train.devices,
            **others,
        },
    )


def schedule_of(params: CcolParams, **steps: Any) -> Schedule:
    """As many samples in each step of each phase; `steps`: the other keywords of `steps_of`."""
    return steps_of(params, batch=params.train.batch, optimizer=optimizer(params.train.optimizer), **steps)

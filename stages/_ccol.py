"""What CCoL's training stages, and the baseline beside them, make of their params: networks, samples, steps."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from avsep.clips.datasets import ClipReader
from avsep.clips.index import SOUNDING
from avsep.params.stages import CcolParams
from avsep.training.data import training_data
from avsep.training.phase import Samples, Schedule
from models.ccol import CCoL


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


def data_of(
    params: CcolParams,
    frames: nn.Module,
    *,
    seen: Sequence[str],
    objects: bool = True,
    start: Callable[[Tensor], None] | None = None,
) -> Callable[[], Samples]:
    """Makes the samples, when it is called: of crops to objects, or of whole frames, which frozen `frames` see.

    `start`: avsep.training.data.training_data's, for new networks.
    """
    reader = ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=params.extract.fps,
        count=params.frames.count,
        stride=params.frames.stride,
        resize=params.frames.resize,
        size=params.frames.size,
        square=params.frames.square,
        objects=objects,
    )
    return partial(
        training_data,
        reader,
        frames,
        heard=SOUNDING,
        seen=seen,
        repeats=params.train.repeats,
        gain=params.train.gain,
        augment=params.frames.augment,
        cache=params.frames.cache,
        seed=params.seed,
        device=params.device,
        start=start,
    )


def schedule_of(params: CcolParams, *, epochs: int, milestones: Sequence[int], monitor: str) -> Schedule:
    """Adam's steps, of as many samples in each phase."""
    return Schedule(
        epochs=epochs,
        batch=params.train.batch,
        decay=params.train.decay,
        milestones=milestones,
        monitor=monitor,
    )

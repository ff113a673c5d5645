"""Training's and validation's samples, with the frozen networks' part computed beforehand where that is possible."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from avsep.clips.datasets import Augment, ClipReader, Features, FixedMixtures, TrainingMixtures
from avsep.clips.index import Video, read_index, read_mixtures
from avsep.clips.mixtures import Partners
from avsep.errors import InputError
from avsep.progress import progress
from avsep.training.distributed import own_device
from avsep.training.memory import physical_memory

FrozenFeatures = TypeVar("FrozenFeatures", bound=tuple[Tensor, ...])

INDEX = Path("data/index")
START_PICTURES = 128  # at most, for networks whose start depends on what they see


def training_data(
    reader: ClipReader,
    frames: nn.Module,
    *,
    heard: Sequence[str],
    seen: Sequence[str],
    seen_in_validation: Sequence[str] | None = None,
    seed: int,
    stage: str,
    repeats: int,
    gain: tuple[float, float],
    augment: Augment,
    partners: Partners,
    margin: float,
    jitter: bool,
    cache: bool,
    device: str,
    devices: int = 1,
    start: Callable[[Tensor], None] | None = None,
) -> tuple[TrainingMixtures, FixedMixtures]:
    """The random mixtures of the training videos (see TrainingMixtures) and the fixed ones of validation's, seen by
    `frames`.  `seen_in_validation`: where these are other objects than `seen`, of which training learns.

    `cache`: the frozen features of all frames are computed now, once by each of a machine's `devices` processes.
    Before that, `start` is given the middle pictures of START_PICTURES training videos, evenly spaced, or of all if
    there are fewer, (V, 3, H, W).
    Raises InputError.
    """
    train, val = read_index(INDEX / "train.csv"), read_index(INDEX / "val.csv")
    looked_at = seen if seen_in_validation is None else seen_in_validation
    listed = FixedMixtures(read_mixtures(INDEX / "val_sep.csv", val), reader, heard=heard, seen=looked_at)
    mixtures = listed.only_audible().mixtures
    if len(mixtures) < len(listed):
        logging.warning("%d validation mixtures are left out: a silent window", len(listed) - len(mixtures))
    if not mixtures:
        raise InputError(f"{INDEX / 'val_sep.csv'}: every mixture has a silent window; raise audio.samples")
    if start is not None:
        shown = train[:: -(-len(train) // START_PICTURES)]
        start(torch.cat([reader.pictures(video, [reader.middle(video)]) for video in shown]))
    features = None
    if cache:
        every_frame = [(video, frame) for video in train for frame in range(1, reader.frame_count(video) + 1)]
        middle = [(video, frame) for video in val for frame in reader.frames_around(video, reader.middle(video))]
        features = frozen_features(frames, reader, [*every_frame, *middle], device, devices)
    return (
        TrainingMixtures(
            train,
            reader,
            heard=heard,
            seen=seen,
            seed=seed,
            stage=stage,
            repeats=repeats,
            gain=gain,
            augment=augment,
            partners=partners,
            margin=margin,
            jitter=jitter,
            features=features,
        ),
        FixedMixtures(mixtures, reader, heard=heard, seen=looked_at, features=features),
    )


def frozen_features(
    frames: nn.Module,
    reader: ClipReader,
    wanted: Iterable[tuple[Video, int]],
    device: str,
    devices: int = 1,
    batch: int = 32,
) -> Features:
    """The frozen encoders' features of frames of videos, each computed once, on the CPU: by (video's name, frame).

    `frames`: normalised pictures (B, 3, H, W) -> a named tuple of features (B, ...).
    Raises InputError after the first batch if all would not fit into this machine's memory, once for each of the
    `devices` processes that train on it.
    """
    own = own_device(device)
    frames = frames.to(own).eval()
    todo = sorted({(video.name, frame): video for video, frame in wanted}.items())
    features: dict[tuple[str, int], tuple[Tensor, ...]] = {}
    starts = range(0, len(todo), batch)
    for start in progress(starts, desc="frozen features", total=len(starts), unit="batch"):
        part = todo[start : start + batch]
        pictures = torch.stack([torch.from_numpy(reader.picture(video, frame)) for (_, frame), video in part])
        seen = frames(pictures.to(own))
        for (key, _), *parts in zip(part, *(values.cpu() for values in seen), strict=True):
            features[key] = tuple(parts)
        if start == 0:
            size = devices * len(todo) * sum(values.nbytes // len(values) for values in seen)
            if size > (memory := physical_memory()):
                raise InputError(
                    f"the features of {len(todo)} frames take {size / 1e9:.1f} GB in {devices} processes, and this"
                    f" machine has {memory / 1e9:.1f} GB: set the stage's cache (frames.cache, vast.cache or"
                    " baseline.cache) to false"
                )
    return features


def see(
    frames: nn.Module | None, kind: Callable[..., FrozenFeatures], batch: Mapping[str, Any]
) -> dict[str, FrozenFeatures]:
    """What frozen `frames` make of each seen object, a `kind` of named tuple: computed before training, which then
    needs no `frames`, or now from its pictures."""
    if "features" in batch:
        return {name: kind(*features) for name, features in batch["features"].items()}
    assert frames is not None
    # whatever the autocast: as they are where they were computed before
    return {
        name: kind(*(values.float() for values in frames(pictures))) for name, pictures in batch["pictures"].items()
    }

"""What VAST's two training stages make of their params: all of a phase but its objective, its steps and its start."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from avsep.clips.datasets import ClipReader
from avsep.clips.index import SOUNDING
from avsep.models.clip import FrozenCLIP
from avsep.models.vast import VAST
from avsep.params.stages import VastParams
from avsep.training.data import INDEX, training_data
from avsep.training.optimizers import optimizer
from avsep.training.phase import Group, Objective, Phase, Samples, Schedule
from avsep.training.seeds import seed_everything
from avsep.training.vast import see, sentences_of, show, validate
from avsep.weights.about import describe, refuse_other
from avsep.weights.captions import CAPTIONS
from avsep.weights.checkpoints import load_into, load_weights
from avsep.weights.clip import CLIP, clip_hash
from avsep.weights.phrases import phrase_of
from avsep.weights.vast import VAST as KIND
from stages._clip import teacher_of
from stages._training import classes_of, machine_of, show_of, spectrogram_of, steps_of


def vast_phase(
    stage: str,
    params: VastParams,
    *,
    objective: Objective,
    schedule: Schedule,
    lr: float,
    lr_captions: float = 0.0,
    start: Path | None = None,
) -> Phase:
    """Seeds all, then makes the networks, new or with the weights `start`, whose U-Net learns. Raises InputError.

    With `lr_captions` the latent captions learn too; they do not decay, since nothing would bring back those that a
    step does not ask for.
    CLIP is kept with what sees only where its tokens are not computed beforehand (vast.cache).
    """
    seed_everything(params.seed)
    values, taught_by = asdict(params), clip_hash()
    teacher = teacher_of(params)
    captions, phrases, rows = sentences_of(teacher, params.vast.phrase)
    given = params.vast
    networks = VAST(len(captions), given.unet_levels, given.unet_channels, teacher.embedding, init_std=given.init_std)
    if start is not None:
        refuse_other(start, KIND, values, start.parent.name, clip=taught_by)
        load_into(networks, load_weights(start), start)
    networks.captions.copy_(captions)
    clip = None if params.vast.cache else teacher
    groups = {"separation": Group(list(networks.unet.parameters()), params.train.lr * lr)}
    if lr_captions > 0:
        groups["captions"] = Group([networks.captions], params.train.lr * lr_captions, decays=False)
    return Phase(
        stage=stage,
        params=values,
        reads=(INDEX, CAPTIONS, CLIP, *([start] if start is not None else [])),
        seed=params.seed,
        networks=networks,
        objective=objective,
        validate=partial(validate, spectrogram=spectrogram_of(params)),
        groups=groups,
        data=data_of(params, teacher, stage),
        see=partial(see, clip=clip, rows=rows, sentences=torch.cat([captions, phrases])),
        spectrogram=spectrogram_of(params),
        schedule=schedule,
        machine=machine_of(params),
        about=describe(KIND, stage, values, classes=classes_of(), clip=taught_by, sizes={"captions": len(captions)}),
        show=show_of(
            params,
            partial(show, masked=params.vast.masked, grid=teacher.grid),
            phrase=partial(phrase_of, template=params.vast.phrase),
        ),
    )


def data_of(params: VastParams, teacher: FrozenCLIP, stage: str) -> Callable[[], Samples]:
    """Makes the samples, when it is called: of whole frames, which CLIP sees; nothing is augmented."""
    reader = ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=params.vast.fps,
        kept_fps=params.extract.fps,
        count=params.vast.frames,
        stride=params.vast.stride,
        resize=params.clip.image_size,
        size=params.clip.image_size,
        objects=False,
    )
    return partial(
        training_data,
        reader,
        teacher,
        heard=SOUNDING,
        seen=SOUNDING,
        seed=params.seed,
        stage=stage,
        repeats=params.train.repeats,
        gain=params.train.gain,
        augment="none",
        partners=params.train.partners,
        margin=params.vast.margin,
        jitter=params.train.jitter,
        cache=params.vast.cache,
        device=params.device,
        devices=params.train.devices,
    )


def schedule_of(params: VastParams, **steps: Any) -> Schedule:
    """Steps of both stages' kind; `steps`: the other keywords of `steps_of`."""
    kind = optimizer(params.vast.optimizer, params.vast.momentum, params.vast.weight_decay)
    return steps_of(params, batch=params.vast.batch, optimizer=kind, **steps)

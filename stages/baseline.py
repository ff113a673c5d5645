"""Sound of Pixels on the same data and steps: what separation reaches without grounding.

Zhao et al., ECCV 2018.  The U-Net, the synthesizer and the frozen ResNet are CCoL's; nothing is gated, and the
silent objects are not seen:

    L = (L1w(M_A, T_A) + L1w(M_C, T_C)) / 2

It sees whole frames, as published (baseline.frames: whole), or the crops that CCoL sees (objects).

checkpoints/pretrained, data/index -> checkpoints/baseline
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsep.clips.index import SOUNDING
from avsep.clips.mixtures import Heard
from avsep.params.stages import BaselineParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training.data import INDEX, see
from avsep.training.loop import learn
from avsep.training.masks import weighted_l1
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from avsep.weights.checkpoints import load_weights
from models.resnet import FrameFeatures
from models.sound_of_pixels import SoundOfPixels
from stages._ccol import data_of, schedule_of
from stages._training import machine_of, spectrogram_of

START = Path("checkpoints/pretrained/resnet18.safetensors")


def objective(
    networks: SoundOfPixels, heard: Heard, seen: dict[str, FrameFeatures], *, max_target: float = 5.0
) -> dict[str, Tensor]:
    """The loss, a scalar."""
    masks = networks.separate(heard.log_mixture, seen)
    losses = [weighted_l1(masks[name], heard.target(name, max_target), heard.weight) for name in SOUNDING]
    return {"loss": torch.stack(losses).mean()}


def phase(params: BaselineParams) -> Phase:
    """Seeds all, then makes the networks with the pretrained ResNet; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    networks = SoundOfPixels(
        params.resnet.width,
        unet_levels=params.model.unet_levels,
        unet_channels=params.model.unet_channels,
        unet_max_channels=params.model.unet_max_channels,
        embedding=params.model.embedding,
        query_std=params.model.query_std,
        batch_statistics=params.objective.as_published,
    )
    networks.frames.load_resnet(load_weights(START))
    lr, given = params.train.lr, params.baseline
    return Phase(
        stage="baseline",
        params=asdict(params),
        reads=(INDEX, START),
        seed=params.seed,
        networks=networks,
        objective=partial(objective, max_target=params.objective.max_target),
        validate=partial(validation.separation, spectrogram=spectrogram_of(params)),
        groups={
            "separation": Group(networks.separation.hearing(), lr * given.lr_separation),
            "frames": Group(networks.separation.seeing(), lr * given.lr_frames),
        },
        data=data_of(params, networks.frames, seen=SOUNDING, objects=given.frames == "objects", start=networks.start),
        see=partial(see, networks.frames, FrameFeatures),
        spectrogram=spectrogram_of(params),
        schedule=schedule_of(params, epochs=given.epochs, milestones=given.milestones, monitor=given.monitor),
        machine=machine_of(params),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), BaselineParams)

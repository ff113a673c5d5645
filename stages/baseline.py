"""Sound of Pixels, as its authors have it, on the same data: what separation reached before grounding.

Zhao et al., ECCV 2018.  U-Net, synthesizer and ResNet learn together; whole frames are seen, and no silent objects.
Whichever of the two sounds is louder in a bin has it (baseline.masks: binary), and BCEw is the cross entropy with the
loss weight of each bin; or, as CCoL's separation, with ratio masks (ratio):

    L = (BCEw(M_A, [2 a_A > mix]) + BCEw(M_C, [2 a_C > mix])) / 2          binary
    L = (L1w(M_A, T_A) + L1w(M_C, T_C)) / 2                                 ratio

checkpoints/pretrained, data/index -> checkpoints/baseline
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsep.clips.index import SOUNDING
from avsep.clips.mixtures import Heard
from avsep.media.spectrogram import Spectrogram
from avsep.models.sound_of_pixels import FrameMaps, SoundOfPixels
from avsep.params.stages import BaselineParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training.data import INDEX, see
from avsep.training.loop import learn
from avsep.training.masks import weighted_cross_entropy, weighted_l1
from avsep.training.optimizers import optimizer
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from avsep.training.shown import OBJECT, Shown, ratio
from avsep.weights.resnet import resnet_weights
from avsep.weights.sound_of_pixels import SOUND_OF_PIXELS
from stages._ccol import about_of, data_of, reader_of
from stages._training import machine_of, show_of, spectrogram_of, steps_of

START = Path("checkpoints/pretrained/resnet18.safetensors")


def objective(
    networks: SoundOfPixels, heard: Heard, seen: dict[str, FrameMaps], *, max_target: float = 5.0
) -> dict[str, Tensor]:
    """The loss, a scalar."""
    masks = networks.separate(heard.mixture, seen)
    if networks.binary:
        losses = [weighted_cross_entropy(masks[name], heard.louder(name), heard.weight) for name in SOUNDING]
    else:
        losses = [weighted_l1(masks[name], heard.target(name, max_target), heard.weight) for name in SOUNDING]
    return {"loss": torch.stack(losses).mean()}


def validate(
    networks: SoundOfPixels,
    heard: Heard,
    seen: dict[str, FrameMaps],
    waves: Mapping[str, Tensor],
    *,
    spectrogram: Spectrogram,
) -> dict[str, Tensor]:
    """By the masks as they are used."""
    return validation.improvements(networks.let_through(networks.separate(heard.mixture, seen)), waves, spectrogram)


def look(networks: SoundOfPixels, heard: Heard, seen: dict[str, FrameMaps]) -> Shown:
    """The masks as they are used."""
    return Shown(masks={OBJECT: networks.let_through(networks.separate(heard.mixture, seen))})


def phase(params: BaselineParams) -> Phase:
    """Seeds all, then makes the networks with the pretrained ResNet; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    lr, given = params.train.lr, params.baseline
    networks = SoundOfPixels(
        params.resnet.width,
        unet_levels=params.model.unet_levels,
        unet_channels=params.model.unet_channels,
        unet_max_channels=params.model.unet_max_channels,
        embedding=params.model.embedding,
        init_std=given.init_std,
        binary=given.masks == "binary",
        frozen=given.lr_resnet == 0,
    )
    networks.frames.load_resnet(resnet_weights(START, asdict(params)))
    groups = {
        "separation": Group(networks.separation.hearing(), lr * given.lr_separation),
        "frames": Group(networks.separation.seeing(), lr * given.lr_frames),
    }
    if given.lr_resnet > 0:
        groups["resnet"] = Group(list(networks.frames.parameters()), lr * given.lr_resnet)
    return Phase(
        stage="baseline",
        params=asdict(params),
        reads=(INDEX, START),
        seed=params.seed,
        networks=networks,
        objective=partial(objective, max_target=params.objective.max_target),
        validate=partial(validate, spectrogram=spectrogram_of(params)),
        groups=groups,
        data=data_of(
            params,
            networks.frames,
            "baseline",
            seen=SOUNDING,
            reader=reader_of(params, objects=False, fps=given.fps, count=given.frames, stride=given.stride),
            repeats=given.repeats,
            partners=given.partners,
            margin=given.margin,
            cache=given.cache,
        ),
        see=partial(see, networks.frames, FrameMaps),
        spectrogram=spectrogram_of(params),
        schedule=steps_of(
            params,
            epochs=given.epochs,
            shape=given.schedule,
            milestones=given.milestones,
            monitor=given.monitor,
            batch=given.batch,
            optimizer=optimizer(given.optimizer, given.momentum, given.weight_decay),
        ),
        machine=machine_of(params),
        about=about_of("baseline", params, SOUND_OF_PIXELS, {"binary": given.masks == "binary"}),
        show=show_of(params, look, target=Heard.louder if networks.binary else ratio),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), BaselineParams)

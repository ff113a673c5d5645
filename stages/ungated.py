"""CCoL's separation alone, on the same data and steps: what grounding is worth to it.

The U-Net, the synthesizer and the frozen ResNet are CCoL's; nothing is gated, and the silent objects are not seen:

    L = (L1w(M_A, T_A) + L1w(M_C, T_C)) / 2

It sees the crops that CCoL sees (ungated.sees: objects), or whole frames.

checkpoints/pretrained, data/index -> checkpoints/ungated
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsep.clips.index import SOUNDING
from avsep.clips.mixtures import Heard
from avsep.models.resnet import FrameFeatures
from avsep.models.ungated import Ungated
from avsep.params.stages import UngatedParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training import shown
from avsep.training.data import INDEX, see
from avsep.training.loop import learn
from avsep.training.masks import weighted_l1
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from avsep.weights.resnet import resnet_weights
from avsep.weights.ungated import UNGATED
from stages._ccol import about_of, data_of, reader_of, schedule_of
from stages._training import machine_of, show_of, spectrogram_of

START = Path("checkpoints/pretrained/resnet18.safetensors")


def objective(
    networks: Ungated, heard: Heard, seen: dict[str, FrameFeatures], *, max_target: float = 5.0
) -> dict[str, Tensor]:
    """The loss, a scalar."""
    masks = networks.separate(heard.log_mixture, seen)
    losses = [weighted_l1(masks[name], heard.target(name, max_target), heard.weight) for name in SOUNDING]
    return {"loss": torch.stack(losses).mean()}


def phase(params: UngatedParams) -> Phase:
    """Seeds all, then makes the networks with the pretrained ResNet; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    networks = Ungated(
        params.resnet.width,
        unet_levels=params.model.unet_levels,
        unet_channels=params.model.unet_channels,
        unet_max_channels=params.model.unet_max_channels,
        embedding=params.model.embedding,
        query_std=params.model.query_std,
        batch_statistics=params.objective.as_published,
    )
    networks.frames.load_resnet(resnet_weights(START, asdict(params)))
    lr, given = params.train.lr, params.ungated
    return Phase(
        stage="ungated",
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
        data=data_of(
            params,
            networks.frames,
            "ungated",
            seen=SOUNDING,
            start=networks.start,
            reader=reader_of(params, objects=given.sees == "objects"),
        ),
        see=partial(see, networks.frames, FrameFeatures),
        spectrogram=spectrogram_of(params),
        schedule=schedule_of(
            params,
            epochs=given.epochs,
            shape=given.schedule,
            milestones=given.milestones,
            monitor=given.monitor,
        ),
        machine=machine_of(params),
        about=about_of("ungated", params, UNGATED),
        show=show_of(params, shown.separation),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), UngatedParams)

"""Phase 1, grounding warm-up: which object sounds, learned from solo sounds.

CCoL (Tian, Hu, Xu; CVPR 2021); g(sound, object) are the grounding network's logits:

    L_grd = min(CE+ g(a_A, v_A), CE+ g(a_A, v_B)) + CE- g(a_C, v_A)

One of the pair A, B makes the sound a_A, and nobody says which; the object A does not make the sound a_C.
objective.symmetric takes the mean over all that can stand for A, B and C (solo_grounding in avsep/training/losses.py).

checkpoints/pretrained, data/index -> checkpoints/grounding
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor

from avsep.clips.index import OBJECTS
from avsep.clips.mixtures import Heard
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures, FrameVectors, FrozenFrames, FrozenVectors
from avsep.params.stages import GroundingParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training import shown
from avsep.training.data import INDEX, see
from avsep.training.loop import learn
from avsep.training.losses import one_of, solo_grounding
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from avsep.weights.resnet import resnet_weights
from stages._ccol import about_of, ccol_of, data_of, schedule_of
from stages._training import machine_of, show_of, spectrogram_of

START = Path("checkpoints/pretrained/resnet18.safetensors")


def objective(
    networks: CCoL, heard: Heard, seen: Mapping[str, FrameFeatures | FrameVectors], *, symmetric: bool = False
) -> dict[str, Tensor]:
    """The phase's loss, a scalar."""
    g = networks.ground({name: magnitude.log1p() for name, magnitude in heard.solo.items()}, seen)
    return {"loss": solo_grounding(g, partial(one_of, g), symmetric).mean()}


def validate(
    networks: CCoL, heard: Heard, seen: Mapping[str, FrameFeatures | FrameVectors], waves: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Only grounding learns here."""
    return validation.grounding(networks, heard, seen)


def phase(params: GroundingParams) -> Phase:
    """Seeds all, then makes the networks with the pretrained ResNet; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    networks = ccol_of(params)
    networks.frames.load_resnet(resnet_weights(START, asdict(params)))
    lr, given = params.train.lr, params.grounding
    frames: FrozenFrames | FrozenVectors = networks.frames
    kind: type[FrameFeatures | FrameVectors] = FrameFeatures
    learned_from: tuple[str, ...] = OBJECTS
    if not params.objective.as_published:  # there, batch norm moves with all that is looked at
        frames, kind = FrozenVectors(networks.frames), FrameVectors
        learned_from = OBJECTS if params.objective.symmetric else ("A", "B")
    return Phase(
        stage="grounding",
        params=asdict(params),
        reads=(INDEX, START),
        seed=params.seed,
        networks=networks,
        objective=partial(objective, symmetric=params.objective.symmetric),
        validate=validate,
        groups={"grounding": Group(list(networks.grounding.parameters()), lr * given.lr_grounding)},
        data=data_of(params, frames, "grounding", seen=learned_from, seen_in_validation=OBJECTS, start=networks.start),
        see=partial(see, frames, kind),
        spectrogram=spectrogram_of(params),
        schedule=schedule_of(
            params,
            epochs=given.epochs,
            shape=given.schedule,
            milestones=given.milestones,
            monitor=given.monitor,
        ),
        machine=machine_of(params),
        about=about_of("grounding", params),
        show=show_of(params, shown.grounding),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), GroundingParams)

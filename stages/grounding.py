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

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.params.stages import GroundingParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training.data import INDEX, see, training_data
from avsep.training.loop import Group, fit
from avsep.training.losses import one_of, solo_grounding
from avsep.training.resume import fingerprint
from avsep.training.seeds import seed_everything
from avsep.weights.checkpoints import load_weights
from models.ccol import CCoL
from models.resnet import FrameFeatures
from stages._training import of_loop, of_samples

START = Path("checkpoints/pretrained/resnet18.safetensors")


def objective(
    networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures], *, symmetric: bool = False
) -> dict[str, Tensor]:
    """The phase's loss, a scalar."""
    g = networks.ground({name: magnitude.log1p() for name, magnitude in heard.solo.items()}, seen)
    return {"loss": solo_grounding(g, partial(one_of, g), symmetric).mean()}


def validate(
    networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures], waves: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Only grounding learns here."""
    return validation.grounding(networks, heard, seen)


def main(params: GroundingParams) -> None:
    seed_everything(params.seed)
    networks = CCoL(params.resnet.width, batch_statistics=params.objective.as_published, **asdict(params.model))
    networks.frames.load_resnet(load_weights(START))
    train, val = training_data(
        networks.frames,
        heard=SOUNDING,
        seen=OBJECTS,
        start=networks.start,
        **of_samples(params),
        **asdict(params.frames),
    )
    fit(
        "grounding",
        networks,
        objective=partial(objective, symmetric=params.objective.symmetric),
        validate=validate,
        groups={
            "grounding": Group(list(networks.grounding.parameters()), params.train.lr * params.grounding.lr_grounding),
        },
        train=train,
        val=val,
        see=partial(see, networks.frames, FrameFeatures),
        fingerprint=fingerprint(asdict(params), [INDEX, START]),
        epochs=params.grounding.epochs,
        milestones=params.grounding.milestones,
        monitor=params.grounding.monitor,
        batch=params.train.batch,
        **of_loop(params),
    )


if __name__ == "__main__":
    run(main, GroundingParams)

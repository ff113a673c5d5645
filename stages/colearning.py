"""Phase 2, co-learning: separation beside grounding.

CCoL (Tian, Hu, Xu; CVPR 2021).  The grounding gates s say which object of a pair explains its sound:

    M_AB  = s_A M_A + s_B M_B,   s_X = round(softmax g(mix, v_X)[sounding]),   M_CD likewise
    L_sep = (L1w(M_AB, T_A) + L1w(M_CD, T_C)) / 2
    L     = L_sep + w [ L_grd + min(CE+ g(mix, v_A), CE+ g(mix, v_B)) + min(CE+ g(mix, v_C), CE+ g(mix, v_D)) ]

with L_grd of the warm-up (stages/grounding.py, objective.symmetric too) and w = colearning.grounding_weight;
objective.gates likelier, solo: s is 1 for one object of a pair, and 0 for the other (`gated_separation` in
avsep/training/losses.py).  objective.told solo: L+ + L- stands in the place of the mixture's two terms (`in_mixture`
there), told by grounding of the pairs' own sounds.

checkpoints/grounding, data/index -> checkpoints/colearning
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsep.clips.index import OBJECTS
from avsep.clips.mixtures import Heard
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.params.stages import ColearningParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training import shown
from avsep.training.data import INDEX, see
from avsep.training.distributed import mean_over_batch
from avsep.training.loop import learn
from avsep.training.losses import Gates, Told, by_solo, gated_separation, in_mixture, one_of, positive, solo_grounding
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from stages._ccol import about_of, ccol_of, data_of, schedule_of, take_over
from stages._training import machine_of, show_of, spectrogram_of

START = Path("checkpoints/grounding/weights.safetensors")


def objective(
    networks: CCoL,
    heard: Heard,
    seen: dict[str, FrameFeatures],
    *,
    grounding_weight: float = 0.25,
    max_target: float = 5.0,
    symmetric: bool = False,
    gates: Gates = "each",
    told: Told = "published",
    as_published: bool = False,
) -> dict[str, Tensor]:
    """The phase's loss and its parts, scalars.

    `as_published`: each of the mixture's two terms is the smaller of two batch means, where the formula takes
    each sample's own minimum.
    """
    g = networks.ground(heard.log_sounds, seen)
    separated = gated_separation(networks, g, heard, seen, max_target, gates)

    def pair(x: str, y: str) -> Tensor:
        x_sounds, y_sounds = positive(g("mixture", x)), positive(g("mixture", y))
        if as_published:
            x_sounds, y_sounds = mean_over_batch(x_sounds), mean_over_batch(y_sounds)
        return torch.minimum(x_sounds, y_sounds).mean()

    if told == "solo":
        mixture = in_mixture(g, {name: share.round() for name, share in by_solo(g).items()}).mean()
    else:
        mixture = pair("A", "B") + pair("C", "D")
    grounding = solo_grounding(g, partial(one_of, g), symmetric).mean() + mixture
    loss = separated.loss + grounding_weight * grounding
    return {"loss": loss, "separation": separated.loss, "grounding": grounding, **separated.counts}


def phase(params: ColearningParams) -> Phase:
    """Seeds all, then makes the networks with the weights of the phase before; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    networks = ccol_of(params)
    take_over(networks, START, params)
    lr, given = params.train.lr, params.colearning
    return Phase(
        stage="colearning",
        params=asdict(params),
        reads=(INDEX, START),
        seed=params.seed,
        networks=networks,
        objective=partial(
            objective,
            grounding_weight=given.grounding_weight,
            max_target=params.objective.max_target,
            symmetric=params.objective.symmetric,
            gates=params.objective.gates,
            told=params.objective.told,
            as_published=params.objective.as_published,
        ),
        validate=partial(validation.separation_and_grounding, spectrogram=spectrogram_of(params)),
        groups={
            "grounding": Group(list(networks.grounding.parameters()), lr * given.lr_grounding),
            "separation": Group(networks.separation.hearing(), lr * given.lr_separation),
            "frames": Group(networks.separation.seeing(), lr * given.lr_frames),
        },
        data=data_of(params, networks.frames, "colearning", seen=OBJECTS),
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
        about=about_of("colearning", params),
        show=show_of(params, shown.separation_and_grounding),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), ColearningParams)

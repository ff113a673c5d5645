"""Phase 3, cyclic co-learning: separation tells grounding which object of a pair really sounds.

CCoL (Tian, Hu, Xu; CVPR 2021).  The object whose own mask comes closer to the pair's target sounds:

    d_A = L1w(M_A, T_A), d_B = L1w(M_B, T_A), d_C = L1w(M_C, T_C), d_D = L1w(M_D, T_C)
    a   = round(1 - d_A / (d_A + d_B)),   c = round(1 - d_C / (d_C + d_D))

    L_grd = a CE+ g(a_A, v_A) + (1 - a) CE+ g(a_A, v_B) + CE- g(a_C, v_A)
    L+ = a CE+ g(mix, v_A) + (1 - a) CE+ g(mix, v_B) + c CE+ g(mix, v_C) + (1 - c) CE+ g(mix, v_D)
    L- = (1 - a) [d_A > t] CE- g(mix, v_A) + a [d_B > t] CE- g(mix, v_B)
       + (1 - c) [d_C > t] CE- g(mix, v_C) + c [d_D > t] CE- g(mix, v_D)
    L  = L_sep + u (L+ + L-) + w L_grd

with L_sep of co-learning (stages/colearning.py), t, u, w = cyclic.{distance_threshold, mixture_weight, solo_weight};
objective.symmetric takes L_grd's mean over all that can stand for A, B and C, as in the warm-up.

checkpoints/colearning, data/index -> checkpoints/cyclic
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.params.stages import CyclicParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training.data import INDEX, see, training_data
from avsep.training.distributed import mean_over_batch
from avsep.training.loop import Group, fit
from avsep.training.losses import gated_separation, negative, positive, solo_grounding
from avsep.training.masks import weighted_l1
from avsep.training.resume import fingerprint
from avsep.training.seeds import seed_everything
from avsep.weights.checkpoints import load_into, load_weights
from models.ccol import CCoL
from models.resnet import FrameFeatures
from stages._training import of_loop, of_samples, of_waves

START = Path("checkpoints/colearning/weights.safetensors")


def objective(
    networks: CCoL,
    heard: Heard,
    seen: dict[str, FrameFeatures],
    *,
    mixture_weight: float = 0.25,
    solo_weight: float = 0.5,
    distance_threshold: float = 0.1,
    max_target: float = 5.0,
    symmetric: bool = False,
    as_published: bool = False,
) -> dict[str, Tensor]:
    """The phase's loss and its parts, scalars.

    `as_published`: in L_grd each sample's cross entropy meets every sample's `a`, where the formula takes its own.
    """
    g = networks.ground(heard.log_sounds, seen)
    separated = gated_separation(networks, g, heard, seen, max_target)

    @torch.no_grad()
    def distance(of: str, to: str) -> Tensor:
        return weighted_l1(separated.masks[of], separated.targets[to], heard.weight)

    d_a, d_b, d_c, d_d = distance("A", "A"), distance("B", "A"), distance("C", "C"), distance("D", "C")
    a = (1 - d_a / (d_a + d_b)).round()
    c = (1 - d_c / (d_c + d_d)).round()

    def told(x: str, y: str) -> Tensor:
        x_sounds = {"A": a, "C": c}[x]
        if as_published:
            x_sounds = mean_over_batch(x_sounds)
        return x_sounds * positive(g(x, x)) + (1 - x_sounds) * positive(g(x, y))

    solo = solo_grounding(g, told, symmetric)

    mix_a, mix_b, mix_c, mix_d = (g("mixture", x) for x in "ABCD")
    sounding = a * positive(mix_a) + (1 - a) * positive(mix_b) + c * positive(mix_c) + (1 - c) * positive(mix_d)
    silent = (
        (1 - a) * (d_a > distance_threshold) * negative(mix_a)
        + a * (d_b > distance_threshold) * negative(mix_b)
        + (1 - c) * (d_c > distance_threshold) * negative(mix_c)
        + c * (d_d > distance_threshold) * negative(mix_d)
    )

    grounding = mixture_weight * (sounding + silent).mean() + solo_weight * solo.mean()
    return {
        "loss": separated.loss + grounding,
        "separation": separated.loss,
        "grounding": grounding,
        "distance_sounding": (d_a + d_c).mean() / 2,  # where d lies tells whether the threshold means anything
        "distance_silent": (d_b + d_d).mean() / 2,
        "told_right": (a + c).mean() / 2,  # share of pairs in which separation finds the object that sounds
        **separated.counts,
    }


def main(params: CyclicParams) -> None:
    seed_everything(params.seed)
    networks = CCoL(params.resnet.width, batch_statistics=params.objective.as_published, **asdict(params.model))
    load_into(networks, load_weights(START), START)
    train, val = training_data(
        networks.frames,
        heard=SOUNDING,
        seen=OBJECTS,
        **of_samples(params),
        **asdict(params.frames),
    )
    fit(
        "cyclic",
        networks,
        objective=partial(
            objective,
            mixture_weight=params.cyclic.mixture_weight,
            solo_weight=params.cyclic.solo_weight,
            distance_threshold=params.cyclic.distance_threshold,
            max_target=params.objective.max_target,
            symmetric=params.objective.symmetric,
            as_published=params.objective.as_published,
        ),
        validate=partial(validation.separation_and_grounding, **of_waves(params)),
        groups={
            "grounding": Group(list(networks.grounding.parameters()), params.train.lr * params.cyclic.lr_grounding),
            "separation": Group(networks.separation.hearing(), params.train.lr * params.cyclic.lr_separation),
            "frames": Group(networks.separation.seeing(), params.train.lr * params.cyclic.lr_frames),
        },
        train=train,
        val=val,
        see=partial(see, networks.frames, FrameFeatures),
        fingerprint=fingerprint(asdict(params), [INDEX, START]),
        epochs=params.cyclic.epochs,
        milestones=params.cyclic.milestones,
        monitor=params.cyclic.monitor,
        batch=params.train.batch,
        **of_loop(params),
    )


if __name__ == "__main__":
    run(main, CyclicParams)

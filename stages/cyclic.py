"""Phase 3, cyclic co-learning: separation tells grounding which object of a pair really sounds.

CCoL (Tian, Hu, Xu; CVPR 2021).  The object whose own mask comes closer to the pair's target sounds:

    d_A = L1w(M_A, T_A), d_B = L1w(M_B, T_A), d_C = L1w(M_C, T_C), d_D = L1w(M_D, T_C)
    a   = round(1 - d_A / (d_A + d_B)),   c = round(1 - d_C / (d_C + d_D))

    L_grd = a CE+ g(a_A, v_A) + (1 - a) CE+ g(a_A, v_B) + CE- g(a_C, v_A)
    L+ = a CE+ g(mix, v_A) + (1 - a) CE+ g(mix, v_B) + c CE+ g(mix, v_C) + (1 - c) CE+ g(mix, v_D)
    L- = (1 - a) [d_A > t] CE- g(mix, v_A) + a [d_B > t] CE- g(mix, v_B)
       + (1 - c) [d_C > t] CE- g(mix, v_C) + c [d_D > t] CE- g(mix, v_D)
    L  = L_sep + u (L+ + L-) + w L_grd

objective.told solo: grounding of the pairs' own sounds counts too (p of `by_solo` in avsep/training/losses.py),

    a = round((1 - d_A / (d_A + d_B) + p_A) / 2),   c likewise

with L_sep of co-learning (stages/colearning.py), t, u, w = cyclic.{distance_threshold, mixture_weight, solo_weight};
objective.symmetric takes L_grd's mean over all that can stand for A, B and C, as in the warm-up.

checkpoints/colearning, data/index -> checkpoints/cyclic
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
from avsep.params.stages import CyclicParams
from avsep.run import run
from avsep.scoring import validation
from avsep.training import shown
from avsep.training.data import INDEX, see
from avsep.training.distributed import mean_over_batch
from avsep.training.loop import learn
from avsep.training.losses import Gates, Told, by_solo, gated_separation, negative, positive, solo_grounding
from avsep.training.masks import weighted_l1
from avsep.training.phase import Group, Phase
from avsep.training.seeds import seed_everything
from stages._ccol import about_of, ccol_of, data_of, schedule_of, take_over
from stages._training import machine_of, show_of, spectrogram_of

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
    gates: Gates = "each",
    told: Told = "published",
    as_published: bool = False,
) -> dict[str, Tensor]:
    """The phase's loss and its parts, scalars.

    `as_published`: in L_grd each sample's cross entropy meets every sample's `a`, where the formula takes its own.
    """
    g = networks.ground(heard.log_sounds, seen)
    separated = gated_separation(networks, g, heard, seen, max_target, gates)

    @torch.no_grad()
    def distance(of: str, to: str) -> Tensor:
        return weighted_l1(separated.masks[of], separated.targets[to], heard.weight)

    d_a, d_b, d_c, d_d = distance("A", "A"), distance("B", "A"), distance("C", "C"), distance("D", "C")
    a, c = 1 - d_a / (d_a + d_b), 1 - d_c / (d_c + d_d)
    if told == "solo":
        alone = by_solo(g)
        a, c = (a + alone["A"]) / 2, (c + alone["C"]) / 2
    a, c = a.round(), c.round()

    def explained(x: str, y: str) -> Tensor:
        x_sounds = {"A": a, "C": c}[x]
        if as_published:
            x_sounds = mean_over_batch(x_sounds)
        return x_sounds * positive(g(x, x)) + (1 - x_sounds) * positive(g(x, y))

    solo = solo_grounding(g, explained, symmetric)

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
        "told_right": (a + c).mean() / 2,  # share of pairs whose sounding object is found
        **separated.counts,
    }


def phase(params: CyclicParams) -> Phase:
    """Seeds all, then makes the networks with the weights of the phase before; the samples wait for who trains.

    Raises InputError.
    """
    seed_everything(params.seed)
    networks = ccol_of(params)
    take_over(networks, START, params)
    lr, given = params.train.lr, params.cyclic
    return Phase(
        stage="cyclic",
        params=asdict(params),
        reads=(INDEX, START),
        seed=params.seed,
        networks=networks,
        objective=partial(
            objective,
            mixture_weight=given.mixture_weight,
            solo_weight=given.solo_weight,
            distance_threshold=given.distance_threshold,
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
        data=data_of(params, networks.frames, "cyclic", seen=OBJECTS),
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
        about=about_of("cyclic", params),
        show=show_of(params, shown.separation_and_grounding),
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), CyclicParams)

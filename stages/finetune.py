"""VAST's fine-tuning: on with the latent captions as queries, at a very low learning rate.

VAST (Tan et al.; CVPR 2023): the authors say that it helps further.  Of trimodal's terms (stages/trimodal.py) the masks
alone are left:

    L = w_v L1w(M(q_X), T_X) + w_t L1w(M(c_X), T_X) + w_c R
    R = ((c_X - c0_X)^2), the mean over the values of a caption, the sources and the batch

where those by latent caption c_X now weigh as much as those by picture q_X.  The captions c learn beside the U-Net, as
published, and R, which is ours, keeps them near c0, where stage captions has left them.  With finetune.lr_captions 0
they rest, and there is no R.

checkpoints/trimodal/best.safetensors, checkpoints/captions/captions.safetensors,
checkpoints/pretrained/clip.safetensors, data/index
    -> checkpoints/finetune
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from avsep.clips.mixtures import Heard
from avsep.models.vast import VAST, Seen
from avsep.params.stages import FinetuneParams
from avsep.run import run
from avsep.training.loop import learn
from avsep.training.phase import Phase
from avsep.training.vast import mask_losses, separate, weighted_sum
from stages._vast import schedule_of, vast_phase

START = Path("checkpoints/trimodal/best.safetensors")


def objective(
    networks: VAST, heard: Heard, seen: Mapping[str, Seen], *, weights: Mapping[str, float], max_target: float = 5.0
) -> dict[str, Tensor]:
    """The loss and its terms, scalars. Without a weight of `captions`, R is not computed."""
    learned = {name: clip._replace(sentence=networks.captions[clip.caption]) for name, clip in seen.items()}
    terms = mask_losses(separate(networks, heard, learned), heard, max_target)
    if "captions" in weights:
        now, start = (torch.cat([clip.sentence for clip in each.values()]) for each in (learned, seen))  # (S * B, Q)
        terms["captions"] = functional.mse_loss(now, start)
    return weighted_sum(terms, weights)


def phase(params: FinetuneParams) -> Phase:
    """Seeds all, then makes the networks with the best weights of trimodal; the samples wait for who trains.

    Raises InputError.
    """
    given = params.finetune
    weights = {"visual_masks": given.visual_weight, "text_masks": given.text_weight}
    if given.lr_captions > 0:
        weights["captions"] = given.caption_weight
    return vast_phase(
        "finetune",
        params,
        objective=partial(objective, weights=weights, max_target=params.objective.max_target),
        schedule=schedule_of(
            params,
            epochs=given.epochs,
            shape=given.schedule,
            milestones=given.milestones,
            monitor=given.monitor,
        ),
        lr=given.lr_separation,
        lr_captions=given.lr_captions,
        start=START,
    )


if __name__ == "__main__":
    run(lambda params: learn(phase(params)), FinetuneParams)

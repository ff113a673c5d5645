"""VAST's fine-tuning: on with the latent captions as queries, at a very low learning rate.

VAST (Tan et al.; CVPR 2023): the authors say that it helps further.  Of trimodal's terms (stages/trimodal.py) the masks
alone are left:

    L = w_v L1w(M(q_X), T_X) + w_t L1w(M(c_X), T_X)

where those by latent caption c_X now weigh as much as those by picture q_X.

checkpoints/trimodal/best.safetensors, checkpoints/captions/captions.safetensors,
checkpoints/pretrained/clip.safetensors, data/index
    -> checkpoints/finetune
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor

from avsep.clips.mixtures import Heard
from avsep.params.stages import FinetuneParams
from avsep.run import run
from avsep.training.data import INDEX
from avsep.training.loop import Group, fit
from avsep.training.resume import fingerprint
from avsep.training.seeds import seed_everything
from avsep.training.vast import mask_losses, optimizer, prepare, separate, validate, weighted_sum
from avsep.weights.captions import CAPTIONS
from avsep.weights.clip import CLIP
from models.vast import VAST, Seen
from stages._training import of_loop, of_samples, of_waves

START = Path("checkpoints/trimodal/best.safetensors")


def objective(
    networks: VAST, heard: Heard, seen: Mapping[str, Seen], *, weights: Mapping[str, float], max_target: float = 5.0
) -> dict[str, Tensor]:
    """The loss and its terms, scalars."""
    return weighted_sum(mask_losses(separate(networks, heard, seen), heard, max_target), weights)


def main(params: FinetuneParams) -> None:
    seed_everything(params.seed)
    networks, train, val, see = prepare(
        clip=asdict(params.clip),
        levels=params.vast.unet_levels,
        channels=params.vast.unet_channels,
        phrase=params.vast.phrase,
        start=START,
        count=params.vast.frames,
        stride=params.vast.stride,
        cache=params.vast.cache,
        **of_samples(params),
    )
    fit(
        "finetune",
        networks,
        objective=partial(
            objective,
            weights={
                "visual_masks": params.finetune.visual_weight,
                "text_masks": params.finetune.text_weight,
            },
            max_target=params.objective.max_target,
        ),
        validate=partial(validate, **of_waves(params)),
        groups={
            "separation": Group(list(networks.unet.parameters()), params.train.lr * params.finetune.lr_separation),
        },
        train=train,
        val=val,
        see=see,
        fingerprint=fingerprint(asdict(params), [INDEX, CAPTIONS, CLIP, START]),
        epochs=params.finetune.epochs,
        milestones=params.finetune.milestones,
        monitor=params.finetune.monitor,
        batch=params.vast.batch,
        optimizer=optimizer(params.vast.optimizer, params.vast.momentum, params.vast.weight_decay),
        **of_loop(params),
    )


if __name__ == "__main__":
    run(main, FinetuneParams)

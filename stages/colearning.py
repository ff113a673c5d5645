"""Phase 2, co-learning: separation beside grounding.

CCoL (Tian, Hu, Xu; CVPR 2021), section 3.3.  The grounding gates s say which object of a pair explains its sound:

    M_AB  = s_A M_A + s_B M_B,   s_X = round(softmax g(mix, v_X)[sounding]),   M_CD likewise
    L_sep = (L1w(M_AB, T_A) + L1w(M_CD, T_C)) / 2
    L     = L_sep + w [ L_grd + min(CE+ g(mix, v_A), CE+ g(mix, v_B)) + min(CE+ g(mix, v_C), CE+ g(mix, v_D)) ]

with L_grd of the warm-up (stages/grounding.py) and w = objective.colearning_weight.

checkpoints/grounding, data/index -> checkpoints/colearning
"""

import torch
from torch import Tensor

from avsep.training.losses import Heard, gated_separation, negative, positive
from models.ccol import CCoL
from models.resnet import FrameFeatures


def objective(
    networks: CCoL,
    heard: Heard,
    seen: dict[str, FrameFeatures],
    *,
    colearning_weight: float = 0.25,
    max_target: float = 5.0,
    as_published: bool = False,
) -> dict[str, Tensor]:
    """The phase's loss and its parts, scalars.

    `as_published`: each of the mixture's two terms is the smaller of two batch means, where the formula takes
    each sample's own minimum.
    """
    g = networks.ground(heard.log_sounds, seen)
    separated = gated_separation(networks, g, heard, seen, max_target)

    solo = torch.minimum(positive(g("A", "A")), positive(g("A", "B"))) + negative(g("C", "A"))

    def pair(x: str, y: str) -> Tensor:
        x_sounds, y_sounds = positive(g("mixture", x)), positive(g("mixture", y))
        if as_published:
            x_sounds, y_sounds = x_sounds.mean(), y_sounds.mean()
        return torch.minimum(x_sounds, y_sounds).mean()

    grounding = solo.mean() + pair("A", "B") + pair("C", "D")
    loss = separated.loss + colearning_weight * grounding
    return {"loss": loss, "separation": separated.loss, "grounding": grounding, **separated.counts}

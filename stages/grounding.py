"""Phase 1, grounding warm-up: which object sounds, learned from solo sounds.

CCoL (Tian, Hu, Xu; CVPR 2021), section 3.2; g(sound, object) are the grounding network's logits:

    L_grd = min(CE+ g(a_A, v_A), CE+ g(a_A, v_B)) + CE- g(a_C, v_A)

One of the pair A, B makes the sound a_A, and nobody says which; the object A does not make the sound a_C.

checkpoints/pretrained, data/index -> checkpoints/grounding
"""

import torch
from torch import Tensor

from avsep.training.losses import Heard, negative, positive
from models.ccol import CCoL
from models.resnet import FrameFeatures


def objective(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> dict[str, Tensor]:
    """The phase's loss, a scalar."""
    g = networks.ground({"A": heard.solo["A"].log1p(), "C": heard.solo["C"].log1p()}, {n: seen[n] for n in "AB"})
    pair = torch.minimum(positive(g("A", "A")), positive(g("A", "B")))
    return {"loss": (pair + negative(g("C", "A"))).mean()}

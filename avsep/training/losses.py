"""The terms that CCoL's objectives are written in (docs/ccol.md, Losses). Per sample, (B,), unless said otherwise.

The objectives themselves stand in stages/grounding.py, stages/colearning.py and stages/cyclic.py.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from avsep.clips.index import OBJECTS, PAIRS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.models.ccol import CCoL, Grounded
from avsep.models.resnet import FrameFeatures
from avsep.training.masks import weighted_l1

Gates = Literal["each", "likelier", "solo"]
Told = Literal["published", "solo"]


def positive(logits: Tensor) -> Tensor:
    """CE+: cross entropy with the target `sounding`, class 0."""
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="none")


def negative(logits: Tensor) -> Tensor:
    """CE-: cross entropy with the target `silent`, class 1."""
    return functional.cross_entropy(logits, logits.new_ones(len(logits), dtype=torch.long), reduction="none")


def gate(logits: Tensor) -> Tensor:
    """s: 1 where the object is taken to sound, else 0, as (B, 1, 1, 1) beside masks. No gradient passes."""
    return logits.softmax(1)[:, 0].round().detach()[:, None, None, None]


def one_of(g: Grounded, x: str, y: str) -> Tensor:
    """min(CE+ g(a_x, v_x), CE+ g(a_x, v_y)): one of the pair makes the sound, and nobody says which."""
    return torch.minimum(positive(g(x, x)), positive(g(x, y)))


def solo_grounding(g: Grounded, explained: Callable[[str, str], Tensor], symmetric: bool) -> Tensor:
    """L_grd of each sample, (B,): `explained(x, y)`, that one of the pair makes the sound a_x, and CE- of a stranger.

    As written, the pair A, B explains a_A, and A is a stranger to a_C.  C, D and a_C could stand there as well, and any
    object of the other pair as the stranger: `symmetric` takes the mean over all of them, without encoding one more
    sound.  Where classes have the same number of videos and no window is drawn again for silence, the four videos are
    drawn alike: the expectation is the formula's, and each of the two terms varies no more than its own.
    """
    pairs: tuple[tuple[str, str], ...] = (("A", "B"),)
    strangers: tuple[tuple[str, str], ...] = (("C", "A"),)  # sound, object
    if symmetric:
        pairs, strangers = PAIRS, (("C", "A"), ("C", "B"), ("A", "C"), ("A", "D"))
    one_makes_it = torch.stack([explained(x, y) for x, y in pairs]).mean(0)
    others_do_not = torch.stack([negative(g(sound, name)) for sound, name in strangers]).mean(0)
    return one_makes_it + others_do_not


class Separated(NamedTuple):
    """What gated separation gives to an objective."""

    loss: Tensor  # L_sep, a scalar
    masks: dict[str, Tensor]  # M_X of each object, (B, 1, F, T), without its gate
    pair_masks: dict[str, Tensor]  # M_AB under "A" and M_CD under "C"
    targets: dict[str, Tensor]  # T_A and T_C
    counts: dict[str, Tensor]  # shares of pairs, scalars: the gates pass no gradient, so watch them


def share(logits_x: Tensor, logits_y: Tensor) -> Tensor:
    """How much likelier x sounds than y, of two objects of which one sounds, in [0, 1]. No gradient passes."""
    odds_x, odds_y = (logits[:, 0] - logits[:, 1] for logits in (logits_x, logits_y))
    return (odds_x - odds_y).sigmoid().detach()


def by_solo(g: Grounded) -> dict[str, Tensor]:
    """p_A and p_C: that A, and not B, makes the sound a_A, and C, and not D, a_C.

        p_A = sigmoid(o(a_A, v_A) - o(a_A, v_B)),   o = g[sounding] - g[silent]

    A training sample's sounds are known one by one, and alone they are far easier to tell than in their mixture.
    """
    return {x: share(g(x, x), g(x, y)) for x, y in PAIRS}


def in_mixture(g: Grounded, sounds: Mapping[str, Tensor]) -> Tensor:
    """L+ + L-: what grounding of the mixture is told, where `sounds` has 1 for A and C if they sound, 0 if B and D do.

    s (CE+ g(mix, v_A) + CE- g(mix, v_B)) + (1 - s) (CE+ g(mix, v_B) + CE- g(mix, v_A)),   and of C and D likewise
    """
    terms = []
    for x, y in PAIRS:
        s, of_x, of_y = sounds[x], g("mixture", x), g("mixture", y)
        terms.append(s * (positive(of_x) + negative(of_y)) + (1 - s) * (positive(of_y) + negative(of_x)))
    return torch.stack(terms).sum(0)


def gated_separation(
    networks: CCoL,
    g: Grounded,
    heard: Heard,
    seen: Mapping[str, FrameFeatures],
    max_target: float,
    gates_of_pairs: Gates = "each",
) -> Separated:
    """L_sep = (L1w(M_AB, T_A) + L1w(M_CD, T_C)) / 2, where the grounding gates weigh the masks of a pair.

    As published `each` object has its own gate.  If both of a pair are closed its mask is 0 everywhere, and nothing is
    learned of it; if both are open it reaches 2: `pairs_muted` and `pairs_doubled` say how often.  `likelier` opens one
    gate of each pair, as one of its objects sounds: the likelier in the mixture.  `solo` opens that of the object which
    is likelier to make the pair's own sound.  `gates_right`: share of pairs in which the gate of who sounds is open.
    """
    masks = networks.separate(heard.log_mixture, seen)
    if gates_of_pairs == "each":
        gates = {name: gate(g("mixture", name)) for name in OBJECTS}
    else:
        gates = {}
        for x, y in PAIRS:
            heard_in = x if gates_of_pairs == "solo" else "mixture"
            x_opens = share(g(heard_in, x), g(heard_in, y)) >= 0.5
            gates[x] = x_opens.to(masks[x])[:, None, None, None]
            gates[y] = 1 - gates[x]
    targets = {name: heard.target(name, max_target) for name in SOUNDING}
    pair_masks = {x: gates[x] * masks[x] + gates[y] * masks[y] for x, y in PAIRS}
    losses = [weighted_l1(pair_masks[name], targets[name], heard.weight) for name in SOUNDING]
    open_gates = torch.stack([gates[x] + gates[y] for x, y in PAIRS])
    return Separated(
        loss=torch.stack(losses).mean(),
        masks=masks,
        pair_masks=pair_masks,
        targets=targets,
        counts={
            "pairs_muted": (open_gates == 0).float().mean(),
            "pairs_doubled": (open_gates == 2).float().mean(),
            "gates_right": torch.stack([gates[name] for name in SOUNDING]).mean(),
        },
    )

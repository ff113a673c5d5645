"""What a phase lets one see and hear of a few validation mixtures while it trains (avsep/training/visualization.py).

One function for each kind of phase, beside those of avsep/scoring/validation.py: separation, grounding, or both.
VAST's stands in avsep/training/vast.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from avsep.clips.index import PAIRS
from avsep.clips.mixtures import Heard

OBJECT = "object"  # the way to ask of systems that know one alone
MIXTURE, SOLO = "mixture", "solo"  # sounds that an object is grounded in: the mixture, and its pair's own
PAIR_SOUND = {name: pair[0] for pair in PAIRS for name in pair}  # an object -> whose sound its pair makes


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a phase's networks make of a batch of mixtures."""

    masks: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)  # way to ask -> object -> (B, 1, F, T)
    # that an object sounds: sound -> object -> (B,)
    probabilities: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    # object -> (B, rows, columns), with the sum 1: where in its middle frame its sound is found
    attention: Mapping[str, Tensor] = field(default_factory=dict)


def ratio(heard: Heard, name: str) -> Tensor:
    """The ratio mask of source `name`, as far as a mask can reach it."""
    return heard.target(name, 1.0)


Look = Callable[[Any, Heard, Any], Shown]  # networks, heard, seen


@dataclass(frozen=True, kw_only=True)
class Show:
    """How a phase is shown: what `look` makes of the first `mixtures` of validation, after every `every`th epoch.

    `phrase` makes of a class what the phase asks for it with, where it asks in words.  `target` is the mask that a
    source's own stands beside.
    """

    look: Look
    mixtures: int
    every: int
    phrase: Callable[[str], str] | None = None
    target: Callable[[Heard, str], Tensor] = ratio


def separation(networks: Any, heard: Heard, seen: Mapping[str, Any]) -> Shown:
    """Each seen object's own mask, without gates."""
    return Shown(masks={OBJECT: networks.separate(heard.log_mixture, seen)})


def grounding(networks: Any, heard: Heard, seen: Mapping[str, Any]) -> Shown:
    """Which objects are taken for sounding in the mixture, and with their pair's own sound."""
    g = networks.ground(heard.log_sounds, seen)
    return Shown(
        probabilities={
            MIXTURE: {name: g.probability("mixture", name) for name in seen},
            SOLO: {name: g.probability(PAIR_SOUND[name], name) for name in seen},
        }
    )


def separation_and_grounding(networks: Any, heard: Heard, seen: Mapping[str, Any]) -> Shown:
    """Both."""
    separated, grounded = separation(networks, heard, seen), grounding(networks, heard, seen)
    return Shown(masks=separated.masks, probabilities=grounded.probabilities)

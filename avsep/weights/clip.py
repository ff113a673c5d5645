"""VAST's teacher: the CLIP of stage pretrained, frozen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from avsep.weights.checkpoints import load_into, load_weights
from avsep.weights.phrases import phrase_of, tokenise
from models.clip import FrozenCLIP, build_clip

CLIP = Path("checkpoints/pretrained/clip.safetensors")


def load_teacher(path: Path = CLIP, **sizes: Any) -> FrozenCLIP:
    """CLIP with the weights of stage pretrained, on the CPU. `sizes`: models.clip.build_clip's. Raises InputError."""
    teacher = FrozenCLIP(build_clip(**sizes))
    load_into(teacher.clip, load_weights(path), path)
    return teacher


def phrase_queries(clip: FrozenCLIP, phrases: Sequence[str]) -> Tensor:
    """Phrases as VAST is asked by them, (P, Q), on CLIP's device. Raises InputError for one that CLIP cannot read.

    All go in one batch, and another batch gives other bits.
    """
    device = next(clip.parameters()).device
    return clip.text(tokenise(phrases, clip.context).to(device))


def class_queries(clip: FrozenCLIP, classes: Sequence[str], template: str) -> Tensor:
    """Classes as VAST is asked for them, (C, Q): the phrases that `template` makes of their names, see phrase_of."""
    return phrase_queries(clip, [phrase_of(name, template) for name in classes])

"""VAST's teacher: the CLIP of stage pretrained, frozen, and what it makes of the classes' names."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from avsep.models.clip import FrozenCLIP, build_clip
from avsep.weights.about import Kind, refuse_other
from avsep.weights.checkpoints import hash_of, load_into, load_weights
from avsep.weights.phrases import phrase_of, tokenise

CLIP = Path("checkpoints/pretrained/clip.safetensors")
SIZES = ("image_size", "width", "layers", "embedding", "context", "text_width", "text_heads", "text_layers")
KIND = Kind(system="clip", sizes={name: f"clip.{name}" for name in SIZES})


def load_teacher(
    path: Path = CLIP,
    *,
    image_size: int,
    width: int,
    layers: Sequence[int],
    embedding: int,
    context: int,
    text_width: int,
    text_heads: int,
    text_layers: int,
) -> FrozenCLIP:
    """CLIP with the weights of stage pretrained, on the CPU. The sizes are avsep.models.clip.build_clip's.

    Raises InputError.
    """
    sizes = dict(
        image_size=image_size,
        width=width,
        layers=list(layers),
        embedding=embedding,
        context=context,
        text_width=text_width,
        text_heads=text_heads,
        text_layers=text_layers,
    )
    refuse_other(path, KIND, {"clip": sizes})
    teacher = FrozenCLIP(build_clip(**sizes))  # type: ignore[arg-type]
    load_into(teacher.clip, load_weights(path), path)
    return teacher


def clip_hash(path: Path = CLIP) -> str:
    """The hash of CLIP's weights, by which captions and VAST's weights know it. Raises InputError."""
    return hash_of(load_weights(path))


def phrase_queries(clip: FrozenCLIP, phrases: Sequence[str]) -> Tensor:
    """Phrases as VAST is asked by them, (P, Q), on CLIP's device. Raises InputError for one that CLIP cannot read.

    All go in one batch, and another batch gives other bits.
    """
    device = next(clip.parameters()).device
    return clip.text(tokenise(phrases, clip.context).to(device))


def class_queries(clip: FrozenCLIP, classes: Sequence[str], template: str) -> Tensor:
    """Classes as VAST is asked for them, (C, Q): the phrases that `template` makes of their names, see phrase_of."""
    return phrase_queries(clip, [phrase_of(name, template) for name in classes])

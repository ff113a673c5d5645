"""VAST's teacher, as each stage that asks it makes it of its params."""

from avsep.models.clip import FrozenCLIP
from avsep.params.stages import CaptionsParams, VastParams
from avsep.weights.clip import load_teacher


def teacher_of(params: CaptionsParams | VastParams) -> FrozenCLIP:
    """With the weights of stage pretrained, on the CPU. Raises InputError."""
    return load_teacher(
        image_size=params.clip.image_size,
        width=params.clip.width,
        layers=params.clip.layers,
        embedding=params.clip.embedding,
        context=params.clip.context,
        text_width=params.clip.text_width,
        text_heads=params.clip.text_heads,
        text_layers=params.clip.text_layers,
    )

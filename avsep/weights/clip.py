"""VAST's teacher: the CLIP of stage pretrained, frozen."""

from pathlib import Path
from typing import Any

from avsep.weights.checkpoints import load_into, load_weights
from models.clip import FrozenCLIP, build_clip

CLIP = Path("checkpoints/pretrained/clip.safetensors")


def load_teacher(**sizes: Any) -> FrozenCLIP:
    """CLIP with the weights of stage pretrained, on the CPU. `sizes`: models.clip.build_clip's. Raises InputError."""
    teacher = FrozenCLIP(build_clip(**sizes))
    load_into(teacher.clip, load_weights(CLIP), CLIP)
    return teacher

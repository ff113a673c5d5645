"""The trained systems, as both evaluations ask them."""

from typing import Any

from avsep.params import SystemsParams
from avsep.scoring.systems import ASKED, GROUNDED
from avsep.training.checkpoints import load_into, load_weights
from models.ccol import CCoL
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST


def load_systems(params: SystemsParams) -> dict[str, Any]:
    """System -> its networks with the best of their weights, in eval mode. Raises InputError."""
    unet: dict[str, Any] = {
        "unet_levels": params.model.unet_levels,
        "unet_channels": params.model.unet_channels,
        "unet_max_channels": params.model.unet_max_channels,
        "embedding": params.model.embedding,
        "query_std": params.model.query_std,
    }
    grounding: dict[str, Any] = {"sound_channels": params.model.sound_channels, "head_std": params.model.head_std}
    systems: dict[str, Any] = {"baseline": SoundOfPixels(params.resnet.width, **unet)}
    systems |= {system: CCoL(params.resnet.width, **unet, **grounding) for system in GROUNDED}
    for system in (*systems, *ASKED):
        path = f"checkpoints/{system}/best.safetensors"
        weights = load_weights(path)
        if system in ASKED:
            captions = len(weights.get("captions", ()))
            systems[system] = VAST(captions, params.vast.unet_levels, params.vast.unet_channels, params.clip.embedding)
        load_into(systems[system], weights, path)
        systems[system].to(params.device).eval()
    return systems

"""The trained systems, as both evaluations ask them."""

from collections.abc import Collection
from typing import Any

from avsep.params.stages import SystemsParams
from avsep.scoring.systems import ASKED, GROUNDED, SHOWN
from avsep.weights.checkpoints import load_into, load_weights
from models.ccol import CCoL
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST


def load_systems(params: SystemsParams, systems: Collection[str]) -> dict[str, Any]:
    """Each of `systems`, as evaluate.systems names them -> its networks with the best of their weights, in eval mode.

    Published weights (avsep/published.py) stand where the trained ones would.  Raises InputError.
    """
    unet: dict[str, Any] = {
        "unet_levels": params.model.unet_levels,
        "unet_channels": params.model.unet_channels,
        "unet_max_channels": params.model.unet_max_channels,
        "embedding": params.model.embedding,
        "query_std": params.model.query_std,
    }
    grounding: dict[str, Any] = {"sound_channels": params.model.sound_channels, "head_std": params.model.head_std}
    loaded: dict[str, Any] = {}
    for system in (system for system in (*SHOWN, *ASKED) if system in systems):
        path = f"checkpoints/{system}/best.safetensors"
        weights = load_weights(path)
        if system in ASKED:
            captions = len(weights.get("captions", ()))
            loaded[system] = VAST(captions, params.vast.unet_levels, params.vast.unet_channels, params.clip.embedding)
        elif system in GROUNDED:
            # in the published weights each of the frame encoders has a trunk of its own
            shared = not any(name.startswith("frames.trunk_dilated.") for name in weights)
            loaded[system] = CCoL(params.resnet.width, **unet, **grounding, shared_trunk=shared)
        else:
            loaded[system] = SoundOfPixels(params.resnet.width, **unet)
        load_into(loaded[system], weights, path)
        loaded[system].to(params.device).eval()
    return loaded

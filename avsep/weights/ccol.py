"""What CCoL's weights tell of themselves (avsep/weights/about.py)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from avsep.weights.about import HEARD, Kind

# How it sees an object.
SEEN = ("frames.fps", "frames.count", "frames.stride", "frames.size", "frames.square")
# The keywords of a network that separates as CCoL does.
SEPARATION = {
    "resnet_width": "resnet.width",
    "unet_levels": "model.unet_levels",
    "unet_channels": "model.unet_channels",
    "unet_max_channels": "model.unet_max_channels",
    "embedding": "model.embedding",
}

CCOL = Kind(
    system="ccol",
    sizes={**SEPARATION, "query_std": "model.query_std", "sound_channels": "model.sound_channels"},
    own={"shared_trunk": True},
    params=(*HEARD, *SEEN),
)

# The frozen frame encoders end in one ResNet's last layer, twice: they differ in its stride and dilation alone.
ONCE, TWICE = "frames.layer4.", "frames.layer4_dilated."


def without_twins(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CCoL's weights with the last layer of its frame encoders once, if it is the same in both."""
    twins = {name: ONCE + name.removeprefix(TWICE) for name in weights if name.startswith(TWICE)}
    same = all(one in weights and torch.equal(weights[one], weights[twin]) for twin, one in twins.items())
    return {name: tensor for name, tensor in weights.items() if not (same and name in twins)}


def with_twins(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As `without_twins` took them."""
    if any(name.startswith(TWICE) for name in weights):
        return dict(weights)
    return {**weights, **{TWICE + k.removeprefix(ONCE): v for k, v in weights.items() if k.startswith(ONCE)}}

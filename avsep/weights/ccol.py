"""What CCoL's weights tell of themselves (avsep/weights/about.py)."""

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

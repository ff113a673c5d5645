"""What VAST's weights tell of themselves (avsep/weights/about.py)."""

from avsep.weights.about import HEARD, Kind

VAST = Kind(
    system="vast",
    sizes={"levels": "vast.unet_levels", "channels": "vast.unet_channels", "embedding": "clip.embedding"},
    own={"captions": 0},  # how many it was trained with
    params=(*HEARD, "vast.fps", "vast.frames", "vast.stride", "clip.image_size", "vast.masked"),
    told=("vast.phrase",),
)

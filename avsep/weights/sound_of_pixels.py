"""What Sound of Pixels' weights tell of themselves (avsep/weights/about.py)."""

from avsep.weights.about import HEARD, Kind
from avsep.weights.ccol import SEPARATION

SOUND_OF_PIXELS = Kind(
    system="sound_of_pixels",
    sizes=SEPARATION,
    own={"binary": True},  # as baseline.masks says
    params=(*HEARD, "baseline.fps", "baseline.frames", "baseline.stride", "frames.size", "baseline.masks"),
)

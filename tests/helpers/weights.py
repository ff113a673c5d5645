"""Weights as their stages leave them: with what they tell of themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from open_clip.model import CLIP
from torch import nn

from avsep.models.ccol import CCoL
from avsep.models.resnet import ResNet18
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.ungated import Ungated
from avsep.models.vast import VAST
from avsep.weights import ccol, clip, resnet, sound_of_pixels, ungated, vast
from avsep.weights.about import Kind, describe
from avsep.weights.checkpoints import hash_of, save_weights
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, save_detector
from tests.helpers.factories import CLASSES, WIDTH, tiny_clip

KINDS: dict[type[nn.Module], Kind] = {
    CCoL: ccol.CCOL,
    SoundOfPixels: sound_of_pixels.SOUND_OF_PIXELS,
    Ungated: ungated.UNGATED,
    VAST: vast.VAST,
    ResNet18: resnet.KIND,
    CLIP: clip.KIND,
}
# Of the detectors that tests build.
TINY_DETECTOR: dict[str, dict[str, Any]] = {
    "resnet": {"width": WIDTH},
    "detector": {"backbone": "resnet18", "channels": 16, "min_size": 48, "max_size": 64},
}


def save_tiny_detector(detector: nn.Module, classes: Sequence[str], root: Path = Path()) -> None:
    """One of TINY_DETECTOR's params, where stage pretrained leaves it below `root`."""
    save_detector(detector, classes, TINY_DETECTOR, root / DETECTOR, root / ZERO_SHOT)


def save_trained(
    path: Path, network: nn.Module, params: Mapping[str, Any], *, stage: str | None = None, clip: str | None = None
) -> None:
    """`params`: the sections that its kind reads.  `stage`: if not given, the one in whose folder `path` lies.  `clip`:
    the hash of VAST's; if not given, that of `tiny_clip`."""
    own: dict[str, Any] = {}
    if isinstance(network, VAST):
        own, clip = {"captions": len(network.captions)}, clip or hash_of(tiny_clip().clip.state_dict())
    elif isinstance(network, CCoL):
        own = {"shared_trunk": not any("trunk_dilated" in name for name in network.state_dict())}
    elif isinstance(network, SoundOfPixels):
        own = {"binary": params["baseline"]["masks"] == "binary"}
    elif isinstance(network, ResNet18):
        own = {"classes": network.fc.out_features}
    trained = type(network) in (CCoL, SoundOfPixels, Ungated, VAST)
    about = describe(
        KINDS[type(network)],
        stage or path.parent.name,
        params,
        classes=CLASSES if trained else (),
        clip=clip,
        sizes=own,
    )
    save_weights(path, network.state_dict(), about.entry)

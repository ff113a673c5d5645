"""The trained networks, as a user's video is separated with them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchvision.models.detection import FasterRCNN

from avsep.errors import InputError
from avsep.scenes.separate import Networks
from avsep.training.checkpoints import load_into, load_weights, read_metadata
from models.ccol import CCoL
from models.clip import FrozenCLIP, build_clip
from models.detector import build_detector
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST

GROUNDED = ("colearning", "cyclic")
QUERIED = ("trimodal", "finetune")
CHECKPOINTS = Path("checkpoints")


def load_networks(
    *,
    resnet_width: int,
    unet: Mapping[str, Any],
    grounding: Mapping[str, Any],
    vast: tuple[int, int],
    clip: Mapping[str, Any],
    phrase: str,
    device: str,
    checkpoints: Path = CHECKPOINTS,
) -> Networks:
    """The best of each training stage, in eval mode. Raises InputError.

    `unet` and `grounding` are CCoL's keywords, `vast` the levels and channels of VAST's U-Net, `clip` build_clip's.
    """
    by_crop: dict[str, Any] = {"baseline": SoundOfPixels(resnet_width, **unet)}
    by_crop.update({system: CCoL(resnet_width, **unet, **grounding) for system in GROUNDED})
    by_query = {}
    for system in (*by_crop, *QUERIED):
        path = checkpoints / system / "best.safetensors"
        weights = load_weights(path)
        if system in QUERIED:
            by_query[system] = VAST(len(weights.get("captions", ())), *vast, clip["embedding"])
        network = by_query[system] if system in QUERIED else by_crop[system]
        load_into(network, weights, path)
        network.to(device).eval()
    teacher, path = FrozenCLIP(build_clip(**clip)), checkpoints / "pretrained/clip.safetensors"
    load_into(teacher.clip, load_weights(path), path)
    return Networks(by_crop, by_query, teacher.to(device), phrase)


def load_detector(
    path: Path = CHECKPOINTS / "pretrained/detector.safetensors", *, enlarge: float, device: str, **options: Any
) -> tuple[FasterRCNN, list[str]]:
    """The detector, in eval mode, and the classes of its labels 1, 2, ...; `options` are build_detector's.

    It sees pictures `enlarge` times as large as in training: of several players each is smaller than a soloist.
    Raises InputError.
    """
    classes: list[str] = json.loads(read_metadata(path, "classes"))
    detector = build_detector(classes=len(classes), **options)
    load_into(detector, load_weights(path), path)
    seen = detector.transform  # its sides alone: the anchors stay those that it has learned
    seen.min_size, seen.max_size = (round(enlarge * seen.min_size[0]),), round(enlarge * seen.max_size)
    return detector.to(device).eval(), classes


def read_gates(path: Path = Path("metrics/evaluate.json")) -> dict[str, float]:
    """The gates that stage evaluate has calibrated on validation, of each system that grounds. Raises InputError."""
    try:
        gates = json.loads(path.read_text(encoding="utf-8"))["gates"]
        return {system: float(gates[system]) for system in GROUNDED}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} tells no gates of {' and '.join(GROUNDED)} ({error!r}): run stage evaluate") from None

"""What a user's video is separated with beside the systems: the detector, and the gates."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torchvision.models.detection import FasterRCNN

from avsep.errors import InputError
from avsep.scoring.systems import GROUNDED
from avsep.training.checkpoints import load_into, load_weights, read_metadata
from models.detector import build_detector

DETECTOR = Path("checkpoints/pretrained/detector.safetensors")


def load_detector(
    path: Path = DETECTOR, *, enlarge: float, device: str, **options: Any
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


def read_gates(systems: Collection[str], path: Path = Path("metrics/evaluate.json")) -> dict[str, float]:
    """The gates that stage evaluate has calibrated, of those of `systems` that ground. Raises InputError."""
    grounded = [system for system in GROUNDED if system in systems]
    try:
        gates = json.loads(path.read_text(encoding="utf-8"))["gates"]
        return {system: float(gates[system]) for system in grounded}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} tells no gates of {' and '.join(grounded)} ({error!r}): run stage evaluate") from None

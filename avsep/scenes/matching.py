"""Which of the objects that were found is which of a scene's players."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from avsep.media.detections import whole_pixels
from avsep.scenes.files import BoxArray
from avsep.separating.tracks import Object, iou


def match(objects: Sequence[Object], players: BoxArray, overlap: float) -> dict[int, int]:
    """Which object is which player, whose boxes are (players, frames, 4): player -> object.

    By the highest sum of IoU, the mean over frames; a pair below `overlap` is none.
    """
    if not objects:
        return {}
    found = np.array([one.boxes for one in objects], dtype=np.float64)  # (objects, frames, 4)
    each = [iou(players[:, frame], found[:, frame]) for frame in range(players.shape[1])]
    mean = np.mean(each, axis=0)  # (players, objects)
    pairs = zip(*linear_sum_assignment(mean, maximize=True), strict=True)
    return {int(player): int(one) for player, one in pairs if mean[player, one] >= overlap}


def true_objects(players: BoxArray, width: int, height: int) -> list[Object]:
    """Players at their true boxes (players, frames, 4), as if each had been detected, as a class of its own."""
    frames = tuple(range(1, players.shape[1] + 1))
    whole = [tuple(whole_pixels(box, width, height) for box in boxes) for boxes in players.tolist()]
    return [Object(label, 1.0, boxes, frames) for label, boxes in enumerate(whole, start=1)]

"""Which objects are in a video: detections in each frame, linked over its frames.

Rows are those of avsep/media/detections.py, in which one thing may have boxes of several classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torchvision.ops import batched_nms, box_iou

from avsep.media.detections import SMALLEST_SIDE, Rows, whole_pixels
from avsep.media.frames import Box

SAME_CLASS = 0.5  # what one class in two frames is worth in linking, in IoU


@dataclass(frozen=True)
class Object:
    """A thing that was seen, at one place in every frame; where it was not seen, at that of the nearest where it was.

    `seen`: the frames, from 1.  `confidence`: its detections' sum over the number of all frames.
    """

    label: int
    confidence: float
    boxes: tuple[Box, ...]
    seen: tuple[int, ...]


def find_objects(
    rows: Rows, frames: int, width: int, height: int, *, nms: float, link: float, seen: float
) -> list[Object]:
    """The objects in a video of `frames` frames of `width` x `height` pixels, the surest first.

    Of two boxes in a frame that overlap (IoU) by more than `nms` the weaker one goes, whatever their classes.  Boxes of
    following frames that overlap by at least `link` are one object's, wherever it was seen last.  What is seen in less
    than the share `seen` of all frames is no object.
    """
    least = max(1, int(np.ceil(seen * frames)))
    tracks = [track for track in link_rows(strongest(rows, nms), link) if len(track) >= least]
    objects = [_object(np.array(track), frames, width, height) for track in tracks]
    return sorted(objects, key=lambda one: -one.confidence)


def strongest(rows: Rows, nms: float) -> Rows:
    """The rows without those that a stronger one in the same frame covers, and without boxes that are too narrow."""
    rows = rows[((rows[:, 5:] - rows[:, 3:5]) >= SMALLEST_SIDE).all(axis=1)]
    tensor = torch.from_numpy(rows)
    return rows[np.sort(batched_nms(tensor[:, 3:], tensor[:, 2], tensor[:, 0].long(), nms).numpy())]


def link_rows(rows: Rows, link: float) -> list[list[NDArray[np.float32]]]:
    """The rows of each object, frame after frame: the assignment of boxes to objects with the highest sum of IoU, in
    which boxes of one class go together rather than others."""
    tracks: list[list[NDArray[np.float32]]] = []
    for frame in np.unique(rows[:, 0]):
        own = rows[rows[:, 0] == frame]
        free = set(range(len(own)))
        if tracks:
            last = np.array([track[-1] for track in tracks])
            overlap = iou(last[:, 3:], own[:, 3:])  # (tracks, boxes)
            worth = np.where(overlap >= link, overlap + SAME_CLASS * (last[:, None, 1] == own[None, :, 1]), 0)
            for track, box in zip(*linear_sum_assignment(worth, maximize=True), strict=True):
                if worth[track, box] > 0:
                    tracks[track].append(own[box])
                    free.discard(int(box))
        tracks += [[own[box]] for box in sorted(free)]
    return tracks


def iou(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Overlap of boxes (N, 4) with boxes (M, 4): (N, M)."""
    return box_iou(torch.from_numpy(one.astype(np.float64)), torch.from_numpy(other.astype(np.float64))).numpy()


def _object(rows: Rows, frames: int, width: int, height: int) -> Object:
    """Of the rows of one thing. Its class is the one with the largest sum of confidences."""
    numbers, labels, confidences = rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2]
    label = int(np.argmax(np.bincount(labels, weights=confidences)))
    nearest = np.abs(np.arange(1, frames + 1)[:, None] - numbers).argmin(axis=1)  # (frames,)
    boxes = tuple(whole_pixels(box, width, height) for box in rows[nearest, 3:].tolist())
    return Object(label, float(confidences.sum() / frames), boxes, tuple(numbers.tolist()))

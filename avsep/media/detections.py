"""Detections of one video <-> .npy files: what was seen where in each frame.

A file holds float32 rows `frame, class, confidence, x1, y1, x2, y2` (N, 7), sorted by frame, then by falling
confidence.  Frames count from 1, as the pictures' file names do; classes from 1, as torchvision's detectors do
(0 is the background); a box is in pixels of the frame, x1 < x2, y1 < y2.  A frame without a detection has no row.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avsep.errors import InputError
from avsep.files.reading import reading
from avsep.files.whole import whole_file
from avsep.media.frames import Box

COLUMNS = ("frame", "class", "confidence", "x1", "y1", "x2", "y2")
SMALLEST_SIDE = 2  # pixels; a picture of a narrower box shows nothing

Rows = NDArray[np.float32]  # (N, 7)


class Detection(NamedTuple):
    label: int  # from 1
    confidence: float
    box: Box  # whole pixels within the picture


def write_detections(path: Path, rows: Rows) -> None:
    """Writes rows (N, 7), in any order, as `path`, whole or not at all; makes its folder."""
    order = np.lexsort((-rows[:, 2], rows[:, 0]))
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows[order].astype(np.float32, copy=False), allow_pickle=False)


def read_detections(path: Path, frames: int) -> Rows:
    """The rows (N, 7) of a video of `frames` frames.

    Raises InputError if the file is missing or in another format, or its frames are not this video's.
    """
    with reading(path, "array of detections", "run stage detect again"):
        rows = np.load(path, allow_pickle=False)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != len(COLUMNS):
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise InputError(f"{path} is {found}: detections are float32 rows of {', '.join(COLUMNS)}")
    if not np.isfinite(rows).all():
        raise InputError(f"{path} holds a value that is no finite number: run stage detect again")
    number, label, confidence, x1, y1, x2, y2 = rows.T
    if (number != np.round(number)).any() or (number < 1).any() or (number > frames).any():
        wrong = number[(number != np.round(number)) | (number < 1) | (number > frames)][0]
        raise InputError(f"{path} tells of frame {wrong:g}, the video has 1 to {frames}: is it another video's?")
    if (label != np.round(label)).any() or (label < 1).any():
        raise InputError(f"{path} holds a class that is no label from 1 on")
    if (confidence < 0).any() or (confidence > 1).any():
        raise InputError(f"{path} holds a confidence that is not between 0 and 1")
    if (x2 <= x1).any() or (y2 <= y1).any():
        raise InputError(f"{path} holds a box without an area: boxes are x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    return rows


def most_confident(rows: Rows, frame: int, width: int, height: int) -> Detection | None:
    """The most confident detection in a frame (from 1) of `width` x `height` pixels; None if there is none.

    A box is widened to whole pixels and clipped to the picture; one that keeps less than 2 pixels a side does
    not count.
    """
    seen = rows[rows[:, 0] == frame]
    for _, label, confidence, *corners in seen[np.argsort(-seen[:, 2], kind="stable")].tolist():
        x1, y1, x2, y2 = box = whole_pixels(corners, width, height)
        if x2 - x1 >= SMALLEST_SIDE and y2 - y1 >= SMALLEST_SIDE:
            return Detection(int(label), confidence, box)
    return None


def whole_pixels(box: Sequence[float], width: int, height: int) -> Box:
    """A box widened to whole pixels, and clipped to a picture of `width` x `height`."""
    x1, y1, x2, y2 = box
    return max(math.floor(x1), 0), max(math.floor(y1), 0), min(math.ceil(x2), width), min(math.ceil(y2), height)


def squared(box: Box, width: int, height: int) -> Box:
    """A box within a picture widened to a square, moved into the picture; the picture's short side is the limit.

    The networks see squares: of a long, narrow box they would see a short piece from its middle.
    """
    x1, y1, x2, y2 = box
    side = min(max(x2 - x1, y2 - y1), width, height)
    left = min(max((x1 + x2 - side) // 2, 0), width - side)
    top = min(max((y1 + y2 - side) // 2, 0), height - side)
    return left, top, left + side, top + side

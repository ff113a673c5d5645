"""Labelled stills of the demo's scenes: what its ResNet and its detector learn from instead of ImageNet and COCO.

Each still is a function of (seed, purpose, index), so that those of one purpose (training, held out) never come
again in another, and none is a frame of the pipeline's videos.  All have been through JPEG, as frames have.
"""

import io
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsep.demo.scene import render_still

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels

QUALITY = (40, 95)  # of the JPEGs, drawn evenly


class Still(NamedTuple):
    picture: NDArray[np.uint8]  # (H, W, 3)
    label: int  # index of the instrument's class
    box: Box  # of the instrument


class Views(NamedTuple):
    """One still as the networks of the pipeline meet it: squares of one size, and what they show."""

    whole: NDArray[np.uint8]  # (size, size, 3): of the picture's full height
    around: NDArray[np.uint8]  # between the two in size, around the instrument
    crop: NDArray[np.uint8]  # from the instrument's box, as wide as its short side
    label: int


def render_stills(
    purpose: str, count: int, *, seed: int, width: int, height: int, classes: Sequence[str]
) -> Iterator[Still]:
    """Renders `count` stills of `width` x `height` pixels with one instrument each, in parallel, in order."""
    return _parallel(_still, purpose, count, seed, width, height, tuple(classes))


def render_views(
    purpose: str, count: int, *, size: int, jitter: bool, seed: int, width: int, height: int, classes: Sequence[str]
) -> Iterator[Views]:
    """Renders `count` stills and gives their views, squares of `size` pixels, in parallel, in order.

    With `jitter` the squares are drawn at random and boxes are moved as a detector's are; else all are centred.
    """
    return _parallel(_views, purpose, count, seed, width, height, tuple(classes), size, jitter)


def _parallel(function, purpose: str, count: int, *arguments):  # type: ignore[no-untyped-def]
    calls = (joblib.delayed(function)(purpose, index, *arguments) for index in range(count))
    return joblib.Parallel(n_jobs=-1, return_as="generator")(calls)


def _still(purpose: str, index: int, seed: int, width: int, height: int, classes: Sequence[str]) -> Still:
    rng = np.random.default_rng([seed, zlib.crc32(purpose.encode()), index])
    picture, [(name, box)] = render_still(rng, width, height, classes)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(rng.integers(*QUALITY)))
    return Still(np.asarray(Image.open(file)), classes.index(name), box)


def _views(
    purpose: str, index: int, seed: int, width: int, height: int, classes: Sequence[str], size: int, jitter: bool
) -> Views:
    still = _still(purpose, index, seed, width, height, classes)
    rng = np.random.default_rng([seed, zlib.crc32(f"{purpose}: views".encode()), index]) if jitter else None
    frame = (0.0, 0.0, float(width), float(height))
    box = _moved(still.box, frame, rng)
    sides = min(box[2] - box[0], box[3] - box[1]), min(width, height)
    side = (sides[0] + sides[1]) / 2 if rng is None else rng.uniform(*sides)
    centre = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left = min(max(centre[0] - side / 2, 0.0), width - side)
    top = min(max(centre[1] - side / 2, 0.0), height - side)
    picture = Image.fromarray(still.picture)
    squares = [_square(frame, rng), (left, top, left + side, top + side), _square(box, rng)]
    views = [np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=square)) for square in squares]
    return Views(*views, still.label)


def _square(box: Box, rng: np.random.Generator | None) -> Box:
    """The square of a box's short side within it: at a random place, or in the middle."""
    x1, y1, x2, y2 = box
    side = min(x2 - x1, y2 - y1)
    along = 0.5 if rng is None else rng.random()
    left, top = x1 + along * (x2 - x1 - side), y1 + along * (y2 - y1 - side)
    return left, top, left + side, top + side


def _moved(box: Box, frame: Box, rng: np.random.Generator | None) -> Box:
    """The box with each side moved by up to a tenth of its length, within the frame."""
    if rng is None:
        return box
    x1, y1, x2, y2 = np.asarray(box) + rng.uniform(-0.1, 0.1, 4) * np.tile([box[2] - box[0], box[3] - box[1]], 2)
    return max(x1, frame[0]), max(y1, frame[1]), min(x2, frame[2]), min(y2, frame[3])

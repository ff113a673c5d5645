"""Labelled stills of the demo's scenes: what its ResNet and its detector learn from instead of ImageNet and COCO.

Each still is a function of (seed, purpose, index), so that those of one purpose (training, held out) never come
again in another, and none is a frame of the pipeline's videos.  All have been through JPEG, as frames have.
"""

import io
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsep.demo.scene import Corners, render_still
from avsep.media.detections import squared, whole_pixels
from avsep.media.frames import crop_and_resize
from avsep.parallel import spread

QUALITY = (40, 95)  # of the JPEGs, drawn evenly


class Still(NamedTuple):
    picture: NDArray[np.uint8]  # (H, W, 3)
    label: int  # index of the instrument's class
    box: Corners  # of the instrument


class Views(NamedTuple):
    """One still as the pipeline's networks meet it: three squares of one size, and what they show."""

    whole: NDArray[np.uint8]  # (size, size, 3): from the picture, its short side wide
    around: NDArray[np.uint8]  # of a size between the two others, around the instrument
    near: NDArray[np.uint8]  # the instrument's box, widened to a square
    label: int


def render_stills(
    purpose: str, count: int, *, seed: int, width: int, height: int, classes: Sequence[str]
) -> Iterator[Still]:
    """Renders `count` stills of `width` x `height` pixels with one instrument each, in parallel, in order."""
    work = partial(_still, purpose, seed=seed, width=width, height=height, classes=tuple(classes))
    return spread(work, range(count), desc=f"render {purpose}", unit="still")


def render_views(
    purpose: str,
    count: int,
    *,
    sizes: Sequence[int],
    jitter: bool,
    seed: int,
    width: int,
    height: int,
    classes: Sequence[str],
) -> Iterator[tuple[Views, ...]]:
    """Renders `count` stills and gives the views of each, squares of each of `sizes` pixels, in parallel, in order.

    With `jitter` the squares are drawn at random and boxes are moved as a detector's are; else all are centred.  All
    sizes show the same.
    """
    scene = dict(seed=seed, width=width, height=height, classes=tuple(classes))
    work = partial(_views, purpose, sizes=tuple(sizes), jitter=jitter, **scene)  # type: ignore[arg-type]
    return spread(work, range(count), desc=f"render {purpose}", unit="still")


def _still(purpose: str, index: int, seed: int, width: int, height: int, classes: Sequence[str]) -> Still:
    rng = np.random.default_rng([seed, zlib.crc32(purpose.encode()), index])
    picture, name, box = render_still(rng, width, height, classes)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(rng.integers(*QUALITY)))
    return Still(np.array(Image.open(file)), classes.index(name), box)


def _views(
    purpose: str,
    index: int,
    seed: int,
    width: int,
    height: int,
    classes: Sequence[str],
    sizes: Sequence[int],
    jitter: bool,
) -> tuple[Views, ...]:
    still = _still(purpose, index, seed, width, height, classes)
    rng = np.random.default_rng([seed, zlib.crc32(f"{purpose}: views".encode()), index])
    picture, short = Image.fromarray(still.picture), min(width, height)
    box = _moved(still.box, rng) if jitter else np.asarray(still.box)
    near = squared(whole_pixels(box.tolist(), width, height), width, height)
    side = near[2] - near[0]
    side = int(rng.integers(side, short, endpoint=True)) if jitter else (side + short) // 2
    left, top = (near[0] + near[2] - side) // 2, (near[1] + near[3] - side) // 2
    around = squared(whole_pixels((left, top, left + side, top + side), width, height), width, height)
    across, down = rng.random(2) if jitter else (0.5, 0.5)  # of the room that a square leaves in the whole picture
    return tuple(
        Views(
            crop_and_resize(picture, None, size, size, across, down),
            crop_and_resize(picture, around, size, size),
            crop_and_resize(picture, near, size, size),
            still.label,
        )
        for size in sizes
    )


def _moved(box: Corners, rng: np.random.Generator) -> NDArray[np.float64]:
    """The box with each side moved by up to 15 % of the box's length that way, as a detector's boxes are."""
    lengths = np.array([box[2] - box[0], box[3] - box[1]])
    return np.asarray(box) + rng.uniform(-0.15, 0.15, 4) * np.tile(lengths, 2)

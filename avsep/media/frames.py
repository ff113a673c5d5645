"""Pictures <-> arrays: a video's frames, cropped to their object and brought to what the networks see."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsep.errors import InputError

# of ImageNet's pictures, RGB in 0..1; both frame encoders start from networks that were trained so
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, ends excluded."""


def frame_path(folder: Path, number: int) -> Path:
    """Where frame `number` of a video lies; the first is 1."""
    return folder / f"{number:06d}.jpg"


def read_frame(folder: Path, number: int) -> Image.Image:
    """Frame `number` (from 1) of a video's folder, RGB. Raises InputError if it is missing or unreadable."""
    path = frame_path(folder, number)
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run stage extract again") from None
    except (OSError, Image.DecompressionBombError) as error:  # Pillow's own errors are OSErrors
        raise InputError(f"{path} is no picture that can be read ({error}): run stage extract again") from None


def crop_and_resize(
    picture: Image.Image,
    box: Box | None,
    resize: int,
    size: int,
    across: float = 0.5,
    down: float = 0.5,
    flip: bool = False,
) -> NDArray[np.uint8]:
    """The square (size, size, 3) that the networks see of an object.

    The picture is cropped to `box` (None: all of it), its short side comes to `resize` pixels (bicubic), and a
    square of `size` <= `resize` is cut at the fractions `across` and `down`, 0 to 1, of the room there is, then
    mirrored for `flip`.  Training draws these three once for a sample's frames; evaluation takes `resize` = `size`
    and the middle.  Fractions, since boxes differ: every frame gives a full square, with no bars.
    Raises ValueError for a box without an area within the picture (`detections.most_confident` gives none such).
    """
    if box is None:
        box = (0, 0, *picture.size)
    x1, y1, x2, y2 = box
    if x1 < 0 or y1 < 0 or x2 > picture.width or y2 > picture.height or x1 >= x2 or y1 >= y2:
        raise ValueError(f"box {box} has no area within a picture of {picture.width} x {picture.height}")
    if not size <= resize:
        raise ValueError(f"a crop of {size} out of {resize} pixels")
    cropped = picture.crop(box)
    # resizing and cutting in one step: a long, narrow box would grow to a huge picture in between
    side = min(cropped.size) * size / resize
    left, top = across * (cropped.width - side), down * (cropped.height - side)
    area = (left, top, min(left + side, cropped.width), min(top + side, cropped.height))
    square = np.asarray(cropped.resize((size, size), Image.Resampling.BICUBIC, box=area))
    return square[:, ::-1].copy() if flip else square


def normalise(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W) of ImageNet's mean 0 and deviation 1."""
    scaled = (pictures.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))  # (..., 3, H, W)

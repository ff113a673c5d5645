"""Pictures <-> arrays: a video's frames, cropped to their object and brought to what the networks see.

The frames of a video are one file, <id>.mp4.zip: an archive of 000001.jpg, 000002.jpg, ..., each as ffmpeg wrote it,
not compressed again.  So DVC hashes, stores and fetches one file a video and not one a picture, a picture is read from
anywhere in it, and `unzip` gives the published folder of pictures.  No name in an archive is trusted as a path: frames
are known by their numbers.
"""

import functools
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsep.errors import InputError
from avsep.files.reading import reading, refusing
from avsep.files.whole import whole_file

# of ImageNet's pictures, RGB in 0..1; both frame encoders start from networks that were trained so
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

ARCHIVE = ".zip"  # what a video's archive is called beyond the published name of its folder of frames
MOST_PIXELS = 1 << 26  # of a picture: 200 MB
MOST_BYTES = 1 << 28  # of a picture's file
OPEN = 32  # archives that a process keeps open: a sample reads neighbouring frames of a few videos

Numbers = TypeVar("Numbers", int, Any)  # of frames: an int, an array or a tensor

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, ends excluded."""


def frame_name(number: int) -> str:
    """What frame `number` of a video is called; the first is 1."""
    return f"{number:06d}.jpg"


def kept_frame(frame: Numbers, step: int) -> Numbers:
    """Which frame of an archive shows `frame`, where one of `step` frames is seen: one in the middle of its time."""
    return (frame - 1) * step + (step + 1) // 2


def pack(folder: Path, path: Path, decode: bool = False) -> int:
    """Writes the pictures 000001.jpg, ... of a folder as the archive `path`, whole or not at all; makes its folder.

    The same pictures give the same bytes, whenever and wherever.  Other files of the folder are left out.  Returns the
    number of frames.  Raises InputError if there are none, their numbers have a gap, or one is no JPEG or, with
    `decode`, a damaged one.
    """
    names = sorted(file.name for file in folder.glob("*.jpg"))
    _check_numbers(names, str(folder))
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            with reading(folder / name, "picture", most=MOST_BYTES):
                content = (folder / name).read_bytes()
            if not content.startswith(b"\xff\xd8"):
                raise InputError(f"{folder / name} is no JPEG picture")
            if decode:
                _decoded(content, folder / name)
            member = zipfile.ZipInfo(name)  # of 1980, whatever the clock says
            member.create_system, member.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is made
            archive.writestr(member, content)
    return len(names)


def count_frames(path: Path) -> int:
    """The number of a video's frames. Raises InputError if its archive is none, or they are not numbered from 1 on."""
    names = sorted(_archive(path).namelist())
    _check_numbers(names, str(path))
    return len(names)


def unpack(path: Path, folder: Path) -> int:
    """Writes the frames of the archive `path` as `folder`/000001.jpg, ..., as published. Returns their number.

    `folder` must not be there yet.  Raises InputError for an archive that is none, or damaged.
    """
    count = count_frames(path)
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / frame_name(number)).write_bytes(read_jpeg(path, number))
    return count


def _check_numbers(names: Sequence[str], where: str) -> None:
    if not names:
        raise InputError(f"{where} holds no frames {frame_name(1)}, {frame_name(2)}, ...")
    for number, name in enumerate(names, start=1):
        if name != frame_name(number):
            raise InputError(f"{where} holds {name!r} in place of {frame_name(number)}: frames are numbered from 1 on")


def read_jpeg(path: Path, number: int) -> bytes:
    """Frame `number` (from 1) of a video's archive, as it is stored. Raises InputError if it is missing or damaged."""
    archive = _archive(path)
    try:
        member = archive.getinfo(frame_name(number))
        # what is compressed might unfold to any size; what is stored cannot be larger than the file
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
            raise InputError(f"{path}: {member.filename} is not stored as it is: run stage extract again")
    except KeyError:
        raise InputError(f"{path} holds no {frame_name(number)}: run stage extract again") from None
    with refusing(f"{path}: {frame_name(number)} is damaged", "run stage extract again"):
        return archive.read(member)


def _archive(path: Path) -> zipfile.ZipFile:
    """A video's archive, open: reading its list of frames anew would take as long as a picture's decoding."""
    with reading(path, "archive of frames", "run stage extract again"):
        status = path.stat()
        return _open(path, (status.st_ino, status.st_size, status.st_mtime_ns), os.getpid())


@functools.lru_cache(OPEN)
def _open(path: Path, state: tuple[int, int, int], process: int) -> zipfile.ZipFile:
    """`state` tells a file from one that took its place, `process` a worker's files from those of the process that it
    was forked from: both would move one position in the file."""
    return zipfile.ZipFile(path)


def read_frame(path: Path, number: int) -> Image.Image:
    """Frame `number` (from 1) of a video's archive, RGB. Raises InputError if it is missing or unreadable."""
    try:
        return _decoded(read_jpeg(path, number), Path(frame_name(number)))
    except _Undecodable as error:
        raise InputError(f"{path}: {error}: run stage extract again") from None


class _Undecodable(InputError):
    pass


def _decoded(content: bytes, name: Path) -> Image.Image:
    try:
        return decode(content, name)
    except InputError as error:
        raise _Undecodable(str(error)) from None


def decode(content: bytes, name: Path, hint: str = "") -> Image.Image:
    """A JPEG picture, RGB. Raises InputError, with its `name`, for what is none.

    No other format is tried, whatever the bytes say: Pillow would hand a program in PostScript to an interpreter.
    """
    with (
        refusing(f"{name} is no picture that can be read", hint),
        Image.open(io.BytesIO(content), formats=["JPEG"]) as picture,
    ):
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels, and {MOST_PIXELS:,} are read at most")
        return picture.convert("RGB")


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

"""The index: which videos there are, as CSV files without a header (docs/ccol.md: Files).

A list of videos has rows `AUDIO,FRAMES,NUMBER_OF_FRAMES`, a list of mixtures rows of four audio paths: A, B, C, D.
A path is `/<class>/<id>.wav` below data/audio, or the same written from outside, `./data/audio/<class>/<id>.wav`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.names import is_number
from avsep.files.paths import inside
from avsep.files.reading import read_rows
from avsep.files.whole import write_rows
from avsep.media.frames import ARCHIVE, count_frames

# The objects of a mixture (docs/ccol.md): A and C are heard, B and D are only seen.
OBJECTS = ("A", "B", "C", "D")
SOUNDING = ("A", "C")
SILENT = ("B", "D")
PAIRS = (("A", "B"), ("C", "D"))  # the grounding gates decide which of a pair explains its sound


@dataclass(frozen=True, order=True)
class Video:
    """A video of one class, the sound and pictures of which have been extracted."""

    category: str
    id: str  # unique in its class
    audio: Path  # sound file
    frames: Path  # archive of 000001.jpg, ..., see avsep.media.frames
    detections: Path  # .npy file; it may be missing
    frame_count: int

    @property
    def name(self) -> str:
        """`<class>/<id>`: unique."""
        return f"{self.category}/{self.id}"


class Mixture(NamedTuple):
    """Four videos of four classes: the sounds of `a` and `c` are mixed, `b` and `d` are seen and silent."""

    a: Video
    b: Video
    c: Video
    d: Video


def video(root: Path, category: str, name: str, frame_count: int) -> Video:
    """The video `<class>/<id>` in the folders that extract and detect write below `root`."""
    return _video(root / "audio" / category / f"{name}.wav", root / "frames" / category / f"{name}.mp4", frame_count)


def _video(audio: Path, listed: Path, frame_count: int) -> Video:
    """A video by its sound and the published name of its frames, data/frames/<class>/<id>.mp4."""
    frames = listed.with_name(listed.name + ARCHIVE)
    detections = listed.parents[2] / "detection_results" / listed.parent.name / f"{listed.name}.npy"
    return Video(listed.parent.name, listed.stem, audio, frames, detections, frame_count)


def read_index(path: Path, root: Path = Path("data")) -> list[Video]:
    """The videos of a list, in its order.

    Raises InputError, naming file and line, for a row of another form, a path that leads elsewhere, a file that
    is missing, or a video that is listed twice.
    """
    videos: list[Video] = []
    listed: dict[str, str] = {}
    for where, row in _rows(path):
        if len(row) != 3:
            raise InputError(f"{where}: {len(row)} fields, not AUDIO,FRAMES,NUMBER_OF_FRAMES")
        audio, frames = _path(root, "audio", row[0], where), _path(root, "frames", row[1], where)
        if not is_number(row[2]) or int(row[2]) < 1:
            raise InputError(f"{where}: {row[2]!r} is no number of frames")
        found = _video(audio, frames, int(row[2]))
        if (audio.parent.name, audio.stem) != (found.category, found.id):
            raise InputError(f"{where}: the sound {row[0]} and the frames {row[1]} are not of one video")
        if found.name in listed:
            raise InputError(f"{where}: {found.name} is listed already at {listed[found.name]}")
        listed[found.name] = where
        if not audio.is_file():
            raise InputError(f"{where}: {audio} is missing")
        try:
            count = count_frames(found.frames)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        if count < found.frame_count:
            raise InputError(f"{where}: {found.frames} holds {count} frames, not {found.frame_count}")
        videos.append(found)
    return videos


def listed_classes(path: Path, root: Path = Path("data")) -> list[str]:
    """The classes of a list of videos, sorted, whether their files are there or not. Raises InputError."""
    return sorted({_path(root, "audio", row[0], where).parent.name for where, row in _rows(path)})


def write_index(path: Path, videos: Iterable[Video]) -> None:
    """Writes a list of videos, whole or not at all."""
    write_rows(path, [(_below(v.audio), _below(v.frames).removesuffix(ARCHIVE), str(v.frame_count)) for v in videos])


def read_mixtures(path: Path, videos: Iterable[Video], root: Path = Path("data")) -> list[Mixture]:
    """The mixtures of a list, in its order, of videos that `videos` holds.

    Raises InputError, naming file and line, for a row of another form, a video that is not among `videos`, or
    a class that occurs twice in a row.
    """
    known = {video.audio: video for video in videos}
    mixtures = []
    for where, row in _rows(path):
        if len(row) != 4:
            raise InputError(f"{where}: {len(row)} fields, not the four sounds A,B,C,D")
        paths = [_path(root, "audio", field, where) for field in row]
        if unknown := [field for field, audio in zip(row, paths, strict=True) if audio not in known]:
            raise InputError(f"{where}: {unknown[0]} is no video of this split")
        mixture = Mixture(*(known[audio] for audio in paths))
        if len({video.category for video in mixture}) < 4:
            classes = ", ".join(video.category for video in mixture)
            raise InputError(f"{where}: {classes}: a mixture needs four different classes")
        mixtures.append(mixture)
    return mixtures


def write_mixtures(path: Path, mixtures: Iterable[Mixture]) -> None:
    """Writes a list of mixtures, whole or not at all."""
    write_rows(path, [tuple(_below(video.audio) for video in mixture) for mixture in mixtures])


def _below(path: Path) -> str:
    return f"/{path.parent.name}/{path.name}"


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each row stands, and its fields without the blanks around them. Raises InputError if there is none."""
    read = read_rows(path, "list", "run stage index again", skipinitialspace=True)
    rows = [(number, row) for number, row in enumerate(read, start=1) if row]
    if not rows:
        raise InputError(f"{path} has no rows: run stage index again")
    for number, row in rows:
        yield f"{path} line {number}", [field.strip() for field in row]


def _path(root: Path, kind: str, field: str, where: str) -> Path:
    """`/<class>/<file>` or `./data/<kind>/<class>/<file>` -> `root`/<kind>/<class>/<file>."""
    relative = field.removeprefix("./").removeprefix(f"{root.name}/{kind}/").removeprefix("/")
    if relative.count("/") != 1:
        raise InputError(f"{where}: {field!r} is no path of the form /<class>/<file> or ./{root.name}/{kind}/...")
    return inside(root / kind, relative, where)

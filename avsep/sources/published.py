"""The published lists: which videos train, validate and test, and the test mixtures, in files without a header.

    train.csv, val.csv, test.csv   AUDIO,FRAMES,NUMBER_OF_FRAMES, in either published form (docs/ccol.md: Files)
    test_sep.csv                   four sounds a row: A,B,C,D

A video is known by its class's folder and its file's name without the suffix, so that a list may say .mp3 of what lies
there as .wav.  Other lists of mixtures, CCoL's train_sep.csv and val_sep.csv of three sounds a row, are not read.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.names import is_number, printable
from avsep.files.reading import read_rows
from avsep.files.whole import whole_folder
from avsep.sources.manifest import VIDEOS

SPLITS = ("train", "val", "test")
MIXTURES = "test_sep"
LISTS = VIDEOS / "lists"  # where stage videos keeps them, if they are the splits
FILES = [f"{name}.csv" for name in (*SPLITS, MIXTURES)]

Key = tuple[str, str]
"""A video as lists name it: its class's folder, and its file's name without the suffix."""


class Listed(NamedTuple):
    """A row of a list of videos."""

    line: int  # from 1
    key: Key
    frames: str  # how many the list says there are


class Mixed(NamedTuple):
    """A row of a list of mixtures."""

    line: int
    keys: tuple[Key, ...]  # A, B, C, D


class Lists(NamedTuple):
    videos: dict[str, list[Listed]]  # by split
    mixtures: list[Mixed]  # of test's videos

    def keys(self) -> set[Key]:
        return {row.key for rows in self.videos.values() for row in rows}


def shown(key: Key) -> str:
    """`<class>/<id>` as the list has it, on one line."""
    return printable("/".join(key))


def find_lists(folder: Path, where: str) -> Path:
    """Where the four lists lie, the folder itself or its index/. Raises InputError, beginning with `where`."""
    there = {place: [name for name in FILES if (place / name).is_file()] for place in (folder, folder / "index")}
    holding = [place for place, names in there.items() if names]
    if len(holding) == 2:
        raise InputError(
            f"{where}: lists lie both in it ({there[holding[0]][0]}) and in its index/ ({there[holding[1]][0]}):"
            " index.lists published takes those of one place, move the others elsewhere"
        )
    lacking = [name for name in FILES if not holding or name not in there[holding[0]]]
    if lacking:
        raise InputError(
            f"{where}: it has no {', '.join(lacking)}: index.lists published needs {', '.join(FILES)}, all in it or"
            " all in its index/"
        )
    return holding[0]


def keep_lists(place: Path, kept: Path) -> None:
    """Copies the four lists as they are, for later stages to read."""
    with whole_folder(kept) as folder:
        for name in FILES:
            shutil.copyfile(place / name, folder / name)


def read_lists(place: Path) -> Lists:
    """The four lists. Raises InputError, naming file and line, for a row of another form, a video that a list names
    twice, or a mixture that is not of four classes or of a video that test.csv does not name."""
    videos = {split: _read_videos(place / f"{split}.csv") for split in SPLITS}
    tested = {row.key for row in videos["test"]}
    path = place / f"{MIXTURES}.csv"
    mixtures = []
    for line, fields in rows(path):
        where = f"{path} line {line}"
        if len(fields) != 4:
            raise InputError(f"{where}: {len(fields)} fields, not the four sounds A,B,C,D")
        keys = tuple(key_of("audio", field, where) for field in fields)
        for key in keys:
            if key not in tested:
                raise InputError(f"{where}: {shown(key)} is no video of test.csv")
        if len({category for category, _ in keys}) < 4:
            classes = printable(", ".join(category for category, _ in keys))
            raise InputError(f"{where}: {classes}: a mixture needs four different classes")
        mixtures.append(Mixed(line, keys))
    for name, held in {**videos, MIXTURES: mixtures}.items():
        if not held:
            raise InputError(f"{place / name}.csv has no rows")
    return Lists(videos, mixtures)


def read_videos(path: Path) -> Iterator[Listed]:
    """The rows of a list of videos. Raises InputError, naming file and line, for one of another form."""
    for line, fields in rows(path):
        where = f"{path} line {line}"
        if len(fields) != 3:
            raise InputError(f"{where}: {len(fields)} fields, not AUDIO,FRAMES,NUMBER_OF_FRAMES")
        sound, frames = key_of("audio", fields[0], where), key_of("frames", fields[1], where)
        if sound != frames:
            raise InputError(f"{where}: the sound {fields[0]} and the frames {fields[1]} are not of one video")
        yield Listed(line, sound, fields[2])


def _read_videos(path: Path) -> list[Listed]:
    found: dict[Key, Listed] = {}
    for row in read_videos(path):
        if not is_number(row.frames):
            raise InputError(f"{path} line {row.line}: {row.frames!r} is no number of frames")
        if row.key in found:
            raise InputError(
                f"{path} line {row.line}: {shown(row.key)} is listed already at line {found[row.key].line}"
            )
        found[row.key] = row
    return list(found.values())


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row's line, and its fields without the blanks around them. Raises InputError."""
    for line, row in enumerate(read_rows(path, "list", skipinitialspace=True), start=1):
        if row:
            yield line, [field.strip() for field in row]


def key_of(kind: str, field: str, where: str) -> Key:
    """`/<class>/<file>` or `./data/<kind>/<class>/<file>` -> class and stem. Raises InputError."""
    parts = field.removeprefix("./").removeprefix(f"data/{kind}/").removeprefix("/").split("/")
    if len(parts) != 2 or not all(parts):
        raise InputError(f"{where}: {field!r} is no path of the form /<class>/<file> or ./data/{kind}/<class>/<file>")
    return parts[0], Path(parts[1]).stem

"""Leaks: videos that two of train, val and test share, so that figures are of what was trained on or chosen by.

A split that is drawn here has none.  Published lists may, if params allow it: then data/index/leaks.csv names them, and
each stage that gives figures says so.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.reading import read_rows
from avsep.files.whole import write_rows

LEAKS = Path("data/index/leaks.csv")
HEADER = ["list", "video", "other_list", "other_video"]
TOGETHER = (("train", "val"), ("train", "test"), ("val", "test"))
NAMED = 3  # videos that a sentence names


class Leak(NamedTuple):
    """A video of one list that is in another one too: by its name, or, under another name, by its sound."""

    part: str
    video: str  # <class>/<id>
    other_part: str
    other_video: str


def write_leaks(path: Path, leaks: Iterable[Leak]) -> None:
    write_rows(path, [HEADER, *leaks])


def read_leaks(path: Path = LEAKS) -> list[Leak]:
    """The leaks; none without the file, which indexes of earlier versions lack: they were all disjoint.

    Raises InputError.
    """
    if not path.exists():
        return []
    again = "run stage index again"
    header, *rows = read_rows(path, "table of leaks", again) or [[]]
    if header != HEADER or any(len(row) != len(HEADER) for row in rows):
        raise InputError(f"{path} is no table of leaks (other columns): {again}")
    return [Leak(*row) for row in rows]


def counts(leaks: Sequence[Leak]) -> dict[str, int]:
    """How many videos each two of the lists share: `{"train_val": 0, "train_test": 2, "val_test": 24}`."""
    return {f"{first}_{second}": len(_between(leaks, first, second)) for first, second in TOGETHER}


def sentences(leaks: Sequence[Leak], named: int | None = NAMED) -> list[str]:
    """A sentence on each two lists that share videos, with the first `named` of these; None: with all."""
    told = []
    for first, second in TOGETHER:
        shared = _between(leaks, first, second)
        same = [leak.video for leak in shared if leak.video == leak.other_video]
        alike = [f"{leak.video} as {leak.other_video}" for leak in shared if leak.video != leak.other_video]
        if same:
            what = "1 video is" if len(same) == 1 else f"{len(same)} videos are"
            told.append(f"{what} in both {first} and {second}: {_first(same, named)}")
        if alike:
            what = f"1 video of {second} is" if len(alike) == 1 else f"{len(alike)} videos of {second} are"
            told.append(f"{what} the same recording as one of {first}: {_first(alike, named)}")
    return told


def tell_leaks(leaks: Sequence[Leak]) -> None:
    """Warns, a line for each two lists that share videos."""
    for sentence in sentences(leaks):
        logging.warning("LEAK: %s (%s)", sentence, LEAKS)


def _between(leaks: Iterable[Leak], first: str, second: str) -> list[Leak]:
    return [leak for leak in leaks if {leak.part, leak.other_part} == {first, second}]


def _first(names: Sequence[str], named: int | None) -> str:
    shown = ", ".join(names[:named])
    return shown if named is None or len(names) <= named else f"{shown} and {len(names) - named} more"

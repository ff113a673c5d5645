"""data/survey.csv: what DVC watches of `videos.path`, which is just what stage videos reads of it.

DVC would walk the folder in ways of its own: past links to folders, into pipes, and not at all where a name is no
UTF-8.  So stage survey lists the folder, by the functions that stage videos takes its videos from, and DVC watches the
list: a line for each thing that is read, with a hash of its bytes, and one for each kind of what is ignored, with their
number.  The demo's videos are made from code, which DVC watches itself.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.ledgers import digest
from avsep.files.names import printable
from avsep.files.paths import quoted
from avsep.files.whole import write_rows
from avsep.sources import folder, imported, published
from avsep.sources.lists import files_of
from avsep.sources.manifest import VIDEOS

SURVEY = Path("data/survey.csv")
HEADER = ["kind", "name", "sha256"]
DOWNLOADS = Path("data/downloads")
# What stages remove files from, be they a user's or not.
OWN = (VIDEOS, DOWNLOADS, Path("data/audio"), Path("data/frames"), Path("data/detection_results"))
HINTS = {
    "ids": "give a list of ids, or a folder of lists",
    "folder": "give your folder of <class>/<video>",
    "imported": "give a folder of audio/, frames/ and, if there are any, detection_results/",
}

Kind = Literal["video", "list", "detections", "ignored"]


class Watched(NamedTuple):
    """A thing that is read, or a kind of things that are not."""

    kind: Kind
    name: str  # below the folder
    made_of: tuple[Path, ...]  # files and folders; of what is ignored none


def watched(source: str, path: Path, by_lists: bool) -> list[Watched]:
    """What stage videos reads of `videos.path`, and what it ignores there. `by_lists`: as param index.lists says.

    Raises InputError that tells all that is wrong with the folder.
    """
    where = refuse_no_place(source, path)
    if source == "ids":
        return [Watched("list", quoted(file.name), (file,)) for file in files_of(path, where)]
    if source == "folder":
        own = folder.survey(path, where)
        refuse_own((one.path.parent for one in own.sources), where)
        kinds = [Watched("ignored", f"{number} {kind}", ()) for kind, number in sorted(own.ignored.items())]
        return [Watched("video", one.file, (one.path,)) for one in own.sources] + kinds
    place = published.find_lists(path, where) if by_lists else None
    found = imported.survey(path, where, None if place is None else published.read_lists(place).keys())
    refuse_own((part for one in found.sources for part in (one.sound.parent, one.frames.parent)), where)
    lists = imported.lists_of(path) if place is None else [place / name for name in published.FILES]
    things = [Watched("list", quoted(file.relative_to(path).as_posix()), (file,)) for file in lists]
    for one in found.sources:
        name = quoted(one.sound.relative_to(path).as_posix())
        things.append(Watched("video", name, (one.sound, one.frames)))
        if one.detections is not None:
            things.append(Watched("detections", name, (one.detections,)))
    return [*things, Watched("ignored", f"{found.ignored} sounds or frames alone", ())]


def row_of(thing: Watched, hashes: Hashes) -> list[str]:
    """The line of a thing. Raises InputError if it cannot be read."""
    try:
        return [thing.kind, thing.name, digest(thing.made_of, hashes) if thing.made_of else ""]
    except OSError as error:
        raise InputError(f"{printable(str(thing.made_of[0]))} cannot be read: {error.strerror}") from None


def write_survey(path: Path, rows: Iterable[list[str]]) -> None:
    write_rows(path, [HEADER, *rows])


def count_kinds(path: Path) -> dict[str, int]:
    """How many lines of each kind a survey has. Raises InputError."""
    try:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True)
        if header != HEADER:
            raise ValueError("other columns")
        return dict(sorted(Counter(kind for kind, _, _ in rows).items()))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is no survey ({error}): remove it, and run stage survey again") from None


def refuse_no_place(source: str, path: Path) -> str:
    """How a fault of `videos.path` begins. Raises InputError if there is nothing, or what is not the user's own."""
    where = f"videos.path is {path}"
    if not (path.exists() if source == "ids" else path.is_dir()):
        raise InputError(f"{where}: no such {'file' if source == 'ids' else 'folder'}; {HINTS[source]}")
    refuse_own([path], where)
    return where


def refuse_own(paths: Iterable[Path], where: str) -> None:
    """Raises InputError, beginning with `where`, for a path that is, holds or lies in what the pipeline removes."""
    owned = [(own, own.resolve()) for own in OWN]
    for given in {path.resolve() for path in set(paths)}:
        for own, there in owned:
            if given.is_relative_to(there) or there.is_relative_to(given):
                raise InputError(f"{where}: {own} is the pipeline's own; keep yours elsewhere")

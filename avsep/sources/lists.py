"""Published lists of videos -> which ids there are of which class, and which parts of them are solos.

Forms, one file or a folder of several:

    {"version": 1.0, "videos": {"<class>": ["<id>", ...], ...}}   MUSIC and MUSIC-21; MUSIC's duets
    {"<Class>": ["<id>", ...], ...}                               SOLOS's ids; or a list of your own
    {"<Class>": {"<id>": [[from, to], ...], ...}, ...}            SOLOS's timestamps, in frames of 25 a second
    class,id or class,id,from,to                                  CSV, with or without this first line; seconds
    id,start,label,train|test                                     VGGSound's CSV: 10 s of each video, a label each

AVE's and AudioSet's are refused by their names: what they lack is said there.

Lists are put together: an id that one of them has parts of is used in those alone, and `DoubleBass` and `double_bass`
are one class.  MUSIC's duets, `flute violin`, are left out and counted: a video of the pipeline has one instrument, in
sight and in its sound, for nothing else tells what the parts of a mixture are.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from avsep.errors import InputError
from avsep.files.ledgers import Item
from avsep.files.names import MOST_DIGITS, printable, refuse_few, safe_classes
from avsep.files.reading import read_json, read_rows, read_text, refusing
from avsep.sources.manifest import Span

ID = re.compile("[A-Za-z0-9_-]{11}")
TIMESTAMPS_FPS = 25  # SOLOS counts its parts in frames of its videos, which all were brought to this rate
COLUMNS = ["class", "id", "from", "to"]
VGGSOUND_SECONDS = 10.0  # of each video

Parts = tuple[Span, ...] | None
"""Seconds of a video; None: all of it; (): nothing."""


class Entry(NamedTuple):
    """One id as a list has it."""

    category: str
    id: str
    parts: Parts
    where: str


class Listed(NamedTuple):
    """What the lists say together."""

    videos: dict[Item, Parts]  # sorted
    unusable: dict[Item, str]  # ids that are not to be asked for, and why
    duets: int

    @property
    def total(self) -> int:
        """How many ids there are, duets not among them."""
        return len(self.videos) + len(self.unusable)


def read_lists(path: Path, where: str) -> Listed:
    """The ids of a list, or of all lists in a folder. Raises InputError, beginning with `where`."""
    files = files_of(path, where)
    entries: list[Entry] = []
    duets = 0
    for file in files:
        found, more = read_list(file)
        entries += found
        duets += more
    if duets and not entries:
        raise InputError(f"{where}: it lists duets alone; a video has one instrument here: give lists of solos")
    classes = safe_classes(sorted({snake(entry.category) for entry in entries}), where)
    merged: dict[Item, Parts] = {}
    for entry in entries:
        item = classes[snake(entry.category)], entry.id
        known = merged.get(item)
        if known is not None and entry.parts is not None and known != entry.parts:
            raise InputError(f"{entry.where}: another list has other parts of it")
        merged[item] = known if entry.parts is None else entry.parts
    refuse_few(Counter(category for category, _ in merged), classes.values(), where, "add ids, or take the class out")
    of: dict[str, list[str]] = {}
    for category, name in merged:
        of.setdefault(name, []).append(category)
    unusable = {item: "no part of it is a solo" for item, parts in merged.items() if parts == ()}
    for name, categories in of.items():
        if len(categories) > 1:
            told = ", ".join(sorted(categories))
            unusable.update({(category, name): f"listed under several classes: {told}" for category in categories})
    videos = {item: merged[item] for item in sorted(merged) if item not in unusable}
    return Listed(videos, dict(sorted(unusable.items())), duets)


def files_of(path: Path, where: str) -> list[Path]:
    """A list, or all lists in a folder. Raises InputError, beginning with `where`, for a folder without one."""
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".json", ".csv") and p.is_file())
    if not files:
        raise InputError(f"{where}: it holds no list, .json or .csv")
    return files


def read_list(path: Path) -> tuple[list[Entry], int]:
    """The ids of one file, and how many duets it has beside them. Raises InputError, naming file and place."""
    text = read_text(path, "list")
    with refusing(f"{path} is no list that can be read"):
        refuse_others(path, text)
        vggsound = path.suffix.lower() == ".csv" and _is_vggsound(text)
    if path.suffix.lower() == ".csv":
        return list(_vggsound(path) if vggsound else _rows(path)), 0
    values = read_json(path, what="list", object_pairs_hook=_once)
    published = isinstance(values, dict) and isinstance(values.get("videos"), dict)
    classes = values["videos"] if published else values
    if not isinstance(classes, dict):
        raise InputError(f"{path} is no list: JSON of the form {{class: [ids]}} is needed")
    entries: list[Entry] = []
    duets = 0
    for category, ids in classes.items():
        if not isinstance(ids, list | dict):
            raise InputError(f"{path}, class {printable(category)}: neither a list of ids nor ids with their parts")
        if published and " " in category:  # in MUSIC's lists a blank stands between two instruments alone
            duets += len(ids)
        else:
            entries += _entries(path, category, ids)
    return entries, duets


def snake(name: str) -> str:
    """`DoubleBass`, `double bass` -> `double_bass`: one class, however a list writes it."""
    return re.sub(r"\s+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())).lower()


def _entries(path: Path, category: str, ids: Any) -> Iterator[Entry]:
    where = f"{path}, class {printable(category)}"
    for name in ids:
        spans = ids[name] if isinstance(ids, dict) else None
        parts = None if spans is None else tuple(_frames(span, f"{where}, {name}") for span in _list(spans, where))
        yield Entry(category, _checked(name, where), _in_order(parts, f"{where}, {name}"), f"{where}, {name}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that is there twice the first value would be lost. Raises ValueError for one."""
    values = dict(pairs)
    if len(values) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{key!r} stands there twice")
    return values


def _frames(span: Any, where: str) -> Span:
    """[from, to] in frames -> seconds."""
    match span:
        case [int() as start, int() as end] if 0 <= start < end < 10**MOST_DIGITS:
            return start / TIMESTAMPS_FPS, end / TIMESTAMPS_FPS
    raise InputError(f"{where}: {span!r} is no part [from, to] in frames")


def _list(values: Any, where: str) -> list[Any]:
    if not isinstance(values, list):
        raise InputError(f"{where}: {values!r} is no list of parts")
    return values


def _rows(path: Path) -> Iterator[Entry]:
    """The ids of a CSV file; several rows of one id are its parts."""
    parts: dict[Item, list[Span]] = {}
    for number, row in enumerate(read_rows(path, "list", skipinitialspace=True), start=1):
        fields = [field.strip() for field in row]
        if not any(fields) or (number == 1 and fields in (COLUMNS[:2], COLUMNS)):
            continue
        where = f"{path} line {number}"
        if len(fields) not in (2, 4) or not fields[0]:
            raise InputError(f"{where}: {len(fields)} fields, neither class,id nor class,id,from,to")
        item = fields[0], _checked(fields[1], where)
        spans = parts.setdefault(item, [])
        if len(fields) == 4:
            try:
                spans.append((float(fields[2]), float(fields[3])))
            except ValueError:
                raise InputError(f"{where}: {fields[2]}, {fields[3]} are no seconds") from None
    for (category, name), spans in parts.items():
        where = f"{path}, {name}"
        yield Entry(category, name, _in_order(tuple(sorted(spans)) or None, where), where)


def refuse_others(path: Path, text: str) -> None:
    """Raises InputError for lists of data sets that say too little to be downloaded by."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.startswith("Category&VideoID"):
        raise InputError(
            f"{path} is AVE's list: its seconds are of clips of 10 s, and it does not say where these lie in the"
            " videos; take AVE's own video files, sorted into a folder for each class, with videos.source folder"
        )
    if re.match(r"# *(Segments csv|YTID)", first) or re.search(
        r'^[\w-]{11}, *[\d.]+, *[\d.]+, *"?/[mgt]/', text, re.MULTILINE
    ):
        raise InputError(
            f"{path} is AudioSet's list: its labels are codes, such as /m/09x0r, several to a segment, and say not what"
            " is seen; choose classes, and write class,id,from,to for the segments that have one of them"
        )


def _is_vggsound(text: str) -> bool:
    first = next(csv.reader(text.splitlines(), skipinitialspace=True), [])
    return (
        len(first) == 4 and first[1].isdigit() and first[3] in ("train", "test") and ID.fullmatch(first[0]) is not None
    )


def _vggsound(path: Path) -> Iterator[Entry]:
    """id, second at which 10 s begin, label, split; the split is not ours: splits are drawn here."""
    for number, row in enumerate(read_rows(path, "list", skipinitialspace=True), start=1):
        if not row:
            continue
        where = f"{path} line {number}"
        if len(row) != 4 or not row[1].isdigit() or not row[2].strip():
            raise InputError(f"{where}: no row id,start,label,split of VGGSound's, as the first one is")
        start = float(row[1])
        yield Entry(row[2], _checked(row[0], where), ((start, start + VGGSOUND_SECONDS),), f"{where}, {row[0]}")


def _in_order(parts: Parts, where: str) -> Parts:
    edges = [edge for part in parts or () for edge in part]
    if edges != sorted(edges) or any(not 0 <= start < end < math.inf for start, end in parts or ()):
        raise InputError(f"{where}: its parts overlap, are out of order, or hold nothing")
    return parts


def _checked(name: Any, where: str) -> str:
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise InputError(f"{where}: {name!r} is no id: 11 letters, digits, - or _")
    return name

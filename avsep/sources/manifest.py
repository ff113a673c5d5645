"""data/videos/manifest.csv: which videos there are, and what each of them is made from.

`file` is a path below the folder that holds the videos: data/videos for what was rendered or downloaded, the user's
own folder (param `videos.path`) for what lies there.  So the same videos have the same manifest wherever the folder is
mounted.  What later stages take from a file is what was hashed here: they refuse one that has changed since.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.ledgers import Item
from avsep.files.paths import inside, quoted_inside
from avsep.files.reading import read_table
from avsep.files.whole import write_rows

VIDEOS = Path("data/videos")
MANIFEST = VIDEOS / "manifest.csv"
HEADER = ["class", "id", "file", "seconds", "sha256", "parts", "detections"]
OWN = ("demo", "ids")  # sources whose videos lie in data/videos

Span = tuple[float, float]
"""From, to: seconds of a video."""


class Row(NamedTuple):
    """A line of the manifest; what does not apply is empty."""

    category: str
    id: str
    file: str  # quoted (avsep/files/paths.py), below `root_of`
    seconds: str  # shorter of sound and pictures; empty for a file that cannot be read
    sha256: str  # of the video; of an imported one the digest of sound and frames
    parts: str = ""  # what of the video is used, `0-242;250.04-300`, seconds; empty: all
    detections: str = ""  # hash of the imported detections

    @property
    def item(self) -> Item:
        return self.category, self.id


def root_of(source: str, path: str) -> Path:
    """The folder that the manifest's files lie in, by params `videos.source` and `videos.path`."""
    return VIDEOS if source in OWN else Path(path)


def frames_of(sound: Path) -> Path:
    """The folder of frames that belongs to a sound: audio/<class>/<id>.wav -> frames/<class>/<id>.mp4."""
    return sound.parents[2] / "frames" / sound.parent.name / f"{sound.stem}.mp4"


def detections_of(sound: Path) -> Path:
    """The file of detections that belongs to a sound, if there is one."""
    return sound.parents[2] / "detection_results" / sound.parent.name / f"{sound.stem}.mp4.npy"


def given_detections(source: str, path: str, hashes: Hashes) -> dict[Item, Path]:
    """The imported files of detections, by params `videos.source` and `videos.path`; of other sources there are none.

    Raises InputError if one is not what stage videos listed.
    """
    if source != "imported":
        return {}
    given = {}
    for row, sound in read_manifest(MANIFEST, root_of(source, path)):
        if row.detections:
            file = detections_of(sound)
            refuse_changed(file, hashes.sha256(file), row.detections)
            given[row.item] = file
    return given


def write_parts(parts: Iterable[Span]) -> str:
    return ";".join(f"{start:.3f}-{end:.3f}" for start, end in parts)


def read_parts(text: str, where: str) -> tuple[Span, ...]:
    """The spans of a manifest's `parts`. Raises InputError, beginning with `where`."""
    try:
        spans = [part.split("-") for part in text.split(";") if part]
        return tuple((float(start), float(end)) for start, end in spans)
    except ValueError:
        raise InputError(f"{where}: {text!r} are no parts of a video; run stage videos again") from None


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Writes the CSV file, whole or not at all."""
    write_rows(path, [HEADER, *rows])


def read_manifest(path: Path, root: Path) -> list[tuple[Row, Path]]:
    """The rows, sorted by class and id, each with its file below `root`. Raises InputError, naming file and line."""
    lines = read_table(path, "list of videos", "run stage videos")
    found: dict[Item, tuple[Row, Path]] = {}
    for number, line in enumerate(lines, start=2):
        where = f"{path} line {number}"
        if any(not line.get(column) for column in ("class", "id", "file")):
            raise InputError(f"{where}: no class, id and file; run stage videos again")
        row = Row(*(line.get(column, "") for column in HEADER))
        if "/" in row.category or "/" in row.id:
            raise InputError(f"{where}: a class or an id is a plain name, without /")
        inside(root, f"{row.category}/{row.id}", where)
        if row.item in found:
            raise InputError(f"{where}: {row.category}/{row.id} is listed twice; run stage videos again")
        found[row.item] = row, quoted_inside(root, row.file, where)
    if not found:
        raise InputError(f"{path} lists no videos: see param videos.source")
    return [found[item] for item in sorted(found)]


def refuse_changed(path: Path, found: str | None, listed: str) -> None:
    """Raises InputError if what was `found` at `path`, a hash, is not what stage videos `listed`, if it did."""
    if listed and found != listed:
        what = "is gone" if found is None else "has changed"
        raise InputError(f"{path} {what} since stage videos listed it: run stage videos again")

"""What others have extracted, in the published layout, taken over in place of extracting it again.

    audio/<class>/<id>.wav or .mp3                mono or not, at any rate
    frames/<class>/<id>.mp4/000001.jpg, ...       at extract.fps frames a second: nothing in them says so
    detection_results/<class>/<id>.mp4.npy        (docs/ccol.md: Files); a video without one is looked through
    train.csv, val.csv, ...                       lists of videos, here or in index/, of either published form

If there are lists, the videos that they name count, in whichever of them; else all do.  The splits are drawn anew,
unless `index.lists` is published: then train.csv, val.csv and test.csv are the splits (avsep/sources/published.py), and
no other list counts.
"""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import soundfile

from avsep.errors import InputError
from avsep.files.hashes import Hashes
from avsep.files.ledgers import digest
from avsep.files.names import printable, refuse_few, safe_classes, safe_ids
from avsep.files.paths import quoted
from avsep.files.reading import refusing
from avsep.sources.manifest import Row, detections_of, frames_of
from avsep.sources.published import FILES, Key, read_videos, shown

SOUNDS = {".flac", ".mp3", ".ogg", ".wav"}


class ImportedVideo(NamedTuple):
    """What others made of one video; the sound is called <id>.<suffix>, the frames' folder <id>.mp4."""

    sound: Path
    frames: Path
    detections: Path | None
    category: str
    id: str


class Survey(NamedTuple):
    sources: list[ImportedVideo]
    ignored: int  # sounds without frames, frames without a sound
    missing: int  # videos that a list names, and that are not there
    unlisted: int  # videos that are there, and that none of the lists names


def survey(folder: Path, where: str, published: Collection[Key] | None = None) -> Survey:
    """What the folder holds of both sound and frames. Raises InputError, beginning with `where`.

    `published`: the videos of lists that are the splits. Then no other list counts, and a class may have few videos.
    """
    for kind in ("audio", "frames"):
        if not (folder / kind).is_dir():
            raise InputError(f"{where}: it holds no {kind}/ of <class>/<id>.wav or <class>/<id>.mp4/")
    sounds = sorted(p for p in (folder / "audio").glob("*/*") if p.suffix.lower() in SOUNDS and p.is_file())
    pictures = {(p.parent.name, p.stem) for p in (folder / "frames").glob("*/*.mp4") if p.is_dir()}
    both = [sound for sound in sounds if (sound.parent.name, sound.stem) in pictures]
    ignored = len(sounds) + len(pictures) - 2 * len(both)
    named = set(_listed(folder) if published is None else published)
    there = {(sound.parent.name, sound.stem) for sound in both}
    if published is None:
        for key in sorted(named - there):
            logging.warning("%s: a list names it, and its sound or its frames are not there", shown(key))
    elif not named & there:
        raise InputError(f"{where}: of the {len(named)} videos that its lists name, none is there")
    unlisted = len(there - named) if named else 0
    if named:
        both = [sound for sound in both if (sound.parent.name, sound.stem) in named]
    twice = [key for key, number in Counter((p.parent.name, p.stem) for p in both).items() if number > 1]
    if twice:
        raise InputError(f"{where}: audio/{twice[0][0]} holds two sounds of {printable(twice[0][1])}: keep one of them")
    of_class: dict[str, list[Path]] = {}
    for sound in both:
        of_class.setdefault(sound.parent.name, []).append(sound)
    classes = safe_classes(of_class, where)
    if published is None:
        refuse_few(Counter(printable(p.parent.name) for p in both), map(printable, classes), where, "add some")
    sources = [
        _source(folder, sound, classes[name], own)
        for name, held in of_class.items()
        for sound, own in zip(held, safe_ids(held), strict=True)
    ]
    return Survey(sources, ignored, len(named - there), unlisted)


def row_of(source: ImportedVideo, hashes: Hashes) -> Row:
    """The manifest's line. A sound that cannot be read is for stage extract to set aside."""
    try:
        with refusing("no sound file"):
            info = soundfile.info(os.fsencode(source.sound))  # a name that is no UTF-8 is read as bytes alone
            seconds = f"{info.duration:.3f}"
    except InputError as error:
        logging.warning("%s/%s: %s (stage extract will set it aside)", source.category, source.id, error)
        seconds = ""
    file = quoted(f"audio/{source.sound.parent.name}/{source.sound.name}")
    content = digest([source.sound, source.frames], hashes)
    detections = "" if source.detections is None else hashes.sha256(source.detections) or ""
    return Row(source.category, source.id, file, seconds, content, detections=detections)


def _source(folder: Path, sound: Path, category: str, name: str) -> ImportedVideo:
    detections = detections_of(sound)
    return ImportedVideo(sound, frames_of(sound), detections if detections.is_file() else None, category, name)


def lists_of(folder: Path) -> list[Path]:
    """The folder's lists of videos."""
    lists = [path for path in sorted(folder.glob("*.csv")) if not path.stem.endswith("_sep") and path.is_file()]
    # other tables may lie in index/
    return lists + [path for path in published_in(folder) if not path.stem.endswith("_sep")]


def published_in(folder: Path) -> list[Path]:
    """Of the four published lists those in index/."""
    return [path for name in FILES if (path := folder / "index" / name).is_file()]


def _listed(folder: Path) -> Iterator[Key]:
    """The videos that the folder's lists name. Raises InputError, naming file and line."""
    for path in lists_of(folder):
        yield from (row.key for row in read_videos(path))

"""Stage videos: data/videos/<class>/<id>.<suffix> and manifest.csv, rendered or from a folder of the user's.

`videos.source` demo renders clips of soloists with their ground truth beside them (avsep/demo).  Any other
source is a folder <class>/<anything>.<container>: its videos are hard-linked, or copied where that cannot be,
under names that are safe in every list and path of the pipeline; the manifest's `original` keeps a name that
was changed.  Whether a video can be used is for stage extract to find out.
"""

import csv
import hashlib
import logging
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed

from avsep.demo.sound import PARTS
from avsep.demo.video import render_video
from avsep.errors import InputError
from avsep.media.ffmpeg import Unusable, probe
from avsep.params import VideosParams
from avsep.run import progress, run, write_metrics

VIDEOS = Path("data/videos")
HEADER = ["class", "id", "file", "seconds", "sha256", "original"]
SUFFIXES = {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
CLASSES_AT_LEAST = 4  # a mixture takes four different ones
VIDEOS_AT_LEAST = 3  # one each to train, to validate, to test


class Row(NamedTuple):
    """A line of the manifest; `seconds` is empty for a file that cannot be read."""

    category: str
    id: str
    file: str
    seconds: str
    sha256: str
    original: str


class Source(NamedTuple):
    """One of the user's videos, and where it goes."""

    path: Path
    category: str
    id: str

    @property
    def file(self) -> str:
        return f"{self.category}/{self.id}{self.path.suffix.lower()}"

    @property
    def original(self) -> str:
        name = f"{self.path.parent.name}/{self.path.name}"
        return "" if name == self.file else printable(name)


def main(params: VideosParams) -> None:
    ignored = 0
    if params.videos.source == "demo":
        rows = render(
            params.videos.classes,
            params.videos.per_class,
            seed=params.seed,
            seconds=params.videos.seconds,
            fps=params.videos.fps,
            width=params.videos.width,
            height=params.videos.height,
        )
    else:
        sources, ignored = survey(Path(params.videos.source))
        rows = bring(sources)
    rows = sorted(rows)
    write_manifest(VIDEOS / "manifest.csv", rows)
    write_metrics(
        "videos",
        {
            "videos": len(rows),
            "seconds": round(sum(float(row.seconds or 0) for row in rows), 3),
            "unreadable": sum(not row.seconds for row in rows),
            "ignored": ignored,
            "classes": dict(sorted(Counter(row.category for row in rows).items())),
        },
    )


def render(
    classes: Sequence[str], per_class: int, *, seed: int, seconds: float, fps: int, width: int, height: int
) -> list[Row]:
    """Renders the demo's videos into data/videos, in parallel. Raises InputError for a class that has no shape."""
    if unknown := sorted(set(classes) - set(PARTS)):
        raise InputError(f"videos.classes names {', '.join(unknown)}: the demo has {', '.join(PARTS)}")
    _empty(classes)
    root = VIDEOS.absolute()  # a worker process may outlive a change of folder
    calls = (
        delayed(_render_one)(root / name, name, index, seed=seed, seconds=seconds, fps=fps, width=width, height=height)
        for name in classes
        for index in range(per_class)
    )
    rows = Parallel(n_jobs=-1, return_as="generator")(calls)
    return list(progress(rows, "rendering", len(classes) * per_class, "video"))


def _render_one(
    folder: Path, name: str, index: int, *, seed: int, seconds: float, fps: int, width: int, height: int
) -> Row:
    path = render_video(folder, name, index, seed=seed, seconds=seconds, fps=fps, width=width, height=height)
    return _row(name, path.stem, path, original="")


def survey(folder: Path) -> tuple[list[Source], int]:
    """The videos of a user's folder, and how many other files and folders are in it. Raises InputError.

    Folders are the classes, and their names what VAST asks for; a video is a file with one of SUFFIXES, in any case;
    hidden ones do not count.
    """
    if not folder.is_dir():
        raise InputError(f"videos.source is {folder}: no such folder; give demo, or your folder of <class>/<video>")
    if folder.resolve().is_relative_to(VIDEOS.resolve()):
        raise InputError(f"videos.source is {folder}: {VIDEOS} is written anew; keep your videos elsewhere")
    entries = sorted(folder.iterdir())
    classes = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    ignored = len(entries) - len(classes)
    if not classes:
        raise InputError(f"videos.source is {folder}: it holds no folders; put each class's videos in one of its own")
    if len(classes) < CLASSES_AT_LEAST:
        raise InputError(
            f"videos.source is {folder}: it has {_count(len(classes), 'class')}, {_names(classes)};"
            f" a mixture needs {CLASSES_AT_LEAST} different ones"
        )
    sources: list[Source] = []
    few: list[str] = []
    known: dict[str, Path] = {}
    for path in classes:
        category = _latin(path.name)
        if not any(map(str.isalpha, category)) and (not category or any(map(str.isalpha, path.name))):
            raise InputError(
                f"videos.source is {folder}: {printable(path.name)} has no Latin letter, and VAST asks for a class by"
                " its folder's name: rename it in English"
            )
        if (other := known.setdefault(category.lower(), path)) != path:
            raise InputError(f"{_names([other, path])} would both be class {category}: rename one of them")
        inside = sorted(path.iterdir())
        videos = [p for p in inside if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        ignored += len(inside) - len(videos)
        if len(videos) < VIDEOS_AT_LEAST:
            few.append(f"{printable(path.name)} has {_count(len(videos), 'video')}")
        sources += [Source(video, category, name) for video, name in zip(videos, safe_ids(videos), strict=True)]
    if few:
        raise InputError(
            f"videos.source is {folder}: {', '.join(few)}; a class needs {VIDEOS_AT_LEAST}, to train, validate and"
            f" test: add some ({' '.join(sorted(SUFFIXES))}), or move the class elsewhere"
        )
    return sources, ignored


def bring(sources: Sequence[Source]) -> list[Row]:
    """Links or copies the user's videos into data/videos, a few at once."""
    _empty({source.category for source in sources})
    rows = Parallel(n_jobs=-1, prefer="threads", return_as="generator")(delayed(_bring_one)(s) for s in sources)
    return list(progress(rows, "bringing", len(sources), "video"))


def _bring_one(source: Source) -> Row:
    path = VIDEOS / source.file
    origin = source.path.resolve()  # a link's target: DVC hashes files
    try:
        try:
            os.link(origin, path)
        except OSError:  # another file system, or one without links
            shutil.copyfile(origin, path)
        return _row(source.category, source.id, path, source.original)
    except OSError as error:
        raise InputError(f"{printable(str(source.path))} cannot be brought to {path}: {error.strerror}") from None


def safe_ids(videos: Sequence[Path]) -> list[str]:
    """The file stems of one class made safe; of those that are then alike, whatever the case, each gets a hash."""
    ids = [safe(video.stem) for video in videos]
    taken = Counter(name.lower() for name in ids)
    return [
        name if taken[name.lower()] == 1 else f"{name}_{hashlib.sha256(os.fsencode(video.name)).hexdigest()[:8]}"
        for name, video in zip(ids, videos, strict=True)
    ]


def safe(name: str) -> str:
    """A name of ASCII letters, digits, - and _ that does not begin with -; 100 characters at most."""
    return _latin(name) or "unnamed"


def _latin(name: str) -> str:
    """What is left of a name in `safe`'s characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:100]


def printable(name: str) -> str:
    """A file's name as text in UTF-8, bytes that are none written as \\xNN, on one line."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Writes the CSV file, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER)
        lines.writerows(rows)
    os.replace(temporary, path)


def _row(category: str, name: str, path: Path, original: str) -> Row:
    try:
        seconds = f"{min(probe(path)):.3f}"
    except Unusable as unusable:
        logging.warning("%s/%s: %s (stage extract will set it aside)", category, path.name, unusable)
        seconds = ""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Row(category, name, f"{category}/{path.name}", seconds, sha256, original)


def _empty(classes: Iterable[str]) -> None:
    """data/videos with an empty folder for each class: nothing of an earlier run stays."""
    shutil.rmtree(VIDEOS, ignore_errors=True)
    for name in classes:
        (VIDEOS / name).mkdir(parents=True)


def _count(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number or 'no'} {what if number == 1 else plural}"


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(printable(path.name) for path in paths)


if __name__ == "__main__":
    run(main, VideosParams)

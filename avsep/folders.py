"""Many files of one's own, one after the other: which they are, where their sounds go, and what is done already."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from avsep.errors import InputError
from avsep.files.reading import read_json, refusing
from avsep.separate import Separator
from avsep.separating.streaming import Place, Told
from avsep.separating.written import TOLD, fingerprint
from avsep.sources.folder import SUFFIXES

SOUNDS = {".aac", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"}  # of a folder, where words are asked for


class _Window(pydantic.BaseModel):
    muted: str | None


class _Sound(pydantic.BaseModel):
    number: int
    name: str
    file: str
    probability: float | None
    level_db: float | None
    windows: list[_Window]
    boxes: list[list[float]]


class _Told(pydantic.BaseModel):
    """Of objects.json what is shown again."""

    sounds: list[_Sound]


@dataclass(frozen=True)
class Job:
    """A file, and the folder that its sounds are written to."""

    file: Path
    folder: Path


@dataclass(frozen=True)
class Done:
    """What became of a file: what its objects.json tells, or what is wrong."""

    job: Job
    told: dict[str, Any] | None
    kept: bool = False  # it was there already
    error: str | None = None


def jobs(inputs: Sequence[Path], out: Path, *, words: bool) -> list[Job]:
    """A job for each file, and for each video in the folders of `inputs`, however deep; `words`: for sounds too.

    A file's folder is called as it is, without its suffix; with it, where two would be one.  Hidden files, and what
    lies in `out`, are none.  Raises InputError for what is missing, and for a folder without a video.
    """
    suffixes = SUFFIXES | (SOUNDS if words else set())
    found: list[tuple[Path, Path]] = []  # file, its place below `out`
    for given in inputs:
        if not given.exists():
            raise InputError(f"{given} is missing: no such file or folder")
        if not given.is_dir():
            found.append((given, Path(given.name)))
            continue
        inside = [
            path
            for path in sorted(given.rglob("*"))
            if path.suffix.lower() in suffixes
            and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(given).parts)
            and not path.resolve().is_relative_to(out.resolve())
        ]
        if not inside:
            raise InputError(f"{given} holds no video ({' '.join(sorted(suffixes))})")
        found += [(path, path.relative_to(given)) for path in inside]
    counts = Counter(place.with_suffix("") for _, place in found)
    named = [(file, place.with_suffix("") if counts[place.with_suffix("")] == 1 else place) for file, place in found]
    doubled = [place for place, count in Counter(place for _, place in named).items() if count > 1]
    if doubled:
        raise InputError(f"two files would be written to {out / doubled[0]}: separate them into different folders")
    return [Job(file, out / place) for file, place in named]


def separate_all(
    separator: Separator,
    asked: Sequence[Job],
    *,
    texts: Sequence[str] = (),
    boxes: Sequence[Place] = (),
    videos: bool = True,
    overwrite: bool = False,
    told: Callable[[Job], Told],
) -> Iterator[Done]:
    """Does the jobs, one after the other; a file that nothing can be made of does not end it."""
    for job in asked:
        try:
            before = _before(separator, job, texts, boxes, overwrite)
            if before is not None:
                yield Done(job, before, kept=True)
                continue
            made = separator.write(job.file, job.folder, texts=texts, boxes=boxes, videos=videos, told=told(job))
            yield Done(job, made)
        except InputError as error:
            yield Done(job, None, error=" ".join(str(error).split()))


def read_told(path: Path) -> dict[str, Any]:
    """What objects.json tells, as far as it is shown. Raises InputError."""
    made = read_json(path)
    with refusing(f"{path} does not tell what was separated"):
        pydantic.TypeAdapter(_Told).validate_python(made)
    return dict(made)


def _before(
    separator: Separator, job: Job, texts: Sequence[str], boxes: Sequence[Place], overwrite: bool
) -> dict[str, Any] | None:
    """What was made of the same file before, in the same way; None: it is to be made. Raises InputError."""
    if not job.folder.exists():
        return None
    try:
        made = read_told(job.folder / TOLD)
    except InputError:
        if job.folder.is_dir() and not any(job.folder.iterdir()):
            return None
        raise InputError(f"{job.folder} is there, and was not written by avsep separate: name another folder") from None
    if overwrite:
        return None
    model = separator.model(separator.system_for(words=bool(texts)))
    now: Mapping[str, Any] = {
        "source": fingerprint(job.file),
        "model": model,
        "asked": json.loads(json.dumps(separator.asks(texts, boxes))),
    }
    for key, value in now.items():
        if made.get(key) != value:
            what = {"source": "another file", "model": "another model", "asked": "other options"}[key]
            raise InputError(f"{job.folder} was made with {what}: give --overwrite, or another folder")
    return dict(made)

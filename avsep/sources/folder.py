"""A user's folder <class>/<anything>.<container>: its videos stay where they are, under safe names in the manifest."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.names import printable, refuse_few, safe_classes, safe_ids
from avsep.files.paths import quoted

SUFFIXES = {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}


class UserVideo(NamedTuple):
    """One of the user's videos, and what the pipeline calls it."""

    path: Path
    category: str
    id: str

    @property
    def file(self) -> str:
        """The path below the user's folder, as the manifest has it."""
        return quoted(f"{self.path.parent.name}/{self.path.name}")


def survey(folder: Path, where: str) -> tuple[list[UserVideo], int]:
    """The videos of a user's folder, and how many other files and folders are in it.

    Folders are the classes, and their names what VAST asks for; a video is a file, or a link to one, with one of
    SUFFIXES, in any case; hidden ones do not count.  Raises InputError, beginning with `where`.
    """
    entries = sorted(folder.iterdir())
    folders = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    ignored = len(entries) - len(folders)
    if not folders:
        raise InputError(f"{where}: it holds no folders; put each class's videos in one of its own")
    classes = safe_classes([path.name for path in folders], where)
    sources: list[UserVideo] = []
    counts: Counter[str] = Counter()
    for path in folders:
        held = sorted(path.iterdir())
        videos = [p for p in held if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        ignored += len(held) - len(videos)
        counts[printable(path.name)] = len(videos)
        names = safe_ids(videos)
        sources += [UserVideo(video, classes[path.name], name) for video, name in zip(videos, names, strict=True)]
    hint = f"add some ({' '.join(sorted(SUFFIXES))}), or move the class elsewhere"
    refuse_few(counts, [printable(path.name) for path in folders], where, hint)
    return sources, ignored

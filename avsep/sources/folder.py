"""A user's folder <class>/<anything>.<container>: its videos stay where they are, under safe names in the manifest."""

import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from avsep.errors import InputError
from avsep.files.names import classes_of, few, printable, safe_ids
from avsep.files.paths import quoted

# What cameras, phones, browsers and editors write, in the containers that avsep/media/ffmpeg.py opens.
SUFFIXES = {
    *(".3g2", ".3gp", ".360", ".asf", ".avi", ".divx", ".f4v", ".flv", ".insv", ".m2p", ".m2t", ".m2ts", ".m4v"),
    *(".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".ogv", ".qt", ".tod", ".tp", ".trp", ".ts"),
    *(".vob", ".webm", ".wmv"),
}
# Folders of systems, disks and NAS boxes, which lie beside one's own and hold thumbnails, what was deleted, and the
# like; in lower case.  Hidden ones (.Trashes) are none in any case.
NOT_CLASSES = {
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "~snapshot"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000", "lost+found"),
    *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),
}
TOLD = 6  # kinds of what is ignored that a sentence names


class UserVideo(NamedTuple):
    """One of the user's videos, and what the pipeline calls it."""

    path: Path
    category: str
    id: str

    @property
    def file(self) -> str:
        """The path below the user's folder, as the manifest has it."""
        return quoted(f"{self.path.parent.name}/{self.path.name}")


class Survey(NamedTuple):
    """What a user's folder holds."""

    sources: list[UserVideo]  # by class and name
    ignored: Counter[str]  # what is no video, by its kind
    faults: list[str]  # why it cannot be used, all that there are


def look(folder: Path) -> Survey:
    """The videos of a user's folder, whatever else is in it or wrong with it.

    Folders are the classes, and their names what VAST asks for; a video is a file with one of SUFFIXES, in any case.
    Links count as what they lead to.  Hidden files, and NOT_CLASSES, do not count.
    """
    entries = sorted(folder.iterdir())
    folders = [path for path in entries if path.is_dir() and not _is_hidden(path) and not _is_no_class(path)]
    ignored = Counter(kind_of(path) for path in entries if path not in folders)
    if not folders:
        return Survey([], ignored, ["it holds no folders; put each class's videos in one of its own"])
    classes, faults = classes_of([path.name for path in folders])
    sources: list[UserVideo] = []
    counts: Counter[str] = Counter()
    for path in folders:
        held = sorted(path.iterdir())
        videos = [one for one in held if is_video(one)]
        ignored.update(kind_of(one) for one in held if one not in videos)
        counts[printable(path.name)] = len(videos)
        if path.name in classes:
            names = safe_ids(videos)
            sources += [UserVideo(video, classes[path.name], name) for video, name in zip(videos, names, strict=True)]
    hint = f"add some ({' '.join(sorted(SUFFIXES))}), or move the class elsewhere"
    return Survey(sources, ignored, faults + few(counts, [printable(path.name) for path in folders], hint))


def survey(folder: Path, where: str) -> Survey:
    """As `look`. Raises InputError, beginning with `where`, that tells all that is wrong with the folder."""
    found = look(folder)
    if found.faults:
        raise InputError(f"{where}: {'; '.join(found.faults)}")
    return found


def is_video(path: Path) -> bool:
    """Whether a path is a file, or leads to one, that by its name is a video."""
    return path.suffix.lower() in SUFFIXES and not _is_hidden(path) and path.is_file()


def kind_of(path: Path) -> str:
    """What a path is that counts as no video, in a few words."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return "link that leads nowhere"
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    if _is_hidden(path):
        return "hidden file"
    return printable(path.suffix.lower()) or "file without a suffix"


def told(ignored: Counter[str]) -> str:
    """`2 folders, 3 .txt`: the most frequent first."""
    first = sorted(ignored.items(), key=lambda one: (-one[1], one[0]))
    words = [f"{number} {kind}" for kind, number in first[:TOLD]]
    rest = sum(number for _, number in first[TOLD:])
    return ", ".join([*words, *([f"{rest} others"] if rest else [])])


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_no_class(path: Path) -> bool:
    return path.name.lower() in NOT_CLASSES

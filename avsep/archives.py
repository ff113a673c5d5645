"""Archives that others made are unpacked as if they were hostile: zip and tar, no path outside, no link, no bomb.

What is unpacked is plain files.  All members are looked through before the first is written, and a folder is written
whole or not at all.
"""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from avsep.errors import InputError
from avsep.files.paths import inside
from avsep.files.reading import reading, refusing
from avsep.files.whole import whole_folder

MOST_FILES = 2_000_000
MOST_AT_ONCE = 1 << 24  # bytes that a tar file's own words may take: an entry's name and what is told of it
_COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
LEFT_OUT = ("__MACOSX/", ".DS_Store")  # what a Mac puts beside the files


class Member(NamedTuple):
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether it is a zip or tar file to be unpacked. Weights as torch saves them are zip files too, and are none."""
    if not path.is_file():
        return False
    try:
        with refusing("no archive"):
            if zipfile.is_zipfile(path):
                with path.open("rb") as file, zipfile.ZipFile(path) as archive:
                    torchs = any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist())
                    return file.read(4) == b"PK\x03\x04" and not torchs
            with _opened_tar(path):
                return True
    except InputError:
        return False


def unpack(path: Path, folder: Path, most_bytes: int, most_files: int = MOST_FILES) -> list[str]:
    """Fills the new folder `folder` with what the archive holds. Returns the files' names, relative and sorted.

    Raises InputError, naming the member, for what is none of ours to write: a path that leads out of the folder, a
    link, a device, a name that is there twice, an encrypted member, and more than `most_bytes`, `most_files`, or what
    the disk has room for.
    """
    with whole_folder(folder) as temporary, reading(path, "archive", "fetch it again"), _opened(path) as archive:
        members = _checked(path, _members(path, archive), temporary, most_bytes, most_files)
        for member in members:
            try:
                target = inside(temporary, member.name, str(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise InputError(f"{path}: {Path(error.filename).name} is both a file and a folder in it") from None
            if target.stat().st_size != member.size:
                raise InputError(f"{path}: {member.name} ends early: the archive is damaged, fetch it again")
    return sorted(member.name for member in members)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield archive
    else:
        with _opened_tar(path) as tar:
            yield tar


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar file, compressed or not. Raises tarfile.TarError, and what the compression's reader does."""
    with path.open("rb") as file:
        start = file.read(6)
    opener: Callable[..., Any] = next((one for magic, one in _COMPRESSED if start.startswith(magic)), Path.open)
    with (
        opener(path, "rb") as stream,
        tarfile.open(fileobj=_Cautious(stream), mode="r:") as archive,  # type: ignore[call-overload]
    ):
        yield archive


class _Cautious:
    """A stream, of which no more is taken at once than a tar file's own words need: tarfile takes what they tell of."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise tarfile.ReadError(f"{size:,} bytes of its own words")
        return self._read(size)


def _members(path: Path, archive: zipfile.ZipFile | tarfile.TarFile) -> Iterator[Member]:
    """The plain files of an archive. Raises InputError for what is neither a file nor a folder."""
    if isinstance(archive, zipfile.ZipFile):
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was made on Windows
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{path}: {info.filename!r} is a link or a device, and not unpacked")
            if info.flag_bits & 1:
                raise InputError(f"{path}: {info.filename!r} is encrypted, and cannot be unpacked")
            if not info.is_dir():
                yield Member(info.filename.removeprefix("./"), info.file_size, partial(archive.open, info))
        return
    for entry in archive:
        if not (entry.isreg() or entry.isdir()):
            raise InputError(f"{path}: {entry.name!r} is a link or a device, and not unpacked")
        if entry.isreg():
            yield Member(entry.name.removeprefix("./"), entry.size, partial(_read, archive, entry))


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(entry)
    assert file is not None  # a plain file has bytes
    return file


def _checked(path: Path, members: Iterator[Member], root: Path, most_bytes: int, most_files: int) -> list[Member]:
    """All members, before any is written. Raises InputError as `unpack`."""
    kept: dict[str, Member] = {}
    size = 0
    room = min(most_bytes, shutil.disk_usage(root).free)
    for member in members:
        if member.name.startswith(LEFT_OUT[0]) or member.name.rpartition("/")[2] == LEFT_OUT[1]:
            continue
        inside(root, member.name, str(path))
        if member.name in kept:
            raise InputError(f"{path}: {member.name!r} is in it twice")
        kept[member.name] = member
        size += member.size
        if size > room:
            why = "the disk has room for" if room < most_bytes else "such an archive should hold"
            raise InputError(f"{path} holds more than the {room:,} bytes that {why}: unpack it by hand if you trust it")
        if len(kept) > most_files:
            raise InputError(f"{path} holds more than {most_files:,} files: unpack it by hand if you trust it")
    if not kept:
        raise InputError(f"{path} is an archive without a file")
    return list(kept.values())

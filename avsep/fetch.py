"""What the authors publish beside their code, brought as they link it: weights, and CCoL's frames and detections.

Their READMEs and scripts name Google Drive files and a web site; gdown knows Drive's pages.  No hash is published, so
the first file that comes is trusted, and remembered in LEDGER beside the folder: another one is refused later.  Nothing
is read here but bytes: no file of torch's is opened.

    OUT/...                what came, archives unpacked
    OUT/.fetching/<key>/   what is on its way; the next call goes on with it
    OUT/../published.json  source -> link or file name -> {name, bytes, sha256, unpacked}
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from avsep.archives import is_archive, unpack
from avsep.errors import InputError
from avsep.files.names import printable
from avsep.files.paths import inside
from avsep.files.reading import read_json, refusing
from avsep.files.whole import write_json

LEDGER = "published.json"
STAGING = ".fetching"
PATIENCE = 60.0  # seconds without a byte
TOLD_EVERY = 10.0  # seconds, where no terminal shows a bar
DRIVE = "https://drive.google.com"
PIXELS = (
    "http://sound-of-pixels.csail.mit.edu/release/MUSIC-2mix-LogFreq-resnet18dilated-unet7-linear-frames3stride24"
    "-maxpool-binary-weightedLoss-channels32-epoch100-step40_80"
)


@dataclass(frozen=True)
class Remote:
    """One file: where a person and gdown find it, and what it is called, a path below OUT; None: the site says."""

    link: str
    name: str | None = None


@dataclass(frozen=True)
class Source:
    """What one publication offers. `holds` stand in one folder when all is there: files of weights, or folders."""

    title: str
    files: Sequence[Remote]
    holds: Sequence[str]
    then: str  # what the user does next; {folder} is where `holds` are
    folder: str | None = None  # the link of a Drive folder, which has the files
    most_bytes: int = 4 << 30  # of what an archive may hold


def _imported(system: str) -> str:
    return f"python -m avsep.published import {{folder}} checkpoints/{system}/best.safetensors"


SOURCES = {
    "ccol": Source(
        "CCoL's weights",
        [Remote(f"{DRIVE}/file/d/16YcS2VptkXpwvM6FJFtXU4itt5J4-gFn/view")],
        tuple(f"{n}_best.pth" for n in ("sound_ground", "frame_ground", "sound", "frame", "synthesizer", "grounding")),
        _imported("cyclic"),
    ),
    "vast": Source(
        "VAST's weights",
        [Remote(f"{DRIVE}/file/d/11GclDxsyEAaQOHO9atf9ZWcmrwGu6Gnt/view")],
        ("sound_best.pth", "frame_best.pth"),
        _imported("trimodal"),
    ),
    "sound_of_pixels": Source(
        "Sound of Pixels' weights, and its list of validation videos",
        [
            *(Remote(f"{PIXELS}/{net}_best.pth", f"{net}_best.pth") for net in ("sound", "frame", "synthesizer")),
            Remote(f"{PIXELS.rpartition('/')[0]}/val.csv", "val.csv"),
        ],
        ("sound_best.pth", "frame_best.pth", "synthesizer_best.pth"),
        _imported("baseline"),
    ),
    "ccol-data": Source(
        "CCoL's frames and detections",
        [],
        ("frames", "detection_results"),
        "put the sounds beside them, as {folder}/audio/<class>/<id>.wav, then docs/ccol.md: With the published lists,"
        " with -S videos.path={folder}",
        folder=f"{DRIVE}/drive/folders/15dKDqXAfLlv55iGwipRCSnJXjumy4tLi",
        most_bytes=400 << 30,
    ),
}

Entry = dict[str, Any]


def fetch(source: Source, key: str, out: Path, retries: int = 3) -> Path:
    """Brings `source`, known to the ledger as `key`, into the folder `out`. Returns the folder that has what it holds.

    Files that were put into `out` by hand are taken as what was to come.  Raises InputError, in one line, for what does
    not come, what is another file than before, and what cannot be unpacked.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is no folder: give one for the files")
    known = _Known(out.parent / LEDGER, key)
    _take_by_hand(source, out, known)
    found = _holding(out, source.holds)
    if found is None or (source.folder is not None and known.has_links()):  # else frames may be there in part
        remotes = source.files if source.folder is None else _listed(source, out)
        logging.info("%s: %d %s", source.title, len(remotes), "file" if len(remotes) == 1 else "files")
        for remote in remotes:
            logging.info("  %s%s", remote.link, "" if remote.name is None else f" -> {out / remote.name}")
        for remote in remotes:
            _bring(source, remote, out, known, retries)
        found = _holding(out, source.holds)
    shutil.rmtree(out / STAGING, ignore_errors=True)
    if found is None:
        raise InputError(
            f"{out}: all has come, but no folder in it holds {', '.join(source.holds)}: put what came under these names"
        )
    for name in source.holds:
        if (found / name).is_file():
            known.compare(name, found / name)
            known.remember(name, found / name)
    logging.info("%s: all is in %s; next: %s", source.title, found, source.then.format(folder=found))
    return found


# --- What is there


class _Known:
    """One source's entries of the ledger, by link or by the name of a file."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        hint = "mend it, or remove it to trust what comes"
        self._all = read_json(path, hint) if path.exists() else {}
        with refusing(f"{path} holds no hashes that can be read", hint):
            self.entries: dict[str, Entry] = self._all.setdefault(key, {})
            for name, entry in self.entries.items():
                if not re.fullmatch("[0-9a-f]{64}", entry["sha256"]) or not isinstance(entry["bytes"], int):
                    raise ValueError(name)
                for top in (entry["name"], *entry.get("unpacked", [])):
                    inside(path.parent, top, name)

    def has_links(self) -> bool:
        return any("://" in name for name in self.entries)

    def compare(self, name: str, file: Path) -> None:
        """Raises InputError if the file is another one than what was trusted first."""
        entry = self.entries.get(name)
        if entry is not None and (found := _sha256(file)) != entry["sha256"]:
            raise InputError(
                f"{file} has the SHA-256 {found}, what came first had {entry['sha256']}: another file; if you trust it,"
                f" remove {name} from {self.path}"
            )

    def remember(self, name: str, file: Path, unpacked: Sequence[str] = ()) -> None:
        entry: Entry = {"name": file.name, "bytes": file.stat().st_size, "sha256": _sha256(file)}
        if unpacked:
            entry["unpacked"] = sorted({PurePosixPath(member).parts[0] for member in unpacked})
        if self.entries.get(name) != entry:
            logging.info("%s: %s bytes, SHA-256 %s", file.name, f"{entry['bytes']:,}", entry["sha256"])
            self.entries[name] = entry
            write_json(self.path, self._all, indent=2)

    def is_there(self, name: str, out: Path, path: str | None = None) -> bool:
        """Whether what came under this name is still in `out`, at `path` if it is known to have one."""
        entry = self.entries.get(name)
        if entry is None:
            return False
        place = out / (path or entry["name"])
        if "unpacked" in entry:
            return all((place.parent / top).exists() for top in entry["unpacked"])
        return place.is_file() and _sha256(place) == entry["sha256"]


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _holding(out: Path, names: Sequence[str]) -> Path | None:
    """The folder, `out` or one below it, that has all these names; the first one in their order."""
    folders = [out, *sorted(p.parent for p in out.rglob(names[0]) if STAGING not in p.relative_to(out).parts)]
    return next((folder for folder in folders if all((folder / name).exists() for name in names)), None)


def _take_by_hand(source: Source, out: Path, known: _Known) -> None:
    """Unpacks archives that lie in `out`, which stay there."""
    for file in sorted(p for p in out.glob("*") if p.is_file()) if out.is_dir() else ():
        if is_archive(file) and not known.is_there(file.name, out):
            logging.info("%s was put there by hand: it is unpacked", file)
            for name in [remote.link for remote in source.files if len(source.files) == 1] + [file.name]:
                known.compare(name, file)
            known.remember(file.name, file, _unpack(source, file, out, out))


# --- What comes


def _bring(source: Source, remote: Remote, out: Path, known: _Known, retries: int) -> None:
    """One file: downloaded, held to the ledger, and put or unpacked into `out`. Raises InputError."""
    if known.is_there(remote.link, out, remote.name):
        logging.info("%s is there already", known.entries[remote.link]["name"])
        return
    if remote.name is not None and (place := inside(out, remote.name, remote.link)).is_file():
        known.compare(remote.link, place)
        known.remember(remote.link, place)
        return
    staging = out / STAGING / hashlib.sha256(remote.link.encode()).hexdigest()[:16]
    staging.mkdir(parents=True, exist_ok=True)
    file = _download(source, remote, staging, out, retries)
    try:
        _refuse_page(source, remote, file, out)
        known.compare(remote.link, file)
    except InputError:
        file.unlink()  # else the next call would find it, and not ask again
        raise
    place = inside(out, remote.name or file.name, remote.link)
    if is_archive(file):
        known.remember(remote.link, file, _unpack(source, file, place.parent, out))
        file.unlink()
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    known.remember(remote.link, file)
    os.replace(file, place)


def _listed(source: Source, out: Path) -> list[Remote]:
    """The files of a Drive folder, and of the folders in it. Raises InputError."""
    assert source.folder is not None
    with _told(source, source.folder, out) as gdown:
        found = gdown.download_folder(
            source.folder, output=str(out), quiet=True, use_cookies=False, skip_download=True, timeout=PATIENCE
        )
    remotes = []
    for file in found:
        path = PurePosixPath(file.path.replace(os.sep, "/")).as_posix()
        inside(out, path, source.folder)
        remotes.append(Remote(f"{DRIVE}/file/d/{file.id}/view", path))
    if not remotes:
        raise InputError(_what_to_do(source, source.folder, out, "the folder is empty, or its page has changed"))
    return remotes


def _download(source: Source, remote: Remote, staging: Path, out: Path, retries: int) -> Path:
    """Into `staging`, which has what came of the file before. Returns the file. Raises InputError."""
    target = str(staging / PurePosixPath(remote.name).name) if remote.name is not None else f"{staging}{os.sep}"
    with _told(source, remote.link, out) as gdown:
        for again in (False, True):
            try:
                return Path(
                    gdown.download(
                        remote.link,
                        output=target,
                        quiet=not sys.stderr.isatty(),
                        use_cookies=False,
                        resume=True,
                        timeout=PATIENCE,
                        retries=retries,
                        progress=None if sys.stderr.isatty() else _Lines(),
                    )
                )
            except gdown.DownloadError as error:
                # a part that the site cannot go on with: whole already, or of a site that knows no ranges
                if again or "byte range" not in str(error):
                    raise
                for part in staging.glob("*.part"):
                    part.unlink()
    raise AssertionError("the second try returns or raises")


class _Lines:
    """Tells of a download in a line every TOLD_EVERY seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TOLD_EVERY

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_EVERY
            logging.info("%.1f MB%s", done / 1e6, "" if total is None else f" of {total / 1e6:.1f} MB")


@contextlib.contextmanager
def _told(source: Source, link: str, out: Path) -> Iterator[Any]:
    """gdown, whose errors become one line with what to do."""
    try:
        import gdown  # here, since nothing else needs it
        import requests
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install -r requirements.txt") from None
    try:
        yield gdown
    except (gdown.DownloadError, requests.RequestException, OSError) as error:
        raise InputError(_what_to_do(source, link, out, _reason(error))) from None


def _reason(error: Exception) -> str:
    """What gdown or requests said, without gdown's own advice, in a line."""
    text = " ".join(str(error).split())
    text = text.removeprefix("Failed to retrieve file url: ").partition(" You may still be able")[0]
    text = text.partition(" Check FAQ in")[0].partition(" The received bytes are kept")[0].rstrip(". ")
    return printable(text[:300]) or type(error).__name__


def _what_to_do(source: Source, link: str, out: Path, reason: str) -> str:
    return (
        f"{source.title} did not come from {link} ({reason}): try again later, or open that in a browser, put what it"
        f" gives into {out}, and run this again"
    )


def _refuse_page(source: Source, remote: Remote, file: Path, out: Path) -> None:
    """Raises InputError if a web page came in the place of a file."""
    with file.open("rb") as opened:
        start = opened.read(1024).lstrip().lower()
    if not start or start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(_what_to_do(source, remote.link, out, "a web page came" if start else "it is empty"))


def _unpack(source: Source, file: Path, folder: Path, out: Path) -> list[str]:
    """An archive's files into `folder`, in or below `out`, beside what is there.

    Raises InputError for a file that would be replaced.
    """
    room = out / STAGING / "unpacked"
    names = unpack(file, room, source.most_bytes)
    for name in names:
        place = inside(folder, name, str(file))
        if os.path.lexists(place) and (not place.is_file() or _sha256(place) != _sha256(room / name)):
            shutil.rmtree(room)
            raise InputError(f"{file} holds {name}, and another one is in {folder}: move that away, and run this again")
    for name in names:
        place = inside(folder, name, str(file))
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(room / name, place)
    shutil.rmtree(room)
    return names

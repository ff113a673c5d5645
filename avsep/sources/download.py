"""A list's videos, one after the other, through yt-dlp: politely, and so that what is there need not be fetched again.

Each id ends in one of three states, which data/downloads/answers.csv keeps:

- available: the file is whole.  It lies in data/downloads/arrived until stage videos has all, then in data/videos;
- unavailable: the site's final answer (private, removed, not in this country, no such page).  It is not asked again
  unless the param `download.retry_unavailable` says so;
- failed: no answer in spite of all retries.  The next run of the stage asks again.

Where a site refuses (too many requests, "not a bot"), or `GIVE_UP` ids in a row fail, the run stops with one line: to
go on would be impolite, or in vain.  Ids that failed in an earlier run come last, and do not count there.  The next run
goes on where it stopped, within a file too: what has arrived of one lies in data/downloads/arriving until it is whole.

data/downloads is no output of DVC's: the site's words differ from run to run, and no later stage is to run again for
them; and what has arrived stays there while the pipeline runs with other videos.
"""

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import deno
from yt_dlp import YoutubeDL
from yt_dlp.networking.exceptions import HTTPError, network_exceptions
from yt_dlp.utils import ExtractorError, YoutubeDLError

from avsep.errors import InputError
from avsep.files.ledgers import Item, Ledger, fingerprint
from avsep.media.ffmpeg import ffmpeg
from avsep.progress import progress
from avsep.sources.folder import SUFFIXES
from avsep.sources.manifest import VIDEOS
from avsep.sources.watched import DOWNLOADS

ARRIVING = DOWNLOADS / "arriving"  # <class>/<id>/: what there is of a video
ARRIVED = DOWNLOADS / "arrived"  # <class>/<id>.<container>: whole ones
LEDGER = DOWNLOADS / "answers.csv"
COLUMNS = ["file", "status", "reason"]

GIVE_UP = 3  # ids in a row that fail before the run stops
LONGEST_PAUSE = 600.0  # seconds between two tries
FINAL_STATUS = {404, 410, 451}  # what a server answers of a page that is not there and will not be
REFUSED_STATUS = {429}  # too many requests
# The site's words for: not now, not to you.  All other words of an extractor's about a video are its final answer.
REFUSED = re.compile(r"not a bot|rate.?limit|try again later|too many requests|unusual traffic", re.IGNORECASE)
# These tell of yt-dlp and the site, not of the video.
PASSING = re.compile(r"format is not available|no video formats|javascript|please report this issue", re.IGNORECASE)
# What a fault of yt-dlp's raises, where a site is no longer as it knows it: no reason to lose the run for one id.
FAULTS = (LookupError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError)

_said = logging.getLogger("yt_dlp")  # what matters of it stands in the reasons
_said.setLevel(logging.CRITICAL)


class Settings(NamedTuple):
    """How to ask; what each means stands in conf/config.yaml, section download."""

    url: str
    height: int
    rate: float | None
    sleep: float
    retries: int
    pause: float


class Unavailable(Exception):
    """The final answer to an id; its message is the reason."""


class Failed(Exception):
    """No answer to an id, this time; its message is the reason."""


class Refused(Failed):
    """The site asks for no more requests."""


def download(
    items: Iterable[Item],
    ledger: Ledger,
    settings: Settings,
    *,
    retry_unavailable: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> list[Item]:
    """Brings every item into one of the three states, and notes it in `ledger`; gives those that it asked for.

    What the ledger knows of other items stays.  Raises InputError if the site refuses, if too many ids in a row fail,
    or if there is no room.
    """
    made_from = _made_from(settings)
    items = list(items)
    todo = [item for item in items if not _settled(item, ledger, made_from, retry_unavailable)]
    before = {item for item in todo if item in ledger.entries and ledger.entries[item].values["status"] == "failed"}
    todo.sort(key=before.__contains__)  # what failed may fail for ever, and must not keep the others from being asked
    logging.info("videos: %d of %d ids to ask for", len(todo), len(items))
    failed = 0
    for item in progress(todo, "download", len(todo), "id"):
        stop = None
        try:
            file, status, reason = fetch(item, settings, wait), "available", ""
            failed = 0
        except Unavailable as answer:
            file, status, reason, failed = None, "unavailable", str(answer), 0
        except Failed as trouble:
            file, status, reason, failed = None, "failed", str(trouble), failed + (item not in before)
            stop = "the site refuses" if isinstance(trouble, Refused) else None
        if reason:
            logging.warning("%s: %s/%s: %s", status, *item, reason)
        outputs = [] if file is None else [file]
        below = "" if file is None else file.relative_to(ARRIVED).as_posix()
        ledger.record(item, made_from, outputs, file=below, status=status, reason=reason)
        ledger.write()  # a video takes longer: a kill loses nothing
        if failed >= GIVE_UP:
            stop = stop or f"{failed} ids in a row could not be fetched"
        if stop:
            raise InputError(
                f"{stop}, last {item[1]}: {reason}; what is there stays: run again later, with a longer download.sleep"
                " or a newer yt-dlp if this goes on"
            )
    return todo


def adopt(files: Mapping[Item, str], ledger: Ledger, settings: Settings) -> None:
    """Notes files of data/videos, <class>/<id>.<container>, of which the ledger knows nothing: DVC brought them."""
    made_from = _made_from(settings)
    for item, file in files.items():
        ledger.record(item, made_from, [VIDEOS / file], file=file, status="available", reason="")


def _made_from(settings: Settings) -> str:
    return fingerprint([], [], {"url": settings.url, "height": settings.height})


def _settled(item: Item, ledger: Ledger, made_from: str, retry_unavailable: bool) -> bool:
    """Whether an earlier run has the answer, and the file, if there is one, is as it left it."""
    entry = ledger.entries.get(item)
    if entry is None or entry.values["status"] == "failed":
        return False
    outputs = [place_of(entry.values["file"])] if entry.values["file"] else []
    if not outputs and retry_unavailable:
        return False
    return ledger.is_current(item, made_from, outputs)


def place_of(file: str) -> Path:
    """Where an available file, <class>/<id>.<container>, lies: one that is not in data/videos yet is the newer."""
    arrived = ARRIVED / file
    return arrived if arrived.exists() else VIDEOS / file


def deliver(file: str) -> Path:
    """Moves an available file to data/videos, unless it is there; gives its path."""
    there, path = place_of(file), VIDEOS / file
    if there != path:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(there, path)
    return path


def fetch(item: Item, settings: Settings, wait: Callable[[float], None] = time.sleep) -> Path:
    """Downloads one video to data/downloads/arrived/<class>/<id>.<container>, whole or not at all; gives its path.

    Tries again, after pauses that double, where there was no answer, but not where the site refuses.  Raises
    Unavailable or Failed.
    """
    category, name = item
    parts = ARRIVING / category / name
    for attempt in range(settings.retries + 1):
        try:
            path = _ask(settings.url.format(id=name), parts, settings)
            break
        except Unavailable:
            shutil.rmtree(parts, ignore_errors=True)
            raise
        except Refused:
            raise
        except Failed:
            if attempt == settings.retries:
                raise
            wait(back_off(settings.pause, attempt))
    whole = ARRIVED / category / f"{name}{path.suffix.lower()}"
    whole.parent.mkdir(parents=True, exist_ok=True)
    for other in whole.parent.glob(f"{name}.*"):  # of another container, from a run with other params
        other.unlink()
    os.replace(path, whole)
    shutil.rmtree(parts)
    return whole


def back_off(pause: float, attempt: int) -> float:
    """Seconds to wait after try number `attempt`, from 0."""
    return min(pause * 2**attempt, LONGEST_PAUSE)


def _ask(url: str, folder: Path, settings: Settings) -> Path:
    """One try; gives the whole file below `folder`. Raises Unavailable, Failed, or InputError for a full disk."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with YoutubeDL(options(folder, settings)) as asked:
            info = asked.extract_info(url)
    except (YoutubeDLError, OSError, *FAULTS) as error:
        raise _verdict(error) from None
    files = [Path(one["filepath"]) for one in (info or {}).get("requested_downloads") or [] if one.get("filepath")]
    if len(files) != 1 or files[0].suffix.lower() not in SUFFIXES:
        raise Unavailable(f"no video: {', '.join(file.suffix for file in files) or 'nothing to download'}")
    return files[0]


def options(folder: Path, settings: Settings) -> dict[str, Any]:
    """yt-dlp's, for one video into `folder`."""
    height = settings.height

    def pause(n: int) -> float:
        return back_off(settings.pause, n)

    return {
        # the best that is not higher; the smallest if all are; one file if the site has no streams apart
        "format": f"bv*[height<=?{height}]+ba/b[height<=?{height}]/wv*+ba/w",
        "merge_output_format": "mp4/mkv",
        "paths": {"home": str(folder)},
        # with the format's name: bytes of two formats are never put together
        "outtmpl": {"default": "video.%(format_id)s.%(ext)s"},
        "noplaylist": True,
        "allowed_extractors": ["youtube", "generic"],
        "continuedl": True,
        "updatetime": False,
        "ratelimit": settings.rate,
        "retries": settings.retries,
        "fragment_retries": settings.retries,
        "extractor_retries": settings.retries,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), pause),
        "sleep_interval": settings.sleep,
        "max_sleep_interval": 2 * settings.sleep,
        "sleep_interval_requests": min(settings.sleep, 1.0),
        "socket_timeout": 30,
        "ffmpeg_location": ffmpeg(),
        "js_runtimes": {"deno": {"path": deno.find_deno_bin()}},
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "logger": _said,
    }


def _verdict(error: Exception) -> Exception:
    """What an error of yt-dlp's means for the id: Unavailable, Refused or Failed; or for the run: InputError."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            return InputError(f"{DOWNLOADS} cannot be written: {cause.strerror}; what is there stays")
    reason = _reason(chain)
    statuses = [cause.status for cause in chain if isinstance(cause, HTTPError)]
    if REFUSED_STATUS.intersection(statuses) or REFUSED.search(reason):
        return Refused(reason)
    if statuses:
        return Unavailable(reason) if FINAL_STATUS.issuperset(statuses) else Failed(reason)
    if any(isinstance(cause, network_exceptions) for cause in chain) or PASSING.search(reason):
        return Failed(reason)
    answered = any(isinstance(cause, ExtractorError) and cause.expected for cause in chain)
    return Unavailable(reason) if answered else Failed(reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from: yt-dlp keeps that in several ways."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if not isinstance(one, BaseException) or one in seen:
            continue
        seen.append(one)
        yield one
        held = getattr(one, "exc_info", None) or (None, None)
        todo += [held[1], getattr(one, "cause", None), one.__cause__, one.__context__]


def _reason(chain: list[BaseException]) -> str:
    """The site's own words, on one line."""
    said = next((cause.orig_msg for cause in chain if isinstance(cause, ExtractorError)), str(chain[0]))
    plain = re.sub(r"^ERROR: (\[\S+\] \S+: )?", "", " ".join(said.split()))
    return plain[:200] or type(chain[0]).__name__

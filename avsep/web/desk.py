"""Behind the page: what was brought, what is asked of it, and one model that answers, one question after the other.

What is brought lies in a folder of its own under a name that nobody can guess, with the answers to what was asked of
it, and goes when nothing of it was wanted for a time.
"""

import logging
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avsep.errors import InputError
from avsep.files.names import safe
from avsep.separate import Separator
from avsep.separating.streaming import Place

MOST_WAITING = 20  # questions
MOST_TEXTS, LONGEST_TEXT = 8, 200  # phrases of a question, characters of one
MOST_PLACES = 8  # of a question
DOING = {"reading": "Reading", "looking": "Looking for objects", "separating": "Separating", "writing": "Writing"}

log = logging.getLogger(__name__)


class Stopped(Exception):
    """A question that nobody wants answered any more."""


@dataclass(frozen=True)
class Limits:
    """What may be brought, and how long it stays."""

    bytes: int
    seconds: float  # of its sound
    kept: float  # seconds


@dataclass
class Brought:
    """A file."""

    id: str
    folder: Path
    file: Path
    seconds: float
    pictures: bool
    touched: float  # when something of it was wanted last


@dataclass
class Question:
    """What is asked of a file, and how far the answer is."""

    id: str
    brought: Brought
    texts: tuple[str, ...]
    places: tuple[Place, ...] = ()
    future: "Future[dict[str, Any]] | None" = None
    what: str = ""
    done: float = 0.0
    total: float = 0.0
    begun: float = 0.0  # when `what` began
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def folder(self) -> Path:
        """Of the answer."""
        return self.brought.folder / self.id


class Desk:
    """Takes files and questions, and answers these in the order in which they come."""

    def __init__(self, separator: Separator, words: Separator | None, folder: Path, limits: Limits) -> None:
        """`separator` is asked for what is seen; `words`, if it is there, in words.  `folder` holds all that is
        brought."""
        self.separator, self.words, self.folder, self.limits = separator, words, folder, limits
        self._brought: dict[str, Brought] = {}
        self._questions: dict[str, Question] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="separating")

    # --- What is brought

    def place(self, name: str) -> Path:
        """Where a file that a user calls `name` is to be written, in a new folder. Raises InputError."""
        if shutil.disk_usage(self.folder).free < 8 * self.limits.bytes:
            raise InputError("no room is left on this machine: try again later")
        suffix = re.sub(r"[^a-z0-9]", "", Path(name).suffix.lower())[:8]
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir()
        return folder / (safe(Path(name).stem) + (f".{suffix}" if suffix else ""))

    def take(self, file: Path) -> Brought:
        """A file that was written at its place. Raises InputError for one that nothing can be made of, which goes."""
        try:
            seconds, pictures = self._told(file, file)
        except InputError:
            self.drop(file)
            raise
        brought = Brought(file.parent.name, file.parent, file, seconds, pictures, time.monotonic())
        with self._lock:
            self._brought[brought.id] = brought
        return brought

    def drop(self, file: Path) -> None:
        """Removes a file that was not taken, with its folder."""
        shutil.rmtree(file.parent, ignore_errors=True)

    def _told(self, file: Path, shown: Path) -> tuple[float, bool]:
        try:
            seconds, pictures = self.separator.lasts(file)
        except InputError as error:
            raise InputError(str(error).replace(str(file), shown.name)) from None
        if seconds > self.limits.seconds:
            raise InputError(
                f"{shown.name} lasts {seconds / 60:.1f} minutes: at most {self.limits.seconds / 60:g} are taken"
            )
        if not pictures and self.words is None:
            raise InputError(f"{shown.name} holds sound alone, and this model cannot be asked in words")
        return seconds, pictures

    def brought(self, id_: str) -> Brought:
        """Raises KeyError for what is not here, or no more."""
        with self._lock:
            found = self._brought[id_]
            found.touched = time.monotonic()
            return found

    # --- What is asked

    def ask(self, brought: Brought, texts: Sequence[str], places: Sequence[Place] = ()) -> Question:
        """Asks for what is seen, and what is at `places` too; or, of `texts`, in words. Raises InputError for what
        cannot be asked."""
        asked = tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
        if len(asked) > MOST_TEXTS or any(len(text) > LONGEST_TEXT for text in asked):
            raise InputError(f"ask for at most {MOST_TEXTS} phrases of {LONGEST_TEXT} characters")
        if asked and self.words is None:
            raise InputError("this model cannot be asked in words")
        if len(places) > MOST_PLACES:
            raise InputError(f"ask for at most {MOST_PLACES} boxes")
        if asked and places:
            raise InputError("ask in words, or for boxes, not for both at once")
        if not asked and not brought.pictures:
            raise InputError("it holds sound alone: ask in words")
        question = Question(secrets.token_urlsafe(16), brought, asked, tuple(places))
        with self._lock:
            if sum(not one.future.done() for one in self._questions.values() if one.future) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} others wait already: try again later")
            self._questions[question.id] = question
            question.future = self._worker.submit(self._answer, question)
        question.future.add_done_callback(_log)
        return question

    def _answer(self, question: Question) -> dict[str, Any]:
        """On the worker's thread."""

        def told(what: str, done: float, total: float) -> None:
            if question.stopped.is_set():
                raise Stopped
            if what != question.what:
                question.what, question.begun = what, time.monotonic()
            question.done, question.total = done, total

        if question.stopped.is_set():
            raise Stopped
        separator = self.words if question.texts and self.words is not None else self.separator
        try:
            return separator.write(
                question.brought.file, question.folder, texts=question.texts, boxes=question.places, told=told
            )
        except InputError as error:
            raise InputError(str(error).replace(str(question.brought.file), question.brought.file.name)) from None

    def question(self, id_: str) -> Question:
        """Raises KeyError."""
        with self._lock:
            found = self._questions[id_]
            found.brought.touched = time.monotonic()
            return found

    def state(self, question: Question) -> dict[str, Any]:
        """How far a question is, for the page."""
        future = question.future
        assert future is not None
        if future.cancelled():
            return {"state": "stopped"}
        if future.done():
            error = future.exception()
            if error is None:
                return {"state": "done", "result": f"results/{question.id}/index.html"}
            if isinstance(error, Stopped):
                return {"state": "stopped"}
            known = isinstance(error, InputError)
            return {"state": "failed", "error": str(error) if known else "something went wrong here: the terminal of"
                    " `avsep web` tells what"}  # fmt: skip
        if not future.running():
            with self._lock:
                before = [one for one in self._questions.values() if one.future and not one.future.done()]
            return {"state": "waiting", "before": before.index(question) if question in before else 0}
        spent = time.monotonic() - question.begun
        share = min(1.0, question.done / question.total) if question.total else 0.0
        left = spent / share - spent if share > 0.02 and spent > 0.5 else None
        return {"state": "working", "what": DOING.get(question.what, "Loading the model"), "share": share, "left": left}

    def stop(self, question: Question) -> None:
        """What is asked need not be answered."""
        question.stopped.set()
        if question.future is not None:
            question.future.cancel()

    def packed(self, question: Question) -> Path:
        """An answer in one file."""
        path = question.brought.folder / f"{question.id}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for one in sorted(question.folder.rglob("*")):
                if one.is_file():
                    archive.write(one, Path(question.brought.file.stem) / one.relative_to(question.folder))
        return path

    # --- What goes

    def sweep(self) -> None:
        """Removes files of which nothing was wanted for a time, with their answers."""
        now = time.monotonic()
        with self._lock:
            busy = {one.brought.id for one in self._questions.values() if one.future and not one.future.done()}
            old = [one for one in self._brought.values() if one.id not in busy and now - one.touched > self.limits.kept]
            for one in old:
                del self._brought[one.id]
            gone = {one.id for one in old}
            self._questions = {key: one for key, one in self._questions.items() if one.brought.id not in gone}
        for one in old:
            shutil.rmtree(one.folder, ignore_errors=True)

    def close(self) -> None:
        """Ends what is being answered."""
        for question in list(self._questions.values()):
            self.stop(question)
        self._worker.shutdown(wait=True, cancel_futures=True)


def _log(future: "Future[dict[str, Any]]") -> None:
    """On the terminal what is no fault of a user's."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, InputError | Stopped):
        log.error("a file could not be separated", exc_info=error)

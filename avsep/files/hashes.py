"""Hashes of files, remembered from run to run, so that a file is read again only if it may have changed.

A hash holds for a path while size, inode, and the times of the last change of its bytes (mtime) and of anything about
it (ctime, which no program can set back) are what they were, as git and DVC have it.  A file that changed less than two
seconds before it was read is not remembered: clocks of file systems are coarse, and it could change again unseen.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COARSE = 2_000_000_000  # nanoseconds: the coarsest clock of a file system in use, FAT's


_TABLE = "CREATE TABLE sha256 (path BLOB PRIMARY KEY, state TEXT, hash TEXT)"


class Hashes:
    """sha256 of files, kept in the SQLite file `path`; threads and processes may use one file at once.

    It is a cache: one that is damaged is made anew, and where none can be written every file is read.  Rows of files
    that are gone stay; they take some 200 bytes each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def __reduce__(self) -> tuple[type["Hashes"], tuple[Path]]:
        return Hashes, (self.path,)  # another process opens the file for itself

    def sha256(self, file: Path) -> str | None:
        """The hash of a file's bytes; None if there is no file."""
        try:
            before = file.stat()
            known = self._ask("SELECT hash FROM sha256 WHERE path = ? AND state = ?", os.fsencode(file), _state(before))
            if known:
                return str(known[0][0])
            now = time.time_ns()
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
                after = os.fstat(opened.fileno())
        except FileNotFoundError:
            return None
        settled = now - max(before.st_mtime_ns, before.st_ctime_ns) > COARSE
        if settled and _state(before) == _state(after):
            self._ask("INSERT OR REPLACE INTO sha256 VALUES (?, ?, ?)", os.fsencode(file), _state(after), found)
        return found

    def close(self) -> None:
        """Closes the file. Another use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _ask(self, query: str, *values: str | bytes) -> Sequence[Any]:
        """The rows of a query; none if the cache does not work."""
        with self._lock:
            for _ in range(2):
                if not self._usable:
                    break
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return self._connection.execute(query, values).fetchall()
                except sqlite3.OperationalError as error:  # no folder, read only, a full disk, a lock held too long
                    self._give_up(error)
                except sqlite3.DatabaseError:
                    self._usable = self._remove()
        return []

    def _give_up(self, error: sqlite3.Error) -> None:
        """Asks no more: where it failed once, on a file system without locks say, each question would wait as long."""
        self._usable = False
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = None
        if self.path.parent.is_dir():
            logging.warning(
                "%s cannot be used (%s): every file is read in this run; it is a cache, and may be removed",
                self.path,
                error,
            )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
            connection.execute("PRAGMA synchronous = NORMAL")
            # before anything is asked: a view or a trigger in a file that others made may never come to an end
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE sql != ?", (_TABLE,)).fetchone():
                raise sqlite3.DatabaseError("not the table of this version alone")
            connection.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> bool:
        """Whether a damaged file could be removed."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = None
        try:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError:
            return False
        return True


def _state(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"

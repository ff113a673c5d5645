"""A file or a folder is written whole or not at all.

What is being written lies beside its place, as `.<name>.tmp`, and takes that place when it is whole.  If the writing
fails, whatever the exception, what lay there stays and the temporary goes.  A run that was killed leaves the temporary
behind: the next one writes it anew, and a stage that prunes its folder removes it.

    with whole_file(path) as temporary:
        temporary.write_bytes(content)
"""

import contextlib
import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avsep.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


PROBE = 1 << 16  # bytes that are written to see whether a disk takes any


def temporary_for(path: Path) -> Path:
    """Where the file or the folder `path` lies until it is whole."""
    return path.with_name(f".{path.name}.tmp")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, which then takes the place of `path`; makes the folder that it lies in."""
    temporary = temporary_for(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with telling_of_the_disk(path.parent):
            yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which then takes the place of the folder `path`, if there is one, with all it holds.

    No file system replaces a folder that holds something: the old one is set aside first.  A kill in between leaves
    neither at `path`.
    """
    temporary = temporary_for(path)
    aside = temporary_for(temporary)
    for left_over in (temporary, aside):
        _remove(left_over)
    temporary.mkdir(parents=True)
    try:
        with telling_of_the_disk(path.parent):
            yield temporary
        if os.path.lexists(path):
            os.replace(path, aside)
        os.replace(temporary, path)
    except BaseException:
        if os.path.lexists(aside) and not os.path.lexists(path):
            os.replace(aside, path)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _remove(aside)


@contextlib.contextmanager
def telling_of_the_disk(folder: Path) -> Iterator[None]:
    """Around what other libraries write into a folder: raises the system's OSError if that is why they fail."""
    try:
        yield
    except Exception as error:
        if _is_vague(error) and (fault := fault_of_the_disk(folder)) is not None:
            raise fault from error
        raise


def fault_of_the_disk(folder: Path) -> OSError | None:
    """What the system says if nothing can be written into a folder; None if something can.

    A second opinion, for libraries that do not hand on what the system told them: numpy's error of a full disk has no
    number, libsndfile's is called a system error, and torch's and ffmpeg's are their own.  To be asked before what was
    half written is removed.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
    except OSError as error:
        if error.filename is None:
            error.filename = str(folder)
        return error
    return None


def _is_vague(error: Exception) -> bool:
    """Whether it may stand for a fault of the disk, without saying so."""
    return not isinstance(error, InputError) and getattr(error, "errno", None) is None


def _remove(path: Path) -> None:
    """Removes a folder with all it holds, a file, a link, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8, its line ends as they are."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, values: Any, indent: int | None = None) -> None:
    """Writes plain values. Raises ValueError for a number that JSON has no word for."""
    write_text(path, json.dumps(values, indent=indent, allow_nan=False) + "\n")


def write_rows(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Writes a CSV file; its header, if it has one, is the first row."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Writes a table as a CSV file, without its index."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")

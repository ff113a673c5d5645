"""Files that anyone may have written are read, or refused in one line: one way for all formats.

No library documents what its reader does with a damaged or a hostile file: it raises what it trips over, waits for a
pipe, or asks for the memory that a header tells of.  So each is called in here, and nowhere else:

    with reading(path, "array of detections", "run stage detect again"):
        rows = np.load(path, allow_pickle=False)
"""

import csv
import errno
import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import yaml

from avsep.errors import InputError

MOST_TEXT = 1 << 28  # bytes of a text that is taken into memory whole
MOST_VALUES = 1_000_000  # in YAML, whose aliases may stand for more than there are atoms
TOLD = 300  # characters of what a library said

# Of the machine, not of the file, which may be whole: these go on as they are.
_OF_THE_MACHINE = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE),
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
}
_KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))


@contextmanager
def reading(path: Path | str, what: str, hint: str = "", *, most: int | None = None) -> Iterator[None]:
    """Around the code that reads the plain file `path`, which should be a `what`.

    Raises InputError, which ends with the `hint`, for a file that is missing, is none but a folder, a pipe or a device,
    has more than `most` bytes, or that the code within fails on, with whatever exception.  OSErrors of the machine, as
    of too many open files, go on as they are.
    """
    refuse_other_kinds(path, what, hint)
    with refusing(f"{path} is no {what} that can be read", hint):
        if most is not None and (size := Path(path).stat().st_size) > most:
            raise ValueError(f"it has {size:,} bytes, and {most:,} are read at most")
        yield


def refuse_other_kinds(path: Path | str, what: str, hint: str = "") -> None:
    """Raises InputError if `path` is no plain file, or a link to one: opening a pipe would wait for a writer."""
    then = f": {hint}" if hint else ""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        raise InputError(f"{path} is missing{then}") from None
    except (OSError, ValueError) as error:  # a name that is too long, a link to itself, a name with a NUL
        _refuse(error, f"{path} is no {what} that can be read", then)
    if not stat.S_ISREG(mode):
        kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "device")
        raise InputError(f"{path} is a {kind}, and no {what}{then}")


@contextmanager
def refusing(told: str, hint: str = "") -> Iterator[None]:
    """Around another library's code that takes what anyone may have written: `reading`, for more than one file.

    Raises InputError: what is `told`, what the library said, the `hint`.
    """
    try:
        yield
    except (InputError, ImportError):  # what is not installed is no fault of the file
        raise
    except Exception as error:  # noqa: BLE001  a parser's are of any kind, and some raise no other than this one
        _refuse(error, told, f": {hint}" if hint else "", error)


def _refuse(error: Exception, told: str, then: str, cause: Exception | None = None) -> NoReturn:
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        raise error
    raise InputError(f"{told} ({reason_of(error)}){then}") from cause


def reason_of(error: Exception) -> str:
    """What an exception says, in a line that is not long."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror if error.filename is None else f"{error.strerror}: {str(error.filename)!r}"
    said = " ".join(said.split())
    return f"{said[:TOLD]}{'...' if len(said) > TOLD else ''}" or type(error).__name__


def read_text(path: Path, what: str, hint: str = "") -> str:
    """A text in UTF-8, without a mark of its byte order. Raises InputError."""
    with reading(path, what, hint, most=MOST_TEXT):
        return path.read_text(encoding="utf-8-sig")


def read_json(
    path: Path,
    hint: str = "",
    *,
    what: str = "JSON",
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Plain values. Raises InputError, also for NaN and infinity, which JSON has no words for."""
    text = read_text(path, what, hint)
    with refusing(f"{path} is no {what} that can be read", hint):
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=object_pairs_hook)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON's")


def read_yaml(path: Path, hint: str = "") -> Any:
    """Plain values. Raises InputError, also for what aliases make endless."""
    text = read_text(path, "YAML", hint)
    with refusing(f"{path} is no YAML", hint):
        values = yaml.safe_load(text)
        if _count(values, {}) > MOST_VALUES:
            raise ValueError(f"it stands for more than {MOST_VALUES:,} values")
        return values


def _count(value: Any, known: dict[int, float]) -> float:
    """How many values there are, as often as aliases name them; infinitely many in what holds itself."""
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")
        held = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in held)
    return known[id(value)]


def read_rows(path: Path, what: str, hint: str = "", **options: Any) -> list[list[str]]:
    """The rows of a CSV file, each line one; `options` are csv.reader's. Raises InputError."""
    text = read_text(path, what, hint)
    with refusing(f"{path} is no CSV file", hint):
        return list(csv.reader(text.splitlines(), strict=True, **options))


def read_table(path: Path, what: str, hint: str = "") -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line; what a short row lacks is empty. Raises InputError."""
    with reading(path, what, hint, most=MOST_TEXT), path.open(newline="", encoding="utf-8") as file:
        return [{k: v or "" for k, v in row.items() if k is not None} for row in csv.DictReader(file)]

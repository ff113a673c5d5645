"""Names and paths that are read from data: they never lead out of the folder that they belong to."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from avsep.errors import InputError

MOST_BYTES = 255  # of a name, in every file system in use
MOST_IN_PATH = 2048  # half of what Linux takes, for the folders above


def inside(root: Path, relative: str, where: str) -> Path:
    """`root` / `relative`. Raises InputError, beginning with `where`, if that would lie elsewhere.

    Links are not followed: DVC may keep its files as links into the cache.
    """
    parts = _plain(root, relative, where)
    _refuse_long(parts, where)
    return root.joinpath(*parts)


def _plain(root: Path, relative: str, where: str) -> list[str]:
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts):
        raise InputError(f"{where}: {relative!r} is no path inside {root}")
    return parts


def _refuse_long(parts: list[str], where: str) -> None:
    """Before the system does, in an OSError of whatever asks for such a file."""
    lengths = [len(os.fsencode(part)) for part in parts]
    if max(lengths) > MOST_BYTES or sum(lengths) + len(lengths) > MOST_IN_PATH:
        raise InputError(f"{where}: a name of more than {MOST_BYTES} bytes, or a path of {MOST_IN_PATH}, is no file's")


def quoted(relative: str) -> str:
    """A path of any names as text that prints on one line and is UTF-8: what does not becomes %XX, as do % and \\."""
    return "".join(
        character
        if character.isprintable() and character not in "%\\"
        else "".join(f"%{byte:02X}" for byte in os.fsencode(character))
        for character in relative
    )


def quoted_inside(root: Path, text: str, where: str) -> Path:
    """`root` / what `quoted` made `text` of. Raises InputError as `inside` does."""
    _plain(root, text, where)
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in text.split("/")]
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
        raise InputError(f"{where}: {text!r} is no path inside {root}")
    _refuse_long(parts, where)
    return root.joinpath(*parts)

"""Names and paths that are read from data: they never lead out of the folder that they belong to."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from avsep.errors import InputError


def inside(root: Path, relative: str, where: str) -> Path:
    """`root` / `relative`. Raises InputError, beginning with `where`, if that would lie elsewhere.

    Links are not followed: DVC may keep its files as links into the cache.
    """
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts):
        raise InputError(f"{where}: {relative!r} is no path inside {root}")
    return root.joinpath(*parts)


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
    inside(root, text, where)
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in text.split("/")]
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
        raise InputError(f"{where}: {text!r} is no path inside {root}")
    return root.joinpath(*parts)

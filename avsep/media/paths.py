"""Names and paths that are read from data: they never lead out of the folder that they belong to."""

from pathlib import Path

from avsep.errors import InputError


def inside(root: Path, relative: str, where: str) -> Path:
    """`root` / `relative`. Raises InputError, beginning with `where`, if that would lie elsewhere.

    Links are not followed: DVC may keep its files as links into the cache.
    """
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts):
        raise InputError(f"{where}: {relative!r} is no path inside {root}")
    return root.joinpath(*parts)

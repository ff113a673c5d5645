"""Names that users gave to files and folders -> names that are safe in every list and path of the pipeline."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from avsep.errors import InputError

CLASSES_AT_LEAST = 4  # a mixture takes four different ones
MOST_DIGITS = 18  # of a number in a list: what others compute with has 64 bits
VIDEOS_AT_LEAST = 3  # one each to train, to validate, to test


def safe_ids(videos: Sequence[Path]) -> list[str]:
    """The file stems of one class made safe; of those that are then alike, whatever the case, each gets a hash."""
    ids = [safe(video.stem) for video in videos]
    taken = Counter(name.lower() for name in ids)
    return [
        name if taken[name.lower()] == 1 else f"{name}_{hashlib.sha256(os.fsencode(video.name)).hexdigest()[:8]}"
        for name, video in zip(ids, videos, strict=True)
    ]


def safe(name: str) -> str:
    """A name of ASCII letters, digits, - and _ that does not begin with -; 100 characters at most."""
    return _latin(name) or "unnamed"


def safe_classes(names: Iterable[str], where: str) -> dict[str, str]:
    """A class's name as it was given -> a safe one, which VAST asks for.

    Raises InputError, beginning with `where`, for names that nothing is left of, or that would be one class.
    """
    classes, faults = classes_of(names)
    if faults:
        raise InputError(f"{where}: {'; '.join(faults)}")
    return classes


def classes_of(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Names as they were given -> safe ones, of those that can be classes; and what is wrong with the others."""
    classes: dict[str, str] = {}
    known: dict[str, str] = {}
    faults = []
    for name in names:
        category = _latin(name)
        if not any(map(str.isalpha, category)) and (not category or any(map(str.isalpha, name))):
            faults.append(
                f"{printable(name)} has no Latin letter, and VAST asks for a class by its name: rename it in English"
            )
        elif (other := known.setdefault(category.lower(), name)) != name:
            faults.append(f"{printable(other)}, {printable(name)} would both be class {category}: rename one of them")
        else:
            classes[name] = category
    return classes, faults


def refuse_few(counts: Counter[str], classes: Iterable[str], where: str, hint: str) -> None:
    """Raises InputError, beginning with `where`, if there are too few classes, or videos (`counts`) of any of them."""
    if faults := few(counts, classes, hint):
        raise InputError(f"{where}: {'; '.join(faults)}")


def few(counts: Counter[str], classes: Iterable[str], hint: str, what: str = "video") -> list[str]:
    """What is wrong if there are too few classes, or videos (`counts`) of any of them; nothing otherwise."""
    names = sorted(classes)
    faults = []
    if len(names) < CLASSES_AT_LEAST:
        told = f"{count(len(names), 'class')}, {', '.join(names)}" if names else "no class"
        faults.append(f"it has {told}; a mixture needs {CLASSES_AT_LEAST} different ones")
    lacking = [f"{name} has {count(counts[name], what)}" for name in names if counts[name] < VIDEOS_AT_LEAST]
    if lacking:
        faults.append(f"{', '.join(lacking)}; a class needs {VIDEOS_AT_LEAST}, to train, validate and test: {hint}")
    return faults


def count(number: int, what: str) -> str:
    """`no classes`, `1 class`, `2 classes`."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number or 'no'} {what if number == 1 else plural}"


def is_number(text: str) -> bool:
    """Whether it is a whole number, from 0 on, in plain digits, and not in thousands of them."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def printable(name: str) -> str:
    """A file's name as text in UTF-8, bytes that are none written as \\xNN, on one line."""
    try:
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair of code units, which JSON can hold and no file's name
        text = name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _latin(name: str) -> str:
    """What is left of a name in `safe`'s characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:100]

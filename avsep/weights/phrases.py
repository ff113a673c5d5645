"""What a user asks for in words -> CLIP's token ids.

A phrase that CLIP would not understand as it is written is refused: nothing is cut or changed but case and blanks, and
nothing stands for nothing.
"""

import functools
import html
import string
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from avsep.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SPECIAL = 2  # tokens around a phrase: its start and its end


def phrase_of(category: str, template: str) -> str:
    """A class's name in a phrase: acoustic_guitar, "a person playing the {}" -> "a person playing the acoustic
    guitar"."""
    return template.replace("{}", category.replace("_", " "))


def refuse_unreadable(phrase: str) -> None:
    """Raises InputError for a phrase that is blank, or not in plain English: Latin letters, digits, ASCII's marks.

    What needs no tokeniser, which takes seconds to import: any stage checks its params so.
    """
    for character in phrase:
        letter = character.isalpha() and unicodedata.name(character, "").startswith("LATIN ")
        if not letter and character not in string.printable:
            raise InputError(
                f"{_quoted(phrase)} holds {character!r}, no Latin letter, digit or ASCII mark: CLIP has learned"
                " English, write it so"
            )
    for other in (html.unescape(phrase), unicodedata.normalize("NFKC", phrase)):
        _refuse_change(phrase, other)
    if not phrase.strip():
        raise InputError(f"{_quoted(phrase)} is blank: say what is to be heard")


def tokenise(phrases: Sequence[str], context: int) -> "Tensor":
    """Token ids (B, context) of English phrases, with CLIP's start and end token, then zeros.

    Raises InputError for a phrase that `refuse_unreadable` refuses, that CLIP's tokeniser would change, or that has
    more tokens than fit.
    """
    import torch  # here, since every stage imports this file with its params, and most need no torch

    ids = torch.zeros(len(phrases), context, dtype=torch.long)
    for row, phrase in zip(ids, phrases, strict=True):
        tokens = _tokens(phrase, context - SPECIAL)
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def _tokens(phrase: str, most: int) -> list[int]:
    """A phrase's ids, start and end included. Raises InputError."""
    refuse_unreadable(phrase)
    tokeniser, clean = _tokeniser()
    _refuse_change(phrase, clean(phrase))
    words: list[int] = tokeniser.encode(phrase)
    start, end = tokeniser.all_special_ids
    if start in words or end in words:
        raise InputError(f"{_quoted(phrase)} holds CLIP's own mark of a start or an end: leave it out")
    if len(words) > most:
        raise InputError(f"{_quoted(phrase)} has {len(words)} tokens: {most} fit (clip.context less {SPECIAL})")
    return [start, *words, end]


def _refuse_change(phrase: str, read: str) -> None:
    if read.split() != phrase.split():
        raise InputError(f"{_quoted(phrase)} is {_quoted(read)} to CLIP: write what is meant in plain letters")


def _quoted(phrase: str) -> str:
    return f"the phrase {phrase[:60]!r}{'...' if len(phrase) > 60 else ''}"


@functools.cache
def _tokeniser() -> Any:
    """open_clip's tokeniser, and how it cleans a text beforehand."""
    from open_clip.tokenizer import SimpleTokenizer, basic_clean  # here, since importing it takes seconds

    return SimpleTokenizer(), basic_clean

"""What a user asks for in words -> CLIP's token ids.

A phrase that CLIP would not understand as it is written is refused: nothing is cut, and nothing stands for nothing.
"""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avsep.errors import InputError

SPECIAL = 2  # tokens around a phrase: its start and its end


def phrase_of(category: str, template: str) -> str:
    """A class's name in a phrase: acoustic_guitar, "a person playing the {}" -> "a person playing the acoustic
    guitar"."""
    return template.replace("{}", category.replace("_", " "))


def tokenise(phrases: Sequence[str], context: int) -> Tensor:
    """Token ids (B, context) of English phrases, with CLIP's start and end token, then zeros.

    Raises InputError for a phrase that is blank, has more tokens than fit, or is not in Latin letters.
    """
    ids = torch.zeros(len(phrases), context, dtype=torch.long)
    for row, phrase in zip(ids, phrases, strict=True):
        tokens = _tokens(phrase, context - SPECIAL)
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def _tokens(phrase: str, most: int) -> list[int]:
    """A phrase's ids, start and end included. Raises InputError."""
    name = f"the phrase {phrase[:60]!r}{'...' if len(phrase) > 60 else ''}"
    for letter in filter(str.isalpha, phrase):
        if "LATIN" not in unicodedata.name(letter, ""):
            raise InputError(f"{name} holds {letter!r}, no Latin letter: CLIP has learned English, write it so")
    tokeniser = _tokeniser()
    words: list[int] = tokeniser.encode(phrase)
    start, end = tokeniser.all_special_ids
    if not words:
        raise InputError(f"{name} is blank: say what is to be heard")
    if start in words or end in words:
        raise InputError(f"{name} holds CLIP's own mark of a start or an end: leave it out")
    if len(words) > most:
        raise InputError(f"{name} has {len(words)} tokens: {most} fit (clip.context less {SPECIAL})")
    return [start, *words, end]


@functools.cache
def _tokeniser() -> Any:
    from open_clip.tokenizer import SimpleTokenizer  # here, since importing it takes seconds

    return SimpleTokenizer()

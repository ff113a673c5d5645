"""Phrases become CLIP's tokens whole, or are refused in one line."""

import subprocess
import sys

import open_clip
import pytest
import torch

from avsep.errors import InputError
from avsep.weights.phrases import phrase_of, tokenise


def test_a_class_becomes_words() -> None:
    assert phrase_of("acoustic_guitar", "a person playing the {}") == "a person playing the acoustic guitar"
    assert phrase_of("tuba", "{} solo") == "tuba solo"


@pytest.mark.parametrize("context", [12, 77])
def test_tokens_are_open_clips(context: int) -> None:
    phrases = [
        "a person playing the violin",
        "  A Person\nplaying the VIOLIN ",
        "someone's erhu, 2 strings",
        "Café & oud",
    ]
    ids = tokenise(phrases, context)
    assert ids.shape == (4, context) and ids.dtype == torch.long
    assert torch.equal(ids, open_clip.tokenize(phrases, context))
    assert torch.equal(ids[0], ids[1])
    assert tokenise([], context).shape == (0, context)


def test_a_phrase_that_just_fits_keeps_its_end() -> None:
    ids = tokenise(["a person playing the violin"], 7)
    assert ids[0].tolist() == [49406, 320, 2533, 1629, 518, 17058, 49407]
    with pytest.raises(InputError, match=r"the violin' has 5 tokens: 4 fit \(clip\.context less 2\)"):
        tokenise(["a person playing the violin"], 6)


@pytest.mark.parametrize(
    ("phrase", "reason"),
    {
        "": "'' is blank",
        " \t\n": "is blank",
        "&nbsp;": r"is the phrase '\\xa0' to CLIP",
        "Café &amp; oud": "is the phrase 'Café & oud' to CLIP: write what is meant",
        "&amp;amp;": "to CLIP",
        "rock &amp roll": "to CLIP",
        "a \N{LATIN SMALL LIGATURE FL}ute": "is the phrase 'a flute' to CLIP",
        "\N{FULLWIDTH LATIN SMALL LETTER A} violin": "no Latin letter",
        "a pi&NTILDE;ata": "is the phrase 'a piÑata' to CLIP",
        "a violin \N{VIOLIN}": "no Latin letter, digit or ASCII mark",
        "\N{LATIN CROSS} bells": "no Latin letter",
        "a violin\x1b[0m": "no Latin letter",
        "скрипка": "no Latin letter",
        "a person playing the 二胡": "holds '二', no Latin letter",
        "violin \N{GREEK SMALL LETTER ALPHA}": "no Latin letter",
        "a violin <end_of_text> a tuba": "CLIP's own mark",
        "a very " * 40 + "long phrase": r"has 82 tokens: 18 fit",
    }.items(),
)
def test_what_clip_would_not_understand_is_refused(phrase: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        tokenise(["a violin", phrase], 20)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_needs_no_tokeniser_imports_none() -> None:
    """Each stage checks its params so: seconds that videos, extract, index and report would wait for."""
    check = "from avsep.weights.phrases import refuse_unreadable; refuse_unreadable('a violin'); import sys"
    subprocess.run(
        [sys.executable, "-c", f"{check}; assert not {{'torch', 'open_clip'}} & set(sys.modules)"], check=True
    )

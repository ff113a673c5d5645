"""Captions: true of their class, varied, the same for the same rng, and never too long for CLIP."""

from itertools import product

import numpy as np
import pytest

from avsep.demo.captions import AFTER, BEFORE, NAMES, PLAYED, TEMPLATES, caption
from avsep.demo.instruments import INSTRUMENTS
from avsep.weights.phrases import tokenise

each_class = pytest.mark.parametrize("name", NAMES)


def drawn(name: str, count: int = 600, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [caption(rng, name) for _ in range(count)]


def test_every_instrument_has_names_and_is_played() -> None:
    assert set(NAMES) == set(PLAYED) == set(INSTRUMENTS)
    names = [name for words in NAMES.values() for name in words]
    assert len(names) == len(set(names)), "a name of two classes"
    assert all(words[0] == name.replace("_", " ") for name, words in NAMES.items())


@each_class
def test_a_caption_says_its_own_class_and_no_other(name: str) -> None:
    others = {word for other, words in NAMES.items() if other != name for word in words}
    for text in drawn(name):
        assert any(word in text for word in NAMES[name])
        confused = [word for word in others if f" {word} " in f" {text} "]
        # "chinese fiddle" holds "fiddle": its other words tell it from a violin's
        assert all(any(word in own for own in NAMES[name]) for word in confused), text


@each_class
def test_captions_vary_and_repeat_themselves(name: str) -> None:
    assert drawn(name) == drawn(name)
    assert drawn(name) != drawn(name, seed=1)
    assert len(set(drawn(name))) > 200
    words = name.replace("_", " ")
    assert f"a person playing the {words}" in drawn(name)


@each_class
def test_every_caption_fits_twenty_tokens(name: str) -> None:
    parts = (sorted(set(BEFORE)), TEMPLATES + PLAYED[name], sorted(set(AFTER)), NAMES[name])
    tokenise([(before + text + after).format(words) for before, text, after, words in product(*parts)], 20)


def test_an_article_goes_with_its_word() -> None:
    text = " | ".join(drawn("accordion") + drawn("erhu") + drawn("saxophone") + drawn("violin"))
    assert "an accordion" in text and "an erhu" in text and "an alto saxophone" in text and "a violin" in text
    for wrong in ("a accordion", "a erhu", "a alto", "an violin", "{", "  "):
        assert wrong not in text

"""VAST, asked as every system is: by a picture, by a phrase; where it looks, and what its confidence is made of."""

from typing import Any, cast

import pytest
import torch

from avsep.errors import InputError
from avsep.models.vast import attention_logits, visual_query
from avsep.systems import vast as module
from avsep.systems.confidence import evidence
from avsep.systems.system import System, hear_sources, together
from avsep.systems.vast import ByPhrase, ByPicture, Words
from avsep.weights.clip import phrase_queries
from tests.helpers.factories import CLIP, SPECTROGRAM, noise, tiny_clip, tiny_waves
from tests.helpers.outcomes import tiny_systems

SIDE: int = CLIP["image_size"]


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    return tiny_systems(["trimodal", "finetune"])


def by_picture(systems: dict[str, System]) -> ByPicture:
    return cast(ByPicture, systems["trimodal_visual"])


def by_phrase(systems: dict[str, System]) -> ByPhrase:
    return cast(ByPhrase, systems["trimodal_text"])


def test_each_is_asked_by_what_its_name_says(systems: dict[str, System]) -> None:
    for name in ("trimodal", "finetune"):
        assert isinstance(systems[f"{name}_visual"], ByPicture) and isinstance(systems[f"{name}_text"], ByPhrase)
        assert systems[f"{name}_text"].sight is None
    sight = systems["trimodal_visual"].sight
    assert sight == systems["finetune_visual"].sight == by_phrase(systems).view, "one CLIP sees for all"
    assert sight is not None and (sight.size, sight.count, sight.square, sight.whole) == (SIDE, 2, True, True)


@torch.no_grad()
def test_masks_are_the_networks(systems: dict[str, System]) -> None:
    heard = hear_sources(tiny_waves(2), SPECTROGRAM)
    visual, text = by_picture(systems), by_phrase(systems)
    pictures = {name: noise(2, 2, 3, SIDE, SIDE, seed=n) for n, name in enumerate("AB")}
    asked = {name: together([visual.prepare(one, "") for one in own]) for name, own in pictures.items()}
    queries = {n: visual_query(torch.stack([visual.clip.tokens(one) for one in own])) for n, own in pictures.items()}
    for name, mask in visual.network.separate(heard.mixture, queries).items():
        torch.testing.assert_close(visual.answer(heard, asked).masks[name], mask)
    nothing = torch.empty(0)
    said = {"A": together([text.prepare(nothing, phrase) for phrase in ("the cello", "the tuba")])}
    words = phrase_queries(text.clip, ["the cello", "the tuba"])
    expected = text.network.separate(heard.mixture, {"A": words})["A"]
    torch.testing.assert_close(text.answer(heard, said).masks["A"], expected, atol=1e-5, rtol=1e-4)
    assert text.answer(heard, said).probability is None is visual.answer(heard, asked).probability


@torch.no_grad()
def test_it_looks_where_the_separated_sound_is(systems: dict[str, System]) -> None:
    heard = hear_sources(tiny_waves(2), SPECTROGRAM)
    system, mask = by_picture(systems), torch.full_like(heard.mixture, 0.5)
    seen = torch.stack([system.see(noise(3, 3, SIDE, SIDE, seed=b)) for b in range(2)])  # (B, M, P, Q)
    found = system.look(heard, mask, seen)
    rows, columns = system.clip.grid
    assert found.shape == (2, 3, rows, columns)
    known = attention_logits(system.network.embed(heard.mixture, mask, "linear"), seen)
    assert torch.equal(found.flatten(2), known)
    alone = system.look(heard, mask, seen[:, 1:2])
    torch.testing.assert_close(found[:, 1:2], alone)
    shut = system.look(heard, torch.zeros_like(mask), seen)
    assert not torch.allclose(found, shut), "of another sound it is elsewhere"


@torch.no_grad()
def test_evidence_is_of_each_mixture_and_phrase(systems: dict[str, System]) -> None:
    heard, system = hear_sources(tiny_waves(2), SPECTROGRAM), by_phrase(systems)
    phrases = ["the cello", "the tuba", "an empty beach"]
    system.embed(phrases)
    found = system.evidence(heard, phrases)
    known = evidence(system.network, heard, phrase_queries(system.clip, phrases), "linear")
    assert found.shape == (2, 3, 3)
    for place, values in enumerate(known):
        torch.testing.assert_close(found[..., place], values, atol=1e-5, rtol=1e-4)


def test_a_phrase_is_read_once_and_all_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def counted(clip: Any, phrases: Any) -> Any:
        asked.append(list(phrases))
        return phrase_queries(clip, phrases)

    monkeypatch.setattr(module, "phrase_queries", counted)
    words = Words(tiny_clip())
    words.embed(["the cello", "the tuba", "the cello"])
    words.embed(["the tuba"])
    both = words("the cello"), words("the tuba")
    assert asked == [["the cello", "the tuba"]] and not torch.equal(*both)
    words("the flute")
    assert asked[1:] == [["the flute"]]


@pytest.mark.parametrize("phrase", [" ", "скрипка", "one " * 20])
def test_a_phrase_that_clip_cannot_read_is_refused(phrase: str, systems: dict[str, System]) -> None:
    with pytest.raises(InputError, match="the phrase"):
        by_phrase(systems).embed([phrase])
    with pytest.raises(InputError, match="the phrase"):
        by_phrase(systems).prepare(torch.empty(0), phrase)

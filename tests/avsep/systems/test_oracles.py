"""References are made from the truth: what nothing gives, and what a mask can give."""

import pytest
import torch

from avsep.scoring.separation import si_sdr
from avsep.systems import oracles
from avsep.systems.catalogue import SYSTEMS
from avsep.systems.system import Answer, HeardMixtures, System, hear_mixtures, hear_sources
from tests.helpers.factories import SAMPLES, SPECTROGRAM, tiny_waves
from tests.helpers.outcomes import REFERENCES, tiny_setup


@pytest.fixture(scope="module")
def references() -> dict[str, System]:
    entries = [entry for entry in SYSTEMS if entry.module == "oracles"]
    return {system.name: system for system in oracles.load(entries, tiny_setup())}


def heard() -> HeardMixtures:
    return hear_sources(tiny_waves(2), SPECTROGRAM)


def test_there_are_three(references: dict[str, System]) -> None:
    assert tuple(references) == REFERENCES == ("mixture", "oracle", "oracle_binary")


def test_the_binary_oracle_gives_each_bin_to_one_source(references: dict[str, System]) -> None:
    known = heard()
    binary = references["oracle_binary"].answer(known, {}).masks
    assert torch.equal(binary["A"] + binary["C"], torch.ones_like(binary["A"]))
    assert torch.equal(binary["A"] == 1, known.solo["A"] >= known.solo["C"])


def test_of_three_sources_the_loudest_has_the_bin(references: dict[str, System]) -> None:
    waves = {**tiny_waves(2), "E": tiny_waves(2, seed=7)["A"]}
    known = hear_sources(waves, SPECTROGRAM)
    binary = references["oracle_binary"].answer(known, {}).masks
    assert torch.equal(torch.stack(list(binary.values())).sum(0), torch.ones_like(known.mixture))
    assert torch.equal(binary["E"] == 1, known.solo["E"] > torch.maximum(known.solo["A"], known.solo["C"]))


def test_the_ratio_mask_is_the_target_of_training(references: dict[str, System]) -> None:
    known = heard()
    masks = references["oracle"].answer(known, {}).masks
    for name, mask in masks.items():
        assert torch.equal(mask, known.target(name, 5.0))
    [low] = oracles.load([entry for entry in SYSTEMS if entry.name == "oracle"], tiny_setup(max_target=0.5))
    assert max(float(mask.max()) for mask in low.answer(known, {}).masks.values()) == 0.5


def test_the_mixture_is_given_as_it_is(references: dict[str, System]) -> None:
    known = heard()
    answer = references["mixture"].answer(known, {})
    assert answer.masks == {} and set(answer.waves) == {"A", "C"}
    assert all(torch.equal(wave, known.wave) for wave in answer.waves.values())


def test_they_answer_for_what_sounds_alone(references: dict[str, System]) -> None:
    asked = dict.fromkeys("ABCD", ())
    for system in references.values():
        assert set(system.answer(heard(), asked).sounds(SPECTROGRAM, heard().wave)) == {"A", "C"}
        assert system.sight is None and system.prepare(torch.empty(0), "playing the cello") == ()
    nothing = hear_mixtures(heard().wave, SPECTROGRAM)
    assert references["oracle"].answer(nothing, asked) == references["mixture"].answer(nothing, asked) == Answer()


def test_both_masks_separate(references: dict[str, System]) -> None:
    seconds = torch.arange(SAMPLES) / 1000
    waves = {"A": 0.1 * torch.sin(400 * seconds)[None], "C": 0.1 * torch.sin(2000 * seconds)[None]}
    known = hear_sources(waves, SPECTROGRAM)
    for name in ("oracle", "oracle_binary"):
        given = references[name].answer(known, {}).sounds(SPECTROGRAM, known.wave)
        assert all(float(si_sdr(given[x], wave)) > float(si_sdr(known.wave, wave)) + 5 for x, wave in waves.items())

"""All systems on tiny mixtures: who is asked for what, and that batches change nothing."""

import numpy as np
import pytest
import torch

from avsep.clips.datasets import FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Video
from avsep.scoring import systems
from avsep.scoring.pairs import GATE_CONTROLS, score
from avsep.scoring.systems import GROUNDED, SYSTEMS, TRAINED, WRONG, Outcome, sounding_probabilities
from tests.helpers.factories import CLASSES, SAMPLES, SPECTROGRAM, hear_tiny, tiny_reader, tiny_waves, write_data
from tests.helpers.outcomes import GATES, asked_objects, mixtures_of, networks, separate


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


@pytest.fixture(scope="module")
def outcomes(videos: list[Video]) -> list[Outcome]:
    return separate(videos, batch=2)


def test_every_system_on_every_mixture(videos: list[Video], outcomes: list[Outcome]) -> None:
    assert [made.number for made in outcomes] == [0, 1, 2]
    for made, mixture in zip(outcomes, mixtures_of(videos), strict=True):
        assert list(made.videos.values()) == list(mixture)
        for name, video in (("A", mixture.a), ("C", mixture.c)):
            np.testing.assert_allclose(made.references[name], tiny_reader().sound(video, 7) / 2, rtol=1e-6)
        np.testing.assert_allclose(made.mixture, made.references["A"] + made.references["C"])
        assert set(made.estimates) == set(SYSTEMS)
        for system, objects in made.estimates.items():
            assert set(objects) == set(asked_objects(system))
            assert all(wave.shape == (SAMPLES,) and np.isfinite(wave).all() for wave in objects.values())
        assert all(mask.shape == (16, 16) for objects in made.masks.values() for mask in objects.values())
        for said in (made.probabilities, made.solo):
            assert {s: set(p) for s, p in said.items()} == {key: set(OBJECTS) for key in GROUNDED}
        assert made.probabilities != made.solo
        assert all(logits.shape == (2, 2, 2) for way in made.attention.values() for logits in way.values())
    rows, reason = score(outcomes[0], GATES, 0, CLASSES)
    assert reason is None and len(rows) == 2 * len(SYSTEMS) + 2 * len(TRAINED) + 4 * len(GATE_CONTROLS)
    gain = {row["system"]: row["si_sdri"] for row in rows if row["object"] == "A"}
    assert gain["oracle"] > 3 and gain["oracle_binary"] > 3, "the tones lie apart"


def test_a_wrong_query_is_the_silent_objects(outcomes: list[Outcome]) -> None:
    for made in outcomes:
        for control, system in WRONG.items():
            np.testing.assert_array_equal(made.masks[control]["A"], made.masks[system]["B"])
            np.testing.assert_array_equal(made.masks[control]["C"], made.masks[system]["D"])


def test_batches_change_nothing(videos: list[Video], outcomes: list[Outcome]) -> None:
    for one, other in zip(separate(videos, batch=1), outcomes, strict=True):
        assert one.probabilities["cyclic"] == pytest.approx(other.probabilities["cyclic"], abs=1e-5)
        for system, objects in one.estimates.items():
            for name, wave in objects.items():
                np.testing.assert_allclose(wave, other.estimates[system][name], atol=1e-5)


def test_the_binary_oracle_gives_each_bin_to_one_source() -> None:
    heard = hear_tiny(tiny_waves(2))
    binary = systems.oracles(heard, 5.0)["oracle_binary"]
    assert torch.equal(binary["A"] + binary["C"], torch.ones_like(binary["A"]))
    assert torch.equal(binary["A"] == 1, heard.solo["A"] >= heard.solo["C"])


def test_the_gate_is_calibrated_by_the_objects_that_sound(videos: list[Video], outcomes: list[Outcome]) -> None:
    mixtures = FixedMixtures(mixtures_of(videos), tiny_reader(), heard=SOUNDING, seen=SOUNDING)
    found = sounding_probabilities(networks(), mixtures, spectrogram=SPECTROGRAM, device="cpu", batch=2)
    expected = {s: [m.probabilities[s][x] for m in outcomes for x in SOUNDING] for s in GROUNDED}
    assert {s: sorted(p) for s, p in found.items()} == {s: pytest.approx(sorted(p)) for s, p in expected.items()}

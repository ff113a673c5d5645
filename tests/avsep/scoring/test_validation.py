"""What training watches: right answers score high, and each sample on its own."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import Heard
from avsep.scoring import validation
from tests.helpers.factories import SPECTROGRAM, hear_tiny, noise, tiny_waves

B = 4
SEEN = dict.fromkeys(OBJECTS)


def tones() -> dict[str, Tensor]:
    """Two tones that lie in different rows, in noise: (B, L)."""
    t = torch.arange(255) / 1000
    noisy = tiny_waves(B)
    frequencies = {"A": torch.tensor([[40.0], [60.0], [80.0], [100.0]]), "C": torch.full((B, 1), 300.0)}
    return {n: 0.3 * torch.sin(2 * torch.pi * f * t) + 0.02 * noisy[n] for n, f in frequencies.items()}


class Oracle:
    """Answers with the target masks, and with given probabilities to sound."""

    def __init__(self, heard: Heard, probabilities: Mapping[tuple[str, str], float]) -> None:
        self.heard, self.probabilities = heard, probabilities

    def separate(self, log_mixture: Tensor, seen: Mapping[str, object]) -> dict[str, Tensor]:
        assert set(seen) == set(SOUNDING), "each sounding object by its own mask"
        return {name: self.heard.target(name, 5.0) for name in seen}

    def ground(self, log_sounds: Mapping[str, Tensor], seen: Mapping[str, object]) -> "Oracle":
        assert set(log_sounds) == {*SOUNDING, "mixture"}
        return self

    def probability(self, sound: str, name: str) -> Tensor:
        return torch.full((B,), self.probabilities.get((sound, name), 0.0))


RIGHT = {("mixture", "A"): 1.0, ("mixture", "C"): 1.0, ("A", "A"): 1.0, ("C", "C"): 1.0}


def test_oracle_masks_score_high_and_masks_of_ones_nothing() -> None:
    waves = tones()
    heard = hear_tiny(waves)
    oracle = validation.separation(Oracle(heard, {}), heard, SEEN, waves, spectrogram=SPECTROGRAM)["si_sdri"]
    assert oracle.shape == (B,)
    assert oracle.min() > 8

    class Ones(Oracle):
        def separate(self, log_mixture: Tensor, seen: Mapping[str, object]) -> dict[str, Tensor]:
            return {name: torch.ones_like(log_mixture) for name in seen}

    nothing = validation.separation(Ones(heard, {}), heard, SEEN, waves, spectrogram=SPECTROGRAM)["si_sdri"]
    torch.testing.assert_close(nothing, torch.zeros(B), rtol=0, atol=0.05)


def test_muting_all_gains_nothing() -> None:
    waves = tones()
    heard = hear_tiny(waves)

    class Zeros(Oracle):
        def separate(self, log_mixture: Tensor, seen: Mapping[str, object]) -> dict[str, Tensor]:
            return {name: torch.zeros_like(log_mixture) for name in seen}

    found = validation.separation(Zeros(heard, {}), heard, SEEN, waves, spectrogram=SPECTROGRAM)
    torch.testing.assert_close(found["snri"], torch.zeros(B), rtol=0, atol=1e-3)  # the mixture's SNRs cancel


def test_swapped_masks_score_low() -> None:
    waves = tones()
    heard = hear_tiny(waves)
    swapped = Heard(heard.mixture, {"A": heard.solo["C"], "C": heard.solo["A"]})
    assert validation.separation(Oracle(swapped, {}), heard, SEEN, waves, spectrogram=SPECTROGRAM)["si_sdri"].max() < -5


@pytest.mark.parametrize(
    ("changes", "mixture", "solo"),
    [
        ({}, 1, 1),
        ({("mixture", "A"): 0.4}, 0.75, 1),
        ({("mixture", "B"): 0.6, ("mixture", "D"): 0.5}, 0.5, 1),
        ({("A", "A"): 0.1}, 1, 0.75),
        ({("A", "B"): 0.9, ("C", "D"): 0.9}, 1, 0.5),
    ],
)
def test_balanced_accuracy_of_grounding(changes: dict[tuple[str, str], float], mixture: float, solo: float) -> None:
    waves = {name: noise(B, 255, seed=i) for i, name in enumerate(SOUNDING)}
    heard = hear_tiny(waves)
    found = validation.separation_and_grounding(
        Oracle(heard, {**RIGHT, **changes}), heard, SEEN, waves, spectrogram=SPECTROGRAM
    )
    assert set(found) == {"si_sdri", "snri", "balanced_accuracy", "solo_balanced_accuracy"}
    assert found["balanced_accuracy"].tolist() == [mixture] * B
    assert found["solo_balanced_accuracy"].tolist() == [solo] * B

"""What a training watches on validation's mixtures: one value a mixture, (B,), which the loop averages."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avsep.clips.mixtures import Heard
from avsep.media.spectrogram import Spectrogram
from avsep.scoring.separation import si_sdr, snr

Seen = Mapping[str, Any]


def separation(
    networks: Any,
    heard: Heard,
    seen: Seen,
    waves: Mapping[str, Tensor],
    *,
    spectrogram: Spectrogram,
) -> dict[str, Tensor]:
    """Improvement over the mixture, the mean of the sounding sources, by their own masks without gates: of SI-SDR and
    of SNR. An estimate that is nearly silent has an SNR of 0 dB, while its SI-SDR has no lower bound.
    """
    masks = networks.separate(heard.log_mixture, {name: seen[name] for name in waves})
    return improvements(masks, waves, spectrogram)


def improvements(
    masks: Mapping[str, Tensor], waves: Mapping[str, Tensor], spectrogram: Spectrogram
) -> dict[str, Tensor]:
    """What `separation` tells, of the masks (B, 1, F, T) of the sounding sources, whose waves are (B, L)."""
    mixture = torch.stack(list(waves.values())).sum(0)
    found: dict[str, list[Tensor]] = {"si_sdri": [], "snri": []}
    for name, wave in waves.items():
        estimate = spectrogram.let_through(masks[name].squeeze(1), mixture)
        found["si_sdri"].append(si_sdr(estimate, wave) - si_sdr(mixture, wave))
        found["snri"].append(snr(estimate, wave) - snr(mixture, wave))
    return {name: torch.stack(values).mean(0) for name, values in found.items()}


def grounding(networks: Any, heard: Heard, seen: Seen) -> dict[str, Tensor]:
    """Balanced accuracy at 0.5 on the mixture, and on each solo sound with its pair: A with A, B and C with C, D."""
    g = networks.ground(heard.log_sounds, seen)

    def right(sound: str, name: str, sounds: bool) -> Tensor:
        return ((g.probability(sound, name) >= 0.5) == sounds).float()

    mixture = [right("mixture", name, name in heard.solo) for name in seen]
    solo = [right("A", "A", True), right("A", "B", False), right("C", "C", True), right("C", "D", False)]
    # as many objects sound as are silent: the mean over objects is the balanced accuracy
    return {
        "balanced_accuracy": torch.stack(mixture).mean(0),
        "solo_balanced_accuracy": torch.stack(solo).mean(0),
    }


def separation_and_grounding(
    networks: Any,
    heard: Heard,
    seen: Seen,
    waves: Mapping[str, Tensor],
    *,
    spectrogram: Spectrogram,
) -> dict[str, Tensor]:
    """Both."""
    separated = separation(networks, heard, seen, waves, spectrogram=spectrogram)
    return {**separated, **grounding(networks, heard, seen)}

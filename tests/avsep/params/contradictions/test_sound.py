"""The spectrogram and the U-Nets."""

from typing import Any

import pytest

from avsep.params.contradictions import sound
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "spectrogram.hop": changed(spectrogram__hop=512),
    "model.unet_levels": changed(model__unet_levels=9),
    "vast.unet_levels is 9": changed(vast__unet_levels=9),
    "vast.unet_channels is 8: with 5 levels it grows to 128, and must reach clip.embedding": changed(
        vast__unet_channels=8
    ),
    "audio.samples is 1000: shorter than spectrogram.n_fft, 1022": changed(audio__samples=1000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(sound.CHECKS, REFUSED.values())

"""Wave <-> spectrogram <-> log-frequency mask: what comes back, and which way up it is."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avsep.clips.mixtures import hear
from avsep.media import spectrogram
from avsep.media.spectrogram import Spectrogram
from avsep.scoring.separation import si_sdr

PAPER = {"n_fft": 1022, "hop": 256}
SAMPLES = 65535
RATE = 11025


def tone(frequency: float, samples: int = SAMPLES) -> Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(samples) / RATE)


def harmonics(frequency: float, seed: int) -> Tensor:
    """A note that swells and fades, with a breath of noise."""
    random = np.random.default_rng(seed)
    swell = 0.5 + 0.5 * torch.sin(2 * math.pi * 0.7 * torch.arange(SAMPLES) / RATE + seed)
    note = sum(tone(frequency * k) / k for k in range(1, 9))
    return 0.1 * swell * (note + 0.05 * torch.from_numpy(random.standard_normal(SAMPLES).astype(np.float32)))


def test_stft_and_back() -> None:
    waves = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 4097)).astype(np.float32))
    spectra = spectrogram.stft(waves, 126, 32)
    assert spectra.shape == (2, 3, 64, 4097 // 32 + 1)
    back = spectrogram.istft(spectra, 126, 32, 4097)
    torch.testing.assert_close(back, waves, rtol=0, atol=1e-5)


def test_paper_sizes() -> None:
    assert spectrogram.stft(torch.zeros(1, SAMPLES), **PAPER).shape == (1, 512, 256)


def test_leading_axes_are_separate_planes() -> None:
    waves = torch.stack([torch.stack([tone(200), tone(900)]), torch.stack([tone(2000), tone(4000)])])
    magnitudes = spectrogram.stft(waves, **PAPER).abs()
    warped = spectrogram.warp(magnitudes, 256, align_corners=True)
    assert warped.shape == (2, 2, 256, 256)
    for i in range(2):
        for j in range(2):
            alone = spectrogram.warp(magnitudes[i, j], 256, align_corners=True)
            torch.testing.assert_close(warped[i, j], alone, rtol=0, atol=0)
    peaks = warped.mean(-1).argmax(-1).flatten()
    assert (peaks.diff() > 0).all(), "higher tones lie in higher rows"


@pytest.mark.parametrize("frequency", [220.0, 1760.0])
def test_a_tone_peaks_in_its_row(frequency: float) -> None:
    """docs/ccol.md: row y reads source row (21 ** ((y + 1) / 2) - 11) / 10, where -1 is 0 Hz and 1 is half the rate."""
    warped = spectrogram.warp(spectrogram.stft(tone(frequency), **PAPER).abs(), 256, align_corners=True)
    row = int(warped.mean(-1).argmax())
    source = (21 ** (row / 255) - 11) / 10
    assert (source + 1) / 2 * RATE / 2 == pytest.approx(frequency, abs=2 * RATE / 1022)


def test_warp_and_back_keeps_smooth_masks() -> None:
    rows, columns = torch.linspace(0, 3, 512)[:, None], torch.linspace(0, 5, 256)[None]
    mask = 0.5 + 0.4 * torch.sin(rows) * torch.cos(columns)
    warped = spectrogram.warp(mask, 256, align_corners=True)
    assert (warped - spectrogram.warp(mask, 256, align_corners=False)).abs().max() > 0.1
    back = spectrogram.unwarp(warped, 512, align_corners=True)
    assert (back - mask).abs().max() < 5e-3


def test_align_corners_false_halves_the_lowest_row() -> None:
    ones = torch.ones(512, 4)
    torch.testing.assert_close(spectrogram.warp(ones, 256, align_corners=True), torch.ones(256, 4))
    halved = spectrogram.warp(ones, 256, align_corners=False)
    assert halved[0, 1] == pytest.approx(0.5)
    assert halved[2, 1] == pytest.approx(1)


def test_a_mask_of_ones_lets_all_through() -> None:
    mixture = torch.stack([tone(300), tone(1000)])
    estimate = spectrogram.apply_masks(torch.ones(2, 256, 256), mixture, **PAPER, align_corners=True)
    torch.testing.assert_close(estimate, mixture, rtol=0, atol=1e-4)


def test_a_mask_of_the_low_rows_lets_the_low_tone_through() -> None:
    low, high = tone(300), tone(3000)
    mask = torch.zeros(256, 256)
    mask[:128] = 1  # up to (21 ** 0.5 - 11) / 10 of the rows: 990 Hz
    estimate = spectrogram.apply_masks(mask, low + high, **PAPER, align_corners=True)
    assert si_sdr(estimate, low) > 30


@pytest.mark.parametrize("align_corners", [True, False])
def test_oracle_ratio_masks_separate(align_corners: bool) -> None:
    waves = {"A": harmonics(196, seed=0)[None], "C": harmonics(277, seed=2)[None]}
    heard = hear(waves, Spectrogram(**PAPER, log_bins=256, align_corners=align_corners))
    mixture = waves["A"] + waves["C"]
    for name, wave in waves.items():
        mask = heard.target(name, 5.0).squeeze(1)
        estimate = spectrogram.apply_masks(mask, mixture, **PAPER, align_corners=align_corners)
        assert si_sdr(estimate, wave) > 12
        assert si_sdr(estimate, wave) - si_sdr(mixture, wave) > 10

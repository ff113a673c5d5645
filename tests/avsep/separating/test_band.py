"""Masks on a sound of any rate: ones give it back, nothing clicks at a seam, a rule stands above what was heard."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from avsep.media.spectrogram import Spectrogram, unwarp
from avsep.separating.band import EXTEND, Band, Extend, Filter, Piece

RATE = 11025
HEARS = Spectrogram(n_fft=1022, hop=256, log_bins=64, align_corners=True)


def run(
    sound: Tensor,
    rate: int,
    masks_at: Callable[[Tensor, int], Tensor],
    sounds: int = 1,
    blocks: Sequence[int] = (5000,),
) -> Piece:
    """The whole of a sound (C, L) that comes in blocks of these sizes, over and over."""
    band = Band(HEARS, RATE, rate)
    filter_, pieces, length = Filter(band, len(sound), sounds), [], sound.shape[1]
    sound, begin, number = torch.nn.functional.pad(sound, (0, 2 * band.n_fft)), 0, 0
    while begin < sound.shape[1]:
        block = sound[:, begin : begin + blocks[number % len(blocks)]]
        begin, number = begin + block.shape[1], number + 1
        filter_.push(block)
        while filter_.ready:
            pieces.append(filter_.take(lambda middles: masks_at(middles, band.n_fft // 2 + 1), 1 + number % 7))
    assert all(one.start + one.mixture.shape[1] == other.start for one, other in itertools.pairwise(pieces)), (
        "one after the other"
    )
    mixture = torch.cat([piece.mixture for piece in pieces], 1)[:, :length]
    return Piece(0, mixture, torch.cat([piece.sounds for piece in pieces], 2)[..., :length])


def ones(middles: Tensor, bins: int) -> Tensor:
    return torch.ones(1, bins, len(middles))


def noise(rate: int, seconds: float, channels: int) -> Tensor:
    random = np.random.default_rng(rate)
    return torch.from_numpy(0.3 * random.standard_normal((channels, int(rate * seconds))).astype(np.float32))


@pytest.mark.parametrize(("rate", "channels"), [(11025, 1), (8000, 1), (22050, 2), (44100, 2), (48000, 6), (96000, 2)])
def test_a_mask_of_ones_gives_the_sound_back_also_at_its_ends(rate: int, channels: int) -> None:
    sound = noise(rate, 1.3, channels)
    got = run(sound, rate, ones, blocks=(1000, 7001, 33))
    assert got.sounds.shape == (1, *sound.shape)
    error = (got.sounds[0] - sound).square().mean() / sound.square().mean()
    assert 10 * torch.log10(error) < -90, "dB"
    torch.testing.assert_close(got.mixture, sound, rtol=0, atol=0)


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(torch.nn.functional.one_hot(torch.tensor([20011]), 40000).float(), id="impulse"),
        pytest.param(torch.sin(2 * torch.pi * 440 / 44100 * torch.arange(40000.0))[None], id="sine"),
        pytest.param(torch.zeros(1, 40000), id="silence"),
    ],
)
def test_how_a_sound_is_cut_up_is_not_heard(sound: Tensor) -> None:
    def half(middles: Tensor, bins: int) -> Tensor:
        return torch.full((1, bins, len(middles)), 0.5)

    got = run(sound, 44100, half, blocks=(999, 1, 4096))
    torch.testing.assert_close(got.sounds[0], sound / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(got.sounds[0] + got.residual, sound, rtol=0, atol=1e-6)
    if not sound.any():
        assert not got.sounds.any()


def test_a_mask_that_moves_makes_no_click() -> None:
    """A sine let through by a mask that rises and falls: all that comes out is near the sine's own frequency."""
    seconds, rate = torch.arange(88200) / 44100, 44100
    sine = torch.sin(2 * torch.pi * 440 * seconds)[None].float()

    def breathing(middles: Tensor, bins: int) -> Tensor:
        return (0.5 + 0.5 * torch.sin(4 * middles)).float().expand(1, bins, -1)

    wave = run(sine, rate, breathing, blocks=(777,)).sounds[0, 0]
    power = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs().square()
    hertz = torch.arange(len(power)) * rate / len(wave)
    assert power[(hertz - 440).abs() > 60].sum() / power.sum() < 1e-8


def test_at_the_networks_rate_it_is_what_they_do() -> None:
    masks = torch.rand(2, 64, 20)
    band = Band(HEARS, RATE, RATE)
    assert (band.n_fft, band.hop) == (1022, 256)
    seconds = torch.arange(20) * 256 / RATE
    got = band.spread(masks, torch.ones(2, dtype=torch.bool), seconds)
    torch.testing.assert_close(got, unwarp(masks, 512, True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_a_mask_keeps_its_place_in_seconds_and_hertz(rate: int) -> None:
    linear = torch.zeros(1, 512, 40)
    linear[:, 90:110, 20:] = 1  # 971 to 1187 Hz from 0.46 s on
    from avsep.media.spectrogram import warp

    masks = warp(linear, 256, True)
    band = Band(Spectrogram(1022, 256, 256, True), RATE, rate)
    seconds = torch.tensor([0.2, 0.8])
    got = band.spread(masks, torch.tensor([True]), seconds)[0]  # (F, 2)
    hertz = torch.arange(len(got)) * rate / band.n_fft
    assert not got[:, 0].any()
    assert got[(hertz > 1000) & (hertz < 1150), 1].min() > 0.9
    assert got[(hertz < 900) | (hertz > 1260), 1].max() < 0.05


@pytest.mark.parametrize("extend", EXTEND)
def test_above_what_was_heard_the_rule_stands(extend: Extend) -> None:
    masks = torch.stack([torch.full((64, 10), 0.25), torch.full((64, 10), 0.75), torch.zeros(64, 10)])
    band = Band(HEARS, RATE, 44100, extend)
    got = band.spread(masks, torch.tensor([True, True, False]), torch.tensor([0.1]))[..., 0]  # (3, F)
    above = torch.arange(got.shape[1]) * 44100 / band.n_fft > RATE / 2
    expected = {"average": [0.25, 0.75, 0.0], "zero": [0.0, 0.0, 0.0], "mixture": [0.5, 0.5, 0.0]}[extend]
    torch.testing.assert_close(got[:, above].mean(1), torch.tensor(expected))
    torch.testing.assert_close(got[:, ~above].mean(1), torch.tensor([0.25, 0.75, 0.0]))

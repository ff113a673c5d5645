"""An instrument's own timbre: colour, onset and vibrato differ from draw to draw, the pitch does not."""

import numpy as np
import pytest

from avsep.demo import timbre
from avsep.demo.timbre import Timbre, draw, perform

RATE = 22050


def heard(seed: int, dry: np.ndarray, amount: float = 1.0, vibrato: float = 40.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return perform(rng, draw(rng, amount, vibrato), [0, RATE], dry, RATE)


def tone(frequency: float) -> np.ndarray:
    """Two seconds of four partials."""
    time = np.arange(2 * RATE) / RATE
    return np.sum([np.sin(2 * np.pi * k * frequency * time) / k for k in range(1, 5)], axis=0)


def bands(wave: np.ndarray) -> np.ndarray:
    """Levels in half octaves from 100 Hz to 6.4 kHz, dB, less their mean."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    edges = np.round(100 * 2 ** (np.arange(13) / 2) * len(wave) / RATE).astype(int)
    levels = 10 * np.log10(np.add.reduceat(power, edges)[:-1])
    return levels - levels.mean()


def test_without_an_amount_nothing_changes() -> None:
    dry = tone(440)
    assert np.abs(heard(0, dry, 0.0) - dry)[1:-2].max() < 1e-9  # cubics need neighbours: the ends are theirs


@pytest.mark.parametrize("seed", range(5))
def test_the_pitch_stays(seed: int) -> None:
    """Cents between the tone that goes in and the mean frequency of what comes out."""
    wave = heard(seed, tone(440))[RATE // 10 : -RATE // 10]
    turned = wave * np.exp(-2j * np.pi * 440 * np.arange(len(wave)) / RATE)
    slow = np.convolve(turned, np.hanning(RATE // 20), "valid")  # the fundamental alone
    slope = np.polyfit(np.arange(len(slow)), np.unwrap(np.angle(slow)), 1)[0] * RATE / (2 * np.pi)  # Hz
    assert abs(1200 * np.log2(1 + slope / 440)) < 3


def test_two_instruments_have_different_spectra_and_half_the_amount_half_the_difference() -> None:
    dry = np.random.default_rng(0).normal(size=2 * RATE)

    def apart(amount: float) -> float:
        clips = [bands(heard(seed, dry, amount)) for seed in range(6)]
        return float(np.mean([np.std(one - other) for n, one in enumerate(clips) for other in clips[:n]]))

    assert 4 < apart(1.0) < 15  # dB
    assert apart(0.5) == pytest.approx(apart(1.0) / 2, rel=0.2)


def test_only_what_is_blown_or_bowed_has_noise_vibrato_and_tremolo() -> None:
    struck = [draw(np.random.default_rng(seed), 1.0, 0.0) for seed in range(5)]
    assert all(one.noise == one.vibrato == one.tremolo == 0 for one in struck)
    bowed = [draw(np.random.default_rng(seed), 1.0, 40.0) for seed in range(5)]
    assert all(one.noise > 0 and 0 < one.vibrato <= 40 and one.tremolo > 0 for one in bowed)


def test_an_onset_is_softened_and_a_note_swells_or_fades() -> None:
    own = Timbre(
        gains=np.zeros(len(timbre.GRID)),
        **{"softness": 0.8, "attack": 0.05, "slope": -6.0, "release": 0.0, "vibrato": 0.0, "tremolo": 0.0},
        **{"rate": 5.0, "late": 0.1, "noise": 0.0, "squeeze": 0.0},
    )
    dry = np.ones(2 * RATE)
    gain = perform(np.random.default_rng(0), own, [0, RATE], dry, RATE)
    assert gain[RATE + 100] < 0.35
    assert gain[RATE // 2] == pytest.approx(10 ** (-3 / 20), rel=0.01)
    assert gain[RATE // 2] == pytest.approx(gain[RATE + RATE // 2], rel=0.01)  # each note alike


def test_the_equaliser_is_heard_after_its_cause_alone() -> None:
    impulse = np.zeros(RATE)
    impulse[5000] = 1
    wave = heard(3, impulse, vibrato=0.0)
    assert np.abs(wave[:4990]).max() < 1e-3 * np.abs(wave).max()

"""How one instrument of a kind sounds: its body, its player and its microphone, drawn for each clip.

A sound font holds one recording of each instrument: what learns from it learns that recording, and another's violin is
news to it.  What tells classes apart stays: the partials of the samples, struck or blown, dying away or held.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = np.geomspace(50, 11025, 48)  # Hz, at which the equaliser's gains are drawn

Wave = NDArray[np.float64]  # (samples,)


@dataclass(frozen=True)
class Timbre:
    """What a clip's instrument has of its own. `draw` says within which ranges."""

    gains: NDArray[np.float64]  # dB at GRID: body, room, distance, microphone
    softness: float  # share of the amplitude that an onset lacks
    attack: float  # seconds, in which it comes: a time constant
    slope: float  # dB a second, over a note's first 1.5 s
    release: float  # seconds that notes are held longer
    vibrato: float  # cents
    tremolo: float  # dB
    rate: float  # Hz of both
    late: float  # seconds into a note until the vibrato is whole
    noise: float  # breath or bow, relative to the tone's amplitude
    squeeze: float  # exponent: how much loud and soft come together


def draw(rng: np.random.Generator, amount: float, vibrato: float) -> Timbre:
    """The timbre of one instrument of a kind; `amount` 1 has the whole ranges, 0 nothing that differs.

    `vibrato`: cents at most; only what has some is blown or bowed, and so noisy.
    """
    octaves = np.log2(GRID / 700)
    held = float(vibrato > 0)
    return Timbre(
        gains=amount * (rng.normal(0, 3) * octaves + _curve(rng, octaves, 7, 3) + _curve(rng, octaves, 32, 2)),
        softness=amount * rng.uniform(0, 0.9),
        attack=float(np.exp(rng.uniform(np.log(0.005), np.log(0.12)))),
        slope=amount * rng.uniform(-6, 3),
        release=amount * rng.uniform(0, 0.1),
        vibrato=amount * rng.uniform(0, vibrato),
        tremolo=amount * held * rng.uniform(0, 1) ** 2 * 1.5,
        rate=rng.uniform(4.5, 7),
        late=rng.uniform(0.02, 0.5),
        noise=amount * held * 10 ** (rng.uniform(-55, -30) / 20),
        squeeze=amount * rng.uniform(0, 0.3),
    )


def _curve(rng: np.random.Generator, octaves: NDArray[np.float64], points: int, deviation: float) -> Wave:
    """Gains that run straight between `points` drawn ones, evenly spaced in octaves."""
    return np.interp(octaves, np.linspace(octaves[0], octaves[-1], points), rng.normal(0, deviation, size=points))


def perform(rng: np.random.Generator, timbre: Timbre, onsets: Sequence[int], dry: Wave, rate: int) -> Wave:
    """A dry sound as this instrument, player and microphone have it; `onsets` of its notes in samples."""
    time = np.arange(len(dry))
    starts = np.unique(onsets)
    since = np.maximum(0, time - starts[np.maximum(0, np.searchsorted(starts, time, side="right") - 1)]) / rate
    swing = np.sin(2 * np.pi * (timbre.rate * time / rate + rng.uniform()))
    # read earlier and later in turn: the pitch goes up and down by the cents, whose slope the depth is
    depth = timbre.vibrato / 1200 * np.log(2) / (2 * np.pi * timbre.rate) * rate  # samples
    sound = _read(dry, time + swing * _smooth(depth * np.minimum(1, since / timbre.late), rate // 50))
    gain = 1 - timbre.softness * np.exp(-since / timbre.attack)
    gain *= 10 ** ((timbre.slope * np.minimum(since, 1.5) + timbre.tremolo * swing) / 20)
    sound *= _smooth(gain, rate // 250)
    level = np.sqrt(np.maximum(0, _smooth(sound**2, rate // 25)))
    sound += timbre.noise * level * rng.normal(size=len(sound))
    sound *= (level / np.sqrt(np.mean(sound**2)) + 0.03) ** -timbre.squeeze
    return _equalised(sound, timbre.gains, rate)


def _read(wave: Wave, places: Wave) -> Wave:
    """The wave between its samples, by cubics through four of them (Catmull and Rom's)."""
    places = np.clip(places, 1, len(wave) - 3)
    at = places.astype(np.int64)
    part = places - at
    a, b, c, d = (wave[at + shift] for shift in (-1, 0, 1, 2))
    return b + part / 2 * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))


def _smooth(wave: Wave, width: int) -> Wave:
    """Means over `width` samples around each."""
    before = width // 2 + 1
    total = np.cumsum(np.pad(wave, (before, width - before), mode="edge"))
    return (total[width:] - total[:-width]) / width


def _equalised(wave: Wave, gains: NDArray[np.float64], rate: int) -> Wave:
    """The wave through a filter of these gains (dB at GRID), of minimum phase: nothing is heard before its cause."""
    size = 8192
    frequency = np.maximum(GRID[0], np.fft.rfftfreq(size, 1 / rate))
    cepstrum = np.fft.irfft(np.interp(np.log(frequency), np.log(GRID), gains) * np.log(10) / 20, size)
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    taps = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), size)[: size // 2]
    whole = 1 << (len(wave) + len(taps)).bit_length()
    return np.fft.irfft(np.fft.rfft(wave, whole) * np.fft.rfft(taps, whole), whole)[: len(wave)]

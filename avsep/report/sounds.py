"""What is heard, and what it looks like: wav files of metrics/ -> FLAC files beside the page, and spectrograms.

A spectrogram is (rows, columns) of dB, the lowest frequency first, on the axis that masks have, so that both can be
held against each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avsep.errors import InputError
from avsep.files.names import safe
from avsep.files.reading import reading
from avsep.report.figures import Tick

ROWS, COLUMNS = 128, 160  # of a picture, at most
SECONDS = 0.09  # of what is transformed at once
SHELF = "sounds"  # the folder beside the page
LABELLED = (250, 1000, 4000, 16000)  # Hz

MOST_BYTES = 1 << 28  # of a wav file


@dataclass(frozen=True)
class Axis:
    """The log-frequency axis of avsep/media/spectrogram.py: row 0 is 0 Hz, the last one half of the rate."""

    rate: int
    n_fft: int
    log_bins: int
    align_corners: bool

    def hertz(self, row: float) -> float:
        """The frequency in the middle of a row of `log_bins`."""
        y = 21 ** (row / (self.log_bins - 1))  # from 1 to 21
        linear = (y - 11) / 10  # from -1 to 1 over the linear bins
        bins = self.n_fft // 2 + 1
        place = (linear + 1) / 2 * (bins - 1) if self.align_corners else ((linear + 1) * bins - 1) / 2
        return place * self.rate / self.n_fft

    def row(self, hertz: float) -> float:
        """The other way."""
        bins = self.n_fft // 2 + 1
        place = hertz * self.n_fft / self.rate
        linear = 2 * place / (bins - 1) - 1 if self.align_corners else (2 * place + 1) / bins - 1
        return math.log(10 * linear + 11) / math.log(21) * (self.log_bins - 1)

    def ticks(self) -> list[Tick]:
        """Where the frequencies of LABELLED lie: shares of a picture's height from the bottom."""
        return [
            Tick(f"{hertz / 1000:g} kHz" if hertz >= 1000 else f"{hertz} Hz", (self.row(hertz) + 0.5) / self.log_bins)
            for hertz in LABELLED
            if hertz < 0.9 * self.rate / 2
        ]


@dataclass(frozen=True)
class Recording:
    """A sound beside the page."""

    url: str  # from the page
    rate: int
    seconds: float
    decibels: NDArray[np.float64]  # (rows, columns) re full scale, not below -120


class Shelf:
    """The sounds of a page: FLAC, which every browser plays and which loses no bit, at some half of the size."""

    def __init__(self, folder: Path, axis: Axis) -> None:
        """`folder`: that of the page."""
        self.folder, self.axis = folder, axis
        self.count = 0

    def put(self, wav: Path, group: str, name: str) -> Recording:
        """A 16-bit mono wav file. `group`: a folder for what belongs together. Raises InputError."""
        samples, rate = read_wav(wav)
        if rate != self.axis.rate:
            raise InputError(f"{wav} has {rate} Hz: extract.rate is {self.axis.rate}: run `dvc repro`")
        path = self.folder / SHELF / safe(group) / f"{self.count:04d}-{safe(name)}.flac"  # a number: names may be alike
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, format="FLAC", subtype="PCM_16")
        self.count += 1
        url = path.relative_to(self.folder).as_posix()
        return Recording(url, rate, len(samples) / rate, decibels(samples / 32768, self.axis))


def read_wav(path: Path) -> tuple[NDArray[np.int16], int]:
    """Samples (n,) of a 16-bit mono wav file, n > 0, and its rate. Raises InputError."""
    again = "run `dvc repro`, which makes it again"
    with reading(path, "wav file", again, most=MOST_BYTES), soundfile.SoundFile(path) as file:
        if file.subtype != "PCM_16" or file.channels != 1 or not file.frames:
            raise InputError(f"{path} holds no mono sound of 16 bits: {again}")
        return file.read(dtype="int16"), file.samplerate


def decibels(wave: NDArray[np.floating], axis: Axis) -> NDArray[np.float64]:
    """Samples (n,) -> the spectrogram (rows, columns) in dB re full scale: of each row the mean power of its band."""
    size = 1 << max(5, round(np.log2(SECONDS * axis.rate)))
    step = max(size // 4, -(-len(wave) // COLUMNS))
    padded = np.pad(wave, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    window = np.hanning(size)
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / (window.sum() / 2) ** 2  # (K, F): a full sine has 0 dB
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power @ _bands(size, axis).T, 1e-12)).T
    return levels


def _bands(size: int, axis: Axis) -> NDArray[np.float64]:
    """(rows, F) weights, each row's with the sum 1: the bins within its band, or, where that is narrower than a bin,
    the two that its middle lies between."""
    hertz = np.fft.rfftfreq(size, 1 / axis.rate)
    rows = min(ROWS, axis.log_bins)
    wide = axis.log_bins / rows
    weights = np.zeros((rows, len(hertz)))
    for row in range(rows):
        low, middle, high = (axis.hertz(wide * (row + part) - 0.5) for part in (0, 0.5, 1))
        inside = (hertz >= low) & (hertz < high)
        if inside.any():
            weights[row, inside] = 1 / inside.sum()
        else:
            place = min(max(middle, 0) * size / axis.rate, len(hertz) - 1.001)
            below = int(place)
            weights[row, below : below + 2] = 1 - (place - below), place - below
    return weights


def time_ticks(seconds: float, most: int = 6) -> list[Tick]:
    """At most so many round times from 0 on, in seconds."""
    steps: Sequence[float] = [factor * 10.0**power for power in range(-2, 6) for factor in (1, 2, 5)]
    step = next(step for step in steps if seconds / step < most)
    return [Tick(f"{number * step:g}", number * step / seconds) for number in range(int(seconds / step) + 1)]

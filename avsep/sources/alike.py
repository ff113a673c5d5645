"""One recording under several names: found by its sound, whatever codec, level, and start it was given since.

Two recordings of one piece by one player are two recordings; a copy, an encoding of it by another codec, a louder one,
a part of it, are one.  Two steps, so that ten thousand videos take about as long for each as ten do:

1. Landmarks (after Wang, An Industrial-Strength Audio Search Algorithm, ISMIR 2003): peaks of the spectrogram, three by
   three.  Their frequencies and the times between them are a number that few other sounds have; two sounds that share
   some at the same distance in time are candidates.
2. Of candidates the waves are compared: the normalised cross-correlation where they overlap best, 1 for copies and
   near 0 for two takes, be they of the same notes.  `SAME` decides.

On the demo's sounds AAC and MP3 of 48 and 64 kbit/s, parts of 4.5 s and delays gave 0.97 and more, Opus of 24 kbit/s
0.87 and more.  Synthesised takes come closest: two saxophones of one sound font with the same notes have 0.84.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft as sp_fft
from scipy import ndimage, signal

RATE = 5512  # Hz: what a poor encoding still has
WINDOW, HOP = 1024, 256  # samples at RATE of the spectrogram
NEAR = (9, 15)  # frames and bins around a peak that are not louder
RANGE_DB = 50  # a peak is at most so far below the loudest
THREES = ((1, 2), (1, 3), (2, 3), (2, 4))  # the peaks behind each one that make landmarks with it
AHEAD = 64  # frames that lie between two of them, at most
COMMON = 24  # a landmark that stands more often tells nothing
SHARED = 3  # landmarks at the same distance that make a candidate
STEADY_DB = 1.5  # the deviation of a tone's level that hardly changes
OVERLAP = 3.0  # seconds, at least, or half of the shorter
LONGEST = 600.0  # seconds of each that are compared, from its start
SAME = 0.85
FINER = 4  # steps of a sample in which waves are moved against each other

Wave = NDArray[np.float32]  # (samples,)


class Landmarks(NamedTuple):
    """(N,) each: the numbers, and the frames at which they stand."""

    numbers: NDArray[np.int64]
    frames: NDArray[np.int32]


class Alike(NamedTuple):
    """Two of the sounds, by their places, the earlier first, and the correlation."""

    first: int
    second: int
    correlation: float


def low(wave: Wave, rate: int) -> Wave:
    """Of a wave (samples,) the first LONGEST seconds at RATE, as all else here takes it."""
    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    if max(up, down) > 1000:  # rates without a common divisor: a filter of their product would be long
        up, down = 1, max(1, round(rate / RATE))
    if not len(wave):
        return wave
    return signal.resample_poly(wave[: round(LONGEST * rate)], up, down).astype(np.float32)


def landmarks(wave: Wave) -> Landmarks:
    """Of a wave at RATE."""
    none = Landmarks(np.zeros(0, np.int64), np.zeros(0, np.int32))
    if len(wave) < WINDOW:
        return none
    _, _, spectrum = signal.stft(wave, nperseg=WINDOW, noverlap=WINDOW - HOP, padded=False, boundary=None)
    levels = 20 * np.log10(np.abs(spectrum.T) + 1e-9)  # (frames, bins)
    if levels.max() < -90:
        return none
    loudest = ndimage.maximum_filter(levels, size=(2 * NEAR[0] + 1, 2 * NEAR[1] + 1))
    frames, bins = np.nonzero((levels == loudest) & (levels > levels.max() - RANGE_DB))
    numbers, starts = [], []
    for second, third in THREES:
        count = max(0, len(frames) - third)
        places = [np.arange(count) + step for step in (0, second, third)]
        a, b, c = (bins[place].astype(np.int64) // 2 for place in places)  # a bin more or less: encodings do that
        first, middle, last = (frames[place] for place in places)
        near = (last - middle <= AHEAD) & (middle - first <= AHEAD) & (last > first)
        found = (((a * 512 + b) * 512 + c) * 64 + (middle - first) // 2) * 64 + (last - middle) // 2
        numbers.append(found[near])
        starts.append(first[near])
    held = _held(levels)
    numbers.append(np.array(held, np.int64))
    starts.append(np.zeros(len(held), np.int64))
    return Landmarks(np.concatenate(numbers), np.concatenate(starts).astype(np.int32))


def _held(levels: NDArray[np.floating]) -> list[int]:
    """Of a tone or a hum that hardly changes, in which no moment stands out: a number by its loudest bins, as often as
    makes a candidate; of all else nothing. levels: (frames, bins), dB."""
    mean = np.median(levels, axis=0)
    place = int(mean.argmax())
    sounding = levels[levels[:, place] > levels[:, place].max() - 20, place]
    if len(sounding) < len(levels) / 2 or sounding.std() > STEADY_DB:
        return []
    loud, _ = signal.find_peaks(mean, height=mean[place] - 20)
    number = -1
    for one in loud[np.argsort(-mean[loud])][:3]:
        number = number * 512 - int(one) // 2
    return [number - 1] * SHARED  # below 0, where no landmark of peaks is


def candidates(all_marks: Sequence[Landmarks]) -> list[tuple[int, int]]:
    """Pairs of sounds, by their places, that share landmarks at one distance in time."""
    if not all_marks:
        return []
    count = len(all_marks)
    owner = np.repeat(np.arange(count), [len(marks.numbers) for marks in all_marks])
    numbers = np.concatenate([marks.numbers for marks in all_marks])
    frames = np.concatenate([marks.frames for marks in all_marks]).astype(np.int64)
    order = np.argsort(numbers, kind="stable")  # of one number those of the earlier sounds first
    owner, numbers, frames = owner[order], numbers[order], frames[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    size = np.diff(starts, append=len(numbers))
    rare = np.repeat(size <= COMMON, size)
    owner, numbers, frames = owner[rare], numbers[rare], frames[rare]
    # one whole number for two sounds and a distance: sorted, the same ones stand in a row
    span = 2 * (int(frames.max(initial=0)) // 3 + 1) + 1  # distances of both signs, and 0
    found = []
    for step in range(1, COMMON):  # the same number stands in a row
        (at,) = np.nonzero((numbers[step:] == numbers[:-step]) & (owner[step:] != owner[:-step]))
        distance = (frames[at + step] - frames[at] + 1) // 3  # frames, give or take one
        found.append((owner[at] * count + owner[at + step]) * span + distance + span // 2)
    shared = np.concatenate(found)
    shared.sort()
    often = np.unique(shared[SHARED - 1 :][shared[SHARED - 1 :] == shared[: len(shared) - SHARED + 1]] // span)
    return [divmod(int(pair), count) for pair in often]


def correlation(first: Wave, second: Wave) -> float:
    """Of two waves at RATE where they overlap best, to a quarter of a sample: 0 to 1, whatever the sign."""
    if not len(first) or not len(second):
        return 0.0
    length = sp_fft.next_fast_len(len(first) + len(second), real=True)
    ours, theirs = (sp_fft.rfft(wave.astype(np.float64), length) for wave in (first, second))
    finer = np.zeros(FINER * length // 2 + 1, np.complex128)
    finer[: len(ours)] = ours * np.conj(theirs)
    place = int(np.argmax(np.abs(sp_fft.irfft(finer, FINER * length))))
    shift = (place if place < FINER * len(first) else place - FINER * length) / FINER
    lag = round(shift)  # samples that `second` begins after `first`
    turned = theirs * np.exp(-2j * np.pi * np.arange(len(theirs)) / length * (shift - lag))
    start, end = max(0, lag), min(len(first), lag + len(second))
    if end - start < min(OVERLAP * RATE, min(len(first), len(second)) / 2):
        return 0.0
    a, b = first[start:end].astype(np.float64), sp_fft.irfft(turned, length)[start - lag : end - lag]
    power = math.sqrt(float(np.dot(a, a)) * float(np.dot(b, b)))
    return abs(float(np.dot(a, b))) / power if power > 0 else 0.0


def alike(all_marks: Sequence[Landmarks], wave: Callable[[int], Wave]) -> Iterator[Alike]:
    """The pairs of sounds that are one recording. `wave`: a sound by its place, at RATE."""
    for first, second in candidates(all_marks):
        found = correlation(wave(first), wave(second))
        if found >= SAME:
            yield Alike(first, second, found)


def grouped(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The places 0 to `count` that hang together by pairs, two or more each, in their order."""
    of = list(range(count))  # each place -> the first of its group

    def first(place: int) -> int:
        while of[place] != place:
            of[place] = of[of[place]]
            place = of[place]
        return place

    for one, other in pairs:
        low_, high = sorted((first(one), first(other)))
        of[high] = low_
    groups: dict[int, list[int]] = {}
    for place in range(count):
        groups.setdefault(first(place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]

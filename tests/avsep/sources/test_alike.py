"""One recording under several names is found by its sound; two takes of the same notes are two."""

import itertools
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.media.ffmpeg import ffmpeg
from avsep.sources.alike import (
    COMMON,
    SAME,
    SHARED,
    Landmarks,
    Wave,
    alike,
    candidates,
    correlation,
    grouped,
    landmarks,
    low,
)

RATE = 11025
NOTES = (220.0, 262.0, 330.0, 294.0, 392.0, 349.0, 440.0, 247.0)


def take(seed: int, notes: tuple[float, ...] = NOTES, seconds: float = 0.7) -> Wave:
    """The notes as one player plays them once: phases, times and overtones are of this take."""
    random = np.random.default_rng(seed)
    sounds = []
    for note in notes:
        t = np.arange(int((seconds + random.uniform(-0.05, 0.05)) * RATE)) / RATE
        pitch = note * (1 + random.uniform(-0.004, 0.004))
        waves = [
            random.uniform(0.2, 1) / k * np.sin(2 * np.pi * k * pitch * t + random.uniform(0, 6)) for k in range(1, 9)
        ]
        sounds.append(np.sum(waves, axis=0) * np.exp(-2 * t) + random.normal(0, 0.002, len(t)))
    whole = np.concatenate(sounds)
    return (0.5 * whole / np.abs(whole).max()).astype(np.float32)


def encoded(wave: Wave, folder: Path, *options: str) -> Wave:
    soundfile.write(folder / "given.wav", wave, RATE)
    there, back = folder / "encoded.mkv", folder / "back.wav"
    commands: list[list[str | Path]] = [["given.wav", *options, there], [there, "-ac", "1", "-ar", str(RATE), back]]
    for command in commands:
        subprocess.run([ffmpeg(), "-v", "error", "-y", "-i", *command], cwd=folder, check=True)
    return soundfile.read(back, dtype="float32")[0]


def are_one(first: Wave, second: Wave) -> bool:
    waves = [low(first, RATE), low(second, RATE)]
    return len(list(alike([landmarks(wave) for wave in waves], waves.__getitem__))) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["-c:a", "aac", "-b:a", "48k"],
        ["-c:a", "aac", "-b:a", "48k", "-af", "volume=-15dB"],
        ["-c:a", "mp2", "-b:a", "64k", "-ar", "44100"],
        ["-c:a", "aac", "-af", "adelay=437"],
        ["-ss", "1.31", "-t", "3.5", "-c:a", "aac"],
    ],
    ids=" ".join,
)
def test_an_encoding_is_the_recording(options: list[str], tmp_path: Path) -> None:
    wave = take(0)
    assert are_one(wave, encoded(wave, tmp_path, *options))


def test_another_take_of_the_same_notes_is_another_recording() -> None:
    assert not are_one(take(0), take(1))
    assert correlation(low(take(0), RATE), low(take(1), RATE)) < SAME / 2


def test_of_many_sounds_few_are_compared_and_the_copy_is_among_them() -> None:
    random = np.random.default_rng(0)
    waves = [low(take(seed, tuple(random.choice(NOTES, 5))), RATE) for seed in range(60)]
    waves.append(0.3 * waves[17][2000:])
    marks = [landmarks(wave) for wave in waves]
    asked = candidates(marks)
    assert (17, 60) in asked and len(asked) < 1830 / 10, "of 1830 pairs"
    assert [(one.first, one.second) for one in alike(marks, waves.__getitem__)] == [(17, 60)]


def test_candidates_are_those_of_every_two_sounds() -> None:
    """Of landmarks that stand often, rarely, and far apart in either order."""
    random = np.random.default_rng(3)

    def drawn() -> Landmarks:
        return Landmarks(random.zipf(1.7, 60).clip(max=900) - 3, random.integers(0, 40, 60, dtype=np.int32))

    marks = [drawn() for _ in range(12)]
    marks += [Landmarks(marks[one].numbers, marks[one].frames + later) for one, later in ((2, 5), (7, 0), (8, 9000))]
    marks.append(Landmarks(marks[3].numbers, (9000 - marks[3].frames).astype(np.int32)))
    numbers, counts = np.unique(np.concatenate([own.numbers for own in marks]), return_counts=True)
    rare = set(numbers[counts <= COMMON].tolist())
    known = []
    for first, second in itertools.combinations(range(len(marks)), 2):
        a, b = marks[first], marks[second]
        places = [(i, j) for i, j in zip(*np.nonzero(a.numbers[:, None] == b.numbers), strict=True)]
        distances = Counter((int(b.frames[j]) - int(a.frames[i]) + 1) // 3 for i, j in places if a.numbers[i] in rare)
        if max(distances.values(), default=0) >= SHARED:
            known.append((first, second))
    assert candidates(marks) == known and {(2, 12), (7, 13), (8, 14)} <= set(known)


@pytest.mark.parametrize("wave", [np.zeros(3 * RATE), np.zeros(10), np.zeros(0)], ids=["silence", "short", "empty"])
def test_nothing_is_like_nothing(wave: Wave) -> None:
    silent = low(wave.astype(np.float32), RATE)
    assert not candidates([landmarks(silent)] * 3)
    assert correlation(silent, silent) == 0


def test_what_hangs_together_is_one_group() -> None:
    assert grouped(7, [(5, 1), (3, 5), (2, 6)]) == [[1, 3, 5], [2, 6]]
    assert grouped(2, []) == []

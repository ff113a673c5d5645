"""Sound files <-> arrays: float32 (samples,), mono, full scale at 1.  No more of a file is read than is asked for."""

import itertools
import math
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avsep.errors import InputError
from avsep.files.reading import reading, refusing
from avsep.files.whole import whole_file

Wave = NDArray[np.float32]  # (samples,)


def read_window(path: Path, centre: float, samples: int, rate: int) -> Wave:
    """The (samples,) around second `centre`, read by seeking; sample samples // 2 is the one at `centre`.

    Past the file's ends there are zeros.  A file shorter than the window is repeated until it is longer,
    and then counts as that longer file (docs/ccol.md: audio).
    Raises InputError if the file is missing, unreadable, empty, not mono, or of another rate.
    """
    with _open(path, rate) as file:
        length = file.frames
        start = math.floor(centre * rate) - samples // 2
        if length < samples:
            return _cut(np.tile(_read(file, 0, length), samples // length + 1), start, samples)
        first = min(max(start, 0), length)
        return _cut(_read(file, first, min(max(start + samples, first), length)), start - first, samples)


def read_whole(path: Path, rate: int) -> Wave:
    """All of a file, (samples,). Raises InputError as `read_window` does."""
    with _open(path, rate) as file:
        return _read(file, 0, file.frames)


def write_wav(path: Path, wave: NDArray[np.floating], rate: int) -> None:
    """Writes (samples,) as 16 bit PCM, clipped at full scale, whole or not at all; makes its folder."""
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise ValueError(f"{path}: sound is finite numbers (samples,), not {wave.shape}")
    # the inverse of reading, which divides by 32768
    whole = np.clip(np.round(wave.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    with whole_file(path) as temporary:
        soundfile.write(temporary, whole, rate, subtype="PCM_16", format="WAV")


def loudest_db(path: Path, rate: int, seconds: float = 1.0) -> float:
    """Level of the loudest stretch of `seconds`, in dB: its root mean square re full scale; -inf for silence.

    Stretches begin every half of their length; a file that is shorter is one stretch.  Raises InputError.
    """
    with _open(path, rate) as file, refusing(f"{path} cannot be read", "run stage extract again"):
        half = max(1, round(seconds * rate / 2))
        energies = [float(np.sum(np.square(block, dtype=np.float64))) for block in file.blocks(half, dtype="float32")]
        length = min(2 * half, file.frames)
    pairs = [a + b for a, b in itertools.pairwise(energies)] or energies
    power = max(pairs) / length
    return 10 * math.log10(power) if power > 0 else -math.inf


def duration(path: Path, rate: int) -> float:
    """Seconds of a file, from its header. Raises InputError as `read_window` does."""
    with _open(path, rate) as file:
        return file.frames / rate


def _open(path: Path, rate: int) -> soundfile.SoundFile:
    with reading(path, "sound file", "run stage extract again"):
        file = soundfile.SoundFile(path)
    problem = None
    # other formats may hold NaN, or not say how long they are
    if (file.format, file.subtype) != ("WAV", "PCM_16"):
        problem = f"is {file.format} of {file.subtype}: WAV of 16 bits is needed"
    elif file.channels != 1:
        problem = f"has {file.channels} channels: mono is needed"
    elif file.samplerate != rate:
        problem = f"has {file.samplerate} Hz: extract.rate is {rate}"
    elif file.frames == 0:
        problem = "holds no sound"
    if problem:
        file.close()
        raise InputError(f"{path} {problem}; run stage extract again")
    return file


def _read(file: soundfile.SoundFile, start: int, end: int) -> Wave:
    with refusing(f"{file.name} cannot be read", "run stage extract again"):
        file.seek(start)
        wave: Wave = file.read(end - start, dtype="float32")
    if len(wave) != end - start:
        raise InputError(f"{file.name} ends before its header says: run stage extract again")
    return wave


def _cut(wave: Wave, start: int, samples: int) -> Wave:
    """`wave`[start : start + samples], with zeros where it has nothing."""
    window = np.zeros(samples, np.float32)
    first, last = max(start, 0), min(start + samples, len(wave))
    if first < last:
        window[first - start : last - start] = wave[first:last]
    return window

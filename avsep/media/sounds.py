"""Others' sound files -> arrays at our rate. Those that stage extract wrote are read by avsep/media/wav.py."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avsep.errors import InputError
from avsep.files.reading import reading

RATES = (100, 1_000_000)  # Hz that a sound may have

Sound = NDArray[np.float32]


def load_sound(path: Path, rate: int, *, mono: bool = True) -> Sound:
    """A sound file of any format that libsndfile reads, at `rate` Hz, full scale at 1.

    (L,), the mean of its channels, or all of them, (C, L); L is its length in seconds times `rate`, rounded up.
    Raises InputError if the file is missing, unreadable or empty, or holds a value that is no finite number.
    """
    with reading(path, "sound file"):
        read, own = soundfile.read(path, dtype="float32", always_2d=True)  # (L, C)
    if not RATES[0] <= own <= RATES[1]:  # resampled, a few bytes would become gigabytes
        raise InputError(f"{path} has {own} Hz: {RATES[0]} to {RATES[1]} are read")
    if not len(read):
        raise InputError(f"{path} holds no sound")
    if not np.isfinite(read).all():
        raise InputError(f"{path} holds a value that is no finite number")
    sound: Sound = np.ascontiguousarray(read.mean(axis=1) if mono else read.T)
    if own == rate:
        return sound
    import librosa  # here, since importing it takes seconds

    return librosa.resample(sound, orig_sr=own, target_sr=rate)

"""Others' sound files -> arrays at our rate. Those that stage extract wrote are read by avsep/media/wav.py."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avsep.errors import InputError

Sound = NDArray[np.float32]


def load_sound(path: Path, rate: int, *, mono: bool = True) -> Sound:
    """A sound file of any format that libsndfile reads, at `rate` Hz, full scale at 1.

    (L,), the mean of its channels, or all of them, (C, L); L is its length in seconds times `rate`, rounded up.
    Raises InputError if the file is missing, unreadable or empty, or holds a value that is no finite number.
    """
    try:
        read, own = soundfile.read(path, dtype="float32", always_2d=True)  # (L, C)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = "missing" if not path.exists() else f"no sound file that can be read ({error})"
        raise InputError(f"{path} is {reason}") from None
    if not len(read):
        raise InputError(f"{path} holds no sound")
    if not np.isfinite(read).all():
        raise InputError(f"{path} holds a value that is no finite number")
    sound: Sound = np.ascontiguousarray(read.mean(axis=1) if mono else read.T)
    if own == rate:
        return sound
    import librosa  # here, since importing it takes seconds

    return librosa.resample(sound, orig_sr=own, target_sr=rate)

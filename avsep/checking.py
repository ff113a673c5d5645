"""What is wrong with a folder of training videos, before hours are spent: each file's header, and all of its sound.

The folder is that of videos.source=folder: <class>/<anything>.<container>.
"""

import functools
import hashlib
import math
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from avsep.errors import InputError
from avsep.files.names import printable
from avsep.separating.reading import About, about, shown_size, sound_of
from avsep.sources.alike import LONGEST, Landmarks, Wave, alike, landmarks, low
from avsep.sources.folder import is_video, look

SMALL = 128  # pixels of a picture's shorter side


@dataclass(frozen=True)
class Checked:
    """A video, and what is wrong with it: nothing that it could be used with stands first."""

    file: str  # below the folder
    seconds: float | None = None
    picture: str = ""  # width x height, as shown
    sound: str = ""  # Hz and channels
    loudest_db: float | None = None  # of the loudest second, re full scale
    wrong: tuple[str, ...] = field(default=())
    digest: str = ""  # of its bytes
    marks: Landmarks | None = None  # of its sound, if that was listened to


def check(
    folder: Path,
    *,
    min_seconds: float,
    silence_db: float,
    rate: int,
    decode: bool = True,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Checked], list[str]]:
    """Each video of the folder, and what is wrong with the folder itself.

    `min_seconds`, `silence_db`: what stage index asks of a video.  `rate`: what the networks hear, in Hz.  `decode`: to
    listen to all of its sound.  Raises InputError for a folder that is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder")
    found = look(folder)
    wrong = [f"{folder}: {fault}" for fault in found.faults]
    videos = [one.path for one in found.sources]
    if loose := [printable(path.name) for path in sorted(folder.iterdir()) if is_video(path)]:
        wrong.append(f"{len(loose)} videos lie in no class's folder, and are left out: {loose[0]}, ...")
    one = partial(_check, folder, min_seconds=min_seconds, silence_db=silence_db, rate=rate, decode=decode)
    checked = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # ffmpeg works in processes of its own
        for result in pool.map(one, videos):
            checked.append(result)
            told(len(checked), len(videos))
    return _alike(folder, _doubled(checked)), wrong


def command(folder: Path) -> str:
    """What trains on the folder, to be pasted into a shell.

    `-S` takes a value as Hydra reads it: of letters that are not ASCII, and of most punctuation, it is refused, unless
    it stands in quotes of its own.
    """
    path = str(folder.absolute())
    if not re.fullmatch(r"[\w/.+%@:?*|-]+( +[\w/.+%@:?*|-]+)*", path, re.ASCII):
        escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), path)
        path = f'"{escaped}"'
    return f"dvc exp run -S videos.source=folder -S {shlex.quote(f'videos.path={path}')}"


def _check(folder: Path, path: Path, *, min_seconds: float, silence_db: float, rate: int, decode: bool) -> Checked:
    file = path.relative_to(folder).as_posix()
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        said = about(path, pictures=True)
        width, height = shown_size(said)
        loudest, seconds, marks = _listen(said) if decode else (None, said.seconds, None)
    except (InputError, OSError) as error:
        return Checked(file, wrong=(str(error).replace(str(path), "").removeprefix(" cannot be used: ").strip(),))
    wrong = []
    if seconds < said.seconds - 0.25:
        wrong.append(f"truncated: sound ends at {seconds:.1f} s of {said.seconds:.1f} s")
    shorter = min(seconds, said.pictures or 0.0)
    if shorter < min_seconds:
        wrong.append(f"short: {shorter:.1f} s of {min_seconds:g} s")
    if loudest is not None and loudest < silence_db:
        wrong.append(f"silent: the loudest second has {loudest:.0f} dB")
    if said.rate < rate:
        wrong.append(f"sound of {said.rate} Hz: the networks hear {rate}")
    if min(width, height) < SMALL:
        wrong.append(f"small: {width} x {height} pixels")
    sound = f"{said.rate} Hz, {said.channels}"
    return Checked(file, round(seconds, 2), f"{width} x {height}", sound, loudest, tuple(wrong), digest, marks)


def _listen(said: About) -> tuple[float, float, Landmarks]:
    """The level of the loudest second in dB, how long the sound is, in seconds, and what it is known by."""
    energies: defaultdict[int, float] = defaultdict(float)
    length = 0
    begun: list[np.ndarray] = []  # of its first LONGEST seconds
    for block in sound_of(said):
        mono = block.mean(0).numpy().astype(np.float64)
        places = (length + np.arange(len(mono))) // said.rate
        for second in np.unique(places).tolist():
            energies[second] += float(np.square(mono[places == second]).sum())
        if length < LONGEST * said.rate:
            begun.append(mono.astype(np.float32))
        length += len(mono)
    marks = landmarks(low(np.concatenate(begun), said.rate)) if begun else landmarks(np.zeros(0, np.float32))
    loudest = max(energies.values(), default=0.0) / max(1, min(said.rate, length))
    return 10 * math.log10(loudest) if loudest > 0 else -math.inf, length / said.rate, marks


def _wave(path: Path) -> Wave:
    """A sound as `alike` compares it. Raises InputError."""
    said = about(path, pictures=False)
    return low(np.concatenate([block.mean(0).numpy() for block in sound_of(said)]), said.rate)


def _alike(folder: Path, checked: Sequence[Checked]) -> list[Checked]:
    """Tells of files that are one recording, encoded anew: of a recording one counts."""
    known = {one.digest: place for place, one in reversed(list(enumerate(checked)))}  # of the same bytes the first
    heard = [place for place, one in enumerate(checked) if one.marks is not None and known[one.digest] == place]
    marks = [one.marks for place in heard if (one := checked[place]).marks is not None]
    told = list(checked)
    wave = functools.lru_cache(maxsize=8)(lambda place: _wave(folder / checked[heard[place]].file))
    for pair in alike(marks, wave):
        first, second = checked[heard[pair.first]], heard[pair.second]
        told[second] = replace(told[second], wrong=(*told[second].wrong, f"the same recording as {first.file}"))
    return told


def _doubled(checked: Iterable[Checked]) -> list[Checked]:
    """Tells of files that are the same: in two splits they would be learned by heart."""
    checked = list(checked)
    counts = Counter(one.digest for one in checked if one.digest)
    first: dict[str, str] = {}
    told = []
    for one in checked:
        if counts[one.digest] > 1 and one.digest in first:
            one = replace(one, wrong=(*one.wrong, f"the same file as {first[one.digest]}"))
        first.setdefault(one.digest, one.file)
        told.append(one)
    return told

"""What is wrong with a folder of training videos, before hours are spent: each file's header, and all of its sound.

The folder is that of videos.source=folder: <class>/<anything>.<container>.
"""

import hashlib
import math
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from avsep.errors import InputError
from avsep.separating.reading import About, about, shown_size, sound_of
from avsep.sources.folder import SUFFIXES, survey

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
    wrong = []
    try:
        survey(folder, str(folder))
    except InputError as error:
        wrong.append(str(error))
    videos = [
        path
        for path in sorted(folder.glob("*/*"))
        if path.is_file() and path.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in path.parts[-2:])
    ]
    if loose := [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file()]:
        wrong.append(f"{len(loose)} videos lie in no class's folder, and are left out: {loose[0]}, ...")
    one = partial(_check, folder, min_seconds=min_seconds, silence_db=silence_db, rate=rate, decode=decode)
    checked = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # ffmpeg works in processes of its own
        for result in pool.map(one, videos):
            checked.append(result)
            told(len(checked), len(videos))
    return _doubled(checked), wrong


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
        loudest, seconds = _listen(said) if decode else (None, said.seconds)
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
    return Checked(file, round(seconds, 2), f"{width} x {height}", sound, loudest, tuple(wrong), digest)


def _listen(said: About) -> tuple[float, float]:
    """The level of the loudest second in dB, and how long the sound is, in seconds."""
    energies: defaultdict[int, float] = defaultdict(float)
    length = 0
    for block in sound_of(said):
        mono = block.mean(0).numpy().astype(np.float64)
        places = (length + np.arange(len(mono))) // said.rate
        for second in np.unique(places).tolist():
            energies[second] += float(np.square(mono[places == second]).sum())
        length += len(mono)
    loudest = max(energies.values(), default=0.0) / max(1, min(said.rate, length))
    return 10 * math.log10(loudest) if loudest > 0 else -math.inf, length / said.rate


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

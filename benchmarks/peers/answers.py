"""What a peer is asked, and how it answers (docs/external.md): the same few lines for each of them.

It imports nothing but numpy and scipy, so that it works in the environment that a model needs.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from avsep.files.whole import whole_folder

SILENT = "-"  # the object does not sound

Wave = NDArray[np.floating]  # (L,)


class Object(NamedTuple):
    """What is asked for."""

    name: str  # within its mixture
    category: str  # its class
    phrase: str
    picture: Path  # the middle frame
    box: tuple[int, int, int, int] | None  # x1, y1, x2, y2 in it; None: nothing was detected


class Mixture(NamedTuple):
    name: str
    rate: int  # Hz
    wave: Wave  # (L,)
    file: Path  # which holds it
    video: Path | None  # of a scene
    objects: tuple[Object, ...]


Answers = Mapping[str, Wave | None]
"""Object -> what it is given of the mixture, (L,); None: it does not sound."""


def read_questions(folder: Path) -> Iterator[Mixture]:
    asked = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    for mixture in asked["mixtures"]:
        rate, wave = wavfile.read(folder / mixture["sound"])
        objects = tuple(_object(folder, one) for one in mixture["objects"])
        video = folder / mixture["video"] if "video" in mixture else None
        yield Mixture(mixture["name"], rate, wave, folder / mixture["sound"], video, objects)


def _object(folder: Path, one: Mapping[str, Any]) -> Object:
    box = None if one["box"] is None else tuple(one["box"])
    return Object(one["name"], one["class"], one["phrase"], folder / one["picture"], box)


def write_answers(questions: Path, folder: Path, answer: Callable[[Mixture], Answers]) -> int:
    """Asks for each mixture, and writes all answers as `folder`, whole or not at all. Returns their number."""
    if folder.exists():
        raise FileExistsError(f"{folder} is there already: name a new folder")
    files: dict[str, dict[str, str]] = {}
    with whole_folder(folder) as temporary:
        shutil.copyfile(questions / "questions.json", temporary / "questions.json")
        for mixture in read_questions(questions):
            (temporary / mixture.name).mkdir(parents=True)
            files[mixture.name] = {}
            for name, wave in answer(mixture).items():
                files[mixture.name][name] = SILENT
                if wave is not None:
                    files[mixture.name][name] = f"{mixture.name}/{name}.wav"
                    own = as_long(np.asarray(wave, np.float32), len(mixture.wave))
                    wavfile.write(temporary / files[mixture.name][name], mixture.rate, own)
        (temporary / "answers.json").write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")
    return len(files)


def as_long(wave: Wave, samples: int) -> Wave:
    """Cut, or with silence behind it: a model that resamples may end a few samples early or late."""
    return np.pad(wave[:samples], (0, max(0, samples - len(wave))))


def at_rate(wave: Wave, rate: int, to: int) -> Wave:
    """A wave of `rate` Hz at another one."""
    common = gcd(rate, to)
    return resample_poly(wave, to // common, rate // common)

"""External systems: other models' waves, which they wrote for the test mixtures of `python -m avsep.export mixtures`.

A folder of answers holds `questions.json` as it was exported, and `answers.json` (docs/external.md):

    {"pairs/000": {"A": "pairs/000/A.wav", "B": "-", ...}, ...}

mixture -> object -> a mono wav file in that folder, at the pipeline's rate and as long as the mixture, or `-`: it does
not sound.  What follows after a mixture's end is left out.  An object of `-`, or of a wave that is silent throughout,
is given silence and sounds with probability 0, any other with 1.  Solo sounds are not asked about: NaN.

All is checked when it is loaded; that it answers these mixtures, and not those of another export, when it is asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pydantic
import soundfile
import torch
from torch import Tensor

from avsep.errors import InputError
from avsep.files.ledgers import digest
from avsep.files.paths import inside
from avsep.files.reading import read_json, reading, refusing
from avsep.media.wav import Wave
from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Setup, Sight, System

QUESTIONS, ANSWERS = "questions.json", "answers.json"
SILENT = "-"  # in the place of a file: the object does not sound
SAME_LEVEL = 1e-3  # by how much of it a mixture's level may differ: another device sums otherwise

_Read = TypeVar("_Read")


class _Object(pydantic.BaseModel):
    name: str
    phrase: str


class _Mixture(pydantic.BaseModel):
    name: str
    samples: pydantic.PositiveInt
    level: pydantic.FiniteFloat  # as `level_of` has it
    objects: list[_Object]


class _Questions(pydantic.BaseModel):
    rate: int
    mixtures: list[_Mixture]


_Answers = dict[str, dict[str, str]]


def level_of(window: Tensor) -> float:
    """What tells a mixture from others: the root mean square of its first window (L,), as the networks hear it."""
    return float(window.double().square().mean().sqrt())


class OthersWaves:
    """One external system."""

    sight: Sight | None = None

    def __init__(
        self, name: str, folder: Path, mixtures: Mapping[str, _Mixture], files: Mapping[str, Mapping[str, Path | None]]
    ) -> None:
        """`files`: mixture -> object -> its wave; None: it does not sound."""
        self.name, self.folder, self._mixtures, self._files = name, folder, mixtures, files
        own = sorted({file for waves in files.values() for file in waves.values() if file is not None})
        self.sha256 = digest([folder / QUESTIONS, folder / ANSWERS, *own])  # of all that it answers

    def prepare(self, pictures: Tensor, phrase: str) -> str:
        return phrase

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        """Raises InputError for a mixture or an object that is none of questions.json."""
        for name, start, window in zip(heard.names, heard.starts, heard.wave, strict=True):
            if name not in self._mixtures:
                raise InputError(f"{self.folder / QUESTIONS} asks for no mixture {name!r}: {_AGAIN}")
            known = self._mixtures[name].level
            if start == 0 and abs(level_of(window) - known) > SAME_LEVEL * known:
                raise InputError(f"{self.folder / QUESTIONS}: {name} is another mixture now: {_AGAIN}")
        sounding = {
            one: torch.tensor([self._file(name, one, phrase) is not None for name, phrase in self._of(heard, phrases)])
            for one, phrases in asked.items()
        }

        def probability(sound: str, one: str) -> Tensor:
            said = sounding[one].to(heard.wave)
            return said if sound == "mixture" else torch.full_like(said, torch.nan)

        waves = {one: self._windows(heard, one).to(heard.wave) for one in asked}
        return Answer(waves=waves, probability=probability)

    def _of(self, heard: HeardMixtures, phrases: Sequence[str]) -> Iterator[tuple[str, str]]:
        return zip(heard.names, phrases, strict=True)

    def _file(self, mixture: str, one: str, phrase: str) -> Path | None:
        for asked in self._mixtures[mixture].objects:
            if asked.name == one and asked.phrase == phrase:
                return self._files[mixture][one]
        raise InputError(f"{self.folder / QUESTIONS} asks for no {phrase!r} as {one} of {mixture}: {_AGAIN}")

    def _windows(self, heard: HeardMixtures, one: str) -> Tensor:
        """(B, L), with silence after a mixture's end."""
        windows = np.zeros(tuple(heard.wave.shape), np.float32)
        for window, name, start in zip(windows, heard.names, heard.starts, strict=True):
            if (file := self._files[name][one]) is not None:
                end = min(start + len(window), self._mixtures[name].samples)
                window[: end - start] = _wave(file, start, end)
        return torch.from_numpy(windows)


_AGAIN = "write the test mixtures anew with `python -m avsep.export mixtures`, and let the model answer those"


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    """Raises InputError, naming the file, for an answer that is missing, or is no wave of its mixture's length."""
    for entry in entries:
        folder = setup.root / setup.external[entry.name]
        questions = _parsed(folder / QUESTIONS, _Questions)
        if questions.rate != setup.rate:
            raise InputError(f"{folder / QUESTIONS} has {questions.rate} Hz, extract.rate is {setup.rate}: {_AGAIN}")
        mixtures = {mixture.name: mixture for mixture in questions.mixtures}
        answers = _parsed(folder / ANSWERS, _Answers)
        files = {name: _files(folder, mixture, answers, setup.rate) for name, mixture in mixtures.items()}
        yield OthersWaves(entry.name, folder, mixtures, files)


def _parsed(path: Path, kind: type[_Read]) -> _Read:
    told = read_json(path, "see docs/external.md")
    try:
        return pydantic.TypeAdapter(kind).validate_python(told)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = " of ".join(str(part) for part in reversed(first["loc"]))
        raise InputError(f"{path} is not as docs/external.md says: {where or 'all'}: {first['msg'].lower()}") from None


def _files(folder: Path, mixture: _Mixture, answers: _Answers, rate: int) -> dict[str, Path | None]:
    """Of each object its checked wave, None where it does not sound."""
    files: dict[str, Path | None] = {}
    for one in mixture.objects:
        answer = answers.get(mixture.name, {}).get(one.name)
        where = f"{folder / ANSWERS}: {one.name} of {mixture.name}"
        if answer is None:
            raise InputError(f"{where} is missing: give a file of {folder}, or {SILENT!r} if it does not sound")
        files[one.name] = None
        if answer != SILENT:
            path = inside(folder, answer, where)
            with refusing(f"{where}: {answer!r} is no file"):  # a link to itself leads nowhere
                within = path.resolve().is_relative_to(folder.resolve())
            if not within:
                raise InputError(f"{where}: {answer!r} is a link out of {folder}")
            if _checked(path, rate, mixture.samples).any():
                files[one.name] = path
    return files


def _checked(path: Path, rate: int, samples: int) -> Wave:
    """The first `samples` of a file. Raises InputError."""
    with reading(path, "sound"):
        about = soundfile.info(str(path))
        problem = None
        if about.channels != 1:
            problem = f"has {about.channels} channels: give mono"
        elif about.samplerate != rate:
            problem = f"has {about.samplerate} Hz: give {rate} Hz, extract.rate"
        elif about.frames < samples:
            problem = f"is short: {about.frames} of {samples} samples"
        elif not np.isfinite(wave := _wave(path, 0, samples)).all():
            problem = "holds NaN or infinity"
        elif len(wave) < samples:
            problem = f"ends before its header says: {len(wave)} of {samples} samples"
    if problem is not None:
        raise InputError(f"{path} {problem}")
    return wave


def _wave(path: Path, start: int, end: int) -> Wave:
    wave: Wave = soundfile.read(path, start=start, frames=end - start, dtype="float32")[0]
    return wave

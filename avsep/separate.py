"""The front door: what a trained pipeline makes of a video.

    from avsep import Separator

    separator = Separator.from_pretrained("checkpoints/package")  # or a repository's root, or the hub's owner/name
    for sound in separator("video.mp4"):
        print(sound.name, sound.probability)
        soundfile.write(f"{sound.number}-{sound.name}.wav", sound.wave.T, sound.rate)

The detector finds the objects; one system says which of them sound and gives each its part of the sound, at the file's
own rate and with all its channels.  It works from any working directory.  What is asked for in words needs no picture:

    separator("song.wav", texts=["violin"])

A long file streams: `stream` gives it piece after piece, `write` makes files of it, and neither holds it in memory.

`load` gives what evaluation asks of a video: all at once, mono, at the networks' rate.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from avsep.clips.index import listed_classes
from avsep.errors import InputError
from avsep.media.sounds import load_sound
from avsep.media.wav import Wave
from avsep.packaging.folder import CONFIG, Package, is_package, read_package, weights_of
from avsep.packaging.hub import located, push
from avsep.params.loading import load as load_params
from avsep.params.loading import load_part
from avsep.params.stages import EvaluateScenesParams
from avsep.separating import video as whole
from avsep.separating.band import EXTEND, Band, Extend, Piece
from avsep.separating.gates import read_gates
from avsep.separating.reading import about, opened, shown_size
from avsep.separating.separation import Separation, Sound, silent
from avsep.separating.streaming import Place, Said, Stream, Told, seek, things, words
from avsep.separating.tracks import Object
from avsep.separating.video import open_video
from avsep.separating.windows import Hearing, Windows
from avsep.separating.written import write_folder
from avsep.setup import setup_of
from avsep.systems.catalogue import Entry, asked_of, entry_of
from avsep.systems.confidence import CONFIDENCE, PhraseGate, phrase_gate, read_phrase_gate
from avsep.systems.load import load_systems
from avsep.systems.system import Looks, Setup, System
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, learned_classes, load_detector
from avsep.weights.phrases import phrase_of


@dataclass(frozen=True)
class Trained:
    """A folder of what was trained: a repository's root, or a package of it."""

    root: Path  # checkpoints/ lies in it
    params: EvaluateScenesParams
    package: Package | None

    @property
    def gates(self) -> Path:
        """The file that tells the gates."""
        return self.root / (CONFIG if self.package is not None else "metrics/evaluate.json")

    @property
    def phrases(self) -> PhraseGate | None:
        """How sure the system that is asked in words is of a phrase; None: that was never told. Raises InputError."""
        if self.package is None:
            return read_phrase_gate(self.root / CONFIDENCE)
        told = self.package.confidence
        return None if told is None else phrase_gate(told, self.root / CONFIG)

    @property
    def classes(self) -> list[str]:
        """What a detector that is asked in words looks for, if it is not told. Raises InputError."""
        return self.package.classes if self.package is not None else listed_classes(self.root / "data/index/train.csv")

    @contextmanager
    def named(self) -> Iterator[None]:
        """What is wrong with a package is told of its own file of params."""
        try:
            yield
        except InputError as error:
            if self.package is None:
                raise
            raise InputError(str(error).replace("params.yaml", str(self.root / CONFIG))) from None


def trained_in(root: Path) -> Trained:
    """What lies in a folder. Raises InputError for what is missing, damaged, or of another version."""
    if not is_package(root):
        return Trained(root, load_params(EvaluateScenesParams, root / "params.yaml"), None)
    package = read_package(root)
    own = {"seed": 0, "device": "cpu", "threads": 1}  # of a run, not of what was trained
    made = f"{root / CONFIG}, written by avsep {package.versions.get('avsep', 'of an unknown version')}"
    return Trained(root, load_part(EvaluateScenesParams, {**package.params, **own}, made), package)


class Separator:
    """What a trained pipeline makes of files of one's own; its parts are loaded when they are first needed."""

    def __init__(
        self,
        root: Path,
        *,
        system: str | None = None,
        device: str | None = None,
        classes: Sequence[str] | None = None,
        extend: Extend = "average",
        seen: float | None = None,
        look: bool = False,
    ) -> None:
        """As `from_pretrained`."""
        self.root, self.device, self.classes, self.extend, self.seen = root, device, classes, extend, seen
        self.look = look
        self._given = system
        self._loaded: dict[str, VideoSeparator] = {}

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str = ".",
        *,
        system: str | None = None,
        device: str | None = None,
        classes: Sequence[str] | None = None,
        extend: Extend = "average",
        seen: float | None = None,
        look: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "Separator":
        """What the pipeline has trained.

        `folder`: a package, as stage package makes it; or a repository's root, in which params.yaml, checkpoints/ and
        metrics/evaluate.json lie; or `owner/name`, a package on the Hugging Face hub, of the branch, tag or commit
        `revision`, with `local_files_only` as it was downloaded before.  A package is for the cpu, if no device is
        given.
        `system`: a name of avsep/systems/catalogue.py; without one, the first that stands for its method, and for
        words the first that is asked in words.  `device`: cpu, cuda or mps, in place of the params' one.  `classes`:
        what a detector that is asked in words looks for.  `extend`: what an object is given above what the networks
        hear (avsep/separating/band.py).  `seen`: the share of all pictures in which an object must be seen, in place of
        evaluate_scenes.seen.  `look`: tells where in the pictures VAST finds each sound, whatever separated it, if it
        is trained.
        Raises InputError for what is unknown; for what is missing, or of other params, when it is first needed.
        """
        if extend not in EXTEND:
            raise InputError(f"extend {extend!r} is none of {', '.join(EXTEND)}")
        if seen is not None and not 0 <= seen <= 1:
            raise InputError(f"seen is {seen}: a share of the pictures, from 0 to 1")
        root = located(folder, revision=revision, local_files_only=local_files_only)
        one = cls(root, system=system, device=device, classes=classes, extend=extend, seen=seen, look=look)
        one.system_for(words=False)
        return one

    @cached_property
    def _trained(self) -> Trained:
        return trained_in(self.root)

    @property
    def package(self) -> Package | None:
        """What the package tells, if it is one."""
        return self._trained.package

    def push_to_hub(
        self, name: str, *, private: bool = True, revision: str | None = None, message: str = "A package of avsep"
    ) -> str:
        """Brings the package to the Hugging Face hub as `owner/name`, and returns its address.

        `private`: if it is made now.  `revision`: a branch of it.  Raises InputError for a folder that is no package,
        and if it does not get there.
        """
        return push(self.root, name, private=private, revision=revision, message=message)

    @property
    def trained(self) -> list[Entry]:
        """The systems that evaluate.systems of the folder's params names."""
        return [entry for entry in asked_of(self._trained.params.evaluate.systems) if entry.stage is not None]

    @property
    def heard(self) -> tuple[int, float]:
        """What the networks hear: Hz, and the seconds of a window."""
        params = self._trained.params
        return params.extract.rate, params.audio.samples / params.extract.rate

    def system_for(self, *, words: bool) -> str:
        """The name of the system that is asked in words, or of the one that sees. Raises InputError."""
        known = {entry.name: entry for entry in self.trained}
        if self._given is not None and self._given not in known:
            raise InputError(f"system {self._given!r} is none of {', '.join(known)}, which evaluate.systems gives")
        fit = [entry for entry in self.trained if (entry.asked == "phrase") == words]
        if self._given is not None and (words or known[self._given] in fit):
            if known[self._given] not in fit:
                raise InputError(f"system {self._given} sees objects: words need one that is asked in words")
            return self._given
        if self._given is None and not fit and words:
            raise InputError(
                f"{self.root} holds no system that is asked in words: add trimodal to evaluate.systems,"
                " and of a package to package.systems"
            )
        if self._given is not None:  # asked in words, it gives objects what their classes' phrases do
            return self._given
        return next((entry.name for entry in fit if entry.first), (fit or self.trained)[0].name)

    @property
    def looking(self) -> str | None:
        """The name of the first system that says where in a picture it finds a sound; None: none is trained."""
        return next((entry.name for entry in self.trained if entry.looks), None)

    def _looks(self, system: str) -> Looks | None:
        """What tells where a sound is found that `system` separates."""
        looking = system if entry_of(system).looks else self.looking
        if not self.look or looking is None:
            return None
        return cast(Looks, self.loaded(looking).separator.systems[looking])

    def load(self, *, words: bool) -> None:
        """Loads all that it takes to ask in words, or for what is seen, before anything is asked. Raises InputError."""
        name = self.system_for(words=words)
        self.loaded(name)
        self._looks(name)

    def loaded(self, system: str) -> "VideoSeparator":
        """A system with all that it takes. Raises InputError."""
        if system not in self._loaded:
            found = _load(self._trained, system=system, device=self.device, classes=self.classes)
            if self.seen is not None:
                found = replace(found, separator=replace(found.separator, seen=self.seen))
            self._loaded[system] = found
        return self._loaded[system]

    def model(self, system: str) -> dict[str, Any]:
        """What is told of the model that separated."""
        entry = entry_of(system)
        weights = self.root / weights_of(str(entry.stage))
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"system": system, "title": entry.title, "stage": entry.stage, "sha256": digest}

    @contextmanager
    def open(
        self,
        file: Path | str,
        *,
        texts: Sequence[str] = (),
        boxes: Sequence[Place] = (),
        told: Told = silent,
    ) -> Iterator[Separation]:
        """A file with the things in it, which may be separated as long as it is open.

        `texts`: asks for these, in words, in place of the objects that are seen; the file may be sound alone.  `boxes`:
        asks for what is at these places too, in pixels of the video as it is shown.  `told`: is told of progress.
        Raises InputError for a file that nothing can be made of, or a question that cannot be asked.
        """
        if texts and boxes:
            raise InputError("a box asks a system that sees, words another one: ask for one of both")
        name = self.system_for(words=bool(texts))
        loaded = self.loaded(name)
        own, hearing = loaded.separator, loaded.separator.hearing
        system = own.systems[name]
        said = about(Path(file), pictures=not texts)
        size = None if said.pictures is None else shown_size(said)
        if size is not None:
            for place in boxes:
                place.refuse_outside(size, said.pictures or 0)
        phrases = [(text, self._phrase(own, text)) for text in dict.fromkeys(texts)]
        for _, phrase in phrases:  # told before a long file is decoded
            system.prepare(torch.empty(0), phrase)
        with opened(said, own.fps, hearing.rate) as (kept, pictures):
            if texts:
                for number, _ in enumerate(pictures, start=1):
                    told("reading", number / own.fps, said.seconds)
                asked = words(phrases)
            else:
                rows = seek(own, kept, pictures, said.pictures or said.seconds, told)
                asked = things(own, rows, kept, boxes, size or kept.pictures.size)
            for _ in pictures:  # none is left: the sound is whole
                pass
            stream = Stream(
                system=system,
                things=asked,
                kept=kept,
                hearing=hearing,
                band=Band(hearing.spectrogram, hearing.rate, said.rate, self.extend),
                fps=own.fps,
                gate=own.gates.get(name),
                device=next(own.detector.parameters()).device,
                phrases=self._trained.phrases if entry_of(name).confident else None,
                looks=self._looks(name),
            )
            asks = self.asks(texts, boxes)
            yield Separation(stream, Said(), size, self.model(name), asks, told, self._unsure(name, stream))

    def asks(self, texts: Sequence[str] = (), boxes: Sequence[Place] = ()) -> dict[str, Any]:
        """What is asked of a file, as objects.json tells it."""
        return {
            "texts": list(dict.fromkeys(texts)),
            "boxes": [list(place) for place in boxes],
            "extend": self.extend,
            "seen": self.seen,
            "look": self.look,
            "classes": None if self.classes is None else list(self.classes),
        }

    def lasts(self, file: Path | str) -> tuple[float, bool]:
        """Seconds of a file's sound, as it tells them, and whether it holds pictures. Raises InputError for one that
        nothing can be made of."""
        said = about(Path(file), pictures=False)
        return said.seconds, said.pictures is not None

    @staticmethod
    def _unsure(system: str, stream: Stream) -> str | None:
        """Why no probability can be told, if none can."""
        entry = entry_of(system)
        if stream.gate is not None or stream.phrases is not None:
            return None
        if entry.confident:
            return "the model holds no confidence in phrases: stages evaluate and package write it anew"
        return f"{entry.title} does not say how sure it is"

    @staticmethod
    def _phrase(own: whole.Separator, text: str) -> str:
        """What is asked: a class of the detector's in the phrase that training took, all else as it stands."""
        plain = {category.replace("_", " "): category for category in own.classes}
        known = plain.get(text.strip().lower().replace("_", " "))
        return text if known is None else phrase_of(known, own.phrase)

    def stream(
        self,
        file: Path | str,
        *,
        texts: Sequence[str] = (),
        boxes: Sequence[Place] = (),
        told: Told = silent,
    ) -> Iterator[Piece]:
        """A file's sounds, piece after piece, in memory that does not grow with it: `piece.sounds` (S, C, n) in the
        order of the things, and `piece.residual` (C, n). Arguments and errors are those of `open`, which tells of the
        things too."""
        with self.open(file, texts=texts, boxes=boxes, told=told) as separation:
            yield from separation.pieces()

    def __call__(
        self, file: Path | str, *, texts: Sequence[str] = (), boxes: Sequence[Place] = (), told: Told = silent
    ) -> list[Sound]:
        """A file's sounds, whole, in memory. Arguments and errors are those of `open`."""
        with self.open(file, texts=texts, boxes=boxes, told=told) as separation:
            pieces = list(separation.pieces())
            waves = torch.cat([piece.sounds for piece in pieces], dim=-1).numpy()
            return [replace(sound, wave=waves[sound.number - 1]) for sound in separation.sounds()]

    def write(
        self,
        file: Path | str,
        folder: Path | str,
        *,
        texts: Sequence[str] = (),
        boxes: Sequence[Place] = (),
        videos: bool = True,
        told: Told = silent,
    ) -> dict[str, Any]:
        """Writes `folder`, whole or not at all, in place of what lay there (avsep/separating/written.py says what), and
        gives what its objects.json tells. `videos`: whether each sound's video is written too. Raises InputError."""
        with self.open(file, texts=texts, boxes=boxes, told=told) as separation:
            return write_folder(separation, Path(folder), videos=videos)


@dataclass(frozen=True)
class SeparatedObject:
    """An object that was found in a video, and its sound."""

    number: int  # from 1, the surest first
    category: str  # as the detector names it
    confidence: float  # the detector's, over all frames
    boxes: NDArray[np.int64]  # (frames, 4): x1, y1, x2, y2 in pixels
    wave: Wave  # (L,): what it is given of the sound
    probability: NDArray[np.float32] | None  # (W,), that it sounds in each window; None: the system does not say
    muted: NDArray[np.bool_] | None  # (W,): below the gate, and so given silence


@dataclass(frozen=True)
class Separated:
    """All of a video."""

    rate: int  # Hz of all sounds
    fps: int  # frames a second that were taken
    mixture: Wave  # (L,)
    starts: NDArray[np.int64]  # (W,): each window's first sample
    samples: int  # of a window
    objects: tuple[SeparatedObject, ...]

    @property
    def rest(self) -> Wave:
        """What no object is given, (L,): with the objects' sounds it makes the mixture."""
        return self.mixture - sum((one.wave for one in self.objects), np.zeros_like(self.mixture))


@dataclass(frozen=True)
class VideoSeparator:
    """A detector and one system, loaded."""

    separator: whole.Separator
    system: str

    @property
    def rate(self) -> int:
        """Hz of all sounds."""
        return self.separator.hearing.rate

    def __call__(self, video: Path | str) -> Separated:
        """Finds and separates the objects in a video of any container that ffmpeg reads.

        Raises InputError for a file that is no video with sound.
        """
        own = self.separator
        frames, wave = open_video(Path(video), own.fps, self.rate)
        objects = own.objects(frames)
        categories = own.categories(objects)
        given = own.separate(wave, frames, objects, categories)[self.system]
        sure = None if given.probabilities is None else given.probabilities.numpy()
        muted = None if given.muted is None else given.muted.numpy()
        found = tuple(
            SeparatedObject(
                number=number + 1,
                category=category,
                confidence=one.confidence,
                boxes=np.array(one.boxes, np.int64),
                wave=given.waves[number].numpy(),
                probability=None if sure is None else sure[number],
                muted=None if muted is None else muted[number],
            )
            for number, (one, category) in enumerate(zip(objects, categories, strict=True))
        )
        starts = np.array(Windows(len(wave), own.hearing.samples).starts, np.int64)
        return Separated(self.rate, own.fps, wave, starts, own.hearing.samples, found)

    def ask(self, sound: Path | str, phrases: Sequence[str]) -> dict[str, Wave]:
        """What a sound file of any rate and number of channels holds of each of the phrases, (L,) each.

        Raises InputError for a system that sees objects, a file that is no sound, or a phrase that CLIP cannot read.
        """
        own = self.separator
        system = own.systems[self.system]
        if system.sight is not None:
            raise InputError(
                f"system {self.system} sees objects, and a sound has none: choose one that is asked in words"
            )
        wave = load_sound(Path(sound), self.rate)
        unseen = [Object(label, 1.0, boxes=(), seen=()) for label in range(1, len(phrases) + 1)]
        given = own.give(wave, (), unseen, phrases)[self.system]
        return {phrase: given.waves[number].numpy() for number, phrase in enumerate(phrases)}


def load(
    root: Path | str = ".",
    *,
    system: str | None = None,
    device: str | None = None,
    classes: Sequence[str] | None = None,
) -> VideoSeparator:
    """What the pipeline in the folder `root` has trained, or what a package holds.

    `system`: a name of avsep/systems/catalogue.py; without one, the first that stands for its method among those of
    evaluate.systems.  `device`: in place of the params' one.  `classes`: what a detector that is asked in words looks
    for; without them, the classes of the training videos.
    Raises InputError for what is missing, of other params, or unknown.
    """
    return _load(trained_in(Path(root)), system=system, device=device, classes=classes)


def _load(trained: Trained, *, system: str | None, device: str | None, classes: Sequence[str] | None) -> VideoSeparator:
    """As `load`."""
    root, params = trained.root, trained.params
    there = [entry for entry in asked_of(params.evaluate.systems) if entry.stage is not None]
    if system is None:
        entry = next((entry for entry in there if entry.first), there[0])
    elif (known := {entry.name: entry for entry in there}) and system in known:
        entry = known[system]
    else:
        raise InputError(f"system {system!r} is none of {', '.join(known)}, which evaluate.systems gives")
    setup = setup_of(params, {}, root)
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # no such kind; none here
            raise InputError(f"device {device!r} cannot be used here ({str(error).splitlines()[0]})") from None
        setup = replace(setup, device=device)
    found = learned_classes(root / DETECTOR)
    if found is None:
        found = list(classes) if classes is not None else trained.classes
    if not found:
        raise InputError(f"{root / DETECTOR} holds no detector: give a video's objects one (docs/detectors.md)")
    with trained.named():
        loaded = load_systems([str(entry.stage)], setup)[entry.name]
        own = separator_of(params, setup, {entry.name: loaded}, found, trained.gates)
    return VideoSeparator(own, entry.name)


def fps_of(systems: Iterable[System], least: int) -> int:
    """Frames a second that show each of the systems all that it looks at; `least` without one that sees."""
    return math.lcm(least, *(system.sight.fps for system in systems if system.sight is not None))


def separator_of(
    params: EvaluateScenesParams,
    setup: Setup,
    systems: Mapping[str, System],
    classes: Sequence[str],
    gates: Path = Path("metrics/evaluate.json"),
) -> whole.Separator:
    """What separates a video among the objects of these classes, by `systems`. `gates`: the file that tells them.

    Raises InputError.
    """
    return whole.Separator(
        detector=load_detector(
            setup.root / DETECTOR,
            setup.root / ZERO_SHOT,
            classes=classes,
            phrase=params.detect.phrase,
            device=setup.device,
            width=params.resnet.width,
            **asdict(params.detector),
            threshold=params.detect.threshold,
            nms=params.detect.nms,
            enlarge=params.evaluate_scenes.enlarge,
        ),
        classes=classes,
        batch=params.detect.batch,
        nms=params.evaluate_scenes.nms,
        link=params.evaluate_scenes.link,
        seen=params.evaluate_scenes.seen,
        systems=systems,
        gates=read_gates(systems, gates),
        hearing=Hearing(setup.rate, setup.samples, setup.spectrogram),
        fps=fps_of(systems.values(), setup.fps),
        phrase=setup.phrase,
    )

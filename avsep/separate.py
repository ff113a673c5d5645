"""The front door: what a trained pipeline makes of a video.

    from avsep.separate import load

    separator = load("/path/to/the/repository")   # where params.yaml, checkpoints/ and metrics/evaluate.json lie
    for one in separator("video.mp4").objects:
        print(one.category, one.probability.mean())
        soundfile.write(f"{one.number}-{one.category}.wav", one.wave, separator.rate)

The detector finds the objects; one system says which of them sound and gives each its part of the sound, mono at
`separator.rate`.  It works from any working directory.  A system that is asked in words needs no picture:

    load(root, system="trimodal_text").ask("song.wav", ["a person playing the violin"])
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avsep.clips.index import listed_classes
from avsep.errors import InputError
from avsep.media.sounds import load_sound
from avsep.media.wav import Wave
from avsep.params.loading import load as load_params
from avsep.params.stages import EvaluateScenesParams
from avsep.separating.gates import read_gates
from avsep.separating.tracks import Object
from avsep.separating.video import Separator, open_video
from avsep.separating.windows import Hearing, Windows
from avsep.setup import setup_of
from avsep.systems.catalogue import asked_of
from avsep.systems.load import load_systems
from avsep.systems.system import Setup, System
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, learned_classes, load_detector


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

    separator: Separator
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
    """What the pipeline in the folder `root` has trained.

    `system`: a name of avsep/systems/catalogue.py; without one, the first that stands for its method among those of
    evaluate.systems.  `device`: in place of the params' one.  `classes`: what a detector that is asked in words looks
    for; without them, the classes of the training videos.
    Raises InputError for what is missing, of other params, or unknown.
    """
    root = Path(root)
    params = load_params(EvaluateScenesParams, root / "params.yaml")
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
        found = list(classes) if classes is not None else listed_classes(root / "data/index/train.csv")
    if not found:
        raise InputError(f"{root / DETECTOR} holds no detector: give a video's objects one (docs/detectors.md)")
    loaded = load_systems([str(entry.stage)], setup)[entry.name]
    return VideoSeparator(separator_of(params, setup, {entry.name: loaded}, found), entry.name)


def fps_of(systems: Iterable[System], least: int) -> int:
    """Frames a second that show each of the systems all that it looks at; `least` without one that sees."""
    return math.lcm(least, *(system.sight.fps for system in systems if system.sight is not None))


def separator_of(
    params: EvaluateScenesParams, setup: Setup, systems: Mapping[str, System], classes: Sequence[str]
) -> Separator:
    """What separates a video among the objects of these classes, by `systems`. Raises InputError."""
    return Separator(
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
        gates=read_gates(systems, setup.root / "metrics/evaluate.json"),
        hearing=Hearing(setup.rate, setup.samples, setup.spectrogram),
        fps=fps_of(systems.values(), setup.fps),
        phrase=setup.phrase,
    )

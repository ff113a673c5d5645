"""The whole path of a user's video: a file -> frames and sound -> objects -> what each of them sounds like."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from PIL import Image
from torch import nn

from avsep.errors import InputError
from avsep.media.detections import Rows
from avsep.media.ffmpeg import Unusable, extract
from avsep.media.frames import read_frame
from avsep.media.wav import Wave
from avsep.separating.tracks import Object, find_objects
from avsep.separating.windows import Given, Hearing, separate
from avsep.systems.system import System
from avsep.weights.detectors import look
from avsep.weights.phrases import phrase_of


def open_video(path: Path, fps: int, rate: int) -> tuple[list[Image.Image], Wave]:
    """A video's frames, `fps` a second, and its sound (L,), mono at `rate` Hz, as stage extract takes them.

    Raises InputError for a video that nothing can be made of.
    """
    with tempfile.TemporaryDirectory() as folder:
        frames, wav = Path(folder) / "frames.zip", Path(folder) / "sound.wav"
        try:
            count, _ = extract(path, frames, wav, fps, rate)
        except Unusable as unusable:
            raise InputError(f"{path} cannot be used: {unusable}") from None
        wave, _ = soundfile.read(wav, dtype="float32")
        return [read_frame(frames, number) for number in range(1, count + 1)], wave


@dataclass(frozen=True)
class Separator:
    """All that it takes, on the device that the networks are on."""

    detector: nn.Module  # see avsep/weights/detectors.py
    classes: Sequence[str]  # of its labels 1, 2, ...
    batch: int  # frames that it sees at once
    nms: float  # see tracks.find_objects
    link: float
    seen: float
    systems: Mapping[str, System]
    gates: Mapping[str, float]  # of each system that grounds, the probability below which an object is muted
    hearing: Hearing
    fps: int  # frames a second
    phrase: str  # asks for a class, whose name stands for {}

    def objects(self, frames: Sequence[Image.Image]) -> list[Object]:
        """What is seen in a video."""
        rows = self.look(frames)
        return find_objects(rows, len(frames), *frames[0].size, nms=self.nms, link=self.link, seen=self.seen)

    def look(self, frames: Sequence[Image.Image]) -> Rows:
        """What the detector sees in each frame."""
        return look(self.detector, frames, self.batch)

    def categories(self, objects: Sequence[Object]) -> list[str]:
        """The objects' classes, as the detector names them."""
        return [self.classes[one.label - 1] for one in objects]

    def separate(
        self,
        wave: Wave,
        frames: Sequence[Image.Image],
        objects: Sequence[Object],
        categories: Sequence[str],
        systems: Mapping[str, System] | None = None,
        name: str = "",
    ) -> dict[str, Given]:
        """What each system, of `systems` if they are given, gives each object of the sound (L,).

        `categories`: the objects' classes; `name`: of the mixture, as avsep.export writes it.
        """
        phrases = [phrase_of(category, self.phrase) for category in categories]
        return self.give(wave, frames, objects, phrases, systems, name)

    def give(
        self,
        wave: Wave,
        frames: Sequence[Image.Image],
        objects: Sequence[Object],
        phrases: Sequence[str],
        systems: Mapping[str, System] | None = None,
        name: str = "",
    ) -> dict[str, Given]:
        """As `separate`, of objects that are asked for by `phrases` where a system is asked in words."""
        return separate(
            self.systems if systems is None else systems,
            torch.from_numpy(wave).to(next(self.detector.parameters()).device),
            frames,
            objects,
            phrases,
            gates=self.gates,
            hearing=self.hearing,
            fps=self.fps,
            name=name,
        )

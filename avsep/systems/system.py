"""What a system is: asked for the objects of a mixture, it answers with masks or sounds, and may say who sounds.

Evaluation, mixtures of N sources, scenes and one's own video ask alike (docs/architecture.md):

    prepared = system.prepare(pictures, phrase)        # once an object, kept
    answer = system.answer(heard, {name: prepared})    # of B mixtures at once

Shapes: B mixtures or windows, N frames of an object, F log-frequency bins, T frames of the spectrogram, L samples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from avsep.clips.datasets import ClipReader
from avsep.clips.mixtures import Heard, hear
from avsep.media.detections import squared
from avsep.media.frames import Box, crop_and_resize, normalise
from avsep.media.spectrogram import Spectrogram


@dataclass(frozen=True)
class Sight:
    """How a system sees an object, and the frozen network that looks: systems of one sight share what it makes of a
    video."""

    network: str  # whose: checkpoints/<network>
    fps: int  # frames a second that it looks at
    count: int  # frames of a sample
    stride: int  # between them
    size: int  # pixels of the squares that the network sees
    square: bool  # crops to the square around a box, not to the box itself
    whole: bool  # of a video with one object, sees the whole frame; of several, each one's crop

    def reader(self, rate: int, samples: int, kept_fps: int) -> ClipReader:
        """Reads what is seen and heard of a video with one object, of which `kept_fps` frames a second are kept."""
        return ClipReader(
            rate=rate,
            samples=samples,
            fps=self.fps,
            kept_fps=kept_fps,
            count=self.count,
            stride=self.stride,
            resize=self.size,
            size=self.size,
            square=self.square,
            objects=not self.whole,
        )

    def crops(self, frames: Sequence[Image.Image], boxes: Sequence[Box]) -> Tensor:
        """What is seen at a box in each frame, (frames, 3, size, size)."""
        pictures = []
        for frame, box in zip(frames, boxes, strict=True):
            around = squared(box, *frame.size) if self.square else box
            pictures.append(normalise(crop_and_resize(frame, around, self.size, self.size)))
        return torch.from_numpy(np.stack(pictures))


@dataclass(frozen=True)
class HeardMixtures(Heard):
    """Mixtures as the networks hear them, with their waves, and which mixtures these are.

    `solo` holds the sounds that are mixed where they are known and may be told: to references and to grounding.
    """

    wave: Tensor  # (B, L)
    names: Sequence[str] = ()  # of the B mixtures, as avsep.export writes them: pairs/012, scenes/plain_00
    starts: Sequence[int] = ()  # of the B windows: the first sample within the mixture of that name


def hear_sources(waves: Mapping[str, Tensor], spectrogram: Spectrogram, names: Sequence[str] = ()) -> HeardMixtures:
    """Mixtures of known sources, whose waves (B, L) are as they sound in them."""
    heard, mixture = hear(waves, spectrogram), torch.stack(list(waves.values())).sum(0)
    return HeardMixtures(heard.mixture, heard.solo, mixture, names, [0] * len(mixture))


def hear_mixtures(
    wave: Tensor, spectrogram: Spectrogram, names: Sequence[str] = (), starts: Sequence[int] = ()
) -> HeardMixtures:
    """Mixtures (B, L) of which nothing else is known."""
    return HeardMixtures(hear({"all": wave}, spectrogram).mixture, {}, wave, names, starts or [0] * len(wave))


Probability = Callable[[str, str], Tensor]
"""(sound, object) -> (B,): that the object makes the sound, `mixture` or the name of one in `solo`."""


@dataclass(frozen=True)
class Answer:
    """What a system gives each object that it was asked for: masks, or sounds."""

    masks: Mapping[str, Tensor] = field(default_factory=dict)  # (B, 1, F, T) after the log-frequency warp
    waves: Mapping[str, Tensor] = field(default_factory=dict)  # (B, L), of a system that gives no masks
    probability: Probability | None = None  # of a system that grounds

    def sounds(self, spectrogram: Spectrogram, mixture: Tensor) -> dict[str, Tensor]:
        """What each object is given of the mixtures (B, L): (B, L)."""
        let_through = {name: spectrogram.let_through(mask.squeeze(1), mixture) for name, mask in self.masks.items()}
        return {**self.waves, **let_through}


class System(Protocol):
    """What separates."""

    @property
    def name(self) -> str:
        """As in the catalogue, pairs.csv, metrics/evaluate.json."""
        ...

    @property
    def sight(self) -> Sight | None:
        """How it sees an object; None: it is asked in words alone, and `prepare` gets no pictures."""
        ...

    def prepare(self, pictures: Tensor, phrase: str) -> Any:
        """What `answer` needs of an object: of its pictures (N, 3, H, W), and of the phrase that asks for it.

        A tensor, or a tuple of tensors; with a sight the first axis is the frames': `answer` is given the frames around
        its window, so that each frame of a video is looked at once.
        """
        ...

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        """What each object is given. `asked`: object -> what `prepare` made of it in each mixture, (B, ...)."""
        ...


class Grounds(System, Protocol):
    """A system that says which objects sound."""

    def ground(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Probability:
        """What `answer` says of it, without separating anything."""
        ...


class Confident(System, Protocol):
    """A system that says how sure it is of phrases."""

    def embed(self, phrases: Sequence[str]) -> None:
        """Reads phrases, all in one batch. Raises InputError for one that CLIP cannot read."""
        ...

    def evidence(self, heard: HeardMixtures, phrases: Sequence[str]) -> Tensor:
        """What speaks for each of P phrases, (B, P, 3): see avsep/systems/confidence.py."""
        ...


class Looks(System, Protocol):
    """A system that says where in a picture it finds what it has separated."""

    @property
    def view(self) -> Sight:
        """How it sees the picture."""
        ...

    def see(self, pictures: Tensor) -> Any:
        """What is seen at each position of pictures (N, 3, H, W)."""
        ...

    def look(self, heard: HeardMixtures, mask: Tensor, seen: Tensor) -> Tensor:
        """How much each position of M pictures beside each mixture, (B, M, P, Q), has to do with what `mask` separates:
        logits (B, M, rows, columns)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What systems are made with: params as plain values (avsep/setup.py), and where checkpoints/ lies."""

    root: Path
    device: str
    params: Mapping[str, Any]  # sections of params.yaml as plain values: with these the weights must have been trained
    spectrogram: Spectrogram
    max_target: float  # of the oracle's ratio masks
    rate: int  # Hz
    samples: int  # of a window
    kept_fps: int  # frames a second of a video's archive
    # CCoL and the separators beside it
    fps: int
    frames: int
    stride: int
    size: int
    square: bool
    ungated_whole: bool
    # Sound of Pixels
    baseline_fps: int
    baseline_frames: int
    baseline_stride: int
    # VAST
    clip: Mapping[str, Any]  # avsep.models.clip.build_clip's
    vast_fps: int
    vast_frames: int
    vast_stride: int
    masked: str  # see avsep.models.vast.VAST.embed
    phrase: str  # asks for a class, whose name stands for {}
    # others' waves
    external: Mapping[str, Path] = field(default_factory=dict)

    @property
    def reader(self) -> ClipReader:
        """Reads what is heard of a video, and objects as CCoL sees them."""
        return Sight("", self.fps, self.frames, self.stride, self.size, self.square, whole=False).reader(
            self.rate, self.samples, self.kept_fps
        )


def together(prepared: Sequence[Any]) -> Any:
    """What was prepared of an object in each of B mixtures, as `answer` takes it: (B, ...)."""
    first = prepared[0]
    if isinstance(first, Tensor):
        return torch.stack(list(prepared))
    if isinstance(first, tuple):
        parts = [together(part) for part in zip(*prepared, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return list(prepared)


def at_frames(prepared: Any, numbers: Tensor) -> Any:
    """Of what was prepared of all frames of a video, the frames (B, N) of each of B windows, from 0: (B, N, ...)."""
    if isinstance(prepared, Tensor):
        return prepared[numbers]
    if isinstance(prepared, tuple):
        parts = [at_frames(part, numbers) for part in prepared]
        return type(prepared)(*parts) if hasattr(prepared, "_fields") else tuple(parts)
    return [prepared] * len(numbers)

"""Samples for the networks: a function of (seed, stage, epoch, index) alone, whoever loads them and in what order."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from avsep.clips import mixtures
from avsep.clips.index import OBJECTS, Mixture, Video
from avsep.media.detections import most_confident, read_detections, squared
from avsep.media.frames import crop_and_resize, kept_frame, normalise, read_frame
from avsep.media.wav import Wave, read_window

AUDIBLE = 1e-3  # root mean square, re full scale, from which a window counts as sound
DRAWS = 10  # of a window, until one is audible

Augment = Literal["video", "sample", "none"]  # a view for each video, one for all of a sample, or the middle square
Decode = Callable[[Path, int], Image.Image]  # a video's archive and the number of a frame
Features = Mapping[tuple[str, int], tuple[Tensor, ...]]  # (video's name, frame that is seen) -> frozen features of it


def seeds_of(seed: int, stage: str) -> list[int]:
    """Where a stage's draws start: phases that hear the same mixtures again would learn them by heart."""
    return [seed, zlib.crc32(stage.encode())]


def root_mean_square(wave: Wave) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


class View(NamedTuple):
    """How a video's frames are cropped: fractions 0 to 1 across and down, and whether they are mirrored."""

    across: float = 0.5
    down: float = 0.5
    flip: bool = False


@dataclass(frozen=True)
class ClipReader:
    """Reads windows of sound and pictures of objects from a video's extracted files."""

    rate: int  # Hz
    samples: int  # of a window
    fps: int  # frames a second that are seen
    kept_fps: int  # frames a second of the video's archive, a multiple of `fps`
    count: int  # frames of a sample
    stride: int  # between them
    resize: int  # pixels, see avsep.media.frames
    size: int
    square: bool = False  # crop to the square around a detection
    objects: bool = True  # crop to the most confident detection; False: the whole frame

    def sound(self, video: Video, frame: int, within: float = 0.5) -> Wave:
        """The window (samples,) around a frame, or around another moment `within` it, see mixtures.frame_seconds."""
        return read_window(video.audio, mixtures.frame_seconds(frame, self.fps, within), self.samples, self.rate)

    def frame_count(self, video: Video) -> int:
        """How many frames there are to be seen."""
        return max(1, video.frame_count // self.step)

    @property
    def step(self) -> int:
        """Kept frames for each one that is seen."""
        return self.kept_fps // self.fps

    def kept(self, video: Video, frame: int) -> int:
        """The number of a frame in the video's archive and among its detections."""
        return min(kept_frame(frame, self.step), video.frame_count)

    def middle(self, video: Video) -> int:
        """The frame around which a video is seen and heard in validation and test."""
        return mixtures.centre_frame(self.frame_count(video), self.fps, self.count, self.stride, None)

    def frames_around(self, video: Video, centre: int) -> list[int]:
        return mixtures.sample_frames(centre, self.count, self.stride, self.frame_count(video))

    def picture(self, video: Video, frame: int, view: View | None = None, decode: Decode = read_frame) -> np.ndarray:
        """A frame as the networks see it, (3, size, size). Without a view: evaluation's middle square."""
        number = self.kept(video, frame)
        picture = decode(video.frames, number)
        box = None
        if self.objects:
            rows = read_detections(video.detections, video.frame_count)
            detection = most_confident(rows, number, *picture.size)
            if detection is not None:
                box = squared(detection.box, *picture.size) if self.square else detection.box
        resize = self.size if view is None else self.resize
        square = crop_and_resize(picture, box, resize, self.size, *(view or View()))
        return normalise(square)

    def pictures(
        self, video: Video, frames: Sequence[int], view: View | None = None, decode: Decode = read_frame
    ) -> Tensor:
        """(N, 3, size, size). `decode`: reads a frame; one that remembers serves readers that see the same frames."""
        return torch.from_numpy(np.stack([self.picture(video, frame, view, decode) for frame in frames]))


class _Mixtures(Dataset[dict[str, Any]]):
    """A sample has "waves": of the heard objects (L,), as they sound in the mixture, "videos": the names of the seen
    objects' videos, and either "pictures": of the seen objects (N, 3, H, W), or, where frozen features were computed
    before, "features": (N, ...) each."""

    def __init__(
        self, reader: ClipReader, heard: Sequence[str], seen: Sequence[str], features: Features | None
    ) -> None:
        self.reader, self.heard, self.seen, self.features = reader, heard, seen, features

    def _sample(
        self,
        videos: Mapping[str, Video],
        waves: Mapping[str, Wave],
        centres: Mapping[str, int],
        views: Mapping[str, View] | None = None,
    ) -> dict[str, Any]:
        sample: dict[str, Any] = {
            "waves": mixtures.mixed({n: torch.from_numpy(wave).float() for n, wave in waves.items()})
        }
        sample["videos"] = {name: videos[name].name for name in self.seen}
        frames = {name: self.reader.frames_around(videos[name], centres[name]) for name in self.seen}
        if self.features is None:
            sample["pictures"] = {
                name: self.reader.pictures(videos[name], frames[name], None if views is None else views[name])
                for name in self.seen
            }
            return sample
        sample["features"] = {
            name: tuple(
                torch.stack(parts)
                for parts in zip(*(self.features[videos[name].name, frame] for frame in frames[name]), strict=True)
            )
            for name in self.seen
        }
        return sample


class TrainingMixtures(_Mixtures):
    """Each video in turn as A, `repeats` times an epoch, with fresh windows, gains and partners.

    Items are asked for by (epoch, index), as `EpochSampler` does.  `stage`: whose mixtures they are, as each draws its
    own.  `margin`: seconds at both ends of a video that hold no window's middle.  `jitter`: that middle is any moment
    of its centre frame.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        reader: ClipReader,
        *,
        heard: Sequence[str],
        seen: Sequence[str],
        seed: int,
        stage: str,
        repeats: int,
        gain: tuple[float, float],
        augment: Augment,
        partners: mixtures.Partners = "videos",
        margin: float = 1.0,
        jitter: bool = False,
        features: Features | None = None,
    ) -> None:
        super().__init__(reader, heard, seen, features)
        self.videos, self.seeds, self.repeats = videos, seeds_of(seed, stage), repeats
        self.gain, self.augment, self.partners = gain, augment, partners
        self.margin, self.jitter = margin, jitter
        self.classes: dict[str, list[Video]] = {}
        for video in videos:
            self.classes.setdefault(video.category, []).append(video)

    def __len__(self) -> int:
        return len(self.videos) * self.repeats

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        epoch, index = item
        random = np.random.default_rng([*self.seeds, epoch, index])
        first = self.videos[index % len(self.videos)]
        mixture = mixtures.draw_partners(first, self.classes, random, self.partners)
        videos = dict(zip(OBJECTS, mixture, strict=True))
        waves, centres = {}, {}
        for name, video in videos.items():  # in the same order whichever are seen
            centres[name] = self._centre(video, random)
            if name in self.heard:
                centres[name], wave = self._audible(video, centres[name], random)
                waves[name] = np.clip(wave * random.uniform(*self.gain), -1, 1)
        return self._sample(videos, waves, centres, self._views(random))

    def _views(self, random: np.random.Generator) -> dict[str, View] | None:
        if self.augment == "none":
            return None
        drawn = [View(random.random(), random.random(), bool(random.integers(2))) for _ in OBJECTS]
        return dict(zip(OBJECTS, drawn if self.augment == "video" else drawn[:1] * len(OBJECTS), strict=True))

    def _centre(self, video: Video, random: np.random.Generator) -> int:
        reader = self.reader
        count = reader.frame_count(video)
        return mixtures.centre_frame(count, reader.fps, reader.count, reader.stride, random, self.margin)

    def _audible(self, video: Video, centre: int, random: np.random.Generator) -> tuple[int, Wave]:
        """A window in which the video sounds: silence has no target to learn from. After DRAWS, the loudest."""
        drawn = []
        for _ in range(DRAWS):
            wave = self.reader.sound(video, centre, random.random() if self.jitter else 0.5)
            level = root_mean_square(wave)
            if level >= AUDIBLE:
                return centre, wave
            drawn.append((level, centre, wave))
            centre = self._centre(video, random)
        _, centre, wave = max(drawn, key=lambda draw: draw[0])
        return centre, wave


class FixedMixtures(_Mixtures):
    """Validation's and test's mixtures, each video around its middle frame."""

    def __init__(
        self,
        mixtures_: Sequence[Mixture],
        reader: ClipReader,
        *,
        heard: Sequence[str],
        seen: Sequence[str],
        features: Features | None = None,
    ) -> None:
        super().__init__(reader, heard, seen, features)
        self.mixtures = mixtures_

    def __len__(self) -> int:
        return len(self.mixtures)

    def audible(self, mixture: Mixture) -> bool:
        """Whether every heard video sounds in its window: a silent one has no ratio to be scored by."""
        heard = [video for name, video in zip(OBJECTS, mixture, strict=True) if name in self.heard]
        return all(root_mean_square(self.reader.sound(video, self.reader.middle(video))) >= AUDIBLE for video in heard)

    def only_audible(self) -> "FixedMixtures":
        """Those that are `audible`."""
        kept = [mixture for mixture in self.mixtures if self.audible(mixture)]
        return FixedMixtures(kept, self.reader, heard=self.heard, seen=self.seen, features=self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        videos = dict(zip(OBJECTS, self.mixtures[index], strict=True))
        centres = {name: self.reader.middle(video) for name, video in videos.items()}
        waves = {name: self.reader.sound(videos[name], centres[name]) for name in self.heard}
        return self._sample(videos, waves, centres)


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) over a dataset in an order that is a function of (seed, stage, epoch), a share of it for each
    process."""

    def __init__(self, length: int, seed: int, stage: str, rank: int = 0, processes: int = 1) -> None:
        self.length, self.seeds, self.rank, self.processes = length, seeds_of(seed, stage), rank, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.processes

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([*self.seeds, self.epoch]).permutation(self.length)
        share = order[self.rank :: self.processes][: len(self)]
        return iter([(self.epoch, int(index)) for index in share])

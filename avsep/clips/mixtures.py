"""What a sample is made of: partners, frames, gains, and the sound of a mixture (docs/ccol.md, One training sample)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from avsep.clips.index import Mixture, Video
from avsep.media import spectrogram
from avsep.media.spectrogram import Spectrogram

Partners = Literal["videos", "classes", "any"]
FAINTEST = 1e-10  # added to magnitudes, whose logarithm is taken


def draw_partners(
    first: Video, classes: Mapping[str, Sequence[Video]], random: np.random.Generator, partners: Partners = "videos"
) -> Mixture:
    """The mixture A, B, C, D of `first` as A and three videos that are drawn.

    `partners`: videos, uniform over those of the classes that are not in the mixture yet (CCoL, VAST); classes, another
    class and then one of its videos; any, uniform over all videos, `first` among them (Sound of Pixels).
    Raises ValueError for fewer than 4 classes, but with any.
    """
    if partners == "classes":
        others = sorted(set(classes) - {first.category})
        drawn = [classes[others[i]] for i in random.choice(len(others), size=3, replace=False)]
        return Mixture(first, *(_one_of(videos, random) for videos in drawn))
    mixture = [first]
    while len(mixture) < 4:
        taken = set() if partners == "any" else {video.category for video in mixture}
        mixture.append(_one_of([v for name, videos in classes.items() if name not in taken for v in videos], random))
    return Mixture(*mixture)


def _one_of(videos: Sequence[Video], random: np.random.Generator) -> Video:
    return videos[int(random.integers(len(videos)))]


def centre_frame(
    frame_count: int, fps: int, count: int, stride: int, random: np.random.Generator | None, margin: float = 1.0
) -> int:
    """The middle one of a sample's `count` frames, from 1 on.

    At random, uniform over the frames that keep `margin` seconds, and room for the sample's own frames, at both ends;
    the video's middle without `random`, as for validation and test, and where a video is too short for that.
    """
    keep = max(int(fps * margin), (count // 2) * stride)
    first, last = 1 + keep, frame_count - keep
    if random is None or first > last:
        return min(frame_count // 2 + 1, frame_count)
    return int(random.integers(first, last + 1))


def sample_frames(centre: int, count: int, stride: int, frame_count: int) -> list[int]:
    """The `count` frames around `centre`, `stride` apart; past a video's ends its first or last one again."""
    return [min(max(centre + (i - count // 2) * stride, 1), frame_count) for i in range(count)]


def frame_seconds(frame: int, fps: int, within: float = 0.5) -> float:
    """A moment of the time that a frame stands for: its middle, or the share `within` of it before its end."""
    return (frame - within) / fps


def frame_at(seconds: float, fps: int, frame_count: int) -> int:
    """The frame that stands for a moment."""
    return min(int(seconds * fps) + 1, frame_count)


def mixed(waves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Solo waves (..., L) within [-1, 1] -> the waves as they sound in their mixture: each over their number."""
    return {name: wave / len(waves) for name, wave in waves.items()}


@dataclass(frozen=True)
class Heard:
    """A batch of mixtures of the sounding objects: magnitudes (B, 1, F, T) after the log-frequency warp.

    The silent objects have no sound, and so no entry in `solo`.
    """

    mixture: Tensor
    solo: Mapping[str, Tensor]

    @cached_property  # asked for by each term of a loss
    def log_mixture(self) -> Tensor:
        """What the networks hear of the mixture."""
        return self.mixture.log1p()

    @cached_property
    def log_sounds(self) -> dict[str, Tensor]:
        """What the grounding network hears: the solo sounds, and the mixture."""
        return {**{name: magnitude.log1p() for name, magnitude in self.solo.items()}, "mixture": self.log_mixture}

    @cached_property
    def weight(self) -> Tensor:
        """The separation loss's weight of each bin: louder bins count more."""
        return self.log_mixture.clamp(1e-3, 10)

    def louder(self, name: str) -> Tensor:
        """The binary mask of source `name`: 1 where it has more than half of the mixture's magnitude. Where nothing
        sounds, no source has more."""
        return (2 * (self.solo[name] - FAINTEST) > self.mixture).float()

    def target(self, name: str, maximum: float) -> Tensor:
        """The ratio mask that would give source `name` back."""
        return (self.solo[name] / self.mixture).clamp(0, maximum)


def hear(sources: Mapping[str, Tensor], how: Spectrogram) -> Heard:
    """Waves (B, L) of the sources as they sound in their mixture -> what the networks hear."""
    spectra = spectrogram.stft(torch.stack(list(sources.values())), how.n_fft, how.hop)  # (S, B, F, T)
    # the transform is linear: the mixture's spectrum is the sum of its sources'
    both = torch.cat([spectra, spectra.sum(0, keepdim=True)])  # (S + 1, B, F, T)
    magnitudes = spectrogram.magnitude(both) + FAINTEST
    warped = spectrogram.warp(magnitudes, how.log_bins, how.align_corners).unsqueeze(2)  # (S + 1, B, 1, F', T)
    return Heard(mixture=warped[-1], solo=dict(zip(sources, warped[:-1], strict=True)))

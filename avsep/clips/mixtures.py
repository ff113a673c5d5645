"""What a sample is made of: partners, frames, gains, and the sound of a mixture (docs/ccol.md, One training sample)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from avsep.clips.index import Mixture, Video
from avsep.media import spectrogram
from avsep.media.spectrogram import Spectrogram


def draw_partners(first: Video, classes: Mapping[str, Sequence[Video]], random: np.random.Generator) -> Mixture:
    """The mixture A, B, C, D of `first` as A and three videos of three other classes.

    Raises ValueError for fewer than 4 classes.
    """
    others = sorted(set(classes) - {first.category})
    drawn = [classes[others[i]] for i in random.choice(len(others), size=3, replace=False)]
    b, c, d = (videos[int(random.integers(len(videos)))] for videos in drawn)
    return Mixture(first, b, c, d)


def centre_frame(frame_count: int, fps: int, count: int, stride: int, random: np.random.Generator | None) -> int:
    """The middle one of a sample's `count` frames, from 1 on.

    At random, uniform over the frames that keep a margin of a second, and of the sample's own frames, at both
    ends; without `random`, as for validation and test, the video's middle.
    """
    if random is None:
        return min(frame_count // 2 + 1, frame_count)
    margin = max(fps, (count // 2) * stride)
    first, last = 1 + margin, frame_count - margin
    if first > last:
        return min(frame_count // 2 + 1, frame_count)
    return int(random.integers(first, last + 1))


def sample_frames(centre: int, count: int, stride: int, frame_count: int) -> list[int]:
    """The `count` frames around `centre`, `stride` apart; past a video's ends its first or last one again."""
    return [min(max(centre + (i - count // 2) * stride, 1), frame_count) for i in range(count)]


def frame_seconds(frame: int, fps: int) -> float:
    """The middle of the time that a frame stands for."""
    return (frame - 0.5) / fps


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

    def target(self, name: str, maximum: float) -> Tensor:
        """The ratio mask that would give source `name` back."""
        return (self.solo[name] / self.mixture).clamp(0, maximum)


def hear(sources: Mapping[str, Tensor], how: Spectrogram) -> Heard:
    """Waves (B, L) of the sources as they sound in their mixture -> what the networks hear."""
    spectra = spectrogram.stft(torch.stack(list(sources.values())), how.n_fft, how.hop)  # (S, B, F, T)
    # the transform is linear: the mixture's spectrum is the sum of its sources'
    both = torch.cat([spectra, spectra.sum(0, keepdim=True)])  # (S + 1, B, F, T)
    magnitudes = spectrogram.magnitude(both) + 1e-10
    warped = spectrogram.warp(magnitudes, how.log_bins, how.align_corners).unsqueeze(2)  # (S + 1, B, 1, F', T)
    return Heard(mixture=warped[-1], solo=dict(zip(sources, warped[:-1], strict=True)))

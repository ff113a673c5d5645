"""Masks that were found at the networks' rate, applied to a sound of any rate and number of channels, as it streams.

The networks hear mono at a low rate (extract.rate).  A sound of one's own is wider: its short-time Fourier transform
is taken with frames and hops as long in seconds as theirs, so that a mask's place in seconds and Hz is a place there
too, and every channel gets the same mask.  Above half the networks' rate they have heard nothing; there EXTEND tells
what an object is given:

    average   the mean of its mask over the highest octave that was heard, in each frame
    zero      nothing: what is above stays in the residual
    mixture   an equal share of the mixture among the objects that are not muted

Frames begin before the sound and end after it, so that each sample lies in as many of them as any other: a mask of ones
gives the sound back, also at its ends.

Shapes: S sounds, C channels, F' log-frequency bins, T the networks' frames, F bins and K frames of the own transform.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from avsep.media.spectrogram import Spectrogram

Extend = Literal["average", "zero", "mixture"]
EXTEND: tuple[Extend, ...] = get_args(Extend)
AT_ONCE = 64  # frames that are transformed together


@dataclass(frozen=True)
class Band:
    """How masks of the networks' `spectrogram`, at `rate` Hz, act on a sound of `own` Hz."""

    spectrogram: Spectrogram
    rate: int
    own: int
    extend: Extend = "average"

    @property
    def n_fft(self) -> int:
        """Samples of a frame, as long in seconds as the networks'; even."""
        return max(2, 2 * round(self.spectrogram.n_fft * self.own / self.rate / 2))

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""
        return max(1, round(self.spectrogram.hop * self.own / self.rate))

    def spread(self, masks: Tensor, open_: Tensor, seconds: Tensor) -> Tensor:
        """A window's masks (S, F', T) as they act on frames at `seconds` (K,) after its start: (S, F, K).

        `open_` (S,): which sounds are not muted.
        """
        hertz = torch.arange(self.n_fft // 2 + 1, dtype=torch.float64) * self.own / self.n_fft  # (F,)
        heard = hertz <= self.rate / 2
        # where a row of the log-frequency spectrogram lies: media/spectrogram.py, unwarp_grid, for any frequency
        rows = 2 * torch.log(10 * (4 * hertz[heard] / self.rate - 1) + 11) / math.log(21) - 1
        last = max(1, masks.shape[-1] - 1)
        columns = 2 * seconds.double() * self.rate / (self.spectrogram.hop * last) - 1
        grid = torch.stack(torch.broadcast_tensors(columns[None, :], rows[:, None]), dim=-1)
        low = functional.grid_sample(
            masks[None],
            grid[None].to(masks),
            padding_mode="border",
            align_corners=self.spectrogram.align_corners,
        )[0]
        above = len(hertz) - int(heard.sum())
        return torch.cat([low, self._above(low, hertz[heard], open_, above)], dim=1)

    def _above(self, low: Tensor, hertz: Tensor, open_: Tensor, bins: int) -> Tensor:
        """What is given of the `bins` that the networks did not hear: (S, bins, K)."""
        if self.extend == "average":
            return low[:, hertz >= self.rate / 4].mean(1, keepdim=True).expand(-1, bins, -1)
        if self.extend == "zero":
            return low.new_zeros(len(low), bins, low.shape[-1])
        share = open_.to(low) / max(1, int(open_.sum()))
        return share[:, None, None].expand(-1, bins, low.shape[-1])


class Piece(NamedTuple):
    """A stretch of sound from sample `start` on; the sounds and the residual make the mixture."""

    start: int
    mixture: Tensor  # (C, n)
    sounds: Tensor  # (S, C, n)

    @property
    def residual(self) -> Tensor:
        """What no object is given, (C, n)."""
        return self.mixture - self.sounds.sum(0)


class Filter:
    """A sound goes in as it comes; what masks let through of it comes out, in the same order, with nothing at seams.

        filter.push(samples)
        while filter.ready > 0: piece = filter.take(masks_at)

    `masks_at` gives masks (S, F, K) for the middles of K frames, in seconds from the sound's start.
    """

    def __init__(self, band: Band, channels: int, sounds: int) -> None:
        self.band, self.sounds = band, sounds
        n_fft, hop = band.n_fft, band.hop
        self.window = torch.hann_window(n_fft)
        squares = functional.pad(self.window.square(), (0, -n_fft % hop))
        self.norm = squares.unflatten(0, (-1, hop)).sum(0)  # (hop,), of each sample from a frame's start on
        self.frame = -(n_fft // 2 // hop)  # the next one's number: its middle is at sample frame * hop
        self._input = torch.zeros(channels, -self._start)
        self._tail = torch.zeros(sounds, channels, n_fft)

    @property
    def _start(self) -> int:
        """The first sample of the next frame, and of what is kept."""
        return self.frame * self.band.hop - self.band.n_fft // 2

    @property
    def ready(self) -> int:
        """Frames that are complete."""
        return max(0, (self._input.shape[1] - self.band.n_fft) // self.band.hop + 1)

    def seconds(self, frame: int) -> float:
        """The middle of a frame."""
        return frame * self.band.hop / self.band.own

    def push(self, samples: Tensor) -> None:
        """Takes in samples (C, n), which follow those before."""
        self._input = torch.cat([self._input, samples], dim=1)

    def take(self, masks_at: Callable[[Tensor], Tensor], most: int = AT_ONCE) -> Piece:
        """What is complete after the next `most` frames at most."""
        n_fft, hop = self.band.n_fft, self.band.hop
        count = min(self.ready, most)
        start, length = self._start, (count - 1) * hop + n_fft
        frames = self._input[:, :length].unfold(1, n_fft, hop)  # (C, K, n_fft)
        spectra = torch.fft.rfft(frames * self.window)  # (C, K, F)
        middles = (torch.arange(count, dtype=torch.float64) + self.frame) * hop / self.band.own
        masks = masks_at(middles)  # (S, F, K)
        given = torch.zeros(self.sounds, len(self._input), length)
        for sound in range(self.sounds):  # one after the other: all at once would take as often the memory
            parts = torch.fft.irfft(spectra * masks[sound].T, n_fft) * self.window  # (C, K, n_fft)
            given[sound] = functional.fold(parts.transpose(1, 2), (1, length), (1, n_fft), stride=(1, hop))[:, 0, 0]
        given[..., :n_fft] += self._tail[..., :length]
        done = count * hop
        self._tail = functional.pad(given[..., done:], (0, n_fft - (length - done)))
        sounds = (given[..., :done].unflatten(-1, (count, hop)) / self.norm).flatten(-2)
        mixture = self._input[:, :done].clone()
        self._input = self._input[:, done:].clone()
        self.frame += count
        before = max(0, -start)  # what lies before the sound's first sample
        return Piece(max(start, 0), mixture[:, before:], sounds[..., before:])

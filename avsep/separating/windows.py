"""A video's sound, separated among the objects in its pictures: (frames, wave, boxes) -> what each object sounds like.

A video is longer than what the networks hear at once.  Its sound is cut into windows of their length that overlap by
half; in each, an object is seen around the window's middle, as in training, and what it is given is faded into the next
window's.  A window below the level at which training takes a window for silent is not asked about: nothing sounds.

Shapes: O objects, W windows, N frames of a sample, F log-frequency bins, T frames of the spectrogram, L samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from avsep.clips.datasets import AUDIBLE
from avsep.clips.mixtures import frame_at, sample_frames
from avsep.media.frames import kept_frame
from avsep.media.spectrogram import Spectrogram
from avsep.separating.tracks import Object
from avsep.systems.system import Answer, Sight, System, at_frames, hear_mixtures, together


@dataclass(frozen=True)
class Windows:
    """A sound of `length` samples, cut into windows of `samples` that overlap by half or more, and joined again."""

    length: int
    samples: int

    @property
    def starts(self) -> list[int]:
        """The windows' first samples, evenly apart; the last window ends with the sound."""
        last = max(0, self.length - self.samples)
        steps = -(-last // (self.samples // 2))
        return [round(last * step / max(1, steps)) for step in range(steps + 1)]

    def cut(self, wave: Tensor) -> Tensor:
        """(..., L) -> (..., W, samples); a sound shorter than a window has silence behind it."""
        padded = nn.functional.pad(wave, (0, max(0, self.samples - self.length)))
        return torch.stack([padded[..., start : start + self.samples] for start in self.starts], dim=-2)

    def join(self, parts: Tensor) -> Tensor:
        """(..., W, samples) -> (..., L), each window faded into the next."""
        phase = (torch.arange(self.samples, dtype=torch.float64) + 0.5) * (torch.pi / self.samples)
        fade = phase.sin().square().to(parts)  # nowhere 0
        total = torch.zeros(max(self.length, self.samples)).to(parts)
        wave = total.expand(*parts.shape[:-2], -1).clone()
        for number, start in enumerate(self.starts):
            total[start : start + self.samples] += fade
            wave[..., start : start + self.samples] += fade * parts[..., number, :]
        return (wave / total)[..., : self.length]


@dataclass(frozen=True)
class Hearing:
    """How the networks hear."""

    rate: int  # Hz
    samples: int  # of a window
    spectrogram: Spectrogram

    def let_through(self, masks: Tensor, wave: Tensor) -> Tensor:
        """What masks (..., W, F, T) let through of a wave (L,): (..., L)."""
        windows = Windows(len(wave), self.samples)
        return windows.join(self.spectrogram.let_through(masks, windows.cut(wave)))


@dataclass(frozen=True)
class Given:
    """What a system gives each object, on the CPU."""

    masks: Tensor | None  # (O, W, F, T), zero where it is muted; None: the system gives sounds
    waves: Tensor  # (O, L)
    probabilities: Tensor | None = None  # (O, W), that it sounds; None: the system does not say
    muted: Tensor | None = None  # (O, W)


@torch.no_grad()
def separate(
    systems: Mapping[str, System],
    wave: Tensor,
    frames: Sequence[Image.Image],
    objects: Sequence[Object],
    phrases: Sequence[str],
    *,
    gates: Mapping[str, float],
    hearing: Hearing,
    fps: int,
    name: str = "",
) -> dict[str, Given]:
    """Each system's sounds of the objects in a video with the sound `wave` (L,), and `fps` frames a second.

    `phrases`: what asks for each object in words.  `gates`: of a system that grounds, the probability below which an
    object is muted in a window.  `name`: of the mixture, as avsep.export writes it.
    """
    windows = Windows(len(wave), hearing.samples)
    cut = windows.cut(wave)
    audible = cut.square().mean(-1).sqrt() >= AUDIBLE  # (W,)
    heard = hear_mixtures(cut, hearing.spectrogram, [name] * len(cut), windows.starts)
    prepared: dict[tuple[Sight, int], object] = {}
    given = {}
    for own, system in systems.items():
        asked = {}
        for number, (one, phrase) in enumerate(zip(objects, phrases, strict=True)):
            if (sight := system.sight) is None:
                asked[str(number)] = together([system.prepare(wave.new_empty(0), phrase)] * len(cut))
                continue
            if (sight, number) not in prepared:
                prepared[sight, number] = system.prepare(sight.crops(frames, one.boxes).to(wave.device), phrase)
            numbers = frames_of(windows, sight, hearing.rate, fps, len(frames)).to(wave.device)
            asked[str(number)] = at_frames(prepared[sight, number], numbers)
        answer = system.answer(heard, asked) if asked else Answer()
        given[own] = _given(answer, list(asked), wave, windows, audible, hearing, gates.get(own))
    return given


def _given(
    answer: Answer,
    names: Sequence[str],
    wave: Tensor,
    windows: Windows,
    audible: Tensor,
    hearing: Hearing,
    gate: float | None,
) -> Given:
    """What objects are given under the gate, in windows that are audible."""
    probabilities, muted, open_ = gated(answer, names, audible, gate)
    masks = None
    if answer.waves:
        parts = torch.stack([answer.waves[name] for name in names])  # (O, W, samples)
        waves = windows.join(parts * open_[..., None])
    else:
        masks = (
            _stack([answer.masks[name].squeeze(1) for name in names], wave, windows, hearing) * open_[..., None, None]
        )
        waves = hearing.let_through(masks, wave) if names else wave.new_zeros(0, len(wave))
    said = (None if values is None else values.cpu() for values in (probabilities, muted))
    return Given(None if masks is None else masks.cpu(), waves.cpu(), *said)


def gated(
    answer: Answer, names: Sequence[str], audible: Tensor, gate: float | None
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Of objects `names` in windows of which some are `audible` (W,): probabilities that they sound, and whether they
    are muted (both None where the system does not say), and whether they are given anything: (O, W) each."""
    heard_at_all = audible.expand(len(names), -1)
    if gate is None or (answer.probability is None and names):
        return None, None, heard_at_all
    sure = [answer.probability("mixture", name) for name in names] if answer.probability is not None else []
    zeros = torch.zeros(heard_at_all.shape, device=audible.device)
    probabilities = torch.stack(sure) * heard_at_all if sure else zeros
    muted = (probabilities < gate) | ~heard_at_all
    return probabilities, muted, ~muted


def frames_of(windows: Windows, sight: Sight, rate: int, fps: int, frames: int) -> Tensor:
    """The frames that a sight sees around each window's middle, of `frames`, `fps` a second, from 0: (W, N)."""
    step, middles = fps // sight.fps, [(start + windows.samples / 2) / rate for start in windows.starts]
    count = max(1, frames // step)
    centres = [frame_at(seconds, sight.fps, count) for seconds in middles]
    seen = torch.tensor([sample_frames(centre, sight.count, sight.stride, count) for centre in centres])
    return kept_frame(seen, step).clamp(max=frames) - 1


def _stack(masks: Sequence[Tensor], wave: Tensor, windows: Windows, hearing: Hearing) -> Tensor:
    """The objects' masks (W, F, T) -> (O, W, F, T), also of no object."""
    if masks:
        return torch.stack(list(masks))
    columns = windows.samples // hearing.spectrogram.hop + 1
    return wave.new_zeros(0, len(windows.starts), hearing.spectrogram.log_bins, columns)

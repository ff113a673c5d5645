"""A video's sound, separated among the objects in its pictures: (frames, wave, boxes) -> what each object sounds like.

A video is longer than what the networks hear at once.  Its sound is cut into windows of their length that overlap by
half; in each, an object is seen around the window's middle, as in training, and what it is given is faded into the next
window's.  A window below the level at which training takes a window for silent is not asked about: nothing sounds.

Shapes: O objects, W windows, N frames of a sample, F log-frequency bins, T frames of the spectrogram, L samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from avsep.clips.datasets import AUDIBLE
from avsep.clips.mixtures import Heard, hear, sample_frames
from avsep.media.detections import squared
from avsep.media.frames import Box, crop_and_resize, normalise
from avsep.media.spectrogram import Spectrogram
from avsep.separating.tracks import Object
from avsep.weights.phrases import phrase_of, tokenise
from models.ccol import CCoL
from models.clip import FrozenCLIP
from models.resnet import FrameFeatures
from models.vast import VAST, visual_query


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

    def hear(self, windows: Tensor) -> Heard:
        """Windows of the mixture (W, samples)."""
        return hear({"all": windows}, self.spectrogram)

    def let_through(self, masks: Tensor, wave: Tensor) -> Tensor:
        """What masks (..., W, F, T) let through of a wave (L,): (..., L)."""
        windows = Windows(len(wave), self.samples)
        return windows.join(self.spectrogram.let_through(masks, windows.cut(wave)))


@dataclass(frozen=True)
class Sight:
    """How a network sees an object."""

    fps: int  # frames per second
    count: int  # frames of a sample
    stride: int  # between them
    size: int  # pixels of the squares
    square: bool  # crop to the square around a box

    def pictures(self, frames: Sequence[Image.Image], boxes: Sequence[Box]) -> Tensor:
        """An object's crop of every frame, (frames, 3, size, size)."""
        crops = []
        for frame, box in zip(frames, boxes, strict=True):
            around = squared(box, *frame.size) if self.square else box
            crops.append(normalise(crop_and_resize(frame, around, self.size, self.size)))
        return torch.from_numpy(np.stack(crops))

    def samples(self, windows: Windows, rate: int, frames: int) -> Tensor:
        """The frames around each window's middle, from 0, (W, N)."""
        middles = [(start + windows.samples / 2) / rate for start in windows.starts]
        centres = [min(int(seconds * self.fps) + 1, frames) for seconds in middles]
        return torch.tensor([sample_frames(centre, self.count, self.stride, frames) for centre in centres]) - 1


@dataclass(frozen=True)
class Networks:
    """What separates, by the systems' names."""

    by_crop: Mapping[str, nn.Module]  # CCoL and Sound of Pixels
    by_query: Mapping[str, VAST]
    clip: FrozenCLIP | None  # None where no system asks
    phrase: str  # asks VAST for a class


@dataclass(frozen=True)
class Given:
    """What a system gives each object, on the CPU."""

    masks: Tensor  # (O, W, F, T), zero where it is muted
    waves: Tensor  # (O, L)
    probabilities: Tensor | None = None  # (O, W), that it sounds; None: the system does not say
    muted: Tensor | None = None  # (O, W)


@torch.no_grad()
def separate(
    networks: Networks,
    wave: Tensor,
    frames: Sequence[Image.Image],
    objects: Sequence[Object],
    classes: Sequence[str],
    *,
    gates: Mapping[str, float],
    hearing: Hearing,
    crops: Sight,
    queries: Sight,
) -> dict[str, Given]:
    """Each system's sounds of the objects in a video with the sound `wave` (L,).

    VAST is asked twice: by the object's picture, and by the phrase of its class of `classes`.  `gates`: of a system
    that grounds, the probability below which an object is muted in a window.  `crops`, `queries`: how CCoL and
    the baseline see an object, and how CLIP does.
    """
    windows = Windows(len(wave), hearing.samples)
    cut = windows.cut(wave)
    audible = cut.square().mean(-1).sqrt() >= AUDIBLE  # (W,)
    heard = hearing.hear(cut)
    masks, sounding = masks_by_crop(networks, heard, windows, frames, objects, hearing.rate, crops)
    masks |= masks_by_query(networks, heard, windows, frames, objects, classes, hearing.rate, queries)
    given = {}
    for system, mask in masks.items():
        heard_at_all = audible.expand(len(objects), -1)
        probabilities = sounding[system] * heard_at_all if system in sounding else None
        muted = None if probabilities is None else (probabilities < gates[system]) | ~heard_at_all
        open_ = heard_at_all if muted is None else ~muted
        gated = mask * open_[..., None, None]
        waves = hearing.let_through(gated, wave) if objects else wave.new_zeros(0, len(wave))
        said = (None if values is None else values.cpu() for values in (probabilities, muted))
        given[system] = Given(gated.cpu(), waves.cpu(), *said)
    return given


def masks_by_crop(
    networks: Networks,
    heard: Heard,
    windows: Windows,
    frames: Sequence[Image.Image],
    objects: Sequence[Object],
    rate: int,
    sight: Sight,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of each system that sees objects, their masks (O, W, F, T), and, if it is CCoL, that they sound, (O, W)."""
    shown = [sight.pictures(frames, one.boxes).to(heard.mixture.device) for one in objects]
    numbers = sight.samples(windows, rate, len(frames)).to(heard.mixture.device)
    masks, probabilities = {}, {}
    for system, network in networks.by_crop.items():
        seen: dict[str, FrameFeatures] = {}
        for name, pictures in enumerate(shown):
            features = network.frames(pictures)  # type: ignore[operator]
            seen[str(name)] = FrameFeatures(features.vector[numbers], features.map[numbers])
        found = network.separate(heard.log_mixture, seen) if seen else {}  # type: ignore[operator]
        masks[system] = _stack([mask.squeeze(1) for mask in found.values()], heard)
        if isinstance(network, CCoL):
            grounded = network.ground({"mixture": heard.log_mixture}, seen)
            each = [grounded.probability("mixture", name) for name in seen]
            probabilities[system] = torch.stack(each) if each else heard.mixture.new_zeros(0, len(heard.mixture))
    return masks, probabilities


def masks_by_query(
    networks: Networks,
    heard: Heard,
    windows: Windows,
    frames: Sequence[Image.Image],
    objects: Sequence[Object],
    classes: Sequence[str],
    rate: int,
    sight: Sight,
) -> dict[str, Tensor]:
    """Of VAST asked by each object's picture and by its class's phrase, the masks (O, W, F, T)."""
    if not networks.by_query:
        return {}
    assert networks.clip is not None
    clip, device = networks.clip, heard.mixture.device
    numbers = sight.samples(windows, rate, len(frames)).to(device)
    queries: dict[tuple[str, int], Tensor] = {}
    for name, one in enumerate(objects):
        tokens = clip.tokens(sight.pictures(frames, one.boxes).to(device))  # (frames, P, Q)
        phrase = phrase_of(classes[one.label - 1], networks.phrase)
        queries["visual", name] = visual_query(tokens[numbers])
        queries["text", name] = clip.text(tokenise([phrase], clip.context).to(device)).expand(len(numbers), -1)
    masks = {}
    for system, network in networks.by_query.items():
        found = network.separate(heard.mixture, queries) if queries else {}
        for way in ("visual", "text"):
            own = [mask.squeeze(1) for (asked, _), mask in found.items() if asked == way]
            masks[f"{system}_{way}"] = _stack(own, heard)
    return masks


def _stack(masks: Sequence[Tensor], heard: Heard) -> Tensor:
    """The objects' masks (W, F, T) -> (O, W, F, T), also of no object."""
    return torch.stack(list(masks)) if masks else heard.mixture.squeeze(1).new_zeros(0, *heard.mixture[:, 0].shape)

"""A file of any length -> objects -> sounds, at its own rate, in memory that does not grow with it.

First objects are sought in all of its pictures; then its sound streams through.  A few windows are asked about
together, seen around their middles as everywhere (avsep/separating/windows.py); their masks are faded into each other,
and act on the sound's own spectrum (avsep/separating/band.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsep.clips.datasets import AUDIBLE
from avsep.errors import InputError
from avsep.media.detections import Rows
from avsep.media.frames import Box
from avsep.separating.band import AT_ONCE as FRAMES
from avsep.separating.band import Band, Filter, Piece
from avsep.separating.reading import Kept, Size, sound_of
from avsep.separating.tracks import Object, find_objects, iou, link_rows, strongest
from avsep.separating.video import Separator
from avsep.separating.windows import Hearing, Windows, frames_of, gated
from avsep.systems.confidence import PhraseGate
from avsep.systems.system import Confident, HeardMixtures, Looks, System, at_frames, hear_mixtures, together
from avsep.weights.phrases import phrase_of

AT_ONCE = 4  # windows that are asked about together

Told = Callable[[str, float, float], None]
"""Is told what is done, and how many seconds of how many."""


class Place(NamedTuple):
    """Where a user points: a box in pixels of the video as it is shown, and when, in seconds (None: at any time)."""

    x1: float
    y1: float
    x2: float
    y2: float
    seconds: float | None = None

    def refuse_outside(self, size: Size, seconds: float) -> None:
        """Raises InputError for a box without an area within the picture, or a moment that is not in the video."""
        width, height = size
        if not (0 <= self.x1 < self.x2 <= width and 0 <= self.y1 < self.y2 <= height):
            corners = ",".join(f"{value:g}" for value in self[:4])
            raise InputError(
                f"box {corners} has no area within the picture: x1,y1,x2,y2 with 0 <= x1 < x2 <= {width} and"
                f" 0 <= y1 < y2 <= {height}"
            )
        if self.seconds is not None and not 0 <= self.seconds <= seconds:
            raise InputError(f"box at second {self.seconds:g}: the video's pictures last {seconds:.1f} s")


@dataclass(frozen=True)
class Asked:
    """A thing whose sound is asked for."""

    name: str  # a class, or words
    phrase: str  # asks for it in words
    found: str  # how it came here: `detected`, `box`, `words`
    object: Object  # without boxes where it is asked for in words

    @property
    def seen(self) -> bool:
        return bool(self.object.boxes)


@dataclass
class Said:
    """What a system said of the things, window by window, as it becomes known."""

    probability: list[NDArray[np.float32] | None] = field(default_factory=list)  # (O,), that each sounds
    muted: list[NDArray[np.bool_]] = field(default_factory=list)  # (O,): it is given nothing
    audible: list[bool] = field(default_factory=list)
    looks: list[NDArray[np.uint8]] = field(default_factory=list)  # (O, rows, columns): where each is looked for


def seek(own: Separator, kept: Kept, pictures: Iterator[Any], seconds: float, told: Told) -> Rows:
    """What the detector sees in a file's pictures, which are all taken: rows as avsep/media/detections.py has them."""
    rows = [np.empty((0, 7), np.float32)]
    while some := list(islice(pictures, own.batch)):
        before = len(kept.pictures) - len(some)
        seen = own.look(some)
        seen[:, 0] += before
        rows.append(seen)
        told("looking", len(kept.pictures) / own.fps, seconds)
    return np.concatenate(rows)


def things(own: Separator, rows: Rows, kept: Kept, places: Sequence[Place], shown: Size) -> list[Asked]:
    """The objects that were seen, the surest first, and what stands at `places` of a picture as large as `shown`."""
    width, height = kept.pictures.size
    count = len(kept.pictures)
    objects = find_objects(rows, count, width, height, nms=own.nms, link=own.link, seen=own.seen)
    asked = [
        Asked(name, phrase_of(name, own.phrase), "detected", one)
        for one, name in zip(objects, own.categories(objects), strict=True)
    ]
    return [*asked, *(_at(own, rows, kept, place, shown) for place in places)]


def _at(own: Separator, rows: Rows, kept: Kept, place: Place, shown: Size) -> Asked:
    """What stands at a place: what the detector saw there, however short, followed; or else the place itself."""
    width, height = kept.pictures.size
    count = len(kept.pictures)
    box = _pixels(place, shown, width, height)
    frame = min(count, int((place.seconds or 0) * own.fps) + 1)
    if place.seconds is not None:
        for track in link_rows(strongest(rows, own.nms), own.link):
            nearest = min(track, key=lambda row: abs(row[0] - frame))
            if iou(np.array([box]), nearest[None, 3:])[0, 0] >= own.link:
                one = find_objects(np.array(track), count, width, height, nms=own.nms, link=0.0, seen=0.0)[0]
                name = own.categories([one])[0]
                return Asked(name, phrase_of(name, own.phrase), "box", one)
    still = Object(0, 1.0, (box,) * count, (frame,))
    return Asked("box", "a sound", "box", still)


def _pixels(place: Place, shown: Size, width: int, height: int) -> Box:
    """A place in whole pixels of the pictures that are kept, of an area within them."""
    across, down = width / shown.width, height / shown.height
    x1, y1 = min(int(place.x1 * across), width - 2), min(int(place.y1 * down), height - 2)
    return x1, y1, min(width, max(x1 + 2, round(place.x2 * across))), min(height, max(y1 + 2, round(place.y2 * down)))


def words(phrases: Sequence[tuple[str, str]]) -> list[Asked]:
    """What is asked for in words: (name, phrase) each."""
    return [
        Asked(name, phrase, "words", Object(number, 1.0, boxes=(), seen=()))
        for number, (name, phrase) in enumerate(phrases, start=1)
    ]


@dataclass(frozen=True)
class Stream:
    """How one system separates a file's sound among `things`."""

    system: System
    things: Sequence[Asked]
    kept: Kept
    hearing: Hearing
    band: Band
    fps: int
    gate: float | None
    device: torch.device | str
    phrases: PhraseGate | None = None  # how sure the system is of phrases; None: it does not say
    looks: Looks | None = None  # tells where in the pictures it finds what was separated; None: that is not asked

    @property
    def windows(self) -> Windows:
        return Windows(self.kept.samples, self.hearing.samples)

    @torch.no_grad()
    def run(self, said: Said, told: Told) -> Iterator[Piece]:
        """The whole sound, piece after piece; what the system says of its windows goes to `said`.

        The pieces' mixtures, one after the other, are the file's sound as it is.
        """
        windows, about = self.windows, self.kept.about
        starts = [start / self.hearing.rate for start in windows.starts]
        total = self.kept.samples / self.hearing.rate
        filter_ = Filter(self.band, about.channels, len(self.things))
        blocks, length, left = sound_of(about), 0, True
        fading: list[_Window] = []
        for number, one in enumerate(self._windows(windows, said)):
            fading = [*(old for old in fading if old.end > starts[number]), one]
            end = starts[number + 1] if number + 1 < len(starts) else float("inf")
            while filter_.seconds(filter_.frame) < end:
                if not filter_.ready and left:
                    block = next(blocks, None)
                    left = block is not None
                    length += 0 if block is None else block.shape[1]
                    # behind the end silence, until the last sample is out
                    filter_.push(torch.zeros(about.channels, 2 * self.band.n_fft) if block is None else block)
                    continue
                if not filter_.ready:
                    break
                until = min((end - filter_.seconds(filter_.frame)) * self.band.own / self.band.hop, 1e9)
                piece = filter_.take(partial(self._faded, fading), min(FRAMES, max(1, int(np.ceil(until)))))
                room = max(0, length - piece.start) if not left else piece.mixture.shape[1]
                if piece.mixture.shape[1] and room:
                    yield Piece(piece.start, piece.mixture[:, :room], piece.sounds[..., :room])
                    told("separating", min(total, piece.start / self.band.own), total)
        told("separating", total, total)

    def _faded(self, windows: Sequence["_Window"], middles: Tensor) -> Tensor:
        """The masks (S, F, K) of frames at `middles` (K,), each window's faded into the next one's."""
        total: Tensor | None = None
        weights = torch.zeros(len(middles))
        long = self.hearing.samples / self.hearing.rate
        for window in windows:
            within = (middles - window.start).clamp(0, long)  # frames before the sound and behind it, as at its ends
            inside = (middles - window.start <= long) | (window is windows[-1])
            fade = ((within / long * torch.pi).sin().square().clamp_min(1e-4) * inside).float()
            masks = self.band.spread(window.masks, window.open, within) * fade
            total, weights = masks if total is None else total + masks, weights + fade
        assert total is not None
        return total / weights

    def _windows(self, windows: Windows, said: Said) -> Iterator["_Window"]:
        """The windows, each with its masks, a few asked about together."""
        starts = windows.starts
        sight = self.system.sight
        numbers = None
        if sight is not None and any(one.seen for one in self.things):
            numbers = frames_of(windows, sight, self.hearing.rate, self.fps, len(self.kept.pictures))  # (W, N)
        for first in range(0, len(starts), AT_ONCE):
            some = starts[first : first + AT_ONCE]
            cut = torch.from_numpy(np.stack([self.kept.heard(start, windows.samples) for start in some]))
            cut = cut.to(self.device)
            audible = cut.square().mean(-1).sqrt() >= AUDIBLE
            part = None if numbers is None else numbers[first : first + AT_ONCE]
            masks, probability, open_, looks = self._ask(cut, some, audible, part)
            said.looks += [] if looks is None else list(looks)
            for row, start in enumerate(some):
                said.probability.append(None if probability is None else probability[:, row].cpu().numpy())
                said.muted.append(~open_[:, row].cpu().numpy())
                said.audible.append(bool(audible[row]))
                begin = start / self.hearing.rate
                end = begin + self.hearing.samples / self.hearing.rate
                yield _Window(begin, end, masks[:, row].cpu(), open_[:, row].cpu())

    def _ask(
        self, cut: Tensor, starts: Sequence[int], audible: Tensor, numbers: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor, NDArray[np.uint8] | None]:
        """Of windows (B, samples) and the frames that are seen in them (B, N): masks (O, B, F', T), zero where nothing
        is given, probabilities (O, B), whether something is given (O, B), and where it is looked for (B, O, rows,
        columns)."""
        heard = hear_mixtures(cut, self.hearing.spectrogram, [""] * len(cut), list(starts))
        asked: dict[str, Any] = {}
        pictures, local = {}, None
        if numbers is not None:
            unique, local = numbers.unique(return_inverse=True)
            pictures = {int(number): self.kept.pictures[int(number)] for number in unique}
        for place, one in enumerate(self.things):
            sight = self.system.sight
            if sight is None or local is None:
                asked[str(place)] = together([self.system.prepare(cut.new_empty(0), one.phrase)] * len(cut))
                continue
            boxes = [one.object.boxes[number] for number in pictures]
            crops = sight.crops(list(pictures.values()), boxes).to(self.device)
            asked[str(place)] = at_frames(self.system.prepare(crops, one.phrase), local.to(self.device))
        if not asked:
            columns = self.hearing.samples // self.hearing.spectrogram.hop + 1
            nothing = torch.zeros(0, len(cut))
            return torch.zeros(0, len(cut), self.hearing.spectrogram.log_bins, columns), None, nothing.bool(), None
        answer = self.system.answer(heard, asked)
        probability, _, open_ = gated(answer, list(asked), audible, self.gate)
        if self.phrases is not None:
            probability = self._sure(self.phrases, heard, audible)
        masks = torch.stack([answer.masks[name].squeeze(1) for name in asked])
        looks = None if self.looks is None else self._look(self.looks, heard, starts, answer.masks)
        return masks * open_[..., None, None], probability, open_, looks

    def _sure(self, phrases: PhraseGate, heard: HeardMixtures, audible: Tensor) -> Tensor:
        """How sure the system is of each thing's phrase in windows of which some are audible (B,): (O, B)."""
        found = cast(Confident, self.system).evidence(heard, [one.phrase for one in self.things])  # (B, O, 3)
        sure = torch.from_numpy(phrases.confidence(found.cpu().double().numpy()).T).float()
        return torch.where(audible.cpu(), sure, 0.0)

    def _look(
        self, looks: Looks, heard: HeardMixtures, starts: Sequence[int], masks: Mapping[str, Tensor]
    ) -> NDArray[np.uint8] | None:
        """Where in the whole picture in each window's middle the sound of each mask (B, 1, F', T) is found: shares of
        the attention re the highest one, at 255, (B, O, rows, columns). None of a file without pictures."""
        count = len(self.kept.pictures)
        if not count:
            return None
        middles = [(start + self.hearing.samples / 2) / self.hearing.rate for start in starts]
        side = looks.view.size
        # made square, since the network sees the middle square of a wider picture, and players stand at its sides
        pictures = [
            self.kept.pictures[min(count - 1, int(seconds * self.fps))].resize((side, side)) for seconds in middles
        ]
        seen = looks.see(looks.view.crops(pictures, [(0, 0, side, side)] * len(pictures)).to(self.device))[:, None]
        logits = torch.stack([looks.look(heard, mask, seen)[:, 0] for mask in masks.values()], 1)
        shares = (logits - logits.amax((2, 3), keepdim=True)).exp()  # of the softmax over the picture, re the highest
        found: NDArray[np.uint8] = (shares * 255).round().byte().cpu().numpy()
        return found


class _Window(NamedTuple):
    """A window from `start` to `end`, in seconds, with what each thing is given of it."""

    start: float
    end: float
    masks: Tensor  # (S, F', T)
    open: Tensor  # (S,)

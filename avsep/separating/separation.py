"""One file, open, with the things in it: what the front door hands out, and what a folder is written of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avsep.separating.band import Piece
from avsep.separating.reading import Size
from avsep.separating.streaming import Asked, Said, Stream, Told

Samples = NDArray[np.float32]


def silent(what: str, done: float, total: float) -> None:
    """Tells nobody of progress."""


@dataclass(frozen=True)
class Sound:
    """A thing that was asked for, and its sound."""

    number: int  # from 1, the surest first
    name: str  # the detector's class, `box`, or the words
    found: str  # how it came here: `detected`, `box`, `words`
    confidence: float  # the detector's, over all pictures; 1 for what a user asked for
    boxes: NDArray[np.float64]  # (pictures, 4): x1, y1, x2, y2 in pixels of the video as shown; (0, 4) of words
    seen: tuple[int, ...]  # the pictures, from 1, in which it was detected; elsewhere its box is the nearest of these
    fps: int  # pictures a second
    starts: NDArray[np.float64]  # (W,): each window's first second
    probability: NDArray[np.float32] | None  # (W,), that it sounds there; None: the system does not say
    muted: NDArray[np.bool_]  # (W,): it is given nothing
    quiet: NDArray[np.bool_]  # (W,): nothing is heard there, and so nothing was asked
    rate: int  # Hz
    wave: Samples | None = None  # (C, L); None: it was streamed
    # (W, rows, columns): where in the whole picture VAST finds it, re the place where most, at 255; None: not asked
    looks: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Separation:
    """A file, and how it is separated."""

    stream: Stream
    said: Said
    size: Size | None  # of its pictures as shown; None: it has none
    model: dict[str, Any]
    asks: dict[str, Any]
    told: Told
    unsure: str | None = None  # why no probability is told; None: it is

    @property
    def things(self) -> list[Asked]:
        return list(self.stream.things)

    def pieces(self) -> Iterator[Piece]:
        """The sounds, piece after piece, once."""
        for known in (self.said.probability, self.said.muted, self.said.audible, self.said.looks):
            known.clear()
        yield from self.stream.run(self.said, self.told)

    def sounds(self) -> list[Sound]:
        """What is known of each thing; of its windows, when all pieces were taken."""
        stream, said = self.stream, self.said
        starts = np.array(stream.windows.starts[: len(said.muted)], np.float64) / stream.hearing.rate
        quiet = ~np.array(said.audible, bool)
        sounds = []
        for place, one in enumerate(stream.things):
            sure = [row[place] for row in said.probability if row is not None]
            sounds.append(
                Sound(
                    number=place + 1,
                    name=one.name,
                    found=one.found,
                    confidence=one.object.confidence,
                    boxes=self._boxes(one),
                    seen=one.object.seen,
                    fps=stream.fps,
                    starts=starts,
                    probability=np.array(sure, np.float32) if len(sure) == len(starts) and sure else None,
                    muted=np.array([row[place] for row in said.muted], bool),
                    quiet=quiet,
                    rate=stream.band.own,
                    looks=np.stack([row[place] for row in said.looks]) if len(said.looks) == len(starts) else None,
                )
            )
        return sounds

    def _boxes(self, one: Asked) -> NDArray[np.float64]:
        if self.size is None or not one.seen:
            return np.zeros((0, 4))
        kept = self.stream.kept.pictures.size
        across, down = self.size.width / kept.width, self.size.height / kept.height
        return np.array(one.object.boxes, np.float64) * (across, down, across, down)

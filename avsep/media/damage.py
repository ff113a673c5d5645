"""Which parts of a damaged file can be used: a picture that needs a damaged one is damaged too, up to the next key
picture.

The file is read packet by packet, in a process of its own, which damaged bytes may end.

    python -m avsep.media.damage FILE
"""

import json
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av

from avsep.media.containers import ONLY, heard, moving, open_container

Span = tuple[float, float]
"""From and to in seconds from the file's start; `FOREVER` is behind every end."""

FOREVER = 1e12
FAILURES = 1000  # of reading on, after which a file counts as ended
GAP = 0.1  # seconds without a packet of sound that count as damage


@dataclass
class Damage:
    """What of a file's first streams cannot be used: spans, sorted and apart."""

    pictures: list[Span] = field(default_factory=list)
    sound: list[Span] = field(default_factory=list)
    pictures_end: float = 0.0  # seconds, of what decodes
    sound_end: float = 0.0
    layouts: list[str] = field(default_factory=list)  # of the sound's channels, one after the other

    def good(self, start: float, end: float) -> bool:
        """Whether what is seen and heard from `start` to `end` can be used."""
        return not any(a < end and start < b for a, b in (*self.pictures, *self.sound))

    def spans(self) -> list[Span]:
        """What cannot be used of the two, sorted and apart."""
        return joined([*self.pictures, *self.sound])


def damage_of(video: Path) -> Damage | None:
    """What of a file cannot be used; None if that cannot be told."""
    command = [sys.executable, "-m", "avsep.media.damage", str(video.absolute())]
    root = Path(__file__).parents[2]  # whatever the working directory is
    done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        return None
    told = json.loads(done.stdout)
    return Damage(
        [(a, b) for a, b in told["pictures"]],
        [(a, b) for a, b in told["sound"]],
        told["pictures_end"],
        told["sound_end"],
        told["layouts"],
    )


def survey(video: Path) -> Damage:
    """As `damage_of`, in this process. Raises av.FFmpegError for a file that cannot be opened."""
    found = Damage()
    with open_container(video, ONLY) as container:
        shown, sounding = moving(container), heard(container)
        assert shown is not None
        first = (container.start_time or 0) / av.time_base
        seen, listened = _Pictures(found, first), _Sound(found, first)
        for stream in (shown, sounding):
            stream.codec_context.thread_type = "NONE"  # so that a packet's error is told at that packet
        for packet in _packets(container, shown, sounding):
            (seen if packet.stream_index == shown.index else listened).take(packet)
        found.pictures, found.sound = seen.spans(), listened.spans()
    return found


def joined(spans: Sequence[Span]) -> list[Span]:
    """The same spans, sorted, those that touch as one."""
    whole: list[Span] = []
    for start, end in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def _packets(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """All packets that can be read, beyond those that cannot."""
    for _ in range(FAILURES):
        try:
            yield from container.demux(*streams)
            return
        except av.FFmpegError:
            continue


def _decoded(packet: av.Packet) -> tuple[list[av.frame.Frame], bool]:
    """What a packet gives, and whether all is well with it."""
    try:
        return list(packet.decode()), not packet.is_corrupt
    except av.FFmpegError:
        return [], False


class _Pictures:
    """Follows the packets of pictures, in the order of decoding."""

    def __init__(self, found: Damage, first: float) -> None:
        self._found, self._first = found, first
        self._keys: list[float] = []  # seconds of undamaged key pictures
        self._bad: list[float] = []  # seconds of damaged pictures, and of those behind them up to the next key one
        self._behind = False
        self._any = False

    def take(self, packet: av.Packet) -> None:
        frames, well = _decoded(packet)
        at = _seconds(packet, self._first)
        if at is not None:
            if not well:
                self._behind = True
            elif packet.is_keyframe:
                self._behind = False
                self._keys.append(at)
            if self._behind:
                self._bad.append(at)
        for frame in frames:
            if frame.time is None:
                continue
            if frame.is_corrupt:
                self._bad.append(frame.time - self._first)
            else:
                end = frame.time + float(frame.duration * (frame.time_base or 0)) - self._first
                self._found.pictures_end = max(self._found.pictures_end, end)

    def spans(self) -> list[Span]:
        keys = sorted(self._keys)
        places = [(at, bisect_right(keys, at)) for at in self._bad]
        return joined([(at, keys[place] if place < len(keys) else FOREVER) for at, place in places])


class _Sound:
    """Follows the packets of sound."""

    def __init__(self, found: Damage, first: float) -> None:
        self._found, self._first = found, first
        self._bad: list[Span] = []
        self._end: float | None = None

    def take(self, packet: av.Packet) -> None:
        frames, well = _decoded(packet)
        at = _seconds(packet, self._first)
        if at is not None:
            long = float((packet.duration or 0) * (packet.time_base or 0))
            if not well:
                self._bad.append((at - long, at + 2 * long))  # neighbours are faded into each other
            if self._end is not None and at - self._end > GAP:
                self._bad.append((self._end, at))
            self._end = at + long
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            if not self._found.layouts or self._found.layouts[-1] != frame.layout.name:
                self._found.layouts.append(frame.layout.name)
            if frame.time is not None:
                start, long = frame.time - self._first, frame.samples / frame.sample_rate
                if frame.is_corrupt:
                    self._bad.append((start - long, start + 2 * long))
                self._found.sound_end = max(self._found.sound_end, start + long)

    def spans(self) -> list[Span]:
        return joined(self._bad)


def _seconds(packet: av.Packet, first: float) -> float | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base) - first


if __name__ == "__main__":
    av.logging.set_level(None)
    json.dump(asdict(survey(Path(sys.argv[1]))), sys.stdout)

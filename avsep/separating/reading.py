"""A file of one's own, read as it streams: ffmpeg decodes, and no more is in memory than is worked on.

A file is decoded twice.  First its pictures, at the rate that is looked at, no larger than LARGEST, and its sound as
the networks hear it: both are kept in temporary files, so that objects may be sought in all of a video before any is
separated.  Then its sound alone, at its own rate, with all its channels.

Of a file whose pictures and sound do not begin together, what both share is read, and a line says so.
"""

import io
import logging
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, NamedTuple

import av
import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from avsep.errors import InputError
from avsep.media.containers import ANY, heard, moving, open_container
from avsep.media.ffmpeg import (
    FIRST,
    START_TOLERANCE,
    Unusable,
    broken,
    ffmpeg,
    first_filters,
    first_time,
    longest,
    probe,
    starts_late,
)
from avsep.media.machine import PLAIN, PLAIN_SOUND, fault_of_machine, first_line
from avsep.media.wav import Wave

LARGEST = 960  # pixels of a picture's longer side: of a quarter of it the networks see as much as they can
QUALITY = 92  # of the JPEG files
BLOCK = 1 << 16  # samples that are read at once, of each channel
LACKING = 0.25  # seconds of sound that may lack: codecs count their padding differently

# containers and sound files alone, from the disk: a playlist could name other files, or fetch them
_ONLY = ["-protocol_whitelist", "file,pipe", "-format_whitelist", ANY["format_whitelist"]]
_QUIET = ["-nostdin", "-loglevel", "error", "-xerror"]


class Size(NamedTuple):
    """Pixels, as a player shows them."""

    width: int
    height: int


@dataclass(frozen=True)
class About:
    """What a file says of itself."""

    path: Path
    rate: int  # Hz of its sound
    channels: int
    seconds: float  # of its sound
    pictures: float | None  # seconds of pictures; None: it has none
    start: float = 0.0  # second of the file from which on both are there; all else is counted from it
    track: int = 0  # which of its streams of sound is heard
    notes: list[str] = field(default_factory=list)  # what is left out or lacks

    def note(self, said: str) -> None:
        """Keeps what is to be known of the file, and tells it."""
        if said not in self.notes:
            self.notes.append(said)
            logging.warning("%s: %s", self.path, said)

    @property
    def decoded(self) -> list[str]:
        """ffmpeg's command line as far as the file."""
        return [ffmpeg(), *_QUIET, "-reinit_filter:v", "0", *_ONLY, "-i", f"file:{self.path.absolute()}"]


def about(path: Path, *, pictures: bool) -> About:
    """`pictures`: whether there must be some. Raises InputError for a file that nothing can be made of."""
    if not path.is_file():
        raise InputError(f"{path} is missing: no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: 0 bytes")
    seen: float | None = None
    try:
        with open_container(path, ANY) as container:
            shown = moving(container)
            if not container.streams.audio:
                raise InputError(f"{path} cannot be used: no sound stream")
            sound = heard(container)
            track = container.streams.audio.index(sound)
            rate, channels = sound.rate, sound.channels
            long = float(sound.duration * sound.time_base) if sound.duration and sound.time_base else None
            whole = container.duration / av.time_base if container.duration else 0.0
    except av.FFmpegError as error:
        raise InputError(f"{path} cannot be used: unreadable: {error.strerror}") from None
    seconds = whole if long is None else long
    if pictures and shown is None:
        raise InputError(f"{path} cannot be used: no picture stream; of sound alone ask in words")
    if shown is not None:
        try:
            ends = probe(path)
        except Unusable as unusable:
            raise InputError(f"{path} cannot be used: {unusable}") from None
        seen, seconds = ends.pictures, max(ends.sound, seconds if ends.shared else 0)
    if not rate or not channels:
        raise InputError(f"{path} cannot be used: its sound says neither rate nor channels")
    found = About(path, rate, channels, seconds, seen, track=track)
    return found if seen is None else _in_step(found)


def _in_step(about: About) -> About:
    """A video from where on it has both pictures and sound, as they are decoded. Raises InputError if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        command = list(about.decoded)
        for stream, name, audio in (("V:0", FIRST[0], False), (f"a:{about.track}", FIRST[1], True)):
            kind = "a" if audio else "v"
            filters = ",".join(first_filters(name, audio))
            command += ["-map", f"0:{stream}", f"-frames:{kind}", "1", f"-{kind}f", filters, "-f", "null", "-"]
        with _running(command, about.path, Path(folder)) as pipe:
            pipe.read()
        pictures, sound = (first_time(Path(folder) / name) for name in FIRST)
    start = round(max(pictures, sound), 3)
    if start <= START_TOLERANCE or about.pictures is None:
        return about
    late = starts_late(pictures, sound)
    if start >= min(about.pictures, about.seconds):
        raise InputError(f"{about.path} cannot be used: {late}, and the other has ended by then")
    found = replace(about, start=start, pictures=about.pictures - start, seconds=about.seconds - start)
    found.note(f"{late}; what lies before is left out")
    return found


def shown_size(about: About) -> Size:
    """How large a video's pictures are shown, upright and of square pixels. Raises InputError."""
    first = ["-map", "0:V:0", "-vf", "scale=w=max(1\\,round(iw*sar)):h=ih", "-frames:v", "1", "-pix_fmt", "rgb24"]
    with _running([*about.decoded, *first, "-c:v", "ppm", "-f", "image2pipe", "pipe:1"], about.path) as pipe:
        if not pipe.readline().startswith(b"P6"):
            raise InputError(f"{about.path} cannot be used: it holds no picture")
        size = Size(*map(int, pipe.readline().split()))
        pipe.read()
    return size


class Pictures:
    """The pictures of a video in a temporary file, numbered from 0; they come in order, and are read in any."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = [0]
        self.size = Size(0, 0)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, picture: Image.Image) -> None:
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=QUALITY)
        self._file.seek(self._ends[-1])
        self._ends.append(self._ends[-1] + self._file.write(content.getvalue()))
        self.size = Size(*picture.size)

    def __getitem__(self, number: int) -> Image.Image:
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        with Image.open(io.BytesIO(self._file.read(end - start))) as picture:
            return picture.convert("RGB")


class Kept:
    """What was kept of a file at the first decoding."""

    def __init__(self, about: About, pictures: Pictures, wav: Path, rate: int) -> None:
        self.about, self.pictures, self.rate = about, pictures, rate
        self._wav = wav

    @property
    def samples(self) -> int:
        """Of the sound that the networks hear."""
        return int(soundfile.info(self._wav).frames)

    def heard(self, start: int, samples: int) -> Wave:
        """A window of it, (samples,); a sound that ends before has silence behind it."""
        with soundfile.SoundFile(self._wav) as file:
            file.seek(min(start, file.frames))
            return file.read(samples, dtype="float32", fill_value=0.0)


@contextmanager
def opened(about: About, fps: int, rate: int) -> Iterator[tuple[Kept, Iterator[Image.Image]]]:
    """Decodes a file's pictures, `fps` a second, and its sound, mono at `rate` Hz; what is kept goes at the end.

    The pictures must be taken to the last, one by one: what was taken is kept, and so is the sound after the last one.
    Of a file without pictures there are none to take, and the sound is there when they are.
    Raises InputError, while pictures are taken, for a file that is damaged.
    """
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "pictures").open("w+b") as file:
        pictures, wav = Pictures(file), Path(folder) / "sound.wav"
        with closing(_decode(about, pictures, wav, fps, rate)) as taken:
            yield Kept(about, pictures, wav, rate), taken


def _decode(about: About, pictures: Pictures, wav: Path, fps: int, rate: int) -> Generator[Image.Image, None, None]:
    # the sound as stage extract takes it, and pictures as there but for their size and a JPEG's rounding
    mono = ["-map", f"0:a:{about.track}", "-af", _heard(about, rate), "-ac", "1", "-c:a", "pcm_s16le", "-y"]
    most = ["-t", f"{longest(about.path)}"]
    command = list(about.decoded)
    if about.pictures is not None:
        filters = (
            f"scale,yadif=deint=interlaced,fps={fps}:start_time={about.start or 0},"
            f"scale=w=max(1\\,round(iw*sar)):h=ih,setsar=1,"
            f"scale=w=min(iw\\,{LARGEST}):h=min(ih\\,{LARGEST}):force_original_aspect_ratio=decrease"
        )
        shown = ["-map", "0:V:0", "-vf", filters, "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe"]
        command += [*shown, *most, "pipe:1"]
    with _running([*command, *mono, *most, str(wav)], about.path) as pipe:
        while (header := pipe.readline()).startswith(b"P6"):
            width, height = map(int, pipe.readline().split())
            pipe.readline()
            size = 3 * width * height
            if len(content := pipe.read(size)) < size:
                break
            picture = Image.frombytes("RGB", (width, height), content)
            pictures.append(picture)
            yield picture
        if header:
            pipe.read()
    if about.pictures is not None and not len(pictures):
        raise InputError(f"{about.path} cannot be used: too short: it holds no picture at {fps} a second")
    samples = soundfile.info(wav).frames
    if not samples:
        raise InputError(f"{about.path} cannot be used: no sound could be decoded")
    # a file that was cut off decodes without an error up to where it was cut
    if about.pictures is not None and len(pictures) < int(about.pictures * fps):
        about.note(f"cut off: pictures end at {len(pictures) / fps:.1f} s of {about.pictures:.1f} s")
    if samples < (about.seconds - LACKING) * rate:
        about.note(f"cut off: sound ends at {samples / rate:.1f} s of {about.seconds:.1f} s")


def _heard(about: About, rate: int) -> str:
    """Filters for the sound at `rate` Hz, from where on a file is read."""
    trimmed = f",atrim=start={about.start}" if about.start else ""
    return f"aresample={rate}:async=1:first_pts=0{trimmed}"


def sound_of(about: About) -> Iterator[Tensor]:
    """A file's sound as it is, at its own rate, all channels: blocks (C, n), full scale at 1."""
    whole = ["-map", f"0:a:{about.track}", "-af", _heard(about, about.rate), "-ac", str(about.channels)]
    most = ["-t", f"{longest(about.path)}"]
    with _running([*about.decoded, *whole, "-c:a", "pcm_f32le", "-f", "f32le", *most, "pipe:1"], about.path) as pipe:
        frame = 4 * about.channels
        while content := pipe.read(BLOCK * frame):
            samples = np.frombuffer(content[: len(content) // frame * frame], "<f4").reshape(-1, about.channels)
            yield torch.from_numpy(samples.T.copy())


# tried: it decodes what can be decoded
MENDS = "`ffmpeg -i FILE NEW.mp4` makes a file without what is damaged"


@contextmanager
def _running(command: list[str], path: Path, folder: Path | None = None) -> Iterator[IO[bytes]]:
    """What ffmpeg, run in `folder`, makes of the file `path` on its standard output.

    Raises InputError with its words if it fails, by the file's fault or the machine's.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            )
        except OSError as error:
            raise broken(command[0], error.strerror or str(error)) from None
        assert process.stdout is not None
        try:
            with process.stdout as pipe:
                yield pipe
            code = process.wait()
        except BaseException:  # nobody reads on: leave no process
            process.kill()
            process.wait()
            raise
        if code == 0:
            return
        said.seek(0)
        words = said.read().decode(errors="replace")

    def call(good: Path) -> tuple[int, str]:
        own = f"file:{path.absolute()}"
        other = [f"file:{good}" if word == own else word for word in command]
        done = subprocess.run(other, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stderr.decode(errors="replace")

    plain = PLAIN if "0:V:0" in command else PLAIN_SOUND
    with tempfile.TemporaryDirectory() as tried:
        fault = fault_of_machine(path, Path(tried), (code, words), command[0], call, plain)
    if fault is not None:
        raise InputError(f"{path} could not be read, by no fault of its own: {fault}; mend that, and try again")
    raise InputError(f"{path} cannot be used: {first_line(words) or f'ffmpeg ended with code {code}'}; {MENDS}")

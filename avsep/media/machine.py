"""Whose fault it is that ffmpeg failed: the video's, or the machine's.

A video that is set aside is not tried again, so nothing that the machine lacks may be put down to it.  What ffmpeg says
tells little: the same words come from a disk and from a damaged file.  So a second opinion is taken: whether the file
can be read, whether as much can be written as was wanted, and whether the same ffmpeg, called the same way, takes a
second apart that is known to be good, of the video's own container and codecs.
"""

import contextlib
import errno
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from avsep.media.containers import ANY, moving, open_container

Told = tuple[int, str]
"""ffmpeg's exit code and its words."""

# the words of these are never said of a file's content
_MACHINES = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ESTALE)
# what ends a program by its own fault, of which a file may be the cause
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGBUS}
_LARGEST = 8192 * 8192  # pixels: a picture that says it has more may ask for any memory
RATE = 48000  # Hz of the sound that is known to be good
_SHORT = 1 << 20  # bytes that must find room, beside what was written


class Kinds(NamedTuple):
    """How a file is written: names as libav has them."""

    container: str
    pictures: str | None  # the codec; None: the file has none
    sound: str | None


PLAIN = Kinds("matroska", "mpeg4", "aac")
PLAIN_SOUND = Kinds("wav", None, "pcm_s16le")


def fault_of_machine(
    source: Path, folder: Path, told: Told, executable: str, call: Callable[[Path], Told], plain: Kinds
) -> str | None:
    """What the machine lacks, or None if it is the file `source` that ffmpeg cannot read.

    `folder`: what ffmpeg wrote lies there.  `call` calls the same ffmpeg, in the same way, for another file, which is
    at least `plain`.
    """
    code, said = told
    if code < 0 and -code not in _CRASHES:
        return f"ffmpeg was ended by signal {-code} (out of memory?)"
    if code == 255 and not said.strip():
        return "ffmpeg was told to end"  # by SIGTERM or SIGINT, which it catches
    if found := [words for words in map(os.strerror, _MACHINES) if words in said]:
        return found[0]
    return (
        cannot_be_read(source)
        or _cannot_be_written(folder)
        or _lacks_memory(source, said)
        or _lacks_codec(source, executable)
        or _fails_at_all(source, folder, executable, call, plain)
    )


def first_line(said: str) -> str:
    """What ffmpeg says first, without the addresses in its memory; "" if nothing."""
    lines = said.strip().splitlines()
    return re.sub(r"^(.[^]]* @ 0x[0-9a-f]+. )+", "", lines[0]) if lines else ""


def cannot_be_read(file: Path) -> str | None:
    """Why the disk does not give all of a file, in the system's words; None if it does."""
    try:
        with file.open("rb") as opened:
            while opened.read(1 << 20):
                pass
    except OSError as error:
        return error.strerror or str(error)
    return None


def _cannot_be_written(folder: Path) -> str | None:
    """Why as much as ffmpeg wrote cannot be written once more."""
    try:
        wanted = _SHORT + sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(0, wanted, _SHORT):
                file.write(bytes(_SHORT))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _lacks_memory(source: Path, said: str) -> str | None:
    """The system's words, unless the file may have asked for any memory."""
    words = os.strerror(errno.ENOMEM)
    if words not in said:
        return None
    with contextlib.suppress(av.FFmpegError, ValueError), open_container(source, ANY) as container:
        if all((one.width or 0) * (one.height or 0) <= _LARGEST for one in container.streams.video):
            return words
    return None


def kinds_of(source: Path) -> Kinds | None:
    """How a file is written, of its first streams; None for one that cannot be opened."""
    try:
        with open_container(source, ANY) as container:
            sound = next(iter(container.streams.audio), None)
            return Kinds(container.format.name.partition(",")[0], _codec(moving(container)), _codec(sound))
    except (av.FFmpegError, ValueError):
        return None


def _codec(stream: av.stream.Stream | None) -> str | None:
    context = None if stream is None else stream.codec_context
    return None if context is None else context.codec.canonical_name


def _lacks_codec(source: Path, executable: str) -> str | None:
    """Which of a file's codecs ffmpeg's own list says that it cannot decode."""
    kinds = kinds_of(source)
    if kinds is None:
        return None
    listed = subprocess.run([executable, "-hide_banner", "-codecs"], stdin=subprocess.DEVNULL, capture_output=True)
    known = re.findall(r"^ ([D.])[E.][VASDT].{3} (\S+)", listed.stdout.decode(errors="replace"), re.MULTILINE)
    decoded = {name for can, name in known if can == "D"}
    for codec in (kinds.pictures, kinds.sound):
        if codec is not None and known and codec not in decoded:
            return f"{executable} has no decoder of {codec}"
    return None


def _fails_at_all(
    source: Path, folder: Path, executable: str, call: Callable[[Path], Told], plain: Kinds
) -> str | None:
    """What ffmpeg says of a second that is known to be good."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        try:
            good = write_good_second(Path(temporary), kinds_of(source) or plain)
        except OSError as error:  # libav's own are OSErrors too
            return f"{error.strerror or error} (of a file that was written to try ffmpeg)"
        code, said = call(good)
    if code == 0:
        return None
    words = first_line(said) or f"ended with code {code}"
    return f"{executable} fails with a second that is known to be good: {words}"


def write_good_second(folder: Path, kinds: Kinds) -> Path:
    """Writes a second of pictures and sound as `kinds` say, or the nearest to it that can be written here."""
    plain, nearer = PLAIN_SOUND, [kinds]
    if kinds.pictures is not None:
        plain = PLAIN if kinds.sound is not None else PLAIN._replace(sound=None)
        nearer += [kinds._replace(container=plain.container)]
        nearer += [plain._replace(sound=kinds.sound), plain._replace(pictures=kinds.pictures)]
    for number, one in enumerate(nearer):
        path = folder / f"good{number}"
        with contextlib.suppress(av.FFmpegError, ValueError):  # a codec that is read and not written here
            _write_second(path, one)
            return path
    path = folder / "good"
    _write_second(path, plain)
    return path


def _write_second(path: Path, kinds: Kinds) -> None:
    container = {"mov": "mp4"}.get(kinds.container, kinds.container)
    with av.open(f"file:{path}", "w", format=container) as file:
        shown: av.VideoStream | None = None
        heard: av.AudioStream | None = None
        if kinds.pictures is not None:
            # another encoder of AV1 says much on standard error
            codec = {"av1": "libaom-av1"}.get(kinds.pictures, kinds.pictures)
            options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
            made = file.add_stream(codec, rate=25, options=options)
            if not isinstance(made, av.VideoStream):
                raise ValueError(f"{codec} is no codec of pictures")
            shown = made
            shown.width, shown.height, shown.pix_fmt = 128, 96, "yuv420p"
        if kinds.sound is not None:
            made = file.add_stream(kinds.sound, rate=RATE)
            if not isinstance(made, av.AudioStream):
                raise ValueError(f"{kinds.sound} is no codec of sound")
            heard = made
        if shown is not None:
            for number in range(25):
                grey = np.full((96, 128, 3), 8 * number, np.uint8)
                file.mux(shown.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            file.mux(shown.encode(None))
        if heard is not None:
            samples = np.sin(np.arange(RATE) / 20).astype(np.float32)[None]  # (1 channel, samples)
            sound = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            sound.sample_rate, sound.pts = RATE, 0
            file.mux(heard.encode(sound))
            file.mux(heard.encode(None))

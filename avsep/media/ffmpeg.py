"""Video files by way of the ffmpeg executable: no shell, whole files or none, the same bytes each time.

ffmpeg-python writes the command lines; they are run here, and what goes wrong is told in a line.
"""

import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import ffmpeg as ffmpeg_python
import imageio_ffmpeg
import numpy as np
import soundfile

from avsep.errors import InputError
from avsep.files.whole import temporary_for, whole_file
from avsep.media.frames import pack

Stream = Any  # one of ffmpeg-python's, which come without types

QUIET = ["-nostdin", "-loglevel", "error"]
# its default search takes four times as long as the pictures
AAC = {"c:a": "aac", "aac_coder": "fast", "b:a": "160k"}
BITEXACT = {"fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}


def ffmpeg() -> str:
    """Path of the executable: the one on PATH, else the one that imageio-ffmpeg carries."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


@functools.cache
def version() -> str:
    """The executable's first line about itself: another version may decode to other bytes."""
    said = subprocess.run([ffmpeg(), "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return said.stdout.partition("\n")[0]


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int, audio: np.ndarray, rate: int) -> None:
    """Writes an mp4 file with H.264 pictures (4:2:0) and AAC sound, whole or not at all.

    frames: RGB pictures, uint8 (height, width, 3), all of one size, both sides even; taken one at a time.
    audio: float (samples, 1 or 2 channels), full scale at 1; clipped there.
    Raises ValueError for pictures or sound of another form, RuntimeError with ffmpeg's words if it fails.
    """
    _check_sound(audio)
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: no frames to write")
    height, width = first.shape[:2]
    with (
        whole_file(path) as temporary,
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as messages,
    ):
        size = (width, height)
        written = ffmpeg_python.output(
            ffmpeg_python.input("pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=size, framerate=fps),
            _waves(Path(folder), audio, rate),
            _name(temporary),
            format="mp4",
            # one thread: x264 gives other bytes for another number of them
            **{"c:v": "libx264", "preset": "veryfast", "crf": 20, "pix_fmt": "yuv420p", "threads": 1},
            **AAC,
            **BITEXACT,
        )
        process = subprocess.Popen(_command(written), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages)
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(_raw(first, first.shape, path))
                for picture in pictures:
                    pipe.write(_raw(picture, first.shape, path))
            code = process.wait()
        except BrokenPipeError:
            code = process.wait() or 1  # ffmpeg ended first: its words say why
        except BaseException:  # a frame could not be made: leave no process
            process.kill()
            process.wait()
            raise
        if code != 0:
            messages.seek(0)
            said = messages.read().decode(errors="replace").strip()
            raise RuntimeError(f"ffmpeg could not write {path} (code {code}): {said}")


def write_with_sound(path: Path, pictures: Path, audio: np.ndarray, rate: int) -> None:
    """Writes an mp4 file with another one's pictures, as they are there, and other sound, whole or not at all.

    audio: as `write_video` takes it.
    Raises ValueError for sound of another form, RuntimeError with ffmpeg's words if it fails.
    """
    _check_sound(audio)
    with whole_file(path) as temporary, tempfile.TemporaryDirectory() as folder:
        shown = ffmpeg_python.input(_name(pictures))
        heard = _waves(Path(folder), audio, rate)
        written = ffmpeg_python.output(
            shown["v"], heard["a"], _name(temporary), format="mp4", **{"c:v": "copy"}, **AAC, **BITEXACT
        )
        done = subprocess.run(_command(written), stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise RuntimeError(f"ffmpeg could not write {path} (code {done.returncode}): {said}")


def _check_sound(audio: np.ndarray) -> None:
    if audio.ndim != 2 or audio.shape[1] not in (1, 2):
        raise ValueError(f"audio of shape {audio.shape}: (samples, 1 or 2) is needed")


def _waves(folder: Path, audio: np.ndarray, rate: int) -> Stream:
    """Sound as ffmpeg reads it, from a file in `folder`."""
    path = folder / "sound.f32"
    np.clip(audio, -1, 1).astype("<f4").tofile(path)
    return ffmpeg_python.input(_name(path), format="f32le", ar=rate, ac=audio.shape[1])


def _raw(picture: np.ndarray, shape: tuple[int, ...], path: Path) -> bytes:
    if picture.dtype != np.uint8 or picture.shape != shape or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"{path}: a frame is {picture.dtype} {picture.shape}, not uint8 {shape}")
    return picture.tobytes()


class Unusable(Exception):
    """A video that nothing can be made of. Its message is the reason, `<kind>` or `<kind>: <detail>`."""


# words of ffmpeg, or the system's in its words, about the machine
_FULL = ("No space left on device", "Cannot allocate memory")
_DISK = "Input/output error"  # also what demuxers say of a file that was cut off


class Ends(NamedTuple):
    """Where a file says that its streams end, in seconds from its start."""

    pictures: float
    sound: float
    shared: bool = False  # it tells one end alone, of the longer of the two


# A playlist, which may call itself a.mp4, could name other files or fetch them: containers alone, from the disk.
_CONTAINERS = "mov,matroska,avi,flv,mpeg,mpegts,ogg,asf"
_ONLY = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}

_SOUND_ONLY = {"protocol_whitelist": "file", "format_whitelist": "wav,mp3,flac,ogg"}

_ONE_END = {"asf", "flv"}  # containers (.wmv, .flv) that tell how long they are, and not how long each stream is

START_TOLERANCE = 0.5  # seconds between the starts of sound and pictures; what lies between is filled up
APART = 1.5  # times that imported frames may be longer than their sound, or the other way round
END_TOLERANCE = 0.25  # seconds of sound that may lack: codecs count their padding differently


def probe(video: Path) -> Ends:
    """Reads what a file says of its first streams of pictures and of sound.

    Raises Unusable; InputError for a fault of the machine.
    """
    if not video.is_file():
        raise Unusable("missing: no such file")
    if video.stat().st_size == 0:
        raise Unusable("empty: 0 bytes")
    try:
        # tags are in whatever encoding; of them DURATION alone is read
        with av.open(f"file:{video.absolute()}", options=_ONLY, metadata_errors="replace") as container:
            cover = av.stream.Disposition.attached_pic
            pictures = [s for s in container.streams.video if not s.disposition & cover]
            if not pictures:
                raise Unusable("no picture stream")
            if not container.streams.audio:
                raise Unusable("no sound stream")
            first = (container.start_time or 0) / av.time_base
            starts, ends = zip(*(_span(container, s) for s in (pictures[0], container.streams.audio[0])), strict=True)
            shared = container.format.name in _ONE_END
    except av.FFmpegError as error:
        _refuse_machines_fault(video, 1, str(error.strerror))
        raise Unusable(f"unreadable: {error.strerror}") from None
    if abs(starts[1] - starts[0]) > START_TOLERANCE:
        raise Unusable(f"sound and pictures start apart: at {starts[1] - first:.1f} s and {starts[0] - first:.1f} s")
    return Ends(ends[0] - first, ends[1] - first, shared)


def _span(container: av.container.InputContainer, stream: av.stream.Stream) -> tuple[float, float]:
    """Start and end of a stream in seconds; Matroska writes a stream's end as a tag, some write the file's alone."""
    start = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    if stream.duration is not None and stream.time_base is not None:
        return start, start + float(stream.duration * stream.time_base)
    if tag := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = tag.groups()
        return start, int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration is not None:
        return start, ((container.start_time or 0) + container.duration) / av.time_base
    raise Unusable("no duration: the file does not say how long it is; `ffmpeg -i FILE -c copy NEW` may help")


def extract(
    video: Path, frames: Path, wav: Path, fps: int, rate: int, parts: Sequence[tuple[float, float]] = ()
) -> tuple[int, int]:
    """Writes a video's pictures as the archive `frames` (avsep/media/frames.py) and its sound as `wav`, mono, 16 bit,
    both or neither.

    Frame n (from 1) is what is seen at (n - 0.5) / fps seconds; sample 0 of the sound is heard at second 0.
    Pictures are as a player shows them, upright, of square pixels and not interlaced; of several streams the first is
    taken.
    Of `parts`, from and to in seconds, those frames are kept that lie in one of them for all their 1 / fps seconds, and
    the sound of just these: joined, as if they followed one another.
    What lay at `frames` and `wav` goes.  Returns the numbers of frames and of samples.
    Raises Unusable, leaving nothing behind, also if less came out than the file says it holds; InputError for a fault
    of the machine.
    """
    with _both_or_neither(frames, wav) as temporary:
        ends = probe(video)
        source = ffmpeg_python.input(
            _name(video.absolute()),
            threads=1,
            # filters begun anew where a picture's size changes would count seconds from 0 again
            **{"reinit_filter:v": 0},
            **_ONLY,
        )
        _run(video, ffmpeg_python.merge_outputs(_pictures(source, fps), _sound(source, rate)), temporary)
        count = sum(1 for _ in temporary.glob("*.jpg"))
        samples = soundfile.info(temporary / "sound.wav").frames
        if count == 0:
            raise Unusable(f"too short: {ends.pictures:.2f} s of pictures hold no frame at {fps} a second")
        # a file that was cut off decodes without an error up to where it was cut
        lacking = []
        if count < int(ends.pictures * fps):
            lacking.append(f"pictures end at {count / fps:.1f} s of {ends.pictures:.1f} s")
        if samples < (ends.sound - END_TOLERANCE) * rate:
            lacking.append(f"sound ends at {samples / rate:.1f} s of {ends.sound:.1f} s")
        if len(lacking) > ends.shared:  # the shorter of two streams may end before the file
            raise Unusable(f"truncated: {lacking[0]}")
        if parts:
            count, samples = _keep(temporary, count, parts, fps, rate)
        pack(temporary, temporary / "frames.zip")
    return count, samples


def take_over(sound: Path, pictures: Path, frames: Path, wav: Path, fps: int, rate: int) -> tuple[int, int]:
    """Writes what others extracted, a sound file and a folder of 000001.jpg, ..., as `extract` would have.

    What lay at `frames` and `wav` goes.  Returns the numbers of frames and of samples.
    Raises Unusable, leaving nothing behind, for frames with a gap, or much longer or shorter than the sound; InputError
    for a fault of the machine.
    """
    with _both_or_neither(frames, wav) as temporary:
        try:
            count = pack(pictures, temporary / "frames.zip", decode=True)
        except InputError as error:
            raise Unusable(f"frames: {str(error).replace(str(pictures), pictures.name)}") from None
        source = ffmpeg_python.input(_name(sound.absolute()), threads=1, **_SOUND_ONLY)
        _run(sound, _sound(source, rate), temporary)
        samples = soundfile.info(temporary / "sound.wav").frames
        if not 1 / APART < count / fps * rate / max(samples, 1) < APART:
            raise Unusable(
                f"frames and sound apart: {count / fps:.1f} s of frames at {fps} a second,"
                f" {samples / rate:.1f} s of sound; is extract.fps the frames' own?"
            )
    return count, samples


@contextlib.contextmanager
def _both_or_neither(frames: Path, wav: Path) -> Iterator[Path]:
    """An empty folder for frames.zip and sound.wav, which then lie at `frames` and `wav`; what lay there goes.

    Its name is another each time.  The work of a cluster's worker goes on for a while when its stage was stopped, and
    its ffmpeg when it was killed: not in the files of those who do the work again.  For the same reason what lay there
    goes at the end: who starts the same work again, and is stopped, must not take away what is done.
    """
    for file in (frames, wav):
        file.parent.mkdir(parents=True, exist_ok=True)
    folder = temporary_for(frames.with_name(f"{frames.name}.{uuid.uuid4().hex}"))
    folder.mkdir()
    try:
        yield folder
        os.replace(folder / "frames.zip", frames)
        os.replace(folder / "sound.wav", wav)
    except Exception:
        for file in (frames, wav):
            file.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(folder)


def _keep(folder: Path, count: int, parts: Sequence[tuple[float, float]], fps: int, rate: int) -> tuple[int, int]:
    """Of 000001.jpg, ... and sound.wav in `folder` keeps what lies in `parts`; gives what `extract` does."""
    close = 1e-6  # frames: a part's ends are written in milliseconds
    kept = [
        number
        for number in range(1, count + 1)
        if any(start * fps <= number - 1 + close and number <= end * fps + close for start, end in parts)
    ]
    if not kept:
        raise Unusable("no part: none of those listed holds a frame")
    sound, _ = soundfile.read(folder / "sound.wav", dtype="int16")  # (samples,)
    pieces = [sound[round((number - 1) * rate / fps) : round(number * rate / fps)] for number in kept]
    soundfile.write(folder / "sound.wav", np.concatenate(pieces), rate, subtype="PCM_16")
    for number in set(range(1, count + 1)) - set(kept):
        (folder / f"{number:06d}.jpg").unlink()
    for place, number in enumerate(kept, start=1):  # never to a higher number: no frame is written over
        os.replace(folder / f"{number:06d}.jpg", folder / f"{place:06d}.jpg")
    return len(kept), sum(map(len, pieces))


def _pictures(source: Stream, fps: int) -> Stream:
    """The first stream of pictures as frames 000001.jpg, ...; ffmpeg has turned them upright."""
    filters = [  # each leaves alone what needs none of it
        "scale",  # to the first picture's size
        "yadif=deint=interlaced",
        # from second 0 on, whenever the stream starts, so that sound and pictures stay together
        f"fps={fps}:start_time=0",
        # square pixels; and a JPEG's colours are BT.601's, whatever the file says of its own
        "scale=w=max(1\\,round(iw*sar)):h=ih:out_color_matrix=bt601",
    ]
    # as an option, not as `source.filter`: a graph that gives no frame, of a video that is too short, ends in an error
    jpeg = {"vf": ",".join(filters), "c:v": "mjpeg", "pix_fmt": "yuvj420p", "q:v": 2}
    return source["V:0"].output("%06d.jpg", format="image2", threads=1, **jpeg, **BITEXACT)  # V: a cover is none


def _sound(source: Stream, rate: int) -> Stream:
    """The first stream of sound, mono, 16 bit, from second 0 on, as sound.wav."""
    mono = {"af": f"aresample={rate}:async=1:first_pts=0", "ac": 1, "c:a": "pcm_s16le"}
    return source["a:0"].output("sound.wav", format="wav", **mono, **BITEXACT)


def _name(path: Path) -> str:
    """A file as ffmpeg-python takes it, which knows no name that is not UTF-8: each byte as a letter of Latin-1."""
    return f"file:{os.fsencode(path).decode('latin-1')}"


def _command(written: Stream, *options: str) -> list[str]:
    """The command line for what is to be `written`, whose files are named by `_name`; `options` hold for all of it."""
    words = written.get_args(overwrite_output=True)
    return [ffmpeg(), *QUIET, *options, *(os.fsdecode(word.encode("latin-1")) for word in words)]


def _run(source: Path, written: Stream, folder: Path) -> None:
    """Runs ffmpeg, which makes of `source` what is to be `written`, in `folder`.

    Raises Unusable; InputError for a fault of the machine.
    """
    command = _command(written, "-xerror", "-filter_threads", "1")
    # cwd, since `%` in the folder's own name would be taken for a number's place
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        _refuse_machines_fault(source, done.returncode, done.stderr)
        lines = done.stderr.strip().splitlines() or [f"ffmpeg ended with code {done.returncode}"]
        raise Unusable(f"unreadable: {re.sub(r'^(.[^]]* @ 0x[0-9a-f]+. )+', '', lines[0])}")


def _refuse_machines_fault(source: Path, code: int, said: str) -> None:
    """Raises InputError if `source` failed, with ffmpeg's exit code and words, through no fault of its own.

    A video that is set aside is not tried again, and the next run may find memory, and room on the disk.
    """
    if code < 0:
        fault = f"ffmpeg was ended by signal {-code} (out of memory?)"
    elif code == 255 and not said.strip():
        fault = "ffmpeg was told to end"  # by SIGTERM or SIGINT, which it catches
    elif found := [words for words in _FULL if words in said]:
        fault = found[0]
    elif _DISK in said and not _can_be_read(source):
        fault = _DISK
    else:
        return
    raise InputError(f"{socket.gethostname()}: {source}: {fault}; mend that and run this stage again: it goes on")


def _can_be_read(source: Path) -> bool:
    """Whether the disk gives all of a file."""
    try:
        with source.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True

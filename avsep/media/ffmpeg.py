"""Video files by way of the ffmpeg executable: no shell, whole files or none, the same bytes each time.

ffmpeg-python writes the command lines; they are run here, and what goes wrong is told in a line.
"""

import contextlib
import errno
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import ffmpeg as ffmpeg_python
import imageio_ffmpeg
import numpy as np
import soundfile

from avsep.errors import InputError
from avsep.files.whole import temporary_for, whole_file
from avsep.media.containers import ONLY, SOUND_ONLY, heard, moving, open_container
from avsep.media.damage import FOREVER, Damage, damage_of
from avsep.media.frames import pack
from avsep.media.machine import PLAIN, PLAIN_SOUND, Kinds, cannot_be_read, fault_of_machine, first_line

Stream = Any  # one of ffmpeg-python's, which come without types

QUIET = ["-nostdin", "-loglevel", "error"]
# its default search takes four times as long as the pictures
AAC = {"c:a": "aac", "aac_coder": "fast", "b:a": "160k"}
BITEXACT = {"fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}


WHOLE = "install a whole ffmpeg, or take it off PATH: without one there the package imageio-ffmpeg's is used"


def ffmpeg() -> str:
    """Path of the executable: the one on PATH, else the one that imageio-ffmpeg carries. Raises InputError for none."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise InputError(
            "no ffmpeg is on PATH, and imageio-ffmpeg carries none for this machine: install one"
        ) from None


def version() -> str:
    """The executable's first line about itself: another version may decode to other bytes.

    Raises InputError for one that does not run.
    """
    return _version(ffmpeg())


@functools.cache
def _version(executable: str) -> str:
    try:
        done = subprocess.run(
            [executable, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise broken(executable, error.strerror or str(error)) from None
    if done.returncode != 0 or not done.stdout.strip():
        raise broken(executable, first_line(done.stderr) or f"it ended with code {done.returncode}")
    return done.stdout.partition("\n")[0]


def broken(executable: str, said: str) -> InputError:
    """What to raise for an executable that does not do what any ffmpeg does."""
    return InputError(f"{socket.gethostname()}: {executable} is broken ({said}): {WHOLE}")


def write_video(path: Path, frames: Iterable[np.ndarray], fps: int, audio: np.ndarray, rate: int) -> None:
    """Writes an mp4 file with H.264 pictures (4:2:0) and AAC sound, whole or not at all.

    frames: RGB pictures, uint8 (height, width, 3), all of one size, both sides even; taken one at a time.
    audio: float (samples, 1 or 2 channels), full scale at 1; clipped there.
    Raises ValueError for pictures or sound of another form, InputError with ffmpeg's words if it fails.
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
        command = _command(written)
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages)
        except OSError as error:
            raise broken(command[0], error.strerror or str(error)) from None
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
            raise not_written(command[0], path, code, messages.read().decode(errors="replace"))


def write_with_sound(path: Path, pictures: Path, audio: np.ndarray, rate: int) -> None:
    """Writes an mp4 file with another one's pictures, as they are there, and other sound, whole or not at all.

    audio: as `write_video` takes it.
    Raises ValueError for sound of another form, InputError with ffmpeg's words if it fails.
    """
    _check_sound(audio)
    with whole_file(path) as temporary, tempfile.TemporaryDirectory() as folder:
        shown = ffmpeg_python.input(_name(pictures))
        heard = _waves(Path(folder), audio, rate)
        written = ffmpeg_python.output(
            shown["v"], heard["a"], _name(temporary), format="mp4", **{"c:v": "copy"}, **AAC, **BITEXACT
        )
        write_by(_command(written), path)


def write_by(command: Sequence[str], path: Path, folder: Path | None = None) -> None:
    """Runs ffmpeg, in `folder`, to write `path`. Raises InputError with its words if it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder)
    except OSError as error:
        raise broken(command[0], error.strerror or str(error)) from None
    if done.returncode != 0:
        raise not_written(command[0], path, done.returncode, done.stderr.decode(errors="replace"))


def not_written(executable: str, path: Path, code: int, said: str) -> InputError:
    """What to raise if ffmpeg could not write `path`: what it was given is whole, so it is the machine's fault."""
    host = socket.gethostname()
    room = any(os.strerror(one) in said for one in (errno.ENOSPC, errno.EDQUOT))
    remedy = "make room, and run it again" if room else f"if it lacks something, {WHOLE}"
    return InputError(f"{host}: {executable} could not write {path} (code {code}: {first_line(said)}); {remedy}")


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


class Ends(NamedTuple):
    """Where a file says that its streams end, in seconds from its start."""

    pictures: float
    sound: float
    shared: bool = False  # it tells one end alone, of the longer of the two
    track: int = 0  # which of its streams of sound is taken


Tell = Callable[[str], object]
"""Is told what of a video is left out, `<kind>: <detail>`; a kind at most once."""

_ONE_END = {"asf", "flv"}  # containers (.wmv, .flv) that tell how long they are, and not how long each stream is

START_TOLERANCE = 0.5  # seconds that sound or pictures may start late; what lies before is filled up
APART = 1.5  # times that imported frames may be longer than their sound, or the other way round
END_TOLERANCE = 0.25  # seconds of sound that may lack: codecs count their padding differently
LEAST_BYTES = 10  # a second; silence over a still picture takes 50
OUTLAST = 0.5  # seconds that one may go on after the other's end, beside half a frame of rounding


def probe(video: Path) -> Ends:
    """Reads what a file says of its first stream of pictures and of the sound that a player plays.

    Raises Unusable; InputError for a fault of the machine.
    """
    if not video.is_file():
        raise Unusable("missing: no such file")
    if video.stat().st_size == 0:
        raise Unusable("empty: 0 bytes")
    try:
        with open_container(video, ONLY) as container:
            pictures = moving(container)
            if pictures is None:
                raise Unusable("no picture stream")
            if not container.streams.audio:
                raise Unusable("no sound stream")
            first = (container.start_time or 0) / av.time_base
            sound = heard(container)
            streams = (pictures, sound)
            track = container.streams.audio.index(sound)
            ends = [_end(container, stream) for stream in streams]
            if None in ends:  # as a browser records
                ends = _last(container, streams)
            shared = container.format.name in _ONE_END
    except av.FFmpegError as error:
        fault = cannot_be_read(video)
        if fault is not None or error.errno in (errno.EMFILE, errno.ENFILE):
            raise machines_fault(video, fault or str(error.strerror)) from None
        raise Unusable(f"unreadable: {error.strerror}") from None
    seen, sounds = (max(0.0, (end or 0.0) - first) for end in ends)
    return Ends(seen, sounds, shared, track)


def _end(container: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Where a stream says that it ends, in seconds; None if it does not say.

    Matroska writes a stream's end as a tag, which tools that cut a file leave as it was; some write the file's alone.
    """
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    whole = None if container.duration is None else ((container.start_time or 0) + container.duration) / av.time_base
    if tag := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = tag.groups()
        start = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
        told = start + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return told if whole is None else min(told, whole)
    return whole


def _last(container: av.container.InputContainer, streams: Sequence[av.stream.Stream]) -> list[float | None]:
    """Where the last packet of each stream ends, in seconds."""
    ends: dict[int, float] = {}
    with contextlib.suppress(av.FFmpegError):  # the rest of it is lacking
        for packet in container.demux(*streams):
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
    return [ends.get(stream.index) for stream in streams]


def extract(
    video: Path,
    frames: Path,
    wav: Path,
    fps: int,
    rate: int,
    parts: Sequence[tuple[float, float]] = (),
    tell: Tell = lambda said: None,
) -> tuple[int, int]:
    """Writes a video's pictures as the archive `frames` (avsep/media/frames.py) and its sound as `wav`, mono, 16 bit,
    both or neither.

    Frame n (from 1) is what is seen at (n - 0.5) / fps seconds; sample 0 of the sound is heard at second 0.
    Pictures are as a player shows them, upright, of square pixels and not interlaced; of several streams the first is
    taken, and of sound the one that is marked as the default.
    What counts is what was decoded, whatever the file says of itself.  Of a file whose sound and pictures do not begin
    and end together, and of a damaged one, whole frames are kept that have both, with their sound, joined; `tell` is
    told what is left out.
    Of `parts`, from and to in seconds, those frames are kept that lie in one of them for all their 1 / fps seconds, and
    the sound of just these: joined, as if they followed one another.
    What lay at `frames` and `wav` goes.  Returns the numbers of frames and of samples.
    Raises Unusable, leaving nothing behind, for a video of which nothing is left; InputError for a fault of the
    machine.
    """
    with _both_or_neither(frames, wav) as temporary:
        ends = probe(video)
        damage = _take_apart(video, temporary, fps, rate, ends.track)
        count = sum(1 for _ in temporary.glob("*.jpg"))
        samples = _samples(temporary)
        seen, sounding = (first_time(temporary / name) for name in FIRST)
        decoded = Decoded(seen, sounding, count / fps, samples / rate)
        if count == 0:
            raise Unusable(f"too short: {ends.pictures:.2f} s of pictures hold no frame at {fps} a second")
        if samples == 0:
            raise Unusable("no sound: none of it can be decoded")
        start, end = decoded.shared(fps)
        whole = range(1, count + 1)
        spans = [(number, (number - 1) / fps, number / fps) for number in whole]
        close = 1e-6  # seconds: a part's ends are written in milliseconds
        kept = [n for n, a, b in spans if a >= start - close and b <= end + END_TOLERANCE and damage.good(a, b)]
        if not kept:
            raise Unusable(f"nothing shared: {decoded.told()}{'; the rest is damaged' if damage.spans() else ''}")
        for said in (*decoded.trimmed(fps, ends), *_damaged(damage, decoded.pictures_end)):
            tell(said)
        if parts:
            listed = {n for n, a, b in spans if any(x <= a + close and b <= y + close for x, y in parts)}
            if not (kept := [number for number in kept if number in listed]):
                raise Unusable("no part: none of those listed holds a frame")
        if parts or kept != list(whole) or end < decoded.sound_end:
            count, samples = _keep(temporary, count, kept, fps, rate)
        pack(temporary, temporary / "frames.zip")
    return count, samples


FIRST = ("pictures.txt", "sound.txt")  # of each stream, when the first of it is seen or heard, as a filter writes it


def first_filters(name: str, audio: bool) -> list[str]:
    """Filters that write into the file `name` when the first picture, or sound, comes out of the decoder."""
    kind = "ametadata" if audio else "metadata"
    return [f"{kind}=add:key=first:value=1:enable=eq(n\\,0)", f"{kind}=print:key=first:file={name}"]


def first_time(path: Path) -> float:
    """What such filters wrote, in seconds from the file's start; of nothing that came, 0."""
    told = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
    found = re.search(r"pts_time:(-?[\d.]+)", told)
    return float(found[1]) if found else 0.0


class Decoded(NamedTuple):
    """When the first and the last picture and sound of a file come, in seconds from its start."""

    pictures: float
    sound: float
    pictures_end: float
    sound_end: float

    def shared(self, fps: int) -> tuple[float, float]:
        """What both share; what lacks by little is no matter."""
        start = max(self.pictures, self.sound)
        ends = (self.pictures_end, self.sound_end)
        return (
            start if start > START_TOLERANCE else 0.0,
            min(ends) if abs(ends[0] - ends[1]) > OUTLAST + 0.5 / fps else max(ends),
        )

    def told(self) -> str:
        return (
            f"pictures from {self.pictures:.1f} to {self.pictures_end:.1f} s,"
            f" sound from {self.sound:.1f} to {self.sound_end:.1f} s"
        )

    def trimmed(self, fps: int, ends: Ends) -> Iterator[str]:
        """What is left out, and what lacks of what the file says it holds."""
        start, end = self.shared(fps)
        if start:
            yield starts_late(self.pictures, self.sound)
        longest = max(self.pictures_end, self.sound_end)
        if end < longest:
            early = "sound ends" if end == self.sound_end else "pictures end"
            yield f"{early} early: at {end:.1f} s of {longest:.1f} s"
        lacking = []
        if int(self.pictures_end * fps + 0.5) < int(ends.pictures * fps):
            lacking.append((self.pictures_end, ends.pictures))
        if self.sound_end < ends.sound - END_TOLERANCE:
            lacking.append((self.sound_end, ends.sound))
        if len(lacking) > ends.shared:  # the shorter of two streams may end before the file
            yield f"cut off: at {lacking[0][0]:.1f} s of {lacking[0][1]:.1f} s"


def longest(path: Path) -> float:
    """Seconds that a file may last: of what says it lasts longer, no more is decoded.

    A few damaged bytes can put a picture years behind the one before, and ffmpeg would fill the gap.
    """
    return max(1.0, path.stat().st_size / LEAST_BYTES)


def starts_late(pictures: float, sound: float) -> str:
    """Which of them starts late, and when, in seconds."""
    return f"pictures start late: at {pictures:.1f} s" if pictures >= sound else f"sound starts late: at {sound:.1f} s"


def _damaged(damage: Damage, end: float) -> Iterator[str]:
    spans = [(max(a, 0.0), b) for a, b in damage.spans() if a < end]
    if told := [f"{a:.1f} to {b:.1f} s" if b < FOREVER else f"from {a:.1f} s on" for a, b in spans]:
        yield f"damaged: {', '.join(told[:3])}{f' and {len(told) - 3} more' if len(told) > 3 else ''}"


def _take_apart(video: Path, folder: Path, fps: int, rate: int, track: int) -> Damage:
    """Writes a video's 000001.jpg, ..., sound.wav and what `FIRST` names into `folder`; gives what is damaged.

    Raises Unusable, and InputError.
    """

    most = longest(video)

    def command(source: Path, strict: bool) -> list[str]:
        # filters begun anew where a picture's size changes would count seconds from 0 again
        opened = ffmpeg_python.input(_name(source.absolute()), threads=1, **{"reinit_filter:v": 0}, **ONLY)
        sound = _sound(opened, rate, most, track if source == video else 0)
        written = ffmpeg_python.merge_outputs(_pictures(opened, fps, most), sound)
        return _command(written, *(["-xerror"] if strict else []), "-filter_threads", "1")

    try:
        _run(video, command, folder)
        return Damage()
    except Unusable as unusable:
        first = unusable
    damage = damage_of(video)
    if damage is None:
        raise first
    if not damage.spans():  # ffmpeg may have lacked for a moment what it needs
        with contextlib.suppress(Unusable):
            _run(video, command, _emptied(folder))
            return damage
    if len(damage.layouts) > 1:
        changed = f"its sound changes from {damage.layouts[0]} to {damage.layouts[1]}"
        raise Unusable(f"unreadable: {changed}; `ffmpeg -i FILE -c:v copy -ac 2 NEW.mkv` mends it")
    _run(video, command, _emptied(folder), strict=False)
    # what does not fit to the packets' times was put together wrongly
    if abs(_samples(folder) / rate - damage.sound_end) > OUTLAST:
        raise first
    return damage


def _samples(folder: Path) -> int:
    """Of the sound that ffmpeg wrote; of damaged sound it may have written none."""
    wav = folder / "sound.wav"
    return int(soundfile.info(wav).frames) if wav.exists() and wav.stat().st_size else 0


def _emptied(folder: Path) -> Path:
    for file in folder.iterdir():
        file.unlink()
    return folder


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

        def command(source: Path, strict: bool) -> list[str]:
            opened = ffmpeg_python.input(_name(source.absolute()), threads=1, **SOUND_ONLY)
            return _command(
                _sound(opened, rate, longest(sound)), *(["-xerror"] if strict else []), "-filter_threads", "1"
            )

        _run(sound, command, temporary, plain=PLAIN_SOUND)
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


def _keep(folder: Path, count: int, kept: Sequence[int], fps: int, rate: int) -> tuple[int, int]:
    """Of 000001.jpg, ... and sound.wav in `folder` keeps these frames and their sound; gives what `extract` does."""
    sound, _ = soundfile.read(folder / "sound.wav", dtype="int16")  # (samples,)
    pieces = [sound[round((number - 1) * rate / fps) : round(number * rate / fps)] for number in kept]
    soundfile.write(folder / "sound.wav", np.concatenate(pieces), rate, subtype="PCM_16")
    for number in set(range(1, count + 1)) - set(kept):
        (folder / f"{number:06d}.jpg").unlink()
    for place, number in enumerate(kept, start=1):  # never to a higher number: no frame is written over
        os.replace(folder / f"{number:06d}.jpg", folder / f"{place:06d}.jpg")
    return len(kept), sum(map(len, pieces))


def _pictures(source: Stream, fps: int, most: float) -> Stream:
    """The first stream of pictures as frames 000001.jpg, ..., of `most` seconds; ffmpeg has turned them upright."""
    filters = [  # each leaves alone what needs none of it
        *first_filters(FIRST[0], audio=False),
        "scale",  # to the first picture's size
        "yadif=deint=interlaced",
        # from second 0 on, whenever the stream starts, so that sound and pictures stay together
        f"fps={fps}:start_time=0",
        # square pixels; and a JPEG's colours are BT.601's, whatever the file says of its own
        "scale=w=max(1\\,round(iw*sar)):h=ih:out_color_matrix=bt601",
    ]
    # as an option, not as `source.filter`: a graph that gives no frame, of a video that is too short, ends in an error
    jpeg = {"vf": ",".join(filters), "c:v": "mjpeg", "pix_fmt": "yuvj420p", "q:v": 2, "t": most}
    return source["V:0"].output("%06d.jpg", format="image2", threads=1, **jpeg, **BITEXACT)  # V: a cover is none


def _sound(source: Stream, rate: int, most: float, track: int = 0) -> Stream:
    """A stream of sound, mono, 16 bit, from second 0 on, `most` seconds, as sound.wav."""
    filters = [*first_filters(FIRST[1], audio=True), f"aresample={rate}:async=1:first_pts=0"]
    mono = {"af": ",".join(filters), "ac": 1, "c:a": "pcm_s16le", "t": most}
    return source[f"a:{track}"].output("sound.wav", format="wav", **mono, **BITEXACT)


def _name(path: Path) -> str:
    """A file as ffmpeg-python takes it, which knows no name that is not UTF-8: each byte as a letter of Latin-1."""
    return f"file:{os.fsencode(path).decode('latin-1')}"


def _command(written: Stream, *options: str) -> list[str]:
    """The command line for what is to be `written`, whose files are named by `_name`; `options` hold for all of it."""
    words = written.get_args(overwrite_output=True)
    return [ffmpeg(), *QUIET, *options, *(os.fsdecode(word.encode("latin-1")) for word in words)]


def _run(
    source: Path,
    command: Callable[[Path, bool], list[str]],
    folder: Path,
    strict: bool = True,
    plain: Kinds = PLAIN,
) -> None:
    """Runs ffmpeg in `folder` by the `command` for a file, of which an error ends it if it is `strict`.

    `plain`: what it takes in any case.

    Raises Unusable; InputError for a fault of the machine.
    """

    def call(file: Path, where: Path) -> tuple[int, str]:
        words = command(file, strict)
        try:
            # cwd, since `%` in the folder's own name would be taken for a number's place
            done = subprocess.run(words, cwd=where, capture_output=True, text=True, errors="replace")
        except OSError as error:
            said = error.strerror or str(error)
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC):
                raise broken(words[0], said) from None
            raise machines_fault(source, said) from None
        return done.returncode, done.stderr

    code, said = call(source, folder)
    if code != 0:
        fault = fault_of_machine(source, folder, (code, said), ffmpeg(), lambda good: call(good, good.parent), plain)
        if fault is not None:
            raise machines_fault(source, fault)
        raise Unusable(f"unreadable: {first_line(said) or f'ffmpeg ended with code {code}'}")


def machines_fault(source: Path, fault: str) -> InputError:
    """What to raise if `source` failed through no fault of its own."""
    return InputError(f"{socket.gethostname()}: {source}: {fault}; mend that and run this stage again: it goes on")

"""What the machine lacks is put down to no video, and what is wrong with a video to no machine."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from avsep.errors import InputError
from avsep.media import ffmpeg as media_ffmpeg
from avsep.media import machine
from avsep.media.ffmpeg import Unusable, extract, ffmpeg, probe, take_over, version, write_video
from avsep.media.machine import Kinds, kinds_of, write_good_second

MakeVideo = Callable[..., Path]
RATE = 11025
REAL = ffmpeg()


def fake(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ffmpeg on PATH that runs a shell script first."""
    path = folder / "bin/ffmpeg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\nexec '{REAL}' \"$@\"\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("kill -9 $$", r"ffmpeg was ended by signal 9 \(out of memory\?\)"),
        ("exit 255", "ffmpeg was told to end"),
        ("echo 'av_write_frame(): No space left on device' >&2; exit 1", "No space left on device"),
        ("echo 'av_write_frame(): Disk quota exceeded' >&2; exit 1", "Disk quota exceeded"),
        ("echo 'Cannot allocate memory' >&2; exit 1", "Cannot allocate memory"),
        ("echo 'words that nobody has listed' >&2; exit 1", "words that nobody has listed"),
        ("echo 'libx264.so.155: cannot open shared object' >&2; exit 127", "libx264.so.155: cannot open"),
        ("kill -11 $$", "ended with code -11"),
    ],
)
def test_a_fault_of_the_machine_is_none_of_the_video(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, told: str
) -> None:
    video, out = make_video(tmp_path / "a.mp4", seconds=1), tmp_path / "out"
    fake(tmp_path, f'case "$*" in *image2*) {ending};; esac', monkeypatch)
    with pytest.raises(InputError, match=rf"^{socket.gethostname()}: \S*a\.mp4: .*{told}.*; mend that") as refused:
        extract(video, out / "a", out / "a.wav", fps=1, rate=RATE)
    assert left_behind(out) == [] and "\n" not in str(refused.value)


def test_a_lack_is_told_with_the_executable(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of decoders: such an ffmpeg lists none of H.264."""
    video, out = make_video(tmp_path / "a.mp4", seconds=1), tmp_path / "out"
    listed = (
        'case "$*" in *-codecs*) echo " D.VIL. mpeg4  MPEG-4"; exit 0;; *image2*) echo no decoder >&2; exit 1;; esac'
    )
    path = fake(tmp_path, listed, monkeypatch)
    with pytest.raises(InputError, match=rf"{path} has no decoder of h264; mend that"):
        extract(video, out / "a", out / "a.wav", fps=1, rate=RATE)


def test_a_sound_that_was_imported_has_a_second_opinion_too(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(tmp_path / "a.mp4", seconds=2)
    extract(video, tmp_path / "a.zip", tmp_path / "a.wav", fps=1, rate=RATE)
    media_ffmpeg.subprocess.run(["unzip", "-q", str(tmp_path / "a.zip"), "-d", str(tmp_path / "frames")], check=True)
    (tmp_path / "bad.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:30])
    with pytest.raises(Unusable, match="unreadable"):
        take_over(tmp_path / "bad.wav", tmp_path / "frames", tmp_path / "b.zip", tmp_path / "b.wav", 1, RATE)
    fake(tmp_path, 'case "$*" in *aresample*) echo "No such filter: aresample" >&2; exit 1;; esac', monkeypatch)
    with pytest.raises(InputError, match=r"a\.wav: .*known to be good: No such filter: aresample; mend that"):
        take_over(tmp_path / "a.wav", tmp_path / "frames", tmp_path / "b.zip", tmp_path / "b.wav", 1, RATE)


def test_what_lacks_for_a_moment_sets_no_video_aside(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(tmp_path / "a.mp4", seconds=2)
    once = f"[ -e '{tmp_path}/once' ] || {{ touch '{tmp_path}/once'; echo 'Cannot start thread' >&2; exit 1; }}"
    fake(tmp_path, f'case "$*" in *image2*) {once};; esac', monkeypatch)
    told: list[str] = []
    assert extract(video, tmp_path / "a", tmp_path / "a.wav", 1, RATE, tell=told.append)[0] == 2
    assert told == [] and (tmp_path / "once").exists()


def test_a_disk_that_does_not_give_a_file_is_the_machines(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(tmp_path / "a.webm", seconds=1)
    video.write_bytes(video.read_bytes()[:200])  # demuxers call that by the same words
    with pytest.raises(Unusable, match="unreadable: Input/output error"):
        probe(video)
    monkeypatch.setattr(media_ffmpeg, "cannot_be_read", lambda source: "Stale file handle")
    with pytest.raises(InputError, match=r"a\.webm: Stale file handle; mend that"):
        probe(video)


def test_a_disk_that_takes_no_more_is_the_machines(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ffmpeg calls it."""
    video = make_video(tmp_path / "a.mp4", seconds=1)
    fake(tmp_path, 'case "$*" in *image2*) echo "Error muxing a packet" >&2; exit 1;; esac', monkeypatch)

    def full(*_: object) -> None:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(machine.os, "fsync", full)
    with pytest.raises(InputError, match=r"a\.mp4: Disk quota exceeded; mend that"):
        extract(video, tmp_path / "a", tmp_path / "a.wav", fps=1, rate=RATE)


@pytest.mark.parametrize("script", ["exit 0", "echo 'libx264.so.155: cannot open' >&2; exit 127", None])
def test_a_broken_ffmpeg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    path = fake(tmp_path, script or "", monkeypatch)
    if script is None:
        path.write_bytes(b"\x7fELF of another machine")
    pictures, sound = [np.zeros((48, 64, 3), np.uint8)], np.zeros((8000, 1))
    with pytest.raises(InputError, match=rf"^{socket.gethostname()}: {path} is broken \(.+\): install a whole ffmpeg"):
        version()
    if script != "exit 0":
        with pytest.raises(InputError, match=rf"{path} (is broken|could not write)"):
            write_video(tmp_path / "a.mp4", pictures, 8, sound, 8000)
    assert not (tmp_path / "a.mp4").exists()


def test_an_ffmpeg_without_an_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(
        tmp_path, """case "$*" in *libx264*) echo "Unknown encoder 'libx264'" >&2; exit 8;; esac""", monkeypatch
    )
    frames = (np.zeros((480, 640, 3), np.uint8) for _ in range(100))  # more than a pipe holds
    with pytest.raises(InputError, match=rf"{path} could not write .*a\.mp4 \(code 8: Unknown encoder 'libx264'\); "):
        write_video(tmp_path / "a.mp4", frames, 8, np.zeros((8000, 1)), 8000)
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize(
    "kinds",
    [
        Kinds("mov", "h264", "aac"),
        Kinds("matroska", "vp9", "opus"),
        Kinds("mpegts", "mpeg2video", "ac3"),
        Kinds("avi", "mpeg4", "mp3"),
        Kinds("flac", None, "flac"),
    ],
)
def test_a_good_second_is_of_the_same_kind(tmp_path: Path, kinds: Kinds) -> None:
    assert kinds_of(write_good_second(tmp_path, kinds)) == kinds


@pytest.mark.parametrize("kinds", [Kinds("matroska", "vc1", "dts"), Kinds("ogg", None, "speex")])
def test_what_cannot_be_written_here_has_the_nearest(tmp_path: Path, kinds: Kinds) -> None:
    with av.open(str(write_good_second(tmp_path, kinds))) as container:
        assert bool(container.streams.video) == (kinds.pictures is not None)
        assert container.duration == pytest.approx(1e6, rel=0.1)

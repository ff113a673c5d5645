import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.errors import InputError
from avsep.media import ffmpeg as media_ffmpeg
from avsep.media.ffmpeg import Unusable, extract, ffmpeg, probe, write_video
from avsep.media.frames import read_frame
from avsep.media.wav import loudest_db
from tests.helpers.factories import read_archive

MakeVideo = Callable[..., Path]
RATE = 11025
CONTAINERS = ("a.mp4", "a.mkv", "a.webm", "a.mov", "a.avi", "a.ts", "a.flv", "a.wmv")
ODD_NAMES = ("%d 'q\" é; $(x).mp4", "-i.mp4", "pipe:0.mkv")


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", [*CONTAINERS, *ODD_NAMES])
def test_frames_and_sound_of_any_container_and_name(make_video: MakeVideo, tmp_path: Path, name: str) -> None:
    video = make_video(tmp_path / name, seconds=3)
    frames, wav = tmp_path / "%03d" / f"{name}.zip", tmp_path / "%03d" / "sound.wav"
    count, samples = extract(video, frames, wav, fps=2, rate=RATE)
    assert list(read_archive(frames)) == [f"{n:06d}.jpg" for n in range(1, count + 1)]
    assert count in (6, 7)  # containers round the last picture's end
    assert samples == soundfile.info(wav).frames == pytest.approx(3 * RATE, abs=0.1 * RATE)
    assert soundfile.info(wav).samplerate == RATE and soundfile.info(wav).channels == 1
    assert soundfile.info(wav).subtype == "PCM_16"
    assert [p.name for p in (tmp_path / "%03d").iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(("marked", "hertz"), [(0, 330), (1, 1000)])
def test_of_two_sounds_the_default_one_is_taken(make_video: MakeVideo, tmp_path: Path, marked: int, hertz: int) -> None:
    one = make_video(tmp_path / "one.mp4", seconds=3, sound="sine=330")
    other = make_video(tmp_path / "other.mp4", seconds=3, sound="sine=1000")
    files = ["-i", str(one), "-i", str(other), "-map", "0:v", "-map", "0:a", "-map", "1:a", "-c", "copy"]
    marks = ["-disposition:a", "0", f"-disposition:a:{marked}", "default"]
    subprocess.run([ffmpeg(), "-v", "error", *files, *marks, str(tmp_path / "two.mkv")], check=True)
    extract(tmp_path / "two.mkv", tmp_path / "a", tmp_path / "a.wav", fps=2, rate=RATE)
    sound, rate = soundfile.read(tmp_path / "a.wav")
    assert np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound) == pytest.approx(hertz, abs=2)


def test_twice_the_same_bytes(make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", seconds=2)
    for name in ("x", "y"):
        extract(video, tmp_path / name, tmp_path / f"{name}.wav", fps=1, rate=RATE)
    assert (tmp_path / "x.wav").read_bytes() == (tmp_path / "y.wav").read_bytes()
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_frame_n_is_seen_at_n_minus_a_half(tmp_path: Path) -> None:
    """Pictures whose grey tells their time: frame n is within a picture's length of (n - 0.5) / fps."""
    pictures = (np.full((48, 64, 3), 40 + number, np.uint8) for number in range(80))  # 10 s at 8 fps
    write_video(tmp_path / "a.mp4", pictures, 8, np.zeros((80 * 5512 // 4, 1)), 11025)
    count, _ = extract(tmp_path / "a.mp4", tmp_path / "a", tmp_path / "a.wav", fps=1, rate=RATE)
    assert count == 10
    for number in range(1, 11):
        grey = np.asarray(read_frame(tmp_path / "a", number)).mean()
        assert (grey - 40) / 8 == pytest.approx(number - 0.5, abs=0.4)  # a picture's length, and coding errors


def test_of_parts_their_whole_frames_are_kept_with_their_own_sound(tmp_path: Path) -> None:
    """Pictures whose grey, and sound whose level, tell the second."""
    pictures = (np.full((48, 64, 3), 40 + number, np.uint8) for number in range(80))  # 10 s at 8 fps
    time = np.arange(10 * 11025) / 11025
    sound = (np.floor(time) + 1) / 30 * np.sin(2 * np.pi * 440 * time)
    write_video(tmp_path / "a.mp4", pictures, 8, sound[:, None], 11025)
    parts = [(1.0, 3.0), (5.5, 8.2), (9.9, 99.0)]
    count, samples = extract(tmp_path / "a.mp4", tmp_path / "a", tmp_path / "a.wav", fps=1, rate=RATE, parts=parts)
    assert count == 4 and samples == 4 * RATE
    wave, _ = soundfile.read(tmp_path / "a.wav")
    for number, second in enumerate((1, 2, 6, 7), start=1):
        grey = np.asarray(read_frame(tmp_path / "a", number)).mean()
        assert (grey - 40) / 8 == pytest.approx(second + 0.5, abs=0.4)
        middle = wave[(number - 1) * RATE + RATE // 4 : number * RATE - RATE // 4]
        assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx((second + 1) / 30, rel=0.05)
    with pytest.raises(Unusable, match="no part: none of those listed holds a frame"):
        extract(tmp_path / "a.mp4", tmp_path / "b", tmp_path / "b.wav", fps=1, rate=RATE, parts=[(1.2, 1.9)])
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.wav").exists()


def test_stereo_becomes_the_mean_and_keeps_its_level(make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", seconds=2, sound="aevalsrc=0.5*sin(2764*t)|0.5*sin(2764*t):s=44100")
    extract(video, tmp_path / "a", tmp_path / "a.wav", fps=1, rate=RATE)
    assert loudest_db(tmp_path / "a.wav", RATE) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.3)


def bad_video(kind: str, make_video: MakeVideo, path: Path) -> Path:
    if kind in ("truncated", "corrupt"):  # nothing but the header is left
        data = bytearray(make_video(path).read_bytes())
        start = data.find(b"mdat") + 4
        path.write_bytes(data[: start + 20] if kind == "truncated" else data[:start] + bytes(len(data) - start))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no video\n" * 100)
    elif kind == "folder":
        path.mkdir()
    elif kind == "no sound":
        make_video(path, sound=None)
    elif kind == "no picture":
        make_video(path, pictures=False)
    elif kind == "too short":
        make_video(path, seconds=0.25)
    return path


BAD = {
    "truncated": "unreadable|nothing shared",
    "corrupt": "unreadable",
    "empty": "empty: 0 bytes",
    "text": "unreadable",
    "folder": "missing",
    "absent": "missing",
    "no sound": "no sound stream",
    "no picture": "no picture stream",
    "too short": "too short",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_videos_are_refused_and_leave_nothing(make_video: MakeVideo, tmp_path: Path, kind: str) -> None:
    video = bad_video(kind, make_video, tmp_path / "bad.mp4")
    out = tmp_path / "out"
    out.mkdir()
    (out / "frames").write_text("of an earlier run")
    (out / "a.wav").write_text("of an earlier run")
    with pytest.raises(Unusable, match=BAD[kind]) as refused:
        extract(video, out / "frames", out / "a.wav", fps=1, rate=RATE)
    assert left_behind(out) == []
    assert "\n" not in str(refused.value)
    assert "0x" not in str(refused.value) and str(tmp_path) not in str(refused.value)  # the same on every machine


def test_what_ffmpeg_is_asked(make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of the input before it, those of each output before its name: another place means another thing."""
    video, asked = make_video(tmp_path / "a b.mp4", seconds=1), tmp_path / "asked"
    (tmp_path / "asking").write_text(f"#!/bin/sh\n[ -e '{asked}' ] || printf '%s\\n' \"$@\" > '{asked}'\nexit 1\n")
    (tmp_path / "asking").chmod(0o755)
    monkeypatch.setattr(media_ffmpeg, "ffmpeg", lambda: str(tmp_path / "asking"))
    with pytest.raises(InputError):
        extract(video, tmp_path / "a", tmp_path / "a.wav", fps=2, rate=RATE)
    bitexact = "-fflags +bitexact -flags:a +bitexact -flags:v +bitexact -map_metadata -1"
    first, heard = (
        f"{kind}=add:key=first:value=1:enable=eq(n\\,0),{kind}=print:key=first:file={name}.txt"
        for kind, name in (("metadata", "pictures"), ("ametadata", "sound"))
    )
    filters = f"{first},scale,yadif=deint=interlaced,fps=2:start_time=0"
    filters += ",scale=w=max(1\\,round(iw*sar)):h=ih:out_color_matrix=bt601"
    most = video.stat().st_size / 10
    expected = f"""
        -nostdin -loglevel error -xerror -filter_threads 1
        -format_whitelist mov,matroska,avi,flv,mpeg,mpegts,ogg,asf -protocol_whitelist file
        -reinit_filter:v 0 -threads 1 -i file:VIDEO
        -map 0:V:0 -f image2 -c:v mjpeg {bitexact} -pix_fmt yuvj420p -q:v 2 -t {most} -threads 1 -vf {filters} %06d.jpg
        -map 0:a:0 -f wav -ac 1 -af {heard},aresample={RATE}:async=1:first_pts=0 -c:a pcm_s16le {bitexact} -t {most}
        sound.wav -y
    """
    assert asked.read_text().replace(str(video), "VIDEO").splitlines() == expected.split()


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize(("pictures", "sound"), [(6.2, 5.2), (5.0, 5.9)])
def test_a_stream_may_end_a_little_before_the_other(tmp_path: Path, name: str, pictures: float, sound: float) -> None:
    """Some containers tell how long the file is, and not how long its streams are."""
    inputs = ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate=10:duration={pictures}"]
    inputs += ["-f", "lavfi", "-t", str(sound), "-i", "sine=440"]
    video = tmp_path / name
    subprocess.run([ffmpeg(), "-loglevel", "error", *inputs, str(video)], check=True)
    told: list[str] = []
    count, samples = extract(video, tmp_path / "a", tmp_path / "a.wav", 1, RATE, tell=told.append)
    assert count == pytest.approx(pictures, abs=0.6) and samples / RATE == pytest.approx(sound, abs=0.2)
    assert told == []


def test_tags_may_be_in_any_encoding(make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.avi", seconds=3)
    subprocess.run(
        [ffmpeg(), "-loglevel", "error", "-i", video, "-c", "copy", "-metadata", "title=cafe", tmp_path / "b.avi"],
        check=True,
    )
    content = (tmp_path / "b.avi").read_bytes()
    assert content.count(b"cafe") == 1
    video.write_bytes(content.replace(b"cafe", "café".encode("latin-1")))
    assert probe(video).pictures == pytest.approx(3, abs=0.2)


def test_a_playlist_does_not_lead_to_other_files(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video(tmp_path / "other.mp4", seconds=2)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(Unusable, match="unreadable"):
        extract(tmp_path / "a.mp4", tmp_path / "a", tmp_path / "a.wav", fps=1, rate=RATE)


def test_a_gap_of_years_is_not_filled(tmp_path: Path) -> None:
    video, said = tmp_path / "gap.mkv", list[str]()
    inputs = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=8:duration=2", "-f", "lavfi", "-t", "2", "-i", "sine=440"]
    later = ["-vf", "setpts='if(gt(N,11),PTS+1e8/TB,PTS)'", "-fps_mode", "passthrough", "-threads", "1"]
    subprocess.run([ffmpeg(), "-loglevel", "error", *inputs, *later, str(video)], check=True)
    frames, samples = extract(video, tmp_path / "frames.zip", tmp_path / "sound.wav", 1, 11025, tell=said.append)
    assert (frames, samples) == (2, 22050)
    assert len(said) == 1 and said[0].startswith("cut off: at 2.0 s of 1")

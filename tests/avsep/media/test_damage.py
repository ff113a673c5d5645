"""Files that lie about themselves, begin or end apart, or are damaged: what was decoded counts, in step."""

import re
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avsep.media.damage import Damage, joined, survey
from avsep.media.ffmpeg import Unusable, extract, probe, write_video
from avsep.media.frames import read_frame
from tests.helpers.odd import call_ffmpeg

RATE = 11025
SECONDS = 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each second has its own grey and its own level of sound; a key picture every second, but for `long`."""
    return _source(tmp_path_factory.mktemp("source"), 8)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a key picture every five seconds."""
    return _source(tmp_path_factory.mktemp("long"), 40)


def _source(folder: Path, group: int) -> Path:
    raw, path = folder / "raw.mp4", folder / "a.mp4"
    pictures = (np.full((48, 64, 3), 40 + 10 * (number // 8), np.uint8) for number in range(8 * SECONDS))
    time = np.arange(SECONDS * 44100) / 44100
    write_video(raw, pictures, 8, ((np.floor(time) + 1) / 40 * np.sin(2764.6 * time))[:, None], 44100)
    keys = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(group), "-threads", "1", "-bf", "0", "-c:a", "copy"]
    call_ffmpeg("-i", str(raw), *keys, str(path))
    return path


def seconds_of(video: Path, folder: Path) -> tuple[list[int], list[int], list[str]]:
    """Which of the source's seconds are seen, and heard, frame by frame; and what was told."""
    told: list[str] = []
    count, samples = extract(video, folder / "frames.zip", folder / "a.wav", 1, RATE, (), told.append)
    wave, _ = soundfile.read(folder / "a.wav")
    assert len(wave) == samples == pytest.approx(count * RATE, abs=0.6 * RATE)
    seen = [round((np.asarray(read_frame(folder / "frames.zip", n)).mean() - 40) / 10) for n in range(1, count + 1)]
    levels = [np.sqrt(2 * np.mean(wave[int((n + 0.3) * RATE) : int((n + 0.7) * RATE)] ** 2)) for n in range(count)]
    return seen, [round(level * 40) - 1 for level in levels], told


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_of_a_cut_by_stream_copy_what_both_share_is_used_in_step(long: Path, tmp_path: Path, suffix: str) -> None:
    """Pictures begin at the next key picture, seconds after the sound, whatever the container says."""
    cut = tmp_path / f"cut.{suffix}"
    call_ffmpeg("-i", str(long), "-ss", "6", "-t", "9", "-c", "copy", str(cut))
    seen, heard, told = seconds_of(cut, tmp_path)
    assert seen == heard and seen[0] == 10 and len(seen) >= 4
    assert len(told) == 1 and re.fullmatch(r"pictures start late: at 4\.\d s", told[0])


@pytest.mark.parametrize(
    ("late", "suffix"),
    [*(("pictures", suffix) for suffix in ("mp4", "mkv", "webm", "ts")), ("sound", "mkv"), ("sound", "ts")],
)
def test_a_stream_that_begins_late(source: Path, tmp_path: Path, late: str, suffix: str) -> None:
    video = tmp_path / f"late.{suffix}"
    first, second = ("0:v", "1:a") if late == "pictures" else ("1:v", "0:a")
    kept = [] if suffix != "webm" else ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    shifted = ["-itsoffset", "8", "-i", str(source), "-i", str(source), "-map", first, "-map", second]
    call_ffmpeg(*shifted, "-t", "14", *(kept or ["-c", "copy"]), str(video))
    seen, heard, told = seconds_of(video, tmp_path)
    whole = [range(0, 6), range(8, 14)] if late == "pictures" else [range(8, 14), range(0, 6)]
    assert [seen[:5], heard[:5]] == [list(one)[:5] for one in whole] or [seen[:4], heard[:4]] == [
        list(one)[1:5]
        for one in whole  # the first frame goes if it begins some milliseconds before
    ]
    assert told[0].startswith({"pictures": "pictures start", "sound": "sound starts"}[late] + " late: at 8.")


def test_a_transport_stream_that_begins_amid_a_group(long: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    call_ffmpeg("-i", str(long), "-c", "copy", str(whole))
    content = whole.read_bytes()
    cut.write_bytes(content[188 * (len(content) // 188 // 7) :])
    seen, heard, told = seconds_of(cut, tmp_path)
    assert seen == heard and seen[0] in (5, 6) and len(seen) >= 9
    assert told and told[0].startswith("pictures start late: at ")


@pytest.mark.parametrize(("pictures", "sound"), [(8, 6), (6, 8)])
def test_one_that_ends_early_ends_both(source: Path, tmp_path: Path, pictures: int, sound: int) -> None:
    video = tmp_path / "a.mkv"
    each = ["-t", str(pictures), "-i", str(source), "-t", str(sound), "-i", str(source)]
    call_ffmpeg(*each, "-map", "0:v", "-map", "1:a", "-c", "copy", str(video))
    seen, heard, told = seconds_of(video, tmp_path)
    assert seen == heard == list(range(6))
    early = "sound ends" if sound < pictures else "pictures end"
    assert len(told) == 1 and re.fullmatch(rf"{early} early: at [56]\.\d s of [78]\.\d s", told[0])


def test_without_a_shared_second_a_video_is_set_aside(source: Path, tmp_path: Path) -> None:
    short, video = tmp_path / "short.mp4", tmp_path / "a.mkv"
    call_ffmpeg("-i", str(source), "-t", "4", "-c", "copy", str(short))
    shifted = ["-itsoffset", "8", "-i", str(short), "-i", str(short)]
    call_ffmpeg(*shifted, "-map", "0:v", "-map", "1:a", "-c", "copy", str(video))
    with pytest.raises(Unusable, match=r"nothing shared: pictures from 8\.\d to 12\.\d s, sound from 0\.0 to 4\.\d s"):
        seconds_of(video, tmp_path)
    assert not (tmp_path / "frames.zip").exists() and not (tmp_path / "a.wav").exists()


def test_a_stale_tag_is_not_believed(source: Path, tmp_path: Path) -> None:
    video = tmp_path / "a.mkv"
    call_ffmpeg("-t", "8", "-i", str(source), "-c", "copy", "-write_crc32", "0", str(video))
    content = video.read_bytes()
    assert content.count(b"00:00:08.") == 2
    video.write_bytes(content.replace(b"00:00:08.", b"00:00:20."))
    assert probe(video).pictures == pytest.approx(8, abs=0.2)
    assert seconds_of(video, tmp_path) == (list(range(8)), list(range(8)), [])


def damaged(source: Path, path: Path, number: int) -> Path:
    """A copy of a file with a packet of pictures, from 0, overwritten."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = next(islice(container.demux(video=0), number, None))
        assert packet.pos is not None
        content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    return path


def test_of_a_damaged_packet_the_rest_is_used(source: Path, tmp_path: Path) -> None:
    seen, heard, told = seconds_of(damaged(source, tmp_path / "a.mp4", 60), tmp_path)
    assert seen == heard == [number for number in range(SECONDS) if number != 7]
    assert told == ["damaged: 7.5 to 8.0 s"]


@pytest.mark.parametrize("kind", ["fragments", "header first", "mkv", "ts", "flv"])
def test_a_file_that_was_cut_off_is_used_up_to_there(source: Path, tmp_path: Path, kind: str) -> None:
    suffix = kind if len(kind) < 4 else "mp4"
    flags = {"fragments": "frag_keyframe+empty_moov", "header first": "faststart"}.get(kind)
    video = tmp_path / f"a.{suffix}"
    call_ffmpeg("-i", str(source), "-c", "copy", *(["-movflags", flags] if flags else []), str(video))
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 85 // 100])
    seen, heard, told = seconds_of(video, tmp_path)
    assert seen == heard == list(range(len(seen))) and len(seen) >= 10
    # a transport stream does not say how long it is
    assert kind == "ts" or re.search(r"cut off: at 1\d\.\d s of 1\d\.\d s|from 1\d\.\d s on", "; ".join(told))


def test_what_needs_a_damaged_picture_is_damaged(long: Path, tmp_path: Path) -> None:
    assert survey(long).spans() == []
    damage = survey(damaged(long, tmp_path / "a.mp4", 60))
    assert damage.spans() == [(7.5, 10.0)]
    assert damage.layouts == ["mono"] and damage.sound_end == pytest.approx(SECONDS, abs=0.2)


def test_spans() -> None:
    assert joined([(3, 4), (0, 1), (1, 2), (3.5, 3.6)]) == [(0, 2), (3, 4)]
    damage = Damage(pictures=[(1, 2)], sound=[(1.5, 3)])
    assert damage.spans() == [(1, 3)]
    assert [damage.good(n, n + 1) for n in range(4)] == [True, False, False, True]

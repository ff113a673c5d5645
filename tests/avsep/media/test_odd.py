"""Odd files come apart as a player shows them: pictures in time, upright and unstretched, with their sound."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
import soundfile

from avsep.media.ffmpeg import Unusable, extract, probe, write_video
from avsep.media.frames import read_frame
from tests.helpers.odd import ODD, call_ffmpeg, make_odd

RATE = 11025
SECONDS = 9
FPS = 24  # of the source, whose grey goes up by one at each picture
FIRST = 20  # the first picture's grey
BURSTS = (1.0, 4.0, 7.0)  # seconds at which noise is heard


class Apart(NamedTuple):
    """What extract made of a video: RGB pictures, uint8, and the sound, float at RATE."""

    pictures: list[np.ndarray]
    sound: np.ndarray


def take_apart(video: Path, folder: Path, fps: int = 1) -> Apart:
    count, samples = extract(video, folder / "frames.zip", folder / "sound.wav", fps, RATE)
    pictures = [np.asarray(read_frame(folder / "frames.zip", number)) for number in range(1, count + 1)]
    sound, rate = soundfile.read(folder / "sound.wav")
    assert rate == RATE and sound.shape == (samples,)
    return Apart(pictures, sound)


def grey(picture: np.ndarray) -> float:
    """Of the lower right corner, which tells the time."""
    height, width = picture.shape[:2]
    return float(picture[height * 3 // 4 :, width * 3 // 4 :].mean())


def source_time(picture: np.ndarray) -> float:
    """When the source shows this grey, in seconds."""
    return (grey(picture) - FIRST) / FPS


def shown(video: Path) -> list[tuple[float, float]]:
    """Of each picture as another decoder gives it, the time in seconds and when the source shows it."""
    with av.open(f"file:{video}") as container:
        start = (container.start_time or 0) / av.time_base
        pictures = container.decode(container.streams.video[0])
        return [(picture.time - start, source_time(picture.to_ndarray(format="rgb24"))) for picture in pictures]


def lag(sound: np.ndarray, reference: np.ndarray) -> float:
    """How much later than the reference a sound is heard, in seconds: where they are most alike."""
    length = len(sound) + len(reference)
    alike = np.fft.irfft(np.fft.rfft(sound, length) * np.conj(np.fft.rfft(reference, length)), length)
    best = int(np.argmax(alike))
    return (best if best < length / 2 else best - length) / RATE


def loudness(sound: np.ndarray) -> float:
    """In dB re full scale."""
    return 20 * float(np.log10(np.sqrt(np.mean(sound**2))))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary video, 4:3, red in its upper left quarter, with three bursts of noise, alike on both channels."""

    def picture(number: int) -> np.ndarray:
        rgb = np.full((168, 224, 3), FIRST + number, np.uint8)
        rgb[:84, :112] = (200, 30, 30)
        return rgb

    sound = np.zeros((44100 * SECONDS, 2))
    for at in BURSTS:
        start = round(at * 44100)
        sound[start : start + 4410] = np.random.default_rng(0).normal(0, 0.2, (4410, 1))
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    write_video(path, (picture(number) for number in range(FPS * SECONDS)), FPS, sound, 44100)
    return path


@pytest.fixture(scope="module")
def plain(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Apart:
    return take_apart(source, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module", params=ODD)
def odd(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_odd(request.param, source, tmp_path_factory.mktemp(request.param))


def test_an_odd_file_comes_apart_whole_and_in_time(odd: Path, plain: Apart, tmp_path: Path) -> None:
    pictures, sound = take_apart(odd, tmp_path)
    assert len(pictures) == SECONDS
    assert len(sound) == pytest.approx(SECONDS * RATE, abs=0.1 * RATE)
    player = shown(odd)
    for number, picture in enumerate(pictures, start=1):
        middle = number - 0.5
        expected = next(at for time, at in reversed(player) if time <= middle)
        assert source_time(picture) == pytest.approx(expected, abs=3 / FPS), number
        height, width = picture.shape[:2]
        assert width / height == pytest.approx(4 / 3, abs=0.01)
        corner = picture[height // 8 : height * 3 // 8, width // 8 : width * 3 // 8].mean((0, 1))
        assert corner == pytest.approx((200, 30, 30), abs=6), "upright, in its colours"
    # MP3 in AVI has no place for the 50 ms that its encoder puts before the sound: any player hears them
    assert lag(sound, plain.sound) == pytest.approx(0.050 if odd.suffix == ".AVI" else 0, abs=0.006)
    assert loudness(sound) == pytest.approx(loudness(plain.sound), abs=2.5)
    assert np.abs(sound).max() < 1


def test_uneven_times_are_kept_where_pictures_are_counted(source: Path, tmp_path: Path) -> None:
    """The file leaves out pictures: frame 3 is seen at 2.5 s, and is the picture of 1.2 s, held for 1.1 s."""
    video = make_odd("webm", source, tmp_path)
    times = np.diff([time for time, _ in shown(video)])
    assert times.max() > 1 and len(times) < 0.7 * FPS * SECONDS, "the file is odd indeed"
    held = [source_time(picture) for picture in take_apart(video, tmp_path).pictures]
    assert held[1] == pytest.approx(1.2, abs=0.15) and held[3] == pytest.approx(3.5, abs=0.25)


def test_a_phone_says_how_its_pictures_lie(source: Path, tmp_path: Path) -> None:
    video = make_odd("phone", source, tmp_path)
    with av.open(str(video)) as container:
        stored = next(container.decode(video=0))
        assert (stored.width, stored.height) == (168, 224) and abs(stored.rotation) == 90
    assert take_apart(video, tmp_path).pictures[0].shape == (168, 224, 3)


def write(path: Path, pictures: str, *options: str, sound: str = "sine=440", seconds: float = 2) -> Path:
    """A video of two of ffmpeg's sources, written with the options."""
    sources = ["-f", "lavfi", "-t", str(seconds), "-i", pictures, "-f", "lavfi", "-t", str(seconds), "-i", sound]
    call_ffmpeg(*sources, "-threads", "1", *options, str(path))
    return path


@pytest.mark.parametrize(("rotation", "shape"), [("0", (60, 80, 3)), ("90", (40, 30, 3))])
def test_wide_pixels_become_square_whichever_way_they_lie(
    tmp_path: Path, rotation: str, shape: tuple[int, ...]
) -> None:
    """40 x 60 pixels, each twice as wide as high."""
    wide = write(tmp_path / "wide.mp4", "testsrc=size=40x60:rate=8,setsar=2")
    turned = tmp_path / "turned.mp4"
    call_ffmpeg("-display_rotation:v:0", rotation, "-i", str(wide), "-c", "copy", str(turned))
    assert take_apart(turned, tmp_path).pictures[0].shape == shape


def test_interlaced_pictures_show_no_comb(tmp_path: Path) -> None:
    """A bar that moves by 8 pixels from field to field: two fields in one picture would differ from line to line."""
    bar = "color=black:size=128x96:rate=50[b];color=white:size=16x96:rate=50[w];[b][w]overlay=x=mod(8*n\\,128)"
    fields = ["-flags", "+ildct+ilme", "-c:v", "mpeg2video", "-q:v", "2"]
    video = write(tmp_path / "a.ts", f"{bar},tinterlace=interleave_top,setfield=tff", *fields)
    pictures = np.stack(take_apart(video, tmp_path, fps=2).pictures).mean(-1)  # (frames, lines, columns)
    assert pictures.max() > 200, "the bar is there"
    assert np.abs(np.diff(pictures[:, 8:-8], axis=1)).mean() < 3


@pytest.mark.parametrize(("matrix", "tag"), [("bt601", "smpte170m"), ("bt709", "bt709"), ("bt2020", "bt2020nc")])
def test_colours_of_another_matrix_are_kept(tmp_path: Path, matrix: str, tag: str) -> None:
    """High definition has other coefficients than a JPEG."""
    red = f"color=red:size=128x96:rate=8,format=gbrp,scale=out_color_matrix={matrix},format=yuv420p"
    video = write(tmp_path / "a.mp4", f"{red},setparams=colorspace={tag}")
    assert take_apart(video, tmp_path).pictures[0].mean((0, 1)) == pytest.approx((254, 0, 0), abs=4)


def concatenated(folder: Path, *parts: Path) -> Path:
    (folder / "parts").write_text("".join(f"file '{part}'\n" for part in parts))
    call_ffmpeg("-f", "concat", "-safe", "0", "-i", str(folder / "parts"), "-c", "copy", str(folder / "whole.ts"))
    return folder / "whole.ts"


def test_pictures_may_change_their_size_midway(tmp_path: Path) -> None:
    """As in a broadcast or a call: the first picture's size holds, and seconds are counted on."""
    parts = [
        write(tmp_path / f"{size}.ts", f"color=black:size={size}:rate=8,geq=lum='{base}+2*N':cb=128:cr=128", seconds=5)
        for size, base in (("64x48", 40), ("128x96", 120))
    ]
    pictures, sound = take_apart(concatenated(tmp_path, *parts), tmp_path)
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    expected = [40 + 16 * (number + 0.5) for number in range(10)]
    full_range = [(value - 16) * 255 / 219 for value in expected]
    assert [grey(picture) for picture in pictures] == pytest.approx(full_range, abs=5)
    assert len(sound) == pytest.approx(10 * RATE, abs=0.1 * RATE)


def test_sound_whose_channels_change_midway_is_refused_and_can_be_helped(tmp_path: Path) -> None:
    """It could not be told where the second part begins; docs/own_videos.md says what helps."""
    parts = [
        write(tmp_path / f"{layout}.ts", "testsrc=size=64x48:rate=8", "-ar", "48000", "-c:a", "ac3", sound=sine)
        for layout in ("stereo", "5.1")
        for sine in [f"sine=440,aformat=channel_layouts={layout}"]
    ]
    whole, helped = concatenated(tmp_path, *parts), tmp_path / "helped.mkv"
    changed = "unreadable: its sound changes from stereo to 5.1.*; `ffmpeg -i FILE -c:v copy -ac 2 NEW.mkv` mends it"
    with pytest.raises(Unusable, match=changed):
        take_apart(whole, tmp_path)
    call_ffmpeg("-i", str(whole), "-c:v", "copy", "-ac", "2", str(helped))
    sound = take_apart(helped, tmp_path).sound
    assert len(sound) == pytest.approx(4 * RATE, abs=0.1 * RATE) and loudness(sound[-RATE:]) > -40


def sine(layout: str, *levels: float) -> str:
    """Each channel is a sine of 440 Hz of its level, all in phase."""
    return f"aevalsrc={'|'.join(f'{level}*sin(2764.6*t)' for level in levels)}:s=44100:c={layout}"


SINE_DB = 20 * np.log10(1 / np.sqrt(2))  # of one at full scale
SUM = 2 * np.sqrt(0.5) + 1 + 2 * 0.5  # of what five channels count in one: front, centre, back at half power each


@pytest.mark.parametrize(
    ("layout", "levels", "heard"),
    [
        ("stereo", (0.5, 0.5), 0.5),
        ("stereo", (0.5, 0.0), 0.25),  # a microphone on one channel
        ("5.1", (0.9,) * 6, 0.9),  # all at once: nothing is clipped
        ("5.1", (0.5, 0.5, 0, 0, 0, 0), 0.5 * 2 * np.sqrt(0.5) / SUM),  # 7.7 dB lower than as stereo
        ("5.1", (0, 0, 0.5, 0, 0, 0), 0.5 / SUM),
        ("5.1", (0.1, 0.1, 0.1, 0.9, 0.1, 0.1), 0.1),  # the channel of low effects is left out
    ],
)
def test_channels_are_mixed_to_one_without_clipping(
    tmp_path: Path, layout: str, levels: tuple[float, ...], heard: float
) -> None:
    video = write(tmp_path / "a.mkv", "testsrc=size=64x48:rate=8", "-c:a", "flac", sound=sine(layout, *levels))
    sound = take_apart(video, tmp_path).sound[RATE // 2 : -RATE // 2]
    assert loudness(sound) == pytest.approx(20 * np.log10(heard) + SINE_DB, abs=0.2)
    assert np.abs(sound).max() == pytest.approx(heard, abs=0.02)


def test_of_several_streams_the_first_counts(tmp_path: Path) -> None:
    """A second language, a commentary, a telephone's sound in space."""
    second = ["-f", "lavfi", "-t", "2", "-i", sine("5.1", *(0.9,) * 6)]
    video = tmp_path / "a.mkv"
    first = [
        "-f",
        "lavfi",
        "-t",
        "2",
        "-i",
        "testsrc=size=64x48:rate=8",
        "-f",
        "lavfi",
        "-t",
        "2",
        "-i",
        sine("mono", 0.1),
    ]
    call_ffmpeg(*first, *second, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a", "flac", str(video))
    assert loudness(take_apart(video, tmp_path).sound) == pytest.approx(-20 + SINE_DB, abs=0.3)


@pytest.mark.parametrize("moving", [True, False])
def test_a_cover_is_no_picture(tmp_path: Path, moving: bool) -> None:
    cover, video, covered = tmp_path / "cover.png", tmp_path / "a.mp4", tmp_path / "covered.mp4"
    call_ffmpeg("-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", str(cover))
    write(video, "testsrc=size=64x48:rate=8")
    streams = ["-map", "1:0", *(["-map", "0:v"] if moving else []), "-map", "0:a"]
    call_ffmpeg(
        "-i", str(video), "-i", str(cover), *streams, "-c", "copy", "-disposition:v:0", "attached_pic", str(covered)
    )  # fmt: skip
    if moving:
        assert take_apart(covered, tmp_path).pictures[0].shape == (48, 64, 3)
    else:
        with pytest.raises(Unusable, match="no picture stream"):
            probe(covered)


def test_a_recording_that_never_says_how_long_it_is_is_as_long_as_it_is(tmp_path: Path) -> None:
    """A browser writes as it records."""
    live = tmp_path / "live.webm"
    write(live, "testsrc=size=64x48:rate=8", "-c:v", "libvpx-vp9", "-c:a", "libopus", "-live", "1")
    with av.open(str(live)) as container:
        assert container.duration is None and all(stream.duration is None for stream in container.streams)
    assert probe(live)[:2] == pytest.approx((2, 2), abs=0.2)
    assert len(take_apart(live, tmp_path).pictures) == 2

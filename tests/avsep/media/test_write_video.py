"""Writing videos: whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from avsep.errors import InputError
from avsep.media.ffmpeg import write_video, write_with_sound

SOUND = np.zeros((8000, 1), dtype=np.float32)


def pictures(count: int, height: int = 48, width: int = 64) -> Iterator[np.ndarray]:
    for index in range(count):
        yield np.full((height, width, 3), index, dtype=np.uint8)


def test_a_frame_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from pictures(3)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        write_video(tmp_path / "a.mp4", broken(), 8, SOUND, 8000)
    assert not list(tmp_path.iterdir())


def test_an_earlier_video_stays_if_the_new_one_fails(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"earlier")
    with pytest.raises(InputError, match="not divisible by 2"):
        write_video(tmp_path / "a.mp4", pictures(8, 47, 63), 8, SOUND, 8000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"earlier"


def test_a_name_may_hold_what_ffmpeg_takes_for_patterns_and_options(tmp_path: Path) -> None:
    for name in ("a %03d.mp4", "-y.mp4", "x:y'\".mp4"):
        write_video(tmp_path / name, pictures(4), 8, SOUND, 8000)
        assert (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("frames", "audio", "said"),
    [
        ([], SOUND, "no frames"),
        ([np.zeros((48, 64), np.uint8)], SOUND, "not uint8"),
        ([np.zeros((48, 64, 3), np.float32)], SOUND, "float32"),
        ([np.zeros((48, 64, 3), np.uint8), np.zeros((48, 62, 3), np.uint8)], SOUND, "62"),
        ([np.zeros((48, 64, 3), np.uint8)], SOUND[:, 0], "audio of shape"),
    ],
)
def test_pictures_and_sound_of_another_form_are_refused(
    frames: list[np.ndarray], audio: np.ndarray, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        write_video(tmp_path / "a.mp4", frames, 8, audio, 8000)
    assert not list(tmp_path.iterdir())


def test_a_name_in_no_encoding(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"100% caf\xe9.mp4")
    write_video(path, [np.zeros((48, 64, 3), np.uint8)] * 8, 8, np.zeros((8000, 1)), 8000)
    assert list(tmp_path.iterdir()) == [path] and path.stat().st_size > 0


def test_a_video_takes_another_sound_and_keeps_its_pictures(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)[:, None]
    write_video(tmp_path / "a.mp4", pictures(8), 8, SOUND, 8000)
    for name in ("b.mp4", "c.mp4"):
        write_with_sound(tmp_path / name, tmp_path / "a.mp4", tone, 8000)
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()

    def read(name: str) -> tuple[list[np.ndarray], float]:
        with av.open(str(tmp_path / name)) as file:
            frames = [frame.to_ndarray() for frame in file.decode(video=0)]
        with av.open(str(tmp_path / name)) as file:
            return frames, max(float(np.abs(part.to_ndarray()).max()) for part in file.decode(audio=0))

    (before, silent), (after, loud) = read("a.mp4"), read("b.mp4")
    assert len(before) == 8 and all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))
    assert silent < 0.01 and loud == pytest.approx(0.3, abs=0.1)


def test_pictures_that_are_none_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"ffmpeg\S* could not write .*b\.mp4 \(code \d+: "):
        write_with_sound(tmp_path / "b.mp4", tmp_path / "a.mp4", SOUND, 8000)
    with pytest.raises(ValueError, match="audio of shape"):
        write_with_sound(tmp_path / "b.mp4", tmp_path / "a.mp4", SOUND[:, 0], 8000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]

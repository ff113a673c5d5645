from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.errors import InputError
from avsep.media.wav import duration, loudest_db, read_window, write_wav

RATE = 100


@pytest.fixture
def wave() -> np.ndarray:
    return np.random.default_rng([0]).uniform(-1, 1, 1000).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path, wave: np.ndarray) -> Path:
    write_wav(tmp_path / "a.wav", wave, RATE)
    return tmp_path / "a.wav"


def expected(whole: np.ndarray, centre: float, samples: int) -> np.ndarray:
    """The window of a fully decoded file, the plain way: one sample after the other."""
    start = int(np.floor(centre * RATE)) - samples // 2
    return np.array([whole[i] if 0 <= i < len(whole) else 0 for i in range(start, start + samples)], np.float32)


@pytest.mark.parametrize("centre", [5.0, 5.005, 0.0, 0.3, 10.0, 9.9, -20.0, 40.0])
@pytest.mark.parametrize("samples", [1, 64, 65, 999, 1000])
def test_a_window_is_cut_from_the_whole_file(path: Path, centre: float, samples: int) -> None:
    whole, _ = soundfile.read(path, dtype="float32")
    window = read_window(path, centre, samples, RATE)
    assert window.dtype == np.float32 and window.shape == (samples,)
    np.testing.assert_array_equal(window, expected(whole, centre, samples))


@pytest.mark.parametrize("centre", [0.0, 5.0, 9.0])
@pytest.mark.parametrize("samples", [1001, 2000, 3500])
def test_a_short_file_is_repeated_first(path: Path, centre: float, samples: int) -> None:
    whole, _ = soundfile.read(path, dtype="float32")
    repeated = np.concatenate([whole] * (samples // 1000 + 1))
    np.testing.assert_array_equal(read_window(path, centre, samples, RATE), expected(repeated, centre, samples))


def test_no_more_is_read_than_the_window(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = soundfile.SoundFile.read, []

    def counted(file: soundfile.SoundFile, frames: int, **keywords: str) -> np.ndarray:
        asked.append(frames)
        return read(file, frames, **keywords)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    for centre in (0.0, 5.0, 10.0):
        read_window(path, centre, 64, RATE)
    assert asked == [32, 64, 32]


def test_what_is_written_is_read(path: Path, wave: np.ndarray) -> None:
    np.testing.assert_allclose(read_window(path, 5.0, 1000, RATE), wave, atol=2**-15)  # 16 bit
    exact = read_window(path, 5.0, 1000, RATE)
    write_wav(path.with_name("b.wav"), exact, RATE)
    assert path.with_name("b.wav").read_bytes() == path.read_bytes()
    assert soundfile.info(path).subtype == "PCM_16"


def test_loud_sound_is_clipped_and_no_number_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([2.0, -2.0]), RATE)
    np.testing.assert_allclose(read_window(tmp_path / "a.wav", 0.01, 2, RATE), [1 - 2**-15, -1])
    with pytest.raises(ValueError, match="finite"):
        write_wav(tmp_path / "b.wav", np.array([np.nan]), RATE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_other_formats_are_refused(tmp_path: Path, wave: np.ndarray) -> None:
    bad = tmp_path / "bad.wav"
    for sound, rate, match in (
        (wave, 200, "200 Hz"),
        (np.stack([wave, wave], 1), RATE, "2 channels"),
        (wave[:0], RATE, "no sound"),
    ):
        soundfile.write(bad, sound, rate)
        with pytest.raises(InputError, match=match):
            read_window(bad, 1.0, 10, RATE)
    bad.write_text("no sound file")
    with pytest.raises(InputError, match=r"bad.wav is no sound file"):
        read_window(bad, 1.0, 10, RATE)
    with pytest.raises(InputError, match="missing"):
        read_window(tmp_path / "gone.wav", 1.0, 10, RATE)


def test_the_loudest_second_is_found(tmp_path: Path) -> None:
    sound = np.zeros(1000)
    assert duration_and_level(tmp_path, sound) == (10.0, -np.inf)
    sound[400:500] = 0.1  # one second at -20 dB
    assert duration_and_level(tmp_path, sound)[1] == pytest.approx(-20, abs=0.01)
    sound[980:] = 1.0  # the last fifth of a second alone is louder: a fifth of full power
    assert duration_and_level(tmp_path, sound)[1] == pytest.approx(10 * np.log10(0.2), abs=0.01)
    assert duration_and_level(tmp_path, np.full(20, 0.1))[1] == pytest.approx(-20, abs=0.01)


def duration_and_level(folder: Path, sound: np.ndarray) -> tuple[float, float]:
    write_wav(folder / "level.wav", sound, RATE)
    return duration(folder / "level.wav", RATE), loudest_db(folder / "level.wav", RATE)

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.errors import InputError
from avsep.media.sounds import load_sound
from avsep.media.wav import read_window, write_wav

RATE = 11025


def sine(frequency: float, rate: int, seconds: float = 2.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def middle(sound: np.ndarray) -> np.ndarray:
    """Without the ends, where a resampled sound rings."""
    return sound[..., RATE // 4 : -RATE // 4]


def test_a_sound_of_ours_is_what_it_is(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", sine(440, RATE), RATE)
    sound = load_sound(tmp_path / "a.wav", RATE)
    assert sound.dtype == np.float32
    assert np.array_equal(sound, read_window(tmp_path / "a.wav", 1.0, 2 * RATE, RATE))


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "two words é.ogg"])
def test_another_rate_becomes_ours(tmp_path: Path, rate: int, name: str) -> None:
    """The same tone, as loud, and at the same time."""
    soundfile.write(tmp_path / name, sine(440, rate), rate)
    sound = load_sound(tmp_path / name, RATE)
    assert sound.shape == (2 * RATE,) and sound.dtype == np.float32
    assert middle(sound) == pytest.approx(middle(sine(440, RATE)), abs=0.03 if name.endswith("ogg") else 0.002)


def test_what_our_rate_cannot_hold_is_left_out(tmp_path: Path) -> None:
    """7 kHz would be heard as 4 kHz."""
    soundfile.write(tmp_path / "a.wav", sine(7000, 44100), 44100)
    assert np.abs(middle(load_sound(tmp_path / "a.wav", RATE))).max() < 1e-3


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_channels_are_kept_or_become_their_mean(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([sine(440, rate), np.zeros(2 * rate)], axis=1), rate)
    both = load_sound(tmp_path / "a.wav", RATE, mono=False)
    assert both.shape == (2, 2 * RATE) and both.dtype == np.float32
    assert middle(both[0]) == pytest.approx(middle(sine(440, RATE)), abs=0.002) and not both[1].any()
    assert load_sound(tmp_path / "a.wav", RATE) == pytest.approx(both.mean(axis=0), abs=1e-6)


def test_a_file_that_is_no_sound_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 44100)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 44100, subtype="FLOAT")
    for name, told in {
        "absent.wav": "is missing",
        "text.wav": "is no sound file that can be read",
        "empty.wav": "holds no sound",
        "nan.wav": "holds a value that is no finite number",
    }.items():
        with pytest.raises(InputError, match=rf"{name} {told}") as refused:
            load_sound(tmp_path / name, RATE)
        assert "\n" not in str(refused.value)

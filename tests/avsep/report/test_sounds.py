import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avsep.errors import InputError
from avsep.media import spectrogram
from avsep.report import sounds, uris
from avsep.report.sounds import Axis, Shelf

AXES = [Axis(11025, 1022, 128, align_corners) for align_corners in (True, False)]


def written(path: Path, wave: np.ndarray, rate: int = 11025, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


@pytest.mark.parametrize("axis", AXES)
def test_ticks_lie_where_the_warp_puts_their_frequency(axis: Axis) -> None:
    ticks = axis.ticks()
    assert [tick.label for tick in ticks] == ["250 Hz", "1 kHz", "4 kHz"]
    for tick in ticks:
        number, unit = tick.label.split()
        hertz = float(number) * (1000 if unit == "kHz" else 1)
        tone = torch.exp(-0.5 * ((torch.arange(512.0) - hertz * axis.n_fft / axis.rate) / 3) ** 2)
        warped = spectrogram.warp(tone.reshape(1, 512, 1), axis.log_bins, axis.align_corners).flatten()
        row = tick.place * axis.log_bins - 0.5
        assert abs(int(warped.argmax()) - row) <= 1.5
        assert math.isclose(axis.hertz(axis.row(hertz)), hertz, rel_tol=1e-9)


@pytest.mark.parametrize("axis", [*AXES, Axis(16000, 2046, 256, False)])
@pytest.mark.parametrize("hertz", [60, 440, 3000])
def test_a_spectrogram_shows_a_tone_where_it_is_and_as_loud_as_it_is(axis: Axis, hertz: float) -> None:
    time = np.arange(3 * axis.rate) / axis.rate
    levels = sounds.decibels(np.where(time >= 1.5, 0.5 * np.sin(2 * np.pi * hertz * time), 0), axis)
    rows, columns = levels.shape
    assert rows == 128 and 90 < columns <= 161
    late = levels[:, 3 * columns // 4]
    assert abs((late.argmax() + 0.5) / rows - (axis.row(hertz) + 0.5) / axis.log_bins) < 0.02
    assert -14 < late.max() < -5, "-6 dB re full scale, spread over a band"
    assert levels[:, : columns // 3].max() < -90


def test_a_picture_is_as_wide_however_long_the_sound(tmp_path: Path) -> None:
    assert sounds.decibels(np.zeros(60 * 11025), AXES[0]).shape[1] <= sounds.COLUMNS + 1
    assert sounds.decibels(np.zeros(100), AXES[0]).shape[1] >= 1


def test_no_bit_of_a_sound_is_lost(tmp_path: Path) -> None:
    wave = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    shelf = Shelf(tmp_path / "page", AXES[0])
    recording = shelf.put(written(tmp_path / "a.wav", wave), "000", "A_<ours>")
    other = shelf.put(tmp_path / "a.wav", "../up", "A_?ours?")
    assert recording.url == "sounds/000/0000-A__ours.flac" and other.url == "sounds/up/0001-A__ours.flac"
    heard, rate = soundfile.read(tmp_path / "page" / recording.url, dtype="int16")
    np.testing.assert_array_equal(heard, wave)
    assert rate == 11025 and recording.seconds == 5000 / 11025 and shelf.count == 2


@pytest.mark.parametrize(
    ("wave", "rate", "subtype", "told"),
    [
        (np.zeros(10), 8000, "PCM_16", "8000 Hz: extract.rate is 11025"),
        (np.zeros((10, 2)), 11025, "PCM_16", "holds no mono sound of 16 bits"),
        (np.zeros(10), 11025, "FLOAT", "holds no mono sound of 16 bits"),
        (np.zeros(0), 11025, "PCM_16", "holds no mono sound"),
    ],
)
def test_other_sounds_are_refused(tmp_path: Path, wave: np.ndarray, rate: int, subtype: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Shelf(tmp_path, AXES[0]).put(written(tmp_path / "a.wav", wave, rate, subtype), "a", "a")
    with pytest.raises(InputError, match=r"none\.wav is missing"):
        Shelf(tmp_path, AXES[0]).put(tmp_path / "none.wav", "a", "a")


@pytest.mark.parametrize(
    ("seconds", "labels"), [(2.88, "0 0.5 1 1.5 2 2.5"), (0.36, "0 0.1 0.2 0.3"), (6.0, "0 2 4 6"), (65, "0 20 40 60")]
)
def test_times_are_round(seconds: float, labels: str) -> None:
    ticks = sounds.time_ticks(seconds)
    assert [tick.label for tick in ticks] == labels.split()
    assert all(math.isclose(tick.place, float(tick.label) / seconds) for tick in ticks)


def test_a_mask_is_shrunk_by_means() -> None:
    plane = np.arange(24.0).reshape(6, 4)
    np.testing.assert_array_equal(uris.shrunk(plane, 3, 4), (plane[::2] + plane[1::2]) / 2)
    assert uris.shrunk(plane, 4, 3).shape == (3, 2), "blocks of two"
    uneven = uris.shrunk(plane[:5], 3, 4)
    np.testing.assert_array_equal(uneven[2], plane[4])
    assert uris.shrunk(plane) is not None and np.array_equal(uris.shrunk(plane), plane)

"""A long sound among objects: windows that fade into each other, gates, silence, no object at all."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avsep.scenes.matching import true_objects
from avsep.separating.tracks import Object
from avsep.separating.windows import Given, Hearing, Networks, Sight, Windows, separate
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST
from tests.helpers import factories
from tests.helpers.factories import RATE, SAMPLES, SIZE, SPECTROGRAM, UNET, WIDTH, noise, tiny_ccol, tiny_clip

CLASSES = ["cello", "flute"]
HEARING = Hearing(RATE, SAMPLES, SPECTROGRAM)
SIGHT: dict[str, Any] = {
    "crops": Sight(fps=4, count=3, stride=1, size=SIZE, square=True),
    "queries": Sight(fps=4, count=1, stride=1, size=64, square=True),
}
SYSTEMS = {"baseline", "cyclic", "trimodal_visual", "trimodal_text"}


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    by_crop = {"baseline": SoundOfPixels(WIDTH, **UNET).eval(), "cyclic": tiny_ccol(1).eval()}
    return Networks(by_crop, {"trimodal": VAST(3, **factories.VAST).eval()}, tiny_clip(), "playing the {}")


def frames(count: int = 4) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(count)]


def things(count: int = 4) -> list[Object]:
    boxes = [(2.0, 1.0, 20.0, 16.0), (20.0, 5.0, 39.0, 29.0)]
    return true_objects(np.array([[box] * count for box in boxes]), 40, 30)


def give(networks: Networks, wave: torch.Tensor, objects: list[Object], gate: float = 0.0) -> dict[str, Given]:
    return separate(networks, wave, frames(), objects, CLASSES, gates={"cyclic": gate}, hearing=HEARING, **SIGHT)


# --- Windows


@pytest.mark.parametrize("length", [100, SAMPLES, SAMPLES + 1, 2 * SAMPLES, 1000])
def test_what_was_cut_is_joined_to_what_it_was(length: int) -> None:
    wave = noise(3, length, seed=0)
    windows = Windows(length, SAMPLES)
    parts = windows.cut(wave)
    assert parts.shape == (3, len(windows.starts), SAMPLES)
    torch.testing.assert_close(windows.join(parts), wave)
    torch.testing.assert_close(windows.join(windows.cut(wave[0])), wave[0])
    assert windows.starts[-1] == max(0, length - SAMPLES)
    assert all(b - a <= SAMPLES // 2 for a, b in zip(windows.starts, windows.starts[1:], strict=False))


def test_windows_fade_into_each_other() -> None:
    windows = Windows(2 * SAMPLES, SAMPLES)
    steps = torch.arange(len(windows.starts)).float()[:, None].expand(-1, SAMPLES)
    joined = windows.join(steps)
    assert joined.diff().min() > -1e-5 and joined.diff().max() < 0.05
    assert joined[0] == 0 and joined[-1] == len(windows.starts) - 1


def test_a_window_shows_the_frames_around_its_middle() -> None:
    windows = Windows(1000, SAMPLES)  # of 0.255 s, each 0.127 s after the other
    sight = Sight(fps=4, count=3, stride=1, size=8, square=True)
    numbers = sight.samples(windows, RATE, 4)
    assert numbers.shape == (len(windows.starts), 3)
    assert numbers[0].tolist() == [0, 0, 1] and numbers[-1].tolist() == [2, 3, 3], "past the ends the last one again"


def test_open_masks_let_all_through() -> None:
    wave = 0.1 * noise(700, seed=0)
    count = len(Windows(700, SAMPLES).starts)
    torch.testing.assert_close(HEARING.let_through(torch.ones(2, count, 16, 16), wave)[1], wave, atol=1e-5, rtol=1e-4)
    assert not HEARING.let_through(torch.zeros(count, 16, 16), wave).any()


# --- Objects


def test_each_system_gives_each_object_its_part(networks: Networks) -> None:
    wave = 0.1 * noise(700, seed=0)
    given = give(networks, wave, things())
    assert set(given) == SYSTEMS
    for system, own in given.items():
        assert own.waves.shape == (2, 700) and own.waves.isfinite().all()
        assert own.masks.shape == (2, len(Windows(700, SAMPLES).starts), 16, 16)
        torch.testing.assert_close(own.waves[1], HEARING.let_through(own.masks[1], wave))
        assert (own.probabilities is not None) == (own.muted is not None) == (system == "cyclic")
    assert given["cyclic"].probabilities is not None
    assert ((given["cyclic"].probabilities > 0) & (given["cyclic"].probabilities < 1)).all()


def test_an_object_is_given_the_same_whoever_else_is_seen(networks: Networks) -> None:
    wave = 0.1 * noise(700, seed=0)
    both, alone = give(networks, wave, things()), give(networks, wave, things()[1:])
    for system in SYSTEMS:
        torch.testing.assert_close(both[system].waves[1], alone[system].waves[0], atol=1e-5, rtol=1e-4)


def test_below_the_gate_an_object_is_muted(networks: Networks) -> None:
    wave = 0.1 * noise(700, seed=0)
    open_ = give(networks, wave, things())["cyclic"]
    assert open_.probabilities is not None
    gate = float(open_.probabilities.median()) + 1e-6
    gated = give(networks, wave, things(), gate)["cyclic"]
    assert gated.muted is not None and gated.muted.any() and not gated.muted.all()
    assert (gated.muted == (open_.probabilities < gate)).all()
    assert not gated.masks[gated.muted].any() and (gated.masks[~gated.muted] == open_.masks[~gated.muted]).all()


def test_silence_gives_no_sound(networks: Networks) -> None:
    for wave in (torch.zeros(700), 1e-4 * noise(700, seed=0)):
        for own in give(networks, wave, things()).values():
            assert not own.waves.any()
            assert own.probabilities is None or not own.probabilities.any()
            assert own.muted is None or own.muted.all()


def test_a_window_of_silence_within_sound_is_silent(networks: Networks) -> None:
    wave = 0.1 * noise(4 * SAMPLES, seed=0)
    wave[: 2 * SAMPLES] = 0
    given = give(networks, wave, things())["cyclic"]
    assert not given.waves[:, :SAMPLES].any() and given.waves[:, 3 * SAMPLES :].any()
    assert given.muted is not None and given.muted[:, 0].all() and not given.muted[:, -1].any()


def test_no_object_is_given_nothing(networks: Networks) -> None:
    for own in give(networks, 0.1 * noise(700, seed=0), []).values():
        assert own.waves.shape == (0, 700) and len(own.masks) == 0

"""A long sound among objects: windows that fade into each other, gates, silence, no object at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avsep.clips.index import video
from avsep.scenes.matching import true_objects
from avsep.separating.tracks import Object
from avsep.separating.windows import Given, Hearing, Windows, frames_of, separate
from avsep.systems.system import Answer, HeardMixtures, Sight, System
from tests.helpers.factories import FPS, RATE, SAMPLES, SPECTROGRAM, noise
from tests.helpers.outcomes import tiny_systems
from tests.helpers.toys import Silent, Waves

PHRASES = ["playing the cello", "playing the flute"]
HEARING = Hearing(RATE, SAMPLES, SPECTROGRAM)
SYSTEMS = {"baseline", "cyclic", "trimodal_visual", "trimodal_text"}


@pytest.fixture(scope="module")
def systems() -> dict[str, System]:
    loaded = tiny_systems(["baseline", "cyclic", "trimodal"], frames=3, square=True, vast_frames=1)
    return {name: system for name, system in loaded.items() if name in SYSTEMS}


def frames(count: int = 4) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(count)]


def things(count: int = 4) -> list[Object]:
    boxes = [(2.0, 1.0, 20.0, 16.0), (20.0, 5.0, 39.0, 29.0)]
    return true_objects(np.array([[box] * count for box in boxes]), 40, 30)


def give(
    systems: Mapping[str, System], wave: torch.Tensor, objects: list[Object], gate: float = 0.0
) -> dict[str, Given]:
    """The gate is each grounding system's."""
    gates = {name: gate for name, system in systems.items() if hasattr(system, "ground")}
    phrases = [PHRASES[one.label - 1] for one in objects]
    return separate(systems, wave, frames(), objects, phrases, gates=gates, hearing=HEARING, fps=FPS)


def masks_of(given: Given) -> torch.Tensor:
    assert given.masks is not None
    return given.masks


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
    sight = Sight("x", fps=FPS, count=3, stride=1, size=8, square=True, whole=False)
    numbers = frames_of(windows, sight, RATE, FPS, 4)
    assert numbers.shape == (len(windows.starts), 3)
    assert numbers[0].tolist() == [0, 0, 1] and numbers[-1].tolist() == [2, 3, 3], "past the ends the last one again"


def test_a_sight_of_fewer_frames_sees_those_in_the_middle_of_their_time() -> None:
    """Of FPS = 4 frames a second one, as training's reader sees them."""
    windows = Windows(3 * RATE, RATE)
    sight = Sight("x", fps=1, count=3, stride=1, size=8, square=True, whole=False)
    numbers = frames_of(windows, sight, RATE, FPS, 3 * FPS)
    assert numbers[0].tolist() == [1, 1, 5] and numbers[-1].tolist() == [5, 9, 9]
    reader = sight.reader(RATE, RATE, FPS)
    clip = video(Path("data"), "flute", "0", 3 * FPS)
    assert [reader.kept(clip, frame) - 1 for frame in reader.frames_around(clip, 1)] == numbers[0].tolist()


def test_open_masks_let_all_through() -> None:
    wave = 0.1 * noise(700, seed=0)
    count = len(Windows(700, SAMPLES).starts)
    torch.testing.assert_close(HEARING.let_through(torch.ones(2, count, 16, 16), wave)[1], wave, atol=1e-5, rtol=1e-4)
    assert not HEARING.let_through(torch.zeros(count, 16, 16), wave).any()


# --- Objects


def test_each_system_gives_each_object_its_part(systems: dict[str, System]) -> None:
    wave = 0.1 * noise(700, seed=0)
    given = give(systems, wave, things())
    assert set(given) == SYSTEMS
    for system, own in given.items():
        assert own.waves.shape == (2, 700) and own.waves.isfinite().all()
        assert masks_of(own).shape == (2, len(Windows(700, SAMPLES).starts), 16, 16)
        torch.testing.assert_close(own.waves[1], HEARING.let_through(masks_of(own)[1], wave))
        assert (own.probabilities is not None) == (own.muted is not None) == (system == "cyclic")
    assert given["cyclic"].probabilities is not None
    assert ((given["cyclic"].probabilities > 0) & (given["cyclic"].probabilities < 1)).all()


def test_an_object_is_given_the_same_whoever_else_is_seen(systems: dict[str, System]) -> None:
    wave = 0.1 * noise(700, seed=0)
    both, alone = give(systems, wave, things()), give(systems, wave, things()[1:])
    for system in SYSTEMS:
        torch.testing.assert_close(both[system].waves[1], alone[system].waves[0], atol=1e-5, rtol=1e-4)


def test_below_the_gate_an_object_is_muted(systems: dict[str, System]) -> None:
    wave = 0.1 * noise(700, seed=0)
    open_ = give(systems, wave, things())["cyclic"]
    assert open_.probabilities is not None
    gate = float(open_.probabilities.median()) + 1e-6
    gated = give(systems, wave, things(), gate)["cyclic"]
    assert gated.muted is not None and gated.muted.any() and not gated.muted.all()
    assert (gated.muted == (open_.probabilities < gate)).all()
    assert not masks_of(gated)[gated.muted].any()
    assert (masks_of(gated)[~gated.muted] == masks_of(open_)[~gated.muted]).all()


def test_silence_gives_no_sound(systems: dict[str, System]) -> None:
    for wave in (torch.zeros(700), 1e-4 * noise(700, seed=0)):
        for own in give(systems, wave, things()).values():
            assert not own.waves.any()
            assert own.probabilities is None or not own.probabilities.any()
            assert own.muted is None or own.muted.all()


def test_a_window_of_silence_within_sound_is_silent(systems: dict[str, System]) -> None:
    wave = 0.1 * noise(4 * SAMPLES, seed=0)
    wave[: 2 * SAMPLES] = 0
    given = give(systems, wave, things())["cyclic"]
    assert not given.waves[:, :SAMPLES].any() and given.waves[:, 3 * SAMPLES :].any()
    assert given.muted is not None and given.muted[:, 0].all() and not given.muted[:, -1].any()


def test_no_object_is_given_nothing(systems: dict[str, System]) -> None:
    for own in give(systems, 0.1 * noise(700, seed=0), []).values():
        assert own.waves.shape == (0, 700) and len(masks_of(own)) == 0


# --- Any system


def test_waves_without_masks_fade_into_each_other_too() -> None:
    wave = 0.1 * noise(700, seed=0)
    given = give({"waves": Waves(share=0.5)}, wave, things())["waves"]
    assert given.masks is None and given.probabilities is None and given.muted is None
    torch.testing.assert_close(given.waves, 0.5 * wave.expand(2, -1))
    wave[:600] = 0
    assert not give({"waves": Waves()}, wave, things())["waves"].waves[:, :300].any()
    nothing = give({"waves": Waves()}, wave, [])["waves"]
    assert nothing.waves.shape == (0, 700)


def test_an_object_that_a_system_takes_for_silent_is_muted_alone() -> None:
    wave = 0.1 * noise(700, seed=0)
    given = give({"silent": Silent(PHRASES[0])}, wave, things(), gate=0.5)["silent"]
    assert given.muted is not None and given.muted[0].all() and not given.muted[1].any()
    assert not given.waves[0].any()
    torch.testing.assert_close(given.waves[1], 0.5 * wave)


class Told(Waves):
    """Waves that keep what the system is told of the windows."""

    def __init__(self) -> None:
        super().__init__("told")
        self.heard: list[tuple[Sequence[str], Sequence[int], Any]] = []

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Any]) -> Answer:
        self.heard.append((heard.names, heard.starts, heard.solo))
        return super().answer(heard, asked)


def test_a_system_is_told_which_mixture_and_where_in_it() -> None:
    wave, told = 0.1 * noise(700, seed=0), Told()
    arguments: dict[str, Any] = dict(gates={}, hearing=HEARING, fps=FPS, name="scenes/plain_00")
    separate({"told": told}, wave, frames(), things(), PHRASES, **arguments)
    starts = Windows(700, SAMPLES).starts
    assert told.heard == [(["scenes/plain_00"] * len(starts), starts, {})], "and nothing of the sounds in it"


def test_each_frame_of_an_object_is_looked_at_once(systems: dict[str, System], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many windows it is in, and however many systems look alike."""
    looked: list[int] = []
    system: Any = systems["cyclic"]
    prepare = system.prepare

    def counted(pictures: torch.Tensor, phrase: str) -> Any:
        looked.append(len(pictures))
        return prepare(pictures, phrase)

    monkeypatch.setattr(system, "prepare", counted)
    give({"cyclic": system, "again": system}, 0.1 * noise(1000, seed=0), things())
    assert looked == [4, 4]


def test_an_object_is_asked_for_in_its_own_words(systems: dict[str, System]) -> None:
    wave = 0.1 * noise(700, seed=0)
    one, other = things()
    given = give(systems, wave, [one, other, Object(1, 1.0, other.boxes, other.seen)])
    text, picture = masks_of(given["trimodal_text"]), masks_of(given["trimodal_visual"])
    assert torch.equal(text[0], text[2]) and not torch.equal(text[0], text[1])
    assert torch.equal(picture[1], picture[2]) and not torch.equal(picture[0], picture[1])

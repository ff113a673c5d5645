"""Scenes: what is heard is the sum of the stems, who plays is what the kind says, boxes lie within the picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from avsep.demo.sound import PARTS
from avsep.scenes.files import Truth, list_scenes, read_stem, read_truth, video_path
from avsep.scenes.rendering import KINDS, ROOMS, balance, cast, coloured_noise, hidden, level_db, render_scene
from avsep.separating.video import open_video

CLASSES = list(PARTS)
SETTINGS: dict[str, Any] = {
    **{
        "seed": 0,
        "classes": CLASSES,
        "players": (2, 4),
        "seconds": 2.0,
        "timbre": 1.0,
        "fps": 4,
        "width": 96,
        "height": 72,
    },
    **{"apart_db": 10.0, "noise_db": -10.0},
}
RATE = 11025


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of each kind, with three players; the first of silence is wholly silent."""
    made = tmp_path_factory.mktemp("scenes")
    for kind in KINDS:
        render_scene(made, kind, 0 if kind == "silence" else 1, **SETTINGS)
    return made


def scene(folder: Path, kind: str) -> tuple[Truth, np.ndarray, dict[str, np.ndarray]]:
    """The truth of a kind's scene, what is heard in its video, and its stems, at RATE."""
    [name] = [name for name in list_scenes(folder) if name.startswith(kind)]
    truth = read_truth(folder, name)
    _, mixture = open_video(video_path(folder, name), 1, RATE)
    return truth, mixture, {stem: read_stem(folder, name, stem, RATE, len(mixture)) for stem in truth.stems()}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "silence"])
def test_what_is_heard_is_the_sum_of_the_stems(folder: Path, kind: str) -> None:
    _, mixture, stems = scene(folder, kind)
    total = np.sum(list(stems.values()), axis=0)
    error = np.mean((mixture - total) ** 2) / np.mean(total**2)
    assert 10 * np.log10(error) < -15, "what AAC and resampling leave"
    for stem in stems:
        without = total - stems[stem]
        assert np.mean((mixture - without) ** 2) > 10 * np.mean((mixture - total) ** 2), f"{stem} is in it"


@pytest.mark.parametrize("kind", KINDS)
def test_each_player_has_a_box_in_each_frame_within_the_picture(folder: Path, kind: str) -> None:
    truth, _, _ = scene(folder, kind)
    for player in truth.players:
        assert player.boxes.shape == (8, 4)
        assert (player.boxes[:, :2] >= 0).all() and (player.boxes[:, 2:] <= (96, 72)).all()
        assert (player.boxes[:, :2] < player.boxes[:, 2:]).all()
        if not player.playing:
            assert np.ptp(player.boxes, axis=0).max() == 0, "who does not play holds still"
    assert truth.boxes_at(2, 1).shape == (len(truth.players), 2, 4)
    assert (truth.boxes_at(2, 1)[:, 1] == [player.boxes[6] for player in truth.players]).all(), "at 1.5 s"


def test_a_silent_scene_is_digital_silence(folder: Path) -> None:
    truth, mixture, stems = scene(folder, "silence")
    assert not stems and not any(player.playing for player in truth.players)
    assert not mixture.any()


def test_the_noise_of_silent_scenes_has_its_level(tmp_path: Path) -> None:
    truth = render_scene(tmp_path, "silence", 2, **SETTINGS)
    wave, _ = soundfile.read(tmp_path / truth.name / "noise.wav")
    assert 10 * np.log10(np.mean(wave**2)) == pytest.approx(ROOMS[2], abs=0.01)


def test_levels_are_apart_and_noise_is_below(folder: Path) -> None:
    _, _, stems = scene(folder, "levels")
    levels = [10 * np.log10(np.mean(wave**2)) for wave in stems.values()]
    assert len(levels) == 2 and abs(levels[0] - levels[1]) == pytest.approx(10, abs=0.5), "less what 5.5 kHz cuts off"
    truth, _, _ = scene(folder, "noise")
    waves = {stem: soundfile.read(folder / truth.name / stem)[0] for stem in truth.stems()}
    noise = waves.pop("noise.wav")
    assert 10 * np.log10(np.mean(noise**2) / np.mean(sum(waves.values()) ** 2)) == pytest.approx(-10, abs=0.01)


def test_what_is_off_the_screen_is_heard_and_of_no_class_in_sight(folder: Path) -> None:
    truth, _, stems = scene(folder, "offscreen")
    [other] = truth.others
    assert other.what == "offscreen" and other.stem in stems
    assert other.category not in {player.category for player in truth.players}


def test_a_scene_is_a_function_of_seed_kind_and_index(folder: Path, tmp_path: Path) -> None:
    def files(root: Path, name: str) -> dict[str, bytes]:
        return {
            p.relative_to(root).as_posix(): p.read_bytes()
            for p in sorted(root.rglob(f"{name}*"), key=str)
            if p.is_file()
        }

    render_scene(tmp_path, "levels", 1, **SETTINGS)
    assert files(tmp_path, "levels_01") == files(folder, "levels_01")
    render_scene(tmp_path, "levels", 1, **{**SETTINGS, "seed": 1})
    assert files(tmp_path, "levels_01") != files(folder, "levels_01")


# --- Who plays


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", range(12))
def test_who_is_cast_is_what_the_kind_says(kind: str, index: int) -> None:
    roles = cast(np.random.default_rng(index), kind, index, CLASSES, (2, 4))
    categories, playing = [role.category for role in roles], sum(role.plays for role in roles)
    assert len(roles) == (max(3, 2 + index % 3) if kind == "twins" else 2 + index % 3)
    if kind == "twins":
        [twin] = {name for name in categories if categories.count(name) == 2}
        assert sum(role.plays for role in roles if role.category == twin) == 1 + index % 2
        assert sum(role.plays for role in roles if role.category != twin) == 1
    else:
        assert len(set(categories)) == len(roles)
        expected = {"silence": {0}, "levels": {2}}.get(kind, {1, 2, 3})
        assert playing in expected
    if kind in ("plain", "offscreen", "noise"):
        assert 1 <= playing < len(roles)


def test_gains_keep_a_mixture_from_clipping() -> None:
    random = np.random.default_rng(0)
    waves = {"a": random.uniform(-1, 1, (100, 2)), "b": 0.1 * random.uniform(-1, 1, (100, 2))}
    assert balance(waves, None) == {"a": 0.5, "b": 0.5}
    gains = balance(waves, 10.0)
    levels = [level_db(gains[stem] * wave) for stem, wave in waves.items()]
    assert levels[0] - levels[1] == pytest.approx(10) and max(gains.values()) <= 0.5
    assert balance({}, None) == {}


def test_noise_is_at_0_db_and_another_each_time() -> None:
    one, other = (coloured_noise(np.random.default_rng(seed), 4000) for seed in (0, 1))
    assert one.shape == (4000, 2) and level_db(one) == pytest.approx(0) and (one != other).any()


def test_hidden_is_the_worst_share() -> None:
    instruments = [(0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)]
    assert hidden(instruments, instruments) == 0
    assert hidden(instruments, [instruments[0], (5.0, 0.0, 30.0, 10.0)]) == 0.5, "behind the second player"
    assert hidden(instruments, [(0.0, 0.0, 30.0, 10.0), instruments[1]]) == 0, "the first player is behind"
    assert hidden([instruments[0], (8.0, 0.0, 18.0, 10.0)], instruments) == pytest.approx(0.2)

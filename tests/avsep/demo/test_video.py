"""A clip of the demo: real H.264 and AAC, the same bytes each time, true boxes and notes beside it."""

import itertools
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avsep.demo.sound import compose
from avsep.demo.video import move, render_video

SETTINGS: dict[str, Any] = {"seed": 0, "seconds": 3.0, "timbre": 1.0, "fps": 8, "width": 96, "height": 72}


@pytest.fixture(scope="module")
def violin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_video(tmp_path_factory.mktemp("videos"), "violin", 1, **SETTINGS)


def truth(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".truth.json").read_text(encoding="utf-8"))


def test_a_clip_is_h264_and_aac_of_the_asked_size_and_length(violin: Path) -> None:
    with av.open(str(violin)) as file:
        [pictures], [sound] = file.streams.video, file.streams.audio
        assert pictures.codec_context.name == "h264" and sound.codec_context.name == "aac"
        assert (pictures.width, pictures.height) == (96, 72) and pictures.average_rate == 8
        assert sum(1 for _ in file.decode(video=0)) == 24
    with av.open(str(violin)) as file:
        heard = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
        assert abs(heard.shape[1] / file.streams.audio[0].rate - 3.0) < 0.1
        assert np.sqrt(np.mean(heard**2)) > 0.02


def test_a_clip_is_a_function_of_seed_class_and_index(violin: Path, tmp_path: Path) -> None:
    again = render_video(tmp_path, "violin", 1, **SETTINGS)
    assert again.name == violin.name == "violin_01.mp4"
    assert again.read_bytes() == violin.read_bytes()
    assert again.with_suffix(".truth.json").read_bytes() == violin.with_suffix(".truth.json").read_bytes()
    other = render_video(tmp_path, "violin", 2, **SETTINGS)
    seeded = render_video(tmp_path, "violin", 1, **{**SETTINGS, "seed": 1})
    assert len({violin.read_bytes(), other.read_bytes(), seeded.read_bytes()}) == 3
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".mp4", ".mp4"]  # nothing temporary


def test_the_truth_holds_a_box_for_each_frame_that_moves_within_the_picture(violin: Path) -> None:
    found = truth(violin)
    assert found["class"] == "violin" and found["notes"]
    instrument, player = np.array(found["instrument"]), np.array(found["player"])
    assert instrument.shape == player.shape == (24, 4)
    for boxes in (instrument, player):
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 96).all() and (boxes[:, 3] <= 72).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert np.ptp(instrument, axis=0).max() > 0.5  # the player sways
    assert (player[:, :2] <= instrument[:, :2]).all() and (player[:, 2:] >= instrument[:, 2:]).all()


def test_the_truth_holds_the_notes(violin: Path) -> None:
    notes = truth(violin)["notes"]
    assert all(set(note) == {"onset", "duration", "pitch", "velocity"} for note in notes)
    assert all(55 <= note["pitch"] <= 90 for note in notes)


def test_bow_and_strike_follow_the_notes() -> None:
    notes = compose(np.random.default_rng(2), "violin", 10.0)
    motions = list(move(np.random.default_rng(0), "violin", notes, 10 * 50, 50))
    onsets = sorted({note.onset for note in notes})
    bows = np.array([motion.bow for motion in motions])
    assert (bows >= 0).all() and (bows <= 1).all() and np.ptp(bows) > 0.3
    ways = []
    for before, after in itertools.pairwise(onsets):
        first, last = int(before * 50) + 1, int(min(after, before + 0.3) * 50) - 2
        assert motions[first].strike > 0.8
        ways.append(np.sign(bows[last] - bows[first]))
    assert all(one == -other for one, other in itertools.pairwise(ways))  # down, up, down, up

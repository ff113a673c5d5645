import json
from pathlib import Path

import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import scenes
from avsep.report.sounds import Axis, Shelf
from avsep.report.tables import Cell
from avsep.systems import catalogue
from tests.helpers.report_inputs import IN_SCENES, write_scene_examples, write_scenes


def test_each_kind_of_scene_has_a_line_and_a_column(tmp_path: Path) -> None:
    write_scenes(tmp_path, kinds=("noise", "plain"))
    shown = scenes.read_scenes(tmp_path)
    assert shown is not None
    assert [line.title for line in shown.found.lines] == ["Plain", "Noise", "All scenes"], "in one order"
    assert [cell.value for cell in shown.found.lines[0].cells][:4] == [1, 2, 2, 0.5]
    assert [column.title for column in shown.by_kind["SNRi in dB"].columns] == ["Plain", "Noise"]
    mean = (3.21 - 1) / 2
    assert shown.by_kind["SNRi in dB"].lines[0].cells[0] == Cell(mean, mean, mean), "of one scene"
    assert shown.overall.lines[0].cells[0] == Cell(mean, mean, mean)
    assert {line.title for line in shown.overall.lines} == {system.title for system in catalogue.arranged(IN_SCENES)}
    assert shown.overall.lines[-1].title == "Control: cyclic co-learning at the true boxes"


def test_players_are_counted_whoever_was_asked(tmp_path: Path) -> None:
    write_scenes(tmp_path, kinds=("plain",))
    rows = pd.read_csv(tmp_path / "scenes.csv")
    silent = rows[rows["player"] == 1].assign(player=2, playing=0)
    rows = pd.concat([rows, silent[~silent["system"].isin(["mixture", "oracle"])]])  # of whom references tell nothing
    rows[rows["system"].isin(["mixture", "baseline"])].to_csv(tmp_path / "scenes.csv", index=False)
    shown = scenes.read_scenes(tmp_path)
    assert shown is not None and [cell.value for cell in shown.found.lines[0].cells][:3] == [1, 3, 2]


def test_no_scenes_are_none(tmp_path: Path) -> None:
    write_scenes(tmp_path, kinds=())
    assert scenes.read_scenes(tmp_path) is None


# --- To hear


def examples(folder: Path) -> list[scenes.HeardScene]:
    return scenes.read_examples(folder, Shelf(folder / "page", Axis(11025, 1022, 128, False)))


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    write_scenes(tmp_path)
    write_scene_examples(tmp_path / "scene_examples")
    return tmp_path


def test_a_scene_is_heard_player_by_player_with_what_is_false_and_what_is_unseen(metrics: Path) -> None:
    plain, noise = examples(metrics)
    assert (plain.title, noise.title) == ("Plain", "Noise")
    assert [(s.number, s.name, s.kind, s.found) for s in noise.sources] == [
        *((1, "tuba", "playing", True), (2, "tuba", "playing", False), (3, "cello", "false", True)),
        (4, "noise", "unseen", False),
    ]
    found, missed, false, unseen = noise.sources
    assert "not found, and given nothing" in missed.state and missed.box == (80, 20, 120, 90)
    trained = [e.name for e in catalogue.SYSTEMS if e.scenes and e.group == "trained"]
    assert [track.system for track in found.deck.tracks] == ["", "", *trained]
    assert [track.kind for track in missed.deck.tracks] == ["mixture", "reference"]
    assert [track.kind for track in unseen.deck.tracks] == ["mixture", "reference"] and unseen.box is None
    assert false.true is None and false.estimate("cyclic") is not None
    heard = found.estimate("cyclic")
    assert heard is not None and heard.scores == "SNRi +3.2 dB · sounds 90 %"
    assert missed.estimate("cyclic") is None


def test_what_a_user_would_be_given_under_another_name_is_said(metrics: Path) -> None:
    path = metrics / "scene_examples/plain_00/example.json"
    example = json.loads(path.read_text())
    example["objects"][0]["class"] = "flute"
    path.write_text(json.dumps(example))
    assert "taken for flute" in examples(metrics)[0].sources[0].state


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("stem", "../../secret.wav", "stem"),
        ("object", 7, "there is no object 7"),
        ("box", [1, 2, 3], "box"),
        ("stem", "none.wav", r"none\.wav is missing"),
    ],
)
def test_a_foreign_scene_is_named(metrics: Path, key: str, value: object, told: str) -> None:
    path = metrics / "scene_examples/plain_00/example.json"
    example = json.loads(path.read_text())
    example["players"][0][key] = value
    path.write_text(json.dumps(example))
    with pytest.raises(InputError, match=told):
        examples(metrics)

from pathlib import Path

import pandas as pd

from avsep.report import scenes
from avsep.report.tables import Cell
from avsep.systems import catalogue
from tests.helpers.report_inputs import IN_SCENES, write_scenes


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

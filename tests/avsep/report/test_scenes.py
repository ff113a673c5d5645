from pathlib import Path

from avsep.report import scenes
from avsep.report.tables import Cell
from tests.helpers.report_inputs import write_scenes


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
    assert [line.title for line in shown.overall.lines] == list(scenes.ASKED.values())


def test_no_scenes_are_none(tmp_path: Path) -> None:
    write_scenes(tmp_path, kinds=())
    assert scenes.read_scenes(tmp_path) is None

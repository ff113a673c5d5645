"""A stage that is killed, and what `dvc repro` makes of it: a few of the kills that `make faults` makes."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import faults

TINY = ["videos.classes=[cello,flute,trumpet,tuba]", "scenes.players=[2,3]", "videos.seconds=5.0", "extract.fps=1"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, and what stage extract made of them, in a copy of the checkout."""
    at = tmp_path_factory.mktemp("faults") / "at"
    faults.prepare(at, "smoke", TINY, ["extract"])
    return at


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_stage_ends_in_the_same_bytes_and_makes_nothing_twice(workspace: Path) -> None:
    seconds, whole = faults.timed(workspace, "extract")
    assert any("frames" in name for name in whole)
    random = np.random.default_rng(0)
    for kill, share in (("both", 0.4), ("stage", 0.8), ("ctrl-c", 0.6)):
        one = faults.killed(workspace, "extract", kill, 0, share * seconds, whole, random)
        assert one.same, one
        assert one.twice is not None and one.twice <= 2, "more was made twice than may be under way at once"


def test_the_table_stands_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- kills -->\nold\n<!-- /kills -->\nafter\n")
    rows = [
        faults.Killed("extract", "stage", 0, 1.0, True, True, "", "", 1, 2.0),
        faults.Killed("extract", "stage", 0, 2.0, True, False, "", "", 0, 2.0),
        faults.Killed("index", "both", 0, 2.0, False, True, "", "", None, 2.0),
    ]
    faults.write_table(page, rows)
    text = page.read_text()
    assert text.startswith("before\n<!-- kills -->\n| stage | kill |") and text.endswith("<!-- /kills -->\nafter\n")
    assert "| extract | stage | 0 | 2 | 2 | 1 | 1 |" in text
    assert "| index | both | 0 | 1 | 0 | 1 | the stage |" in text


def test_epochs_that_both_runs_told_of_were_done_twice(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("epoch 1/3, val/si_sdri 1.0\nepoch 2/3, val/si_sdri 1.0\n")
    second.write_text("Running stage 'cyclic'\nepoch 2/3, val/si_sdri 1.0\nepoch 3/3, val/si_sdri 1.0\n")
    assert faults.twice(tmp_path, "cyclic", 0, [first, second]) == 1

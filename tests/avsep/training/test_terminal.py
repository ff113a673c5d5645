"""What a training shows of itself, on a terminal and in a log: its own line, and nothing of the libraries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.terminal import lines_left, on_terminal

ROOT = Path(__file__).parents[3]
# A whole, tiny co-learning, with the params' monitor and as many epochs.
TRAINING = """
import json, pathlib
from avsep import run
from avsep.params.stages import ColearningParams
from tests.avsep.training.test_loop import train
from tests.helpers.factories import write_data

def main(params):
    splits = write_data(pathlib.Path("data").absolute())
    train(splits, epochs=params.colearning.epochs, monitor=params.colearning.monitor, milestones=[])

run.run(main, ColearningParams)
"""
COMMAND = [sys.executable, "-c", TRAINING]

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["threads"] = 1  # the networks are tiny
    values["colearning"] |= {"epochs": 2, "monitor": "val/si_sdri"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_in_a_log_each_epoch_is_a_line_and_the_last_line_is_the_key_figure(
    environment: dict[str, str], tmp_path: Path
) -> None:
    said = subprocess.run(COMMAND, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert not said.stdout
    *lines, last = said.stderr.splitlines()
    assert [line for line in lines if line.startswith("colearning: epoch 2 of 2, SI-SDRi ")]
    assert all(line.startswith("colearning: epoch ") for line in lines), lines
    assert all(" step/s, " in line and line.endswith(" left") for line in lines)
    assert last.startswith("colearning: SI-SDRi ") and " in validation, best in epoch " in last


def test_on_a_terminal_one_line_is_drawn_anew_and_the_key_figure_stays(
    environment: dict[str, str], tmp_path: Path
) -> None:
    written = on_terminal(COMMAND, tmp_path, environment, columns=80)
    drawn = [part for part in written.replace("\n", "\r").split("\r") if part.startswith("colearning: epoch ")]
    assert any("SI-SDRi" in part for part in drawn) and all(len(part) < 80 for part in drawn)
    left = [line.replace("\x1b[0m", "") for line in lines_left(written)]
    (only,) = [line for line in left if line]
    assert only.startswith("colearning: SI-SDRi ")

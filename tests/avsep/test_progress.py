"""Long work is one line, on a terminal and in a log, and no message stands beside it."""

import logging
import os
import sys
from pathlib import Path

import pytest

from avsep import progress
from avsep.progress import Line, spoken_share, spoken_time, spoken_value
from tests.helpers.terminal import lines_left, on_terminal

ROOT = Path(__file__).parents[2]
WORK = """
import logging, sys, time, warnings
from avsep import progress, run
from avsep.params.stages import ExtractParams

progress.REDRAWN = 0
run._tell_the_end = lambda *_: logging.info("done")

def main(params):
    for number in progress.progress(range(4), "extract", 4, "video"):
        time.sleep(0.01)
        if number == 1:
            logging.warning("set aside: a")
        if number == 2:
            warnings.warn("of a library")

run.run(main, ExtractParams)
"""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (130, "2 min 10 s"),
        (3599.7, "1 h 0 min"),
        (11100, "3 h 5 min"),
    ],
)
def test_time_as_it_is_said(seconds: float, said: str) -> None:
    assert spoken_time(seconds) == said


def test_values_as_they_are_said() -> None:
    assert spoken_value("val/si_sdri", 3.744) == "SI-SDRi 3.74 dB"
    assert spoken_value("val/solo_balanced_accuracy", 0.7) == "solo balanced accuracy 0.700"
    assert spoken_share(0.815) == "82 %"


def test_in_a_log_lines_come_now_and_then(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO), Line("extract", 1000, "video") as line:
        for _ in range(1000):
            now += 4.0
            line.move()
    assert caplog.messages[0] == "extract: 3 of 1000, 0.25 video/s, 1 h 6 min left"
    assert 40 < len(caplog.messages) < 100, "each later than the one before: ten seconds, then a twentieth of the time"


def test_what_is_said_is_asked_for_when_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def say() -> str:
        asked.append(True)
        return "epoch 1 of 2"

    with caplog.at_level(logging.INFO), Line("cyclic", 100, "step", done=50, say=say) as line:
        for _ in range(10):
            line.move()
        assert not asked
        line.tell()
    assert len(asked) == 1 and caplog.messages[0].startswith("cyclic: epoch 1 of 2, ")


def test_only_the_first_of_several_processes_tells(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with caplog.at_level(logging.INFO), Line("cyclic", 2, "step") as line:
        line.move()
        line.tell()
    assert not caplog.messages


def test_on_a_terminal_a_message_has_a_line_of_its_own_and_the_bar_goes() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    written = on_terminal([sys.executable, "-c", WORK], ROOT, environment, columns=80)
    assert "extract: 2 of 4 " in written and "video/s, 00:0" in written
    assert all(len(line) < 80 for line in written.replace("\n", "\r").split("\r"))
    left = [line for line in lines_left(written) if line]
    assert left[0] == "set aside: a" and left[-1] == "done"
    assert "of a library" in left[1] and not [line for line in left if "extract: " in line]

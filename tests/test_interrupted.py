"""Runs that are stopped, doubled, or whose params are rewritten meanwhile, as a user meets them: through `dvc`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.helpers.checkout import call, fresh_checkout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOG = Path("metrics/made/extract.log")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "LOKY_MAX_CPU_COUNT": "1",  # one video after the other
}


@pytest.fixture(scope="module")
def command(tiny_videos: Path) -> Callable[..., list[str]]:
    """`dvc exp run` of stage extract on a folder of videos, with params."""
    own = ["profile=smoke", "videos.source=folder", f"videos.path={tiny_videos}"]
    return lambda *given: ["dvc", "exp", "run", *(word for one in [*own, *given] for word in ("-S", one)), "extract"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, command: Callable[..., list[str]]) -> Path:
    """A checkout in which extract has run once, so that dvc.lock has data to go back to."""
    folder = fresh_checkout(tmp_path_factory.mktemp("interrupted"))
    call(folder, *command())
    return folder


@contextmanager
def at_work(project: Path, words: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A command in a terminal of its own, from when stage extract has finished some videos."""
    kept = {path.parent.name for path in project.glob("data/unfinished/extract/*/about.json")}
    process = subprocess.Popen(
        words, cwd=project, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(30_000):
            done = {path.parent.name for path in project.glob("data/unfinished/extract/*/about.json")}
            if len(done - kept) >= 3 or process.poll() is not None:
                break
            time.sleep(0.01)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def made(project: Path) -> int:
    return int(json.loads((project / "metrics/made/extract.json").read_text())["made"])


def recorded_rate(project: Path) -> int:
    """Of extract, in dvc.lock."""
    entry = yaml.safe_load((project / "dvc.lock").read_text())["stages"]["extract"]
    return int(entry["params"]["params.yaml"]["extract"]["rate"])


def test_ctrl_c_in_dvc_exp_run_loses_nothing_that_was_finished(
    project: Path, command: Callable[..., list[str]]
) -> None:
    words = command("extract.rate=8000")
    with at_work(project, words) as running:
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate()
    assert running.returncode != 0 and "error: extract: stopped by Ctrl-C; run it again" in said
    assert "Traceback" not in said, said
    before = recorded_rate(project)
    call(project, *words)
    assert 0 < made(project) <= 12 - 3, "the same command goes on, although DVC has put back what dvc.lock says"
    assert (before, recorded_rate(project)) == (11025, 8000)
    told = call(project, "dvc", "status", "extract")
    assert "up to date" in told


def test_two_at_once_are_told_and_params_that_were_not_run_are_not_recorded(
    project: Path, command: Callable[..., list[str]]
) -> None:
    before = recorded_rate(project)
    with at_work(project, command("extract.rate=9000")) as first:
        found = re.match(r"process (\d+) on ", (project / LOG).read_text())
        assert found, "the stage is at work"
        stage = int(found[1])
        os.kill(stage, signal.SIGSTOP)
        try:
            by_hand = subprocess.run(
                [sys.executable, "-m", "stages.extract"], cwd=project, env=ENVIRONMENT, text=True, capture_output=True
            )
            second = subprocess.run(
                command("extract.rate=10000"), cwd=project, env=ENVIRONMENT, text=True, capture_output=True
            )
        finally:
            os.kill(stage, signal.SIGCONT)
        said, _ = first.communicate()
    assert by_hand.returncode == 1 and by_hand.stderr.count("\n") == 2
    assert f"stage extract works in this folder already (process {stage} on" in by_hand.stderr
    assert second.returncode != 0 and "Traceback" not in second.stderr
    assert first.returncode != 0 and "extract.rate was 9000, is 10000" in said and "Traceback" not in said, said
    assert recorded_rate(project) == before
    call(project, *command("extract.rate=9000"))
    assert made(project) <= 12 - 3 and recorded_rate(project) == 9000, "what was finished is kept"

"""How a stage ends: what a user can mend is one line, a fault of ours keeps its traceback."""

import errno
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from avsep import run
from avsep.errors import InputError
from avsep.params.stages import EvaluateScenesParams, ExtractParams, GroundingParams

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")


def ends(error: Exception) -> str | int | None:
    """What the process ends with: a line, which Python prints before it exits with 1."""

    def main(_: ExtractParams) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run.run(main, ExtractParams)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.wav is empty:\nremove it"), "error: a.wav is empty: remove it"),
        (
            PermissionError(errno.EACCES, "Permission denied", "videos/my\ncello"),
            r"error: 'videos/my\ncello': Permission denied; give yourself the right to it, and run it again",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "error: No space left on device; make room, and run it again",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", Path("data")),
            "error: 'data': Read-only file system; make it writable, and run it again",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception, line: str) -> None:
    assert ends(error) == line


@pytest.mark.parametrize("error", [ValueError("ours"), FileNotFoundError(errno.ENOENT, "No such file", "a")])
def test_a_fault_of_ours_is_no_line(error: Exception) -> None:
    with pytest.raises(type(error)):
        ends(error)


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"OMP_NUM_THREADS": "2"}, []),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}, []),
        ({}, ["OMP_NUM_THREADS"]),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, ["MKL_NUM_THREADS"]),
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "1"}, ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]),
    ],
)
def test_other_threads_than_the_params_are_warned_of(
    given: dict[str, str], warned: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        run.run(lambda params: None, GroundingParams)
    assert [line.split()[0] for line in caplog.messages] == warned
    assert all("params' threads=2: other bits" in line for line in caplog.messages)


def test_ctrl_c_is_one_line() -> None:
    def main(_: ExtractParams) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run.run(main, ExtractParams)
    assert ended.value.code == "error: extract: stopped by Ctrl-C; run it again"
    assert Path("metrics/made/extract.log").read_text().endswith("\nerror: extract: stopped by Ctrl-C; run it again\n")


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--rate", "8000"], 2)])
def test_a_stage_takes_no_arguments_and_tells_what_it_does(words: list[str], code: int, tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "stages.extract", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [], "nothing ran"
    if code == 0:
        assert "Stage extract: frames and mono sound" in done.stdout and "`dvc repro extract`" in done.stdout


def test_the_class_of_its_params_names_the_stage() -> None:
    assert [run._stage_of(one) for one in (ExtractParams, EvaluateScenesParams)] == ["extract", "evaluate_scenes"]

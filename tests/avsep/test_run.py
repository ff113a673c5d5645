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
from avsep.params.stages import ExtractParams, GroundingParams

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


@pytest.mark.parametrize("name", [b"\xc3\x9cbung.mp4", b"caf\xe9.mp4"])
def test_ids_are_the_same_in_a_locale_of_another_encoding(name: bytes, tmp_path: Path) -> None:
    """ASCII stands for all of them: the stage starts anew, and bytes decide."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom avsep import run\nfrom avsep.files.names import safe_ids\n"
        "from avsep.files.paths import quoted\nrun._take_names_as_bytes()\n"
        "print(sys.getfilesystemencoding(), safe_ids(sorted(Path('.').iterdir())), quoted(os.listdir()[0]).encode())\n"
    )
    (tmp_path / os.fsdecode(name)).touch()
    said = set()
    for locale in ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LC_ALL": "C.UTF-8"}):
        environment = {**os.environ, **locale, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1 and said.pop().startswith("utf-8 ['")

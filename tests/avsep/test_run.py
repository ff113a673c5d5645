"""How a stage ends: what a user can mend is one line, a fault of ours keeps its traceback."""

import errno
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import stages
from avsep import run
from avsep.errors import InputError
from avsep.files.metrics import write_metrics, write_time
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
    monkeypatch.setattr(run, "_tell_the_end", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        run.run(lambda params: None, GroundingParams)
    assert [line.split()[0] for line in caplog.messages] == warned
    assert all("params' threads=2: other bits" in line for line in caplog.messages)


# --- The end


STAGES = sorted(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MEASURED: dict[str, dict[str, Any]] = {  # what the figures are made of; of trainings, BEST
    "survey": {"video": 12, "ignored": 2},
    "videos": {"videos": 440, "classes": ["cello", "flute"], "seconds": 3520.0},
    "pretrained": {"resnet18": {"accuracy_near": 0.95}, "detector": {"recall": 0.99}, "clip": {"accuracy_near": 0.93}},
    "extract": {"usable": 3, "videos": 4},
    "detect": {"frames": {"with_object": 3469, "total": 3520}},
    "index": {"videos": {"train": 308, "val": 44, "test": 88}, "mixtures": {"test": 96}},
    "captions": {"videos": 308, "nearest_is_class": 0.83},
    "evaluate": {"pairs": {"evaluated": 96}},
    "scenes": {"scenes": 36, "players": 110},
    "evaluate_scenes": {"scenes": 36, "detection": {"recall": 0.85}},
    "package": {"bytes": 7_070_000},
    "report": {"mixtures": 8},
}
BEST = {"epoch": 4, "val/si_sdri": 3.744, "val/snri": 5.9, "val/solo_balanced_accuracy": 0.94}
HEADLINE = {"cyclic": {"nsdr_db": 5.48, "balanced_accuracy": 0.8}, "vast_by_phrase": {"nsdr_db": 6.43}, "others": {}}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_a_key_figure_of_one_line(stage: str) -> None:
    write_metrics("headline", HEADLINE)
    figure = run.key_figure(stage, MEASURED.get(stage, {"best": BEST}), PARAMS[stage])
    assert figure and "\n" not in figure and len(figure) < 110


def test_key_figures_are_what_was_measured() -> None:
    write_metrics("headline", HEADLINE)
    best = {"best": {"epoch": 4, "val/si_sdri": 3.744}}
    monitored = {"monitor": "val/si_sdri", "epochs": 12}
    assert run.key_figure("cyclic", best, monitored) == "SI-SDRi 3.74 dB in validation, best in epoch 5 of 12"
    scored = {"pairs": {"evaluated": 96}}
    assert run.key_figure("evaluate", scored, {}) == "NSDR in dB of 96 mixtures: cyclic 5.5, vast_by_phrase 6.4"
    assert run.key_figure("evaluate_scenes", {"scenes": 0}, {}) == "no scenes"
    given = {"source": "published", "detector": {"kind": "none", "classes": 3}}
    assert run.key_figure("pretrained", given, {}) == "weights as they were given"


def test_a_stage_ends_with_its_key_figure_and_its_time(caplog: pytest.LogCaptureFixture) -> None:
    def main(_: ExtractParams) -> None:
        write_metrics("extract", {"usable": 3, "videos": 4})

    write_time("videos", 12.34)
    with caplog.at_level(logging.INFO):
        run.run(main, ExtractParams)
    assert caplog.messages == ["extract: 3 of 4 videos usable; 0 s"]
    times = json.loads(Path("metrics/times.json").read_text(encoding="utf-8"))["seconds"]
    assert times["videos"] == 12.3 and set(times) == {"videos", "extract"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"seconds": 1}'])
def test_times_that_cannot_be_read_are_begun_anew(content: str) -> None:
    Path("metrics").mkdir()
    Path("metrics/times.json").write_text(content, encoding="utf-8")
    write_time("videos", 1.0)
    assert json.loads(Path("metrics/times.json").read_text(encoding="utf-8")) == {"seconds": {"videos": 1.0}}


def test_of_several_processes_the_first_alone_tells_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with caplog.at_level(logging.INFO):
        run.run(lambda params: None, ExtractParams)
    assert not caplog.messages and not Path("metrics").exists()


# --- Before


@pytest.mark.parametrize(
    ("argv", "words", "said"),
    [
        (["-m"], ["python", "-m", "stages.evaluate_scenes"], "evaluate_scenes: loading libraries\n"),
        (["-m"], ["python", "-m", "pytest", "tests"], ""),
        (["stages/videos.py"], ["python", "-m", "stages.videos"], ""),
    ],
)
def test_a_stage_says_a_word_before_its_libraries_load(
    argv: list[str], words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", words)
    importlib.reload(stages)
    assert capsys.readouterr().err == said


def test_a_repository_without_a_commit_is_told_before_any_work(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True)

    def main(_: ExtractParams) -> None:
        Path("began").touch()
        raise InputError("work began")

    git("init", "-q")
    with pytest.raises(SystemExit) as ended:
        run.run(main, ExtractParams)
    assert str(ended.value.code).endswith("has no commit, and DVC needs one: git add -A && git commit -m start")
    assert not Path("began").exists()
    git("commit", "-qm", "start", "--allow-empty")
    with pytest.raises(SystemExit, match="error: work began"):
        run.run(main, ExtractParams)


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

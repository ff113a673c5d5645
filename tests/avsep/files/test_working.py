"""A stage at work: its log, two at once, and params or code that change meanwhile."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from avsep.errors import InputError
from avsep.files import working as module
from avsep.files.working import refuse_changed, working

ROOT = Path(__file__).parents[3]
PIPELINE = {
    "stages": {
        "extract": {"deps": ["stages/extract.py", "data/videos"], "params": ["extract"], "outs": ["data/frames"]},
        "detect": {
            "deps": ["data/frames/cello"],
            "params": ["frames.fps"],
            "outs": [{"data/found": {"persist": True}}],
        },
        "survey": {
            "foreach": "${survey.lists}",
            "do": {"deps": ["stages/survey.py"], "params": ["videos"], "outs": ["${item}", "metrics/survey.json"]},
        },
        "captions": {"deps": ["data/words"], "outs": ["data/captions"], "metrics": [{"metrics/captions.json": {}}]},
    }
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    Path("stages").mkdir()
    Path("stages/extract.py").write_text("pass")
    write_params()


def write_params(**values: object) -> None:
    given = {"extract": {"fps": 1, "rate": 11025}, "frames": {"fps": 1, "size": 8}, "seed": 0} | values
    Path("params.yaml").write_text(yaml.safe_dump(given))


def line_of(error: BaseException) -> str | None:
    return f"error: {error}" if isinstance(error, InputError) else None


def log(stage: str = "extract") -> str:
    return Path(f"metrics/made/{stage}.log").read_text()


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is at work as stage extract."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from avsep.files.working import working\n"
        "with working('extract', lambda error: None):\n    print('works', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(ROOT)], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"works\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


# --- the log


def test_the_log_tells_what_ran_what_it_said_and_what_it_took() -> None:
    with working("extract", line_of):
        logging.getLogger().warning("one video is short")
    told = log()
    assert "\n  extract.fps: 1\n  extract.rate: 11025\n" in told and "frames.size" not in told
    assert all(f"\n{what}: " in told for what in ("stage", "code", "python", "torch", "device", "threads", "seed"))
    assert told.index("params:") < told.index("one video is short") < told.index("ended well after")
    with working("extract", line_of):
        pass
    assert "one video is short" not in log(), "of the last run alone"
    logging.getLogger().warning("of nobody")
    assert "of nobody" not in log()


def test_the_log_ends_with_the_line_that_the_terminal_shows() -> None:
    with pytest.raises(InputError), working("extract", line_of):
        raise InputError("a.mp4 is gone")
    assert log().endswith("\nerror: a.mp4 is gone\n")
    with pytest.raises(ZeroDivisionError), working("extract", line_of):
        print(1 / 0)
    assert "Traceback" in log() and log().endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_log_on_a_full_disk_stops_no_stage(capsys: pytest.CaptureFixture[str]) -> None:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 (closing it fails)
    handler = module._Handler(full)
    handler.emit(logging.LogRecord("avsep", logging.INFO, "a.py", 1, "said", None, None))
    module._write(full, "the end")
    with pytest.raises(OSError, match="No space left"):
        full.close()
    assert capsys.readouterr().err == ""


# --- two at once


def test_the_same_stage_and_one_that_shares_its_files_are_told(at_work: subprocess.Popen[bytes]) -> None:
    told = f"process {at_work.pid} on "
    for stage, what in (
        ("extract", "works in this folder already"),
        ("detect", "data/frames is its and stage detect's"),
    ):
        with pytest.raises(InputError, match=what) as refused, working(stage, line_of):
            pass
        assert told in str(refused.value)
    assert told in log(), "the log of the one at work stays"
    with working("captions", line_of):
        pass


def test_a_kill_leaves_no_lock(at_work: subprocess.Popen[bytes]) -> None:
    at_work.kill()
    at_work.wait()
    with working("extract", line_of):
        pass


# --- what DVC would record


def test_params_that_changed_meanwhile_fail_the_stage() -> None:
    with pytest.raises(InputError, match=r"extract\.fps was 1, is 2") as refused, working("extract", line_of):
        write_params(extract={"fps": 2, "rate": 11025})
    assert "DVC would record what was not run" in str(refused.value)


def test_what_comes_of_changed_params_is_told_as_that() -> None:
    with pytest.raises(InputError, match=r"extract\.fps was 1, is 2"), working("extract", line_of):
        write_params(extract={"fps": 2, "rate": 11025})
        raise FileNotFoundError("DVC has put the folder back")
    assert "extract.fps was 1, is 2" in log().splitlines()[-1]


def test_params_that_the_stage_does_not_declare_may_change() -> None:
    with working("detect", line_of):
        write_params(extract={"fps": 2, "rate": 11025}, frames={"fps": 1, "size": 9})


@pytest.mark.parametrize("stage", ["extract", "survey"], ids=["plain", "for each value"])
def test_code_that_changed_meanwhile_fails_the_stage(stage: str) -> None:
    with pytest.raises(InputError, match="code changed"), working(stage, line_of):
        Path(f"stages/{stage}.py").write_text("pass  # edited")


def test_params_of_a_stage_for_each_value_are_its_own() -> None:
    with working("survey", line_of):
        write_params(seed=1)
    with pytest.raises(InputError, match=r"videos\.path was 'missing', is 'there'"), working("survey", line_of):
        write_params(videos={"path": "there"})


def test_who_would_throw_something_away_asks_before() -> None:
    refuse_changed()  # this process is no stage
    with pytest.raises(InputError), working("extract", line_of):
        refuse_changed()
        Path("params.yaml").unlink()
        refuse_changed()
    refuse_changed()

"""Work spread over processes, threads and a cluster's workers: its order, its errors, and workers that die."""

import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from distributed import Client, LocalCluster

from avsep import cluster
from avsep.errors import InputError
from avsep.parallel import SCHEDULER, spread
from avsep.params.sections import Extract
from avsep.params.stages import ExtractParams
from stages import extract
from tests.helpers.clusters import local_cluster
from tests.helpers.spreading import die, late, refuse, setting, threads, write_late
from tests.helpers.videos import DEMO

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[LocalCluster]:
    """A cluster whose two worker processes were started in another folder than a test runs in."""
    with local_cluster(2) as started:
        yield started


@pytest.fixture
def address(two_workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The scheduler's, and where work goes from now on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SCHEDULER, two_workers.scheduler_address)
    return two_workers.scheduler_address


@pytest.fixture(params=["processes", "threads", "cluster"])
def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments for each place that work can be done in."""
    monkeypatch.delenv(SCHEDULER, raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    if request.param == "cluster":
        request.getfixturevalue("address")
    return {"threads": request.param == "threads"}


def test_results_come_in_the_items_order(everywhere: dict[str, Any]) -> None:
    results = list(spread(late, range(12), desc="late", unit="number", jobs=2, **everywhere))
    assert [number for number, _ in results] == list(range(12))
    assert ({process for _, process in results} == {os.getpid()}) == everywhere["threads"]


def test_items_are_made_as_they_are_needed_and_results_given_as_they_come(everywhere: dict[str, Any]) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for taken in range(1, 101):
            yield taken + 20  # ten milliseconds each

    results = spread(late, items(), desc="late", unit="number", total=100, jobs=2, **everywhere)
    assert taken == 0
    assert next(results)[0] == 21 and taken < 30
    with pytest.warns(UserWarning, match="cancelled"):
        results.close()  # type: ignore[attr-defined]


def test_an_exception_arrives_as_it_was_raised(everywhere: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="three is no number"):
        list(spread(refuse, range(12), desc="refuse", unit="number", jobs=2, **everywhere))


def test_an_item_that_cannot_be_made_ends_the_work(everywhere: dict[str, Any]) -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise InputError("no more items")

    with pytest.raises(InputError, match="no more items"):
        list(spread(late, items(), desc="late", unit="number", total=30, jobs=2, **everywhere))


def test_with_room_for_one_the_work_is_done_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    here = {(number, os.getpid()) for number in range(4)}
    assert set(spread(late, range(4), desc="late", unit="number")) == here
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT")
    assert set(spread(late, range(4), desc="late", unit="number", inner_threads=os.cpu_count())) == here


def test_processes_are_given_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    work = partial(setting, name="OMP_NUM_THREADS")
    assert set(spread(work, range(4), desc="threads", unit="number", inner_threads=3, jobs=2)) == {"3"}


# --- A cluster


@pytest.mark.slow
def test_torch_computes_with_the_threads_that_are_asked_for(address: str) -> None:
    for count in (2, 3):
        found = set(spread(threads, range(4), desc="threads", unit="number", inner_threads=count))
        assert found == {count}


def when(condition: Callable[[], bool], action: Callable[[], object]) -> threading.Thread:
    """Does something once a condition is met; join it."""

    def wait() -> None:
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def kill_one(address: str) -> None:
    """Kills a worker's process at once."""
    with Client(address, set_as_default=False) as client:
        process = next(iter(client.run(os.getpid).values()))
    os.kill(process, signal.SIGKILL)


def test_a_worker_that_is_killed_costs_nothing_but_time(address: str, tmp_path: Path) -> None:
    done_before: list[int] = []

    def kill() -> None:
        kill_one(address)
        done_before.append(len(list(tmp_path.glob("*.txt"))))

    killer = when(lambda: len(list(tmp_path.glob("*.txt"))) >= 3, kill)
    results = list(spread(partial(write_late, folder=tmp_path), range(24), desc="late", unit="number"))
    killer.join()
    assert results == list(range(24)) and 3 <= done_before[0] < 24
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == {
        f"{number}.txt": str(number) * 1000 for number in range(24)
    }


def test_a_task_that_kills_each_worker_is_told(address: str) -> None:
    with pytest.raises(InputError, match="4 workers, one after the other, died of one task"):
        list(spread(die, range(6), desc="die", unit="number"))


def test_extraction_gives_the_same_bytes_on_a_cluster_that_loses_a_worker(
    project: Path, two_workers: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> dict[str, bytes]:
        folders = [Path("data/frames"), Path("data/audio")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in [*files, extract.LEDGER, Path("metrics/extract.json")]}

    params = ExtractParams(videos=DEMO, extract=Extract(rate=11025, fps=1))
    monkeypatch.delenv(SCHEDULER, raising=False)
    extract.main(params)
    here = made()
    (project / "data").rename(project / "local")
    (project / "data").mkdir()
    (project / "local/videos").rename(project / "data/videos")

    monkeypatch.setenv(SCHEDULER, two_workers.scheduler_address)
    done_before: list[int] = []

    def kill() -> None:
        kill_one(two_workers.scheduler_address)
        done_before.append(len(list(Path("data/audio").glob("*/*.wav"))))

    killer = when(lambda: any(Path("data/audio").glob("*/*.wav")), kill)
    extract.main(params)
    killer.join()
    assert 1 <= done_before[0] < 12 and made() == here
    assert not list(Path("data/frames").rglob("*.tmp"))


def test_where_no_scheduler_answers_it_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    for wrong in ("tcp://127.0.0.1:1", "nonsense:abc", "ftp://127.0.0.1:1", "127.0.0.1"):
        monkeypatch.setenv(SCHEDULER, wrong)
        with pytest.raises(InputError, match=f"DASK_SCHEDULER_ADDRESS is {wrong}, where no scheduler answers") as told:
            list(spread(late, range(3), desc="late", unit="number"))
        assert "\n" not in str(told.value)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Popen[bytes]]]:
    """Starts dask's scheduler or worker in a folder that holds no code; all of them end with the test."""
    started: list[Popen[bytes]] = []
    without = tmp_path / "without"  # in the place of a package that is installed
    without.mkdir()
    (without / "avsep.py").write_text("raise ModuleNotFoundError(\"No module named 'avsep'\", name='avsep')")

    def begin(what: str, *arguments: str, code: bool) -> Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1", "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT if code else without)}
        process = Popen([*command, *arguments], cwd=tmp_path, env=environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_who_lacks_workers_or_the_code_is_told(
    start: Callable[..., Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        with pytest.raises(InputError) as refused:
            list(spread(late, range(3), desc="late", unit="number"))
        return str(refused.value)

    def begin(code: bool) -> tuple[Popen[bytes], str]:
        """A scheduler that is where work goes from now on, and its address."""
        port = free_port()
        scheduler = start("scheduler", "--port", str(port), code=code)
        address = f"tcp://127.0.0.1:{port}"
        Client(address, timeout=60, set_as_default=False).close()  # it answers
        monkeypatch.setenv(SCHEDULER, address)
        return scheduler, address

    monkeypatch.chdir(tmp_path)
    scheduler, address = begin(code=False)
    monkeypatch.setattr(cluster, "ANSWER", 3)
    assert "has no worker: start some" in told()
    monkeypatch.setattr(cluster, "ANSWER", 60)
    worker = start("worker", address, "--no-nanny", code=True)
    assert re.search("the scheduler .* cannot run the code: start it with the repository in PYTHONPATH", told())
    for process in (worker, scheduler):
        process.kill()
        process.wait()

    scheduler, address = begin(code=True)
    worker = start("worker", address, "--no-nanny", code=False)
    assert re.search("the worker .* cannot run the code: start it with the repository in PYTHONPATH .*avsep", told())
    worker.kill()
    worker.wait()

    start("worker", address, "--no-nanny", code=True)
    results = spread(late, [1] * 300, desc="late", unit="number")
    next(results)
    scheduler.kill()
    with pytest.raises(InputError, match=r"the scheduler .* is gone: start it and this stage again"):
        list(results)


def test_no_cluster_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER, "no address")
    assert list(spread(late, [], desc="late", unit="number")) == []


def test_workers_with_other_files_or_other_code_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        elsewhere = partial(tempfile.NamedTemporaryFile, dir="/dev/shm", delete=False)

        def unseen(**_: object) -> object:
            """A file that is there for this process alone: gone before a worker looks."""
            file = elsewhere()
            Path(file.name).unlink()
            return file

        patched.setattr(cluster.tempfile, "NamedTemporaryFile", unseen)
        with pytest.raises(InputError, match="does not see /dev/shm as it is here"):
            list(spread(late, range(3), desc="late", unit="number"))
    with monkeypatch.context() as patched:
        patched.setattr(cluster, "code_digest", lambda: "edited")
        with pytest.raises(InputError, match="other code or packages than the stage: restart it"):
            list(spread(late, range(3), desc="late", unit="number"))
    with pytest.raises(InputError, match="does not see /nowhere/videos: mount it there"):
        list(spread(late, range(3), desc="late", unit="number", needs=[Path.cwd(), Path("/nowhere/videos")]))
    with pytest.raises(InputError, match="other code or packages"):  # of a worker that came later
        cluster.perform(cluster.Task(late, 1, "edited", threads=None))
    assert len(list(spread(late, range(3), desc="late", unit="number"))) == 3

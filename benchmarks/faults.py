"""What a kill costs: each stage is stopped at random moments, in each way that there is, and then `dvc repro` runs.

    python -m benchmarks.faults [--times 20] [--stages extract,grounding] [--kills stage,dvc] [--workers 0,2] [--seed 0]
        [--at FOLDER] [--profile smoke] [--set train.workers=0 ...] [--table docs/reliability.md]

In a copy of the checkout, with the smoke profile, the pipeline runs once from one end to the other.  Then, for each
stage, way and moment: what the stage left is taken away, the stage is started by `dvc repro`, stopped in the middle,
and started again.  Told is whether it ends in the same bytes as the run that nobody stopped, and what was done twice.

Ways: `stage`, SIGKILL to the stage's process; `dvc`, to DVC's alone; `both`; `ctrl-c`, SIGINT to all as a terminal
sends it; `worker`, SIGKILL to one process that the stage started: a loader of data, a joblib worker, an ffmpeg.

Moments are drawn by the seed from 0 to as long as the stage took.  The same seed, the same moments; what they hit
depends on the machine.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dvc.utils.hydra import compose_and_dump

ROOT = Path(__file__).parents[1]
KILLS = ("stage", "dvc", "both", "ctrl-c", "worker")
SECONDS = 3600  # that a run may take at most
EPOCH = re.compile(r"epoch (\d+)/\d+, val")  # as a training tells the end of one
# Of incremental stages: where an item's finished outputs lie, and the ledger.
ITEMS = {
    "videos": ("data/videos", "*/*.mp4"),
    "extract": ("data/frames", "*/*.zip"),
    "detect": ("data/detection_results", "*/*.npy"),
}


@dataclass(frozen=True)
class Killed:
    """What became of one stage that was stopped once."""

    stage: str
    kill: str
    workers: int
    moment: float  # seconds from the start of the stage's process
    hit: bool  # whether it was still running then
    same: bool  # bytes, in the end
    said: str  # the last line of the run that was stopped
    again: str  # of the one after it, if it failed
    twice: int | None  # epochs or videos that were done twice; None: the stage is done as one
    seconds: float  # of the second run


# --- The workspace


def prepare(at: Path, profile: str, settings: list[str], upto: list[str]) -> None:
    """A copy of the checkout in which the pipeline has run once. One that is there already is taken as it is."""
    if (at / "done").exists():
        return
    at.mkdir(parents=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout
    for name in tracked.splitlines():
        if ((ROOT / name).is_file() or (ROOT / name).is_symlink()) and name != "dvc.lock":
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, at / name, follow_symlinks=False)  # avsep/models is a link
    for words in ("init -q", "add -A", "-c user.name=faults -c user.email=faults@localhost commit -qm start"):
        subprocess.run(["git", *words.split()], cwd=at, check=True)
    compose_and_dump(str(at / "params.yaml"), str(at / "conf"), None, "config", "", [f"profile={profile}", *settings])
    call(at, "dvc", "repro", *upto)
    (at / "done").touch()


def environment() -> dict[str, str]:
    own = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    own.pop("OMP_NUM_THREADS", None)  # dvc.yaml sets it
    return own


def call(at: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=at, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def outputs(at: Path, stage: str) -> list[Path]:
    """What a stage leaves, as dvc.yaml names it; of one for each of a param's values, what all of these leave."""
    values = yaml.safe_load((at / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    items = [""]
    if "foreach" in values:
        found = yaml.safe_load((at / "params.yaml").read_text(encoding="utf-8"))
        for name in values["foreach"].strip("${}").split("."):
            found = found[name]
        items, values = list(found.values()), values["do"]
    named = [*values.get("outs", []), *values.get("metrics", []), *values.get("plots", [])]
    paths = [next(iter(one)) if isinstance(one, dict) else one for one in named]
    return [at / path.replace("${item}", item) for item in items for path in paths]


def contents(paths: list[Path]) -> dict[str, str]:
    """Names and hashes of all files, as they would be told to DVC."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def take_away(at: Path, stage: str) -> None:
    """As if the stage had never run."""
    unfinished = [at / "checkpoints/resume" / stage, at / "data/unfinished" / stage]
    for path in [*outputs(at, stage), *unfinished, at / ".dvc/cache/runs", at / "metrics/made"]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for left in [*(at / "data").glob(".*.journal"), at / "data/.rendered.csv"]:
        left.unlink(missing_ok=True)
    lock = yaml.safe_load((at / "dvc.lock").read_text(encoding="utf-8"))
    recorded = [name for name in lock["stages"] if name.partition("@")[0] == stage]
    if recorded:  # else DVC would bring back what it has kept of it
        for name in recorded:
            del lock["stages"][name]
        (at / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


def set_workers(at: Path, workers: int) -> None:
    """`train.workers`, which changes no result."""
    values = yaml.safe_load((at / "params.yaml").read_text(encoding="utf-8"))
    values["train"]["workers"] = workers
    (at / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


# --- Processes


def children(process: int) -> list[int]:
    """Of a process, and of those in turn."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def command_of(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def stage_process(dvc: int, stage: str) -> int | None:
    """The process of `python -m stages.<stage>` below DVC's; the shell before it has the words too."""
    mine = [one for one in children(dvc) if f"-m stages.{stage}" in command_of(one)]
    pythons = [one for one in mine if not command_of(one).startswith(("/bin/sh", "sh", "/bin/bash"))]
    return pythons[0] if pythons else None


@contextlib.contextmanager
def started(at: Path, stage: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dvc repro` of one stage, in a session of its own. Nothing of it is left in the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["dvc", "repro", "--single-item", stage],
            cwd=at,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def strike(kill: str, dvc: int, own: int, random: np.random.Generator) -> bool:
    """Whether there was something to strike."""
    with contextlib.suppress(ProcessLookupError):
        if kill == "ctrl-c":
            os.killpg(dvc, signal.SIGINT)
        elif kill == "both":
            os.killpg(dvc, signal.SIGKILL)
        elif kill == "worker":
            helpers = [one for one in children(own) if "resource_tracker" not in command_of(one)]
            if not helpers:
                return False
            os.kill(int(random.choice(helpers)), signal.SIGKILL)
        else:
            os.kill(own if kill == "stage" else dvc, signal.SIGKILL)
        return True
    return False


def last_line(log: Path) -> str:
    lines = [line for line in re.split(r"[\r\n]+", log.read_text(errors="replace")) if line.strip()]
    return lines[-1].strip() if lines else ""


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- One kill


def timed(at: Path, stage: str) -> tuple[float, dict[str, str]]:
    """How long a stage's process runs that nobody stops, and what it leaves."""
    take_away(at, stage)
    with started(at, stage, at / "log") as process:
        own = wait_for(process, stage)
        begun = time.monotonic()
        while own is not None and running(own) and process.poll() is None:
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        if process.wait(SECONDS) != 0:
            raise RuntimeError(f"{stage} fails by itself: {(at / 'log').read_text(errors='replace')[-2000:]}")
    return seconds, contents(outputs(at, stage))


def wait_for(process: subprocess.Popen[bytes], stage: str) -> int | None:
    while process.poll() is None:
        if (own := stage_process(process.pid, stage)) is not None:
            return own
        time.sleep(0.02)
    return None


def killed(
    at: Path, stage: str, kill: str, workers: int, moment: float, whole: dict[str, str], random: np.random.Generator
) -> Killed:
    take_away(at, stage)
    first, second = at / "log.first", at / "log.second"
    with started(at, stage, first) as process:
        own = wait_for(process, stage)
        assert own is not None
        end = time.monotonic() + moment
        while time.monotonic() < end and running(own):
            time.sleep(0.01)
        hit = running(own) and strike(kill, process.pid, own, random)
        process.wait(SECONDS)
        done = finished(at, stage)
        begun = time.monotonic()
        code = again(at, stage, second)
        if code != 0 and kill == "dvc":  # told that the stage, which nobody stopped, still runs
            while running(own):
                time.sleep(0.1)
            code = again(at, stage, second)
    return Killed(
        stage,
        kill,
        workers,
        moment,
        hit,
        code == 0 and contents(outputs(at, stage)) == whole,
        last_line(first),
        last_line(second) if code else "",
        twice(at, stage, done, [first, second]),
        time.monotonic() - begun,
    )


def again(at: Path, stage: str, log: Path) -> int:
    with started(at, stage, log) as process:
        return process.wait(SECONDS)


def finished(at: Path, stage: str) -> int:
    """How many items of an incremental stage lie there whole."""
    if stage not in ITEMS:
        return 0
    folder, names = ITEMS[stage]
    return sum(1 for path in (at / folder).glob(names) if not path.name.startswith("."))


def twice(at: Path, stage: str, done: int, logs: list[Path]) -> int | None:
    """Epochs that both runs told of, or items that the second made though they lay there."""
    told = [number for log in logs for number in EPOCH.findall(log.read_text(errors="replace"))]
    if told:
        return len(told) - len(set(told))
    if f"Running stage '{stage}" not in logs[-1].read_text(errors="replace"):
        return 0  # all was there
    made = at / f"metrics/made/{stage}.json"
    if stage in ITEMS and made.is_file():
        return max(0, done - int(json.loads(made.read_text())["kept"]))
    return None


# --- The table


def write_table(path: Path, rows: list[Killed]) -> None:
    """Puts what was found in place of the table between the page's marks."""
    kinds = list(dict.fromkeys((one.stage, one.kill, one.workers) for one in rows))
    lines = [
        "| stage | kill | loader workers | tried | hit | same bytes after `dvc repro` | done twice, at most |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for stage, kill, workers in kinds:
        own = [one for one in rows if (one.stage, one.kill, one.workers) == (stage, kill, workers)]
        counts = [one.twice for one in own if one.twice is not None]
        lost = str(max(counts)) if counts else "the stage"
        same = sum(one.same for one in own)
        lines.append(f"| {stage} | {kill} | {workers} | {len(own)} | {sum(o.hit for o in own)} | {same} | {lost} |")
    text = path.read_text(encoding="utf-8")
    start, end = "<!-- kills -->", "<!-- /kills -->"
    before, after = text.partition(start)[0], text.partition(end)[2]
    path.write_text(f"{before}{start}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--times", type=int, default=20, help="moments of each stage, way and number of workers")
    parser.add_argument("--stages", default="", help="of dvc.yaml, with commas; without, all")
    parser.add_argument("--kills", default=",".join(KILLS))
    parser.add_argument("--workers", default="0,2", help="train.workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=Path, default=Path("/tmp/faults"), help="the workspace; kept, and taken again")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--set", nargs="*", default=[], help="other params, as -S takes them")
    parser.add_argument("--table", type=Path, help="the page to write the table into")
    given = parser.parse_args()
    # a shell has what it starts behind its back ignore Ctrl-C, and so would all that is started here
    signal.signal(signal.SIGINT, signal.default_int_handler)
    every = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    stages = given.stages.split(",") if given.stages else every
    if unknown := [one for one in stages if one not in every]:
        parser.error(f"{unknown[0]} is no stage: {', '.join(every)}")
    prepare(given.at, given.profile, given.set, stages if given.stages else [])
    rows: list[Killed] = []
    results = given.at / "kills.csv"
    for stage in stages:
        trains = (ROOT / f"stages/{stage}.py").read_text(encoding="utf-8").find("learn(") > 0
        for workers in [int(one) for one in given.workers.split(",")] if trains else [0]:
            set_workers(given.at, workers)
            seconds, whole = timed(given.at, stage)
            for kill in given.kills.split(","):
                random = np.random.default_rng([given.seed, *stage.encode(), *kill.encode(), workers])
                for moment in random.uniform(0, seconds, given.times):
                    one = killed(given.at, stage, kill, workers, float(moment), whole, random)
                    rows.append(one)
                    write_results(results, rows)
                    print(*vars(one).values(), sep=" | ", flush=True)
    if given.table:
        write_table(given.table, rows)
    bad = [one for one in rows if not one.same or (one.twice or 0) > 1]
    print(f"{len(rows)} kills, {sum(one.hit for one in rows)} hit; {len(bad)} lost something")
    sys.exit(bool(bad))


def write_results(path: Path, rows: list[Killed]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        told: list[dict[str, Any]] = [vars(one) for one in rows]
        writer = csv.DictWriter(file, list(told[0]))
        writer.writeheader()
        writer.writerows(told)


if __name__ == "__main__":
    main()

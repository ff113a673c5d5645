"""Trains a stage with some params changed, in a folder of its own, on the data and weights that lie here.

    python -m benchmarks.trial ungated "" "train.lr=1e-3" "train.batch=8 ungated.epochs=4" --seeds 0 1

Each line is a trial: `section.param=value`, as `dvc exp run -S` takes them, scored on validation alone.  A trial has
one thread and a folder of its own, with links to data and to other stages' weights, so that trials run side by side and
nothing here changes.  `--at` names another workspace that is meant, `--keep` a folder in which weights and curves stay,
for a stage that goes on from them (`--start`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def prepare(folder: Path, at: Path, stage: str, changes: list[str], seed: int, starts: dict[str, Path]) -> None:
    """A workspace whose params.yaml has the changes, and whose data and weights are those of `at`."""
    params = yaml.safe_load((at / "params.yaml").read_text(encoding="utf-8"))
    params |= {"seed": seed, "threads": 1}
    for change in changes:
        name, value = change.split("=", 1)
        section, leaf = name.split(".", 1)
        if leaf not in params[section]:
            raise SystemExit(f"error: {name} is no param")
        params[section][leaf] = yaml.safe_load(value)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    link(folder / "data", at / "data")
    for source in sorted((at / "checkpoints").iterdir()):
        if source.name not in (stage, "resume", *starts):
            link(folder / "checkpoints" / source.name, source)
    for name, source in starts.items():
        link(folder / "checkpoints" / name, source / "checkpoints" / name)


def link(path: Path, target: Path) -> None:
    if not path.exists():
        path.symlink_to(target.resolve(), target_is_directory=True)


def trial(folder: Path, stage: str) -> tuple[dict[str, float], float]:
    """What validation says of the best epoch, and seconds."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=environment, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        return {}, time.monotonic() - started
    told = json.loads((folder / "metrics" / f"{stage}.json").read_text())
    return told["best"], time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("lines", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--at", type=Path, default=ROOT)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--start", action="append", default=[], help="stage=folder of an earlier trial, of --keep")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    starts = {name: Path(folder) for name, folder in (given.split("=") for given in asked.start)}
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(asked.jobs) as pool:
        running = []
        for number, line in enumerate(asked.lines):
            for seed in asked.seeds:
                folder = (asked.keep or Path(temporary)) / f"{asked.stage}-{number}-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                prepare(folder, asked.at, asked.stage, line.split(), seed, starts)
                running.append((line, seed, folder, pool.submit(trial, folder, asked.stage)))
        for line, seed, folder, done in running:
            best, seconds = done.result()
            if not best:
                print(f"{line or '-'}, seed {seed}: failed\n{(folder / 'log').read_text()[-2000:]}", flush=True)
                continue
            values = ", ".join(
                f"{k.removeprefix('val/')} {v:.3f}" for k, v in best.items() if isinstance(v, float) or k == "epoch"
            )
            print(f"{line or '-'}, seed {seed}: {values}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

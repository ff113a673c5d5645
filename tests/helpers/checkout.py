"""A checkout of the repository in a folder of its own, as a user has it: for tests that run the whole pipeline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def call(folder: Path, *command: str) -> str:
    """A command's output. Fails with all that it said if it fails."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("OMP_NUM_THREADS", None)  # dvc.yaml sets it
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def fresh_checkout(folder: Path, lock: bool = False) -> Path:
    """The files that git tracks, as they are now, committed in a repository of their own; nothing has run yet.

    `lock`: with dvc.lock, as a clone has it, which tells of data that is not there.
    """
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout
    for name in tracked.splitlines():
        there = (ROOT / name).is_file() or (ROOT / name).is_symlink()
        if there and (lock or name != "dvc.lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name, follow_symlinks=False)  # avsep/models is a link
    call(folder, "git", "init", "-q")
    call(folder, "git", "config", "user.name", "tester")
    call(folder, "git", "config", "user.email", "tester@example.org")
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", "start")
    return folder

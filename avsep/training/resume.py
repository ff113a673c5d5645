"""A training that was stopped goes on where it was, if nothing that it depends on has changed since."""

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from avsep.errors import InputError
from avsep.files import ledgers
from avsep.files.pipeline import CODE, deps_of

PATIENCE = 600  # seconds that the other processes wait for the first


def fingerprint(stage: str, params: Mapping[str, Any], reads: Iterable[Path]) -> str:
    """A hash of all that a stage's result depends on: its `params`, the code and the data that dvc.yaml names as its
    `deps`, and what it `reads`, named there or not.

    data/index among them holds the hashes of all that it points to.  Without a dvc.yaml that knows the stage it is all
    code: an unfinished training may then start anew without need, and never goes on wrongly.
    Raises InputError if dvc.yaml cannot be read.
    """
    deps = deps_of(stage)
    code = [path for path in deps if path.parts[0] in CODE] or [Path(folder) for folder in CODE]
    data = [path for path in deps if path.parts[0] not in CODE]
    sources = [file for path in code for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return ledgers.fingerprint(dict.fromkeys([*data, *reads]), sources, params)


class ResumeFolder:
    """checkpoints/resume/<stage>: the state of an unfinished training. Neither DVC nor git keeps it.

    Each epoch's state, a checkpoint and the curves up to it, is written in `unfinished`, and takes the place of the one
    before when all of it is there: a stop between the two would lose a part of the curves.
    Of processes that train together the `first` decides whether it may go on; the others wait until it has.
    Raises InputError if it does not, for PATIENCE seconds.
    """

    def __init__(
        self, stage: str, fingerprint: str, root: Path = Path("checkpoints/resume"), first: bool = True
    ) -> None:
        self.path = root / stage
        self._stamp = self.path / "fingerprint"
        if not first:
            self._wait(fingerprint)
        elif not self._of(fingerprint):
            self.clear()
            self.path.mkdir(parents=True)
            self._stamp.write_text(fingerprint, encoding="utf-8")
        else:
            self.failed.unlink(missing_ok=True)
            shutil.rmtree(self.unfinished, ignore_errors=True)

    def _of(self, fingerprint: str) -> bool:
        try:
            return self._stamp.read_bytes() == fingerprint.encode()
        except FileNotFoundError:
            return False

    def _wait(self, fingerprint: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self._of(fingerprint):
            if time.monotonic() > end:
                raise InputError(
                    f"{self.path}: the first process has not made it in {PATIENCE} s for the params, code and data that"
                    " this process sees: all must run in one folder, which they share"
                )
            time.sleep(0.1)

    @property
    def unfinished(self) -> Path:
        """Where the next state is written: last.ckpt, curves."""
        return self.path / "unfinished"

    def finish(self) -> None:
        """What is in `unfinished` becomes the state to go on from: whole, or not at all."""
        before = self._states()
        os.replace(self.unfinished, self.path / str(max(before, default=0) + 1))
        for number in before:
            shutil.rmtree(self.path / str(number))

    def _states(self) -> list[int]:
        """Two, if a run was stopped before it had removed the older one."""
        return sorted(int(path.name) for path in self.path.iterdir() if path.name.isdigit())

    @property
    def state(self) -> Path | None:
        """The folder of the last whole state, if there is one."""
        states = self._states()
        return self.path / str(states[-1]) if states else None

    @property
    def checkpoint(self) -> Path | None:
        """Where to go on from, if there is something."""
        return self.state and self.state / "last.ckpt"

    @property
    def failed(self) -> Path:
        """Made by the first of several processes that ends in an error."""
        return self.path / "failed"

    @property
    def best(self) -> Path:
        """The best weights so far."""
        return self.path / "best.safetensors"

    def clear(self) -> None:
        """When the training is done, or another one starts."""
        shutil.rmtree(self.path, ignore_errors=True)

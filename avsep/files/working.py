"""A stage at work: its log, that no other works on the same files, and that it ends under what it began with.

metrics/made/<stage>.log tells of the stage's last run: versions, params, device, threads, all that it said, how it
ended and what it took.  It tells of the run, not of the result, and so is no output of the stage.  While the stage
works its log is locked, and whoever would read what it writes, or write what it reads, is told; `dvc` keeps two of its
own runs apart, and knows nothing of a stage that is run by hand.  The system takes the lock back however the process
ends.

DVC hashes a stage's params and code when the stage has ended.  What was written into params.yaml meanwhile, by another
`dvc exp run` in the same folder say, would be recorded as what had run.  So a stage that ends under other params or
code fails, before it throws away what a next run could go on with.
"""

import contextlib
import fcntl
import importlib.metadata
import logging
import os
import platform
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml

from avsep.errors import InputError
from avsep.files.ledgers import digest
from avsep.files.pipeline import code_of, deps_of, outputs_of, params_of, stages_of

LOGS = Path("metrics/made")
PARAMS = Path("params.yaml")
PACKAGES = (
    *("avsep", "torch", "torchvision", "lightning", "open_clip_torch", "transformers", "numpy", "scipy", "pillow"),
    *("av", "soundfile", "joblib", "dvc"),
)
MISSING = "missing"

_begun: "Begun | None" = None  # of the stage that this process is


class Begun:
    """What DVC records of a stage beside its data, as it was when the stage began."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.code = digest(code_of(stage))
        self.params = _watched(stage)

    def refuse_changed(self) -> None:
        """Raises InputError, naming them, if params or code are no longer what they were."""
        now = _watched(self.stage)
        names = sorted(name for name in {*self.params, *now} if self.params.get(name) != now.get(name))
        told = [f"{name} was {self.params.get(name, MISSING)!r}, is {now.get(name, MISSING)!r}" for name in names]
        if told:
            raise InputError(
                f"{self.stage}: {PARAMS} changed while it ran ({'; '.join(told[:3])}{'; ...' if told[3:] else ''}): DVC"
                " would record what was not run. Did another `dvc exp run` write it? Run again with the params that"
                " you mean: what was finished under them is kept"
            )
        if digest(code_of(self.stage)) != self.code:
            raise InputError(
                f"{self.stage}: its code changed while it ran, and DVC would record what was not run: run it again"
            )


def refuse_changed() -> None:
    """Raises InputError if this process is a stage, and ends under other params or code than it began with.

    Also called by who is about to throw away what a next run could go on with.
    """
    if _begun is not None:
        _begun.refuse_changed()


@contextlib.contextmanager
def working(stage: str, line_of: Callable[[BaseException], str | None], log: bool = True) -> Iterator[None]:
    """Within it a stage works. `line_of`: the one line that a user is told of an error; None for a fault of ours.

    `log`: of processes that train together the first alone has one.
    Raises InputError if the stage, or one that shares files with it, works in this folder already; at the end, if
    params or code changed.
    """
    global _begun
    with _log_of(stage) if log else contextlib.nullcontext() as file:
        _begun = Begun(stage)
        started = time.monotonic()
        _write(file, _heading(_begun))
        try:
            with _changed_first(_begun):
                yield
        except BaseException as error:
            line = line_of(error)
            _write(file, "".join(traceback.format_exception(error)) if line is None else f"{line}\n")
            raise
        finally:
            _begun = None
        _write(file, _ending(time.monotonic() - started))


@contextlib.contextmanager
def _changed_first(begun: Begun) -> Iterator[None]:
    """Raises InputError if what the stage began with changed, also in place of another error: who rewrites params.yaml
    by `dvc exp run` has the stage's files put back amid its work, and any error may come of that."""
    try:
        yield
    except Exception:
        begun.refuse_changed()
        raise
    begun.refuse_changed()


@contextlib.contextmanager
def _log_of(stage: str) -> Iterator[IO[str]]:
    """The stage's log, locked, and fed with all that is logged. Raises InputError if another has it."""
    path = LOGS / f"{stage}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    handler = _Handler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    try:
        if not _lock(file, fcntl.LOCK_EX):
            raise InputError(f"stage {stage} works in this folder already ({_who(path)}): wait for it, or end it")
        _refuse_neighbours(stage)
        file.truncate(0)
        logging.getLogger().addHandler(handler)
        yield file
    finally:
        logging.getLogger().removeHandler(handler)
        with contextlib.suppress(OSError):
            file.close()


def _write(file: IO[str] | None, text: str) -> None:
    """A log that cannot be written, on a full disk say, stops no stage: what the stage writes itself will."""
    if file is not None:
        with contextlib.suppress(OSError):
            file.write(text)
            file.flush()


class _Handler(logging.StreamHandler[IO[str]]):
    def handleError(self, record: logging.LogRecord) -> None:
        """As `_write`."""


def _refuse_neighbours(stage: str) -> None:
    """Raises InputError if a stage works here that reads what this one writes, or writes what it reads or writes."""
    reads, writes = deps_of(stage), outputs_of(stage)
    for other in stages_of():
        path = LOGS / f"{other}.log"
        if other == stage or not path.is_file():
            continue
        clash = [
            (mine, theirs)
            for mine, theirs in [
                *((mine, theirs) for mine in [*reads, *writes] for theirs in outputs_of(other)),
                *((mine, theirs) for mine in writes for theirs in deps_of(other)),
            ]
            if mine == theirs or mine in theirs.parents or theirs in mine.parents
        ]
        if clash and _is_locked(path):
            raise InputError(
                f"stage {other} works in this folder ({_who(path)}), and {clash[0][1]} is its and stage {stage}'s:"
                " wait for it, or end it"
            )


def _lock(file: IO[str], kind: int) -> bool:
    """Whether this process has the lock, until it ends; where files cannot be locked, it always has.

    The lock is the process's own: a worker that outlives it does not hold it.
    """
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a network's file system without locks
        return True
    return True


def _is_locked(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return not _lock(file, fcntl.LOCK_SH)


def _who(path: Path) -> str:
    """The first line of a log."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().strip() or "it has just begun"


def _watched(stage: str) -> dict[str, Any]:
    """The leaves of params.yaml that DVC watches for a stage; all, if there is no dvc.yaml that knows it."""
    try:
        values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    names = params_of(stage)
    return {
        name: value
        for name, value in _leaves(values).items()
        if not names or any(name == one or name.startswith(f"{one}.") for one in names)
    }


def _leaves(values: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping) or (name and not values):
        return {name: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _leaves(value, f"{name}.{key}" if name else str(key))
    return found


def _heading(begun: Begun) -> str:
    """What the run is made with."""
    params = begun.params
    lines = [
        f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}",
        f"stage: {begun.stage}",
        f"code: {begun.code}",
        f"python: {platform.python_version()} on {platform.platform()}",
        *(f"{package}: {_version(package)}" for package in PACKAGES),
        f"device: {params.get('device', 'cpu')}{_gpus() if params.get('device') == 'cuda' else ''}",
        f"threads: {params.get('threads', 'no param')}, OMP_NUM_THREADS is {os.environ.get('OMP_NUM_THREADS', 'none')},"
        f" {os.cpu_count()} processors",
        f"seed: {params.get('seed', 'none')}",
        "params:",
        *(f"  {name}: {value}" for name, value in params.items()),
        "",
    ]
    return "\n".join(lines) + "\n"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpus() -> str:
    """Their names, where torch is loaded anyway."""
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    return "".join(f", {torch.cuda.get_device_name(number)}" for number in range(torch.cuda.device_count()))


def _ending(seconds: float) -> str:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 2**30 if sys.platform == "darwin" else 2**20  # of ru_maxrss: bytes there, KiB elsewhere
    return (
        f"\nended well after {seconds:.1f} s; {sum(one.ru_utime + one.ru_stime for one in used):.1f} s of processors;"
        f" {used[0].ru_maxrss / unit:.2f} GiB at most\n"
    )

"""How a stage starts and ends: checked params in, one line and a non-zero exit code if it cannot go on."""

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from avsep import params
from avsep.errors import InputError

StageParams = TypeVar("StageParams")
Item = TypeVar("Item")

# Of the machine, not of the data or the code: what the system says, and what to do.
FAULTS_OF_THE_MACHINE = {
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
    errno.EROFS: "make it writable",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
}


def run(main: Callable[[StageParams], None], stage_params: type[StageParams]) -> None:
    """Reads params.yaml, checks all of it, and calls a stage's `main` with the part it reads.

    An InputError ends the process with its one line on standard error and exit code 1, and so do a full disk and a
    file or folder without permission; anything else is a fault of ours and keeps its traceback.
    """
    level = logging.INFO if first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    try:
        loaded = params.load(stage_params)
        _warn_of_other_threads(getattr(loaded, "threads", None))
        main(loaded)
    except InputError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        if error.errno not in FAULTS_OF_THE_MACHINE:
            raise
        where = "" if error.filename is None else f"{str(error.filename)!r}: "
        sys.exit(f"error: {where}{error.strerror}; {FAULTS_OF_THE_MACHINE[error.errno]}, and run it again")


def _warn_of_other_threads(threads: int | None) -> None:
    """For stages whose bits depend on their number. MKL's own variable, if there is one, outdoes that of OpenMP."""
    if threads is None:
        return
    for name, given in (("OMP_NUM_THREADS", ""), ("MKL_NUM_THREADS", str(threads))):
        if os.environ.get(name, given) != str(threads):
            logging.warning("%s is not params' threads=%d: other bits than `dvc repro`'s", name, threads)


def first_process() -> bool:
    """Whether this process is alone, or the first of those that train together: it alone writes, and tells.

    Lightning and SLURM give each its number, from 0 on, before it starts; Lightning's first one has none yet.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def progress(items: Iterable[Item], desc: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """Shows long work: a bar with rate and remaining time; plain lines every ten seconds where there is no terminal."""
    bar = tqdm(items, desc=desc, total=total, unit=unit, disable=not (sys.stderr.isatty() and first_process()))
    if not bar.disable:
        yield from bar
        return
    start = told = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - told >= 10 or done == total:
            told, rate = now, done / (now - start + 1e-9)
            left = "" if total is None else f"/{total}, {(total - done) / rate:.0f} s left"
            logging.info("%s: %d%s, %.1f %s/s", desc, done, left, rate, unit)


def write_metrics(stage: str, values: Mapping[str, Any]) -> None:
    """Writes metrics/<stage>.json, whole or not at all. Raises ValueError for a number that JSON has no word for."""
    _write(Path("metrics") / f"{stage}.json", values)


def write_made(stage: str, *, made: int, kept: int, gone: int, seconds: float) -> None:
    """Writes metrics/made/<stage>.json: of an incremental stage's items, how many it had to make in this run, how many
    it found as an earlier run left them, and how many of an earlier run it removed; and the seconds it took.

    No output of the stage and no part of its metrics: those are functions of params, code and data, while this tells
    of the run before.
    """
    _write(
        Path("metrics") / "made" / f"{stage}.json",
        {"made": made, "kept": kept, "gone": gone, "seconds": round(seconds, 3)},
    )


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)

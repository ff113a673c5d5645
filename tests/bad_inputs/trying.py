"""Reads bad inputs one after the other, each in a new folder, and tells what became of each.

Of each: `refused` in one line, `set aside` with a reason, or `used`; and what must not be: another exception, more
seconds or memory than are allowed, a line that is no line, a file outside, code that was run.
"""

import contextlib
import gc
import io
import logging
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsep.errors import LONGEST, InputError
from avsep.media.ffmpeg import Unusable
from tests.bad_inputs.entries import ENTRIES, Entry
from tests.bad_inputs.spoiling import CANARY, Bad, faults

SECONDS = 20  # for one input, on a machine that is busy
MEMORY = 1 << 30  # bytes beyond what the process has before


class Tried(NamedTuple):
    entry: str
    fault: str
    became: str  # refused, set aside, used
    told: str
    wrong: str | None
    seconds: float


class Hang(BaseException):
    """No reader catches it."""


def cases(entry: Entry, good: Path, seed: int) -> Iterator[Bad]:
    return faults(entry.format, good.read_bytes(), np.random.default_rng([seed, *entry.name.encode()]))


def limit_memory() -> None:
    """Of this process and those that it starts."""
    with Path("/proc/self/statm").open() as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))


def lift_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def tried(entry: Entry, bad: Bad, good: Path, file: Path, root: Path) -> Tried:
    """What becomes of one bad input in the place of `file`, in a copy of the folder `good`, below `root`."""
    place = root / "case"
    shutil.rmtree(place, ignore_errors=True)
    folder = place / "in"
    shutil.copytree(good, folder)
    spoilt = folder / file.relative_to(good)
    spoilt.unlink()
    with contextlib.suppress(OSError, ValueError):
        bad.put(spoilt)
    gc.collect()
    outside = set(root.iterdir()) | set(Path("/tmp").glob("escaped*"))
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    start, wrong, told, became = time.monotonic(), None, "", "used"

    def hang(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    limit_memory()
    try:
        with contextlib.chdir(place), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            entry.read(folder)
    except InputError as error:
        became, told = "refused", str(error)
    except Unusable as error:
        became, told = "set aside", str(error)
    except Hang:
        wrong = f"more than {SECONDS} s: " + "".join(traceback.format_exc(limit=-4)).replace("\n", " | ")[-600:]
    except MemoryError:
        wrong = f"more than {MEMORY >> 20} MB: {_where()}"
    except Exception as error:  # noqa: BLE001  what it is here to find
        wrong = f"{type(error).__name__}: {str(error)[:200]} {_where()}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        lift_memory()
        logging.getLogger().removeHandler(handler)
    seconds = time.monotonic() - start
    for line in [told, *said.getvalue().splitlines()]:
        plain = " ".join(line.split())
        if wrong is None and not plain.isprintable():
            wrong = f"what is told does not print: {plain[:200]!a}"
        if wrong is None and len(plain) > LONGEST:
            wrong = f"what is told has {len(plain)} characters: {plain[:200]}"
    if "Traceback" in said.getvalue():
        wrong = wrong or f"a traceback is told: {said.getvalue()[-300:]}"
    if bad.refused and became == "used" and wrong is None and not entry.lenient:
        wrong = "it was used"
    if escaped := (set(root.iterdir()) | set(Path("/tmp").glob("escaped*"))) - outside:
        wrong = f"files outside: {sorted(map(str, escaped))}"
    if any(path.name == CANARY for path in (*place.rglob("*"), *root.glob("*"))) or Path(CANARY).exists():
        wrong = "it ran code"
    return Tried(entry.name, bad.fault, became, " ".join(told.split()), wrong, seconds)


def _where() -> str:
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [frame for frame in frames if "/avsep/" in frame.filename or "/stages/" in frame.filename]
    last = (ours or frames)[-1]
    return f"({Path(last.filename).name}:{last.lineno} {last.name})"


def try_all(names: list[str], seed: int, every: int = 1) -> Iterator[Tried]:
    """All bad inputs of these entries, or one of `every`."""
    logging.getLogger().setLevel(logging.INFO)
    gc.collect()
    gc.freeze()  # what the libraries hold is not looked through again before each input
    for name in names:
        entry = ENTRIES[name]
        with tempfile.TemporaryDirectory() as good, tempfile.TemporaryDirectory() as root:
            file = entry.write(Path(good))
            for number, bad in enumerate(cases(entry, file, seed)):
                if number % every == 0:
                    yield tried(entry, bad, Path(good), file, Path(root))


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tests.bad_inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--entry", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"
    counts: Counter[str] = Counter()
    names = [name for name in ENTRIES if re.search(given.entry, name)]
    for one in try_all(names, given.seed, given.every):
        counts[one.became if one.wrong is None else "wrong"] += 1
        if one.wrong is not None or given.all:
            print(f"{one.entry} | {one.fault} | {one.became} | {one.wrong or one.told} | {one.seconds:.1f}", flush=True)
    print(dict(counts), f"at {len(names)} entries")
    sys.exit(bool(counts["wrong"]))

"""Long work shows itself: a bar with a rate and what remains; plain lines where there is no terminal."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


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

"""Work for tests/avsep/test_parallel.py, in a module that a worker's process imports at once."""

import os
import signal
import time
from pathlib import Path

from avsep.errors import InputError


def late(number: int) -> tuple[int, int]:
    """A number, later the less it is, and the process it was in."""
    time.sleep(0.2 / (number + 1))
    return number, os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise InputError("three is\nno number")
    return number


def write_late(number: int, folder: Path) -> int:
    time.sleep(0.1)
    temporary = folder / f"{number}.{os.getpid()}"
    temporary.write_text(str(number) * 1000)
    temporary.replace(folder / f"{number}.txt")
    return number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def setting(_: int, name: str) -> str | None:
    return os.environ.get(name)


def threads(_: int) -> int:
    """How many torch computes with."""
    import torch

    return torch.get_num_threads()

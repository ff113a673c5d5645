"""How a stage starts and ends: checked params in, one line and a non-zero exit code if it cannot go on."""

import argparse
import errno
import logging
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from avsep.errors import InputError
from avsep.files.working import working
from avsep.params.loading import load
from avsep.progress import first_process

StageParams = TypeVar("StageParams")

# Of the machine, not of the data or the code: what the system says, and what to do.
FAULTS_OF_THE_MACHINE = {
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
    errno.EROFS: "make it writable",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
}


def run(main: Callable[[StageParams], None], stage_params: type[StageParams]) -> None:
    """Reads params.yaml, checks all of it, and calls a stage's `main` with the part it reads; writes the stage's log
    (avsep/files/working.py).

    An InputError ends the process with its one line on standard error and exit code 1, and so do a full disk, a file or
    folder without permission, and Ctrl-C; anything else is a fault of ours and keeps its traceback.
    """
    _take_no_arguments()
    level = logging.INFO if first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    stage = _stage_of(stage_params)
    line_of = partial(_line_of, stage=stage)
    try:
        with working(stage, line_of, log=first_process()):
            loaded = load(stage_params)
            _warn_of_other_threads(getattr(loaded, "threads", None))
            main(loaded)
    except (InputError, OSError, KeyboardInterrupt) as error:
        if (line := line_of(error)) is None:
            raise
        sys.exit(line)


def _stage_of(stage_params: type) -> str:
    """EvaluateScenesParams -> evaluate_scenes."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", stage_params.__name__.removesuffix("Params")).lower()


def _line_of(error: BaseException, stage: str) -> str | None:
    """What a user is told of an error; None for a fault of ours."""
    if isinstance(error, InputError):
        return f"error: {' '.join(str(error).split())}"
    if isinstance(error, KeyboardInterrupt):
        return f"error: {stage}: stopped by Ctrl-C; run it again"
    if isinstance(error, OSError) and error.errno in FAULTS_OF_THE_MACHINE:
        where = "" if error.filename is None else f"{str(error.filename)!r}: "
        return f"error: {where}{error.strerror}; {FAULTS_OF_THE_MACHINE[error.errno]}, and run it again"
    return None


def _take_no_arguments() -> None:
    """`python -m stages.<stage> --help` tells what the stage does, and runs nothing."""
    script = sys.modules["__main__"]
    name = getattr(script.__spec__, "name", "")
    if name.startswith("stages."):
        argparse.ArgumentParser(
            prog=f"python -m {name}",
            description=script.__doc__,
            epilog=f"It takes no arguments: params.yaml has all. `dvc repro {name.removeprefix('stages.')}` runs it"
            " after what it depends on.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ).parse_args()


def _warn_of_other_threads(threads: int | None) -> None:
    """For stages whose bits depend on their number. MKL's own variable, if there is one, outdoes that of OpenMP."""
    if threads is None:
        return
    for name, given in (("OMP_NUM_THREADS", ""), ("MKL_NUM_THREADS", str(threads))):
        if os.environ.get(name, given) != str(threads):
            logging.warning("%s is not params' threads=%d: other bits than `dvc repro`'s", name, threads)

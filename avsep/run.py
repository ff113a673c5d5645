"""How a stage starts and ends: checked params in, one line and a non-zero exit code if it cannot go on."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from avsep.errors import InputError
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
    """Reads params.yaml, checks all of it, and calls a stage's `main` with the part it reads.

    An InputError ends the process with its one line on standard error and exit code 1, and so do a full disk and a
    file or folder without permission; anything else is a fault of ours and keeps its traceback.
    """
    _take_names_as_bytes()
    level = logging.INFO if first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    try:
        loaded = load(stage_params)
        _warn_of_other_threads(getattr(loaded, "threads", None))
        main(loaded)
    except InputError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        if error.errno not in FAULTS_OF_THE_MACHINE:
            raise
        where = "" if error.filename is None else f"{str(error.filename)!r}: "
        sys.exit(f"error: {where}{error.strerror}; {FAULTS_OF_THE_MACHINE[error.errno]}, and run it again")


def _take_names_as_bytes() -> None:
    """Starts the stage anew in Python's UTF-8 mode if the locale has another encoding.

    Names of files would be other texts there, and so ids and splits; in UTF-8 their bytes decide, whatever they are.
    """
    if sys.getfilesystemencoding().lower() not in ("utf-8", "utf8") and not sys.flags.utf8_mode:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})


def _warn_of_other_threads(threads: int | None) -> None:
    """For stages whose bits depend on their number. MKL's own variable, if there is one, outdoes that of OpenMP."""
    if threads is None:
        return
    for name, given in (("OMP_NUM_THREADS", ""), ("MKL_NUM_THREADS", str(threads))):
        if os.environ.get(name, given) != str(threads):
            logging.warning("%s is not params' threads=%d: other bits than `dvc repro`'s", name, threads)

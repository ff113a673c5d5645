"""How a stage starts and ends: checked params in, one line and a non-zero exit code if it cannot go on."""

import logging
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from avsep import params
from avsep.errors import InputError

StageParams = TypeVar("StageParams")


def run(main: Callable[[StageParams], None], stage_params: type[StageParams]) -> None:
    """Reads params.yaml, checks all of it, and calls a stage's `main` with the part it reads.

    An InputError ends the process with its one line on standard error and exit code 1; anything else is
    a fault of ours and keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        loaded = params.load(stage_params)
        threads = getattr(loaded, "threads", None)
        if threads is not None and os.environ.get("OMP_NUM_THREADS") != str(threads):
            logging.warning("OMP_NUM_THREADS is not params' threads=%d: other bits than `dvc repro`'s", threads)
        main(loaded)
    except InputError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")

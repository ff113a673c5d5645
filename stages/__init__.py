"""What runs: one file per DVC stage, `python -m stages.<stage>`.

Loading torch takes seconds, and a stage says so before; Ctrl-C shall show no traceback meanwhile.  Nothing of a stage's
own runs earlier than this.
"""

import sys
from types import TracebackType

from avsep.progress import first_process


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is caught nowhere else."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("error: stopped by Ctrl-C; run it again\n")
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # Python still looks for the stage that it is to run
    sys.excepthook = _tell
    if sys.orig_argv[-2:-1] == ["-m"] and first_process():
        sys.stderr.write(f"{sys.orig_argv[-1].removeprefix('stages.')}: loading libraries\n")

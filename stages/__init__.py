"""What runs: one file per DVC stage, `python -m stages.<stage>`.

Loading torch takes seconds, and a stage says so before: nothing of its own runs earlier than this.
"""

import sys

from avsep.progress import first_process

# Python still looks for the stage that it is to run
if sys.argv[0] == "-m" and sys.orig_argv[-2:-1] == ["-m"] and first_process():
    sys.stderr.write(f"{sys.orig_argv[-1].removeprefix('stages.')}: loading libraries\n")

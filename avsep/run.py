"""How a stage starts and ends: checked params in; its key figure, or one line and a non-zero exit code, out."""

import argparse
import contextlib
import dataclasses
import errno
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tqdm.contrib.logging import logging_redirect_tqdm

from avsep.errors import InputError
from avsep.files.metrics import write_time
from avsep.files.working import working
from avsep.params.loading import load
from avsep.progress import first_process, spoken_share, spoken_time, spoken_value

StageParams = TypeVar("StageParams")

# Of the machine, not of the data or the code: what the system says, and what to do.
FAULTS_OF_THE_MACHINE = {
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
    errno.EROFS: "make it writable",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
    errno.ENFILE: "allow more open files (`ulimit -n`)",
    errno.EIO: "look after the disk",
    errno.ESTALE: "mount the disk again",
}


def run(main: Callable[[StageParams], None], stage_params: type[StageParams]) -> None:
    """Reads params.yaml, checks all of it, and calls a stage's `main` with the part it reads; writes the stage's log
    (avsep/files/working.py), and ends with the stage's key figure and how long it took.

    An InputError ends the process with its one line on standard error and exit code 1, and so do a full disk, a file or
    folder without permission, and Ctrl-C; anything else is a fault of ours and keeps its traceback.
    """
    _take_names_as_bytes()
    _take_no_arguments()
    level = logging.INFO if first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)  # a library's warning is a message as any other
    stage, started = _stage_of(stage_params), time.monotonic()
    line_of = partial(_line_of, stage=stage)
    try:
        _refuse_no_commit()
        # a message stands above a bar, on a line of its own
        with working(stage, line_of, log=first_process()), logging_redirect_tqdm():
            loaded = load(stage_params)
            _warn_of_other_threads(getattr(loaded, "threads", None))
            main(loaded)
            if first_process():
                _tell_the_end(stage, dataclasses.asdict(getattr(loaded, stage)), time.monotonic() - started)
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


def _tell_the_end(stage: str, params: Mapping[str, Any], seconds: float) -> None:
    """`params`: the stage's own section."""
    write_time(stage, seconds)
    measured = json.loads(Path("metrics", f"{stage}.json").read_text(encoding="utf-8"))
    logging.info("%s: %s; %s", stage, key_figure(stage, measured, params), spoken_time(seconds))


def key_figure(stage: str, measured: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """What of metrics/<stage>.json one wants to know at once; `params`: the stage's own section."""
    if "monitor" in params:  # it trains
        best, watched = measured["best"], params["monitor"]
        of_all = f"best in epoch {best['epoch'] + 1} of {params['epochs']}"
        return f"{spoken_value(watched, best[watched])} in validation, {of_all}"
    return KEY_FIGURES[stage](measured)


def _refuse_no_commit() -> None:
    """Raises InputError in a git repository without a commit: a stage that trains would end in a fault of DVCLive's,
    after hours of earlier ones' work."""
    if not Path(".git").exists():
        return
    with contextlib.suppress(OSError):  # without git, DVC has told
        found = subprocess.run(["git", "rev-parse", "-q", "--verify", "HEAD"], capture_output=True, check=False)
        if found.returncode == 1:
            raise InputError("this git repository has no commit, and DVC needs one: git add -A && git commit -m start")


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


def _of_videos(measured: Mapping[str, Any]) -> str:
    videos, classes = measured["videos"], len(measured["classes"])
    return f"{videos} videos of {classes} classes, {spoken_time(measured['seconds'])} of sound"


def _of_pretrained(measured: Mapping[str, Any]) -> str:
    """What of the three was measured: given weights come without a measure."""
    told = [
        f"{title} {spoken_share(measured[network][score])}"
        for network, score, title in (
            ("resnet18", "accuracy_near", "ResNet-18 right in"),
            ("detector", "recall", "the detector finds"),
            ("clip", "accuracy_near", "CLIP right in"),
        )
        if score in measured.get(network, {})
    ]
    return f"{', '.join(told)} of the pictures held out" if told else "weights as they were given"


def _of_index(measured: Mapping[str, Any]) -> str:
    videos, mixtures = measured["videos"], measured["mixtures"]
    split = f"{videos['train']} videos to train on, {videos['val']} to validate and {videos['test']} to test"
    return f"{split}, {mixtures['test']} test mixtures"


def _of_evaluate(measured: Mapping[str, Any]) -> str:
    """By the names of metrics/headline.json, which is written beside it."""
    headline = json.loads(Path("metrics/headline.json").read_text(encoding="utf-8"))
    nsdr = [f"{system} {of['nsdr_db']:.1f}" for system, of in headline.items() if "nsdr_db" in of]
    return f"NSDR in dB of {measured['pairs']['evaluated']} mixtures: {', '.join(nsdr)}"


def _of_evaluate_scenes(measured: Mapping[str, Any]) -> str:
    if not measured["scenes"]:
        return "no scenes"
    return f"{spoken_share(measured['detection']['recall'])} of the players found in {measured['scenes']} scenes"


KEY_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {  # of each stage that trains nothing by an objective
    "survey": lambda measured: ", ".join(f"{number} {kind}" for kind, number in measured.items()) or "nothing there",
    "videos": _of_videos,
    "pretrained": _of_pretrained,
    "extract": lambda measured: f"{measured['usable']} of {measured['videos']} videos usable",
    "detect": lambda measured: (
        f"objects in {measured['frames']['with_object']} of {measured['frames']['total']} frames"
    ),
    "index": _of_index,
    "captions": lambda measured: (
        f"{measured['videos']} videos, the nearest class is right in {spoken_share(measured['nearest_is_class'])}"
    ),
    "evaluate": _of_evaluate,
    "scenes": lambda measured: f"{measured['scenes']} scenes, {measured['players']} players",
    "evaluate_scenes": _of_evaluate_scenes,
    "package": lambda measured: f"checkpoints/package has {measured['bytes'] / 1e6:.1f} MB",
    "report": lambda measured: f"the page is metrics/report/index.html, with {measured['mixtures']} mixtures to hear",
}

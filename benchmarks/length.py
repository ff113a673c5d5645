"""Does memory grow with a video's length?  What `avsep separate` takes for a minute of 1920 x 1080, and for an hour.

    OMP_NUM_THREADS=1 python -m benchmarks.length [MINUTES ...] [--folder DIR] [--model DIR] [--no-videos]

Draws a minute of a test pattern with sound, repeats it to MINUTES (1 10 60) without encoding it again, separates each
in a process of its own, with a box that is asked for beside what the detector finds, and prints a table.  Memory is
that process's and its children's, twice a second; a page that several share counts as its part of each (Linux;
elsewhere it is left out).  An hour takes some 3 GB of disk for the video, and 5 for what is written.  What came out
stands in docs/performance.md.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, TextIO

import psutil

from avsep.media.ffmpeg import ffmpeg

RATE = 10  # pictures a second: more take longer to decode, and are not looked at
PERIOD = 0.25  # seconds between two looks
BOX = "200,100,1100,900@30"
PARTS = 4  # of the time that it takes: the peak of each tells whether memory grows
SOUND = "0.3*sin(880*PI*t)*(1+0.5*sin(6*PI*t))|0.2*sin(1320*PI*t)"


class Look(NamedTuple):
    """What was resident at a time."""

    seconds: float  # since the start
    memory: int  # bytes, of all processes
    own: int  # bytes, of the first of them


def write_minute(path: Path) -> None:
    inputs = (f"testsrc2=size=1920x1080:rate={RATE}", f"aevalsrc={SOUND}:s=44100")
    pattern = [word for source in inputs for word in ("-f", "lavfi", "-i", source)]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "60"]
    subprocess.run([ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *pattern, *codecs, str(path)], check=True)


def repeat(minute: Path, times: int, path: Path) -> None:
    looped = ["-stream_loop", str(times - 1), "-i", str(minute), "-c", "copy", str(path)]
    subprocess.run([ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *looped], check=True)


def resident(process: psutil.Process) -> int:
    """Bytes; 0 of one that has ended."""
    try:
        told = process.memory_full_info()
    except psutil.Error:  # it has ended, or is about to
        return 0
    return int(getattr(told, "pss", told.uss))  # a process that has just forked shares all of its pages


def watch(command: list[str], told: TextIO | None = None) -> list[Look]:
    """Runs a command, and looks at its memory until it ends; tells it as lines of CSV. Raises CalledProcessError if it
    fails."""
    began, looks = time.monotonic(), list[Look]()
    with subprocess.Popen(command) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                started = process.children(recursive=True)
            except psutil.NoSuchProcess:
                break
            own = resident(process)
            looks.append(Look(time.monotonic() - began, own + sum(map(resident, started)), own))
            if told is not None:
                print(*looks[-1], sep=",", file=told, flush=True)
            time.sleep(PERIOD)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return looks


def megabytes(looks: list[Look]) -> float:
    return max((look.memory for look in looks), default=0) / 1e6


def row(minutes: int, looks: list[Look], written: int) -> list[str]:
    """Cells of the table, the peak of each part of the time last."""
    seconds = looks[-1].seconds
    parts = [
        [look for look in looks if part <= PARTS * look.seconds / seconds < part + 1 or look.seconds == seconds == part]
        for part in range(PARTS)
    ]
    cells = [f"{minutes}", f"{seconds:.0f}", f"{60 * minutes / seconds:.1f}", f"{megabytes(looks):.0f}"]
    cells += [f"{max(look.own for look in looks) / 1e6:.0f}", f"{written / 1e6:.0f}"]
    return [*cells, " ".join(f"{megabytes(part):.0f}" for part in parts)]


def main() -> None:
    parser = argparse.ArgumentParser(description="What avsep separate takes for videos of several lengths.")
    parser.add_argument("minutes", nargs="*", type=int, default=[1, 10, 60])
    parser.add_argument("--folder", type=Path, help="for the videos, which are used again if they are there")
    parser.add_argument("--model", default="pretrained/demo")
    parser.add_argument("--looks", type=Path, metavar="DIR", help="write every look there, a CSV file for each video")
    parser.add_argument("--no-videos", dest="options", action="append_const", const="--no-videos", default=[])
    arguments = parser.parse_args()
    print("| minutes | seconds | times real time | peak, MB | own, MB | written, MB | peak of each quarter, MB |")
    print("| ---: " * 6 + "| --- |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        minute = folder / "1.mp4"
        if not minute.exists():
            write_minute(minute)
        for minutes in arguments.minutes:
            video = folder / f"{minutes}.mp4"
            if not video.exists():
                repeat(minute, minutes, video)
            with tempfile.TemporaryDirectory(dir=folder) as out, contextlib.ExitStack() as stack:
                told = None
                if arguments.looks is not None:
                    told = stack.enter_context((arguments.looks / f"{minutes}.csv").open("w", encoding="ascii"))
                    print("seconds,memory,own", file=told)
                asked = ["separate", str(video), "-o", out, "--model", arguments.model, "--box", BOX, "--json"]
                looks = watch([sys.executable, "-m", "avsep", *asked, *arguments.options], told)
                files = [file for file in Path(out).rglob("*") if file.is_file()]
                print(
                    "| " + " | ".join(row(minutes, looks, sum(file.stat().st_size for file in files))) + " |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

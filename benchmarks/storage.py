"""Frames as JPEG files against one archive a video: DVC's time, disk, hashing, reading.

    python -m benchmarks.storage [VIDEOS] [FRAMES]

Writes VIDEOS (1000) x FRAMES (24) pictures of the sizes that videos are usually taken apart to into a temporary folder,
once as data/frames/<class>/<id>.mp4/000001.jpg, once as data/frames/<class>/<id>.mp4.zip, has a DVC repository of its
own keep each, and prints a table.  Disk is in 1024-byte blocks as `du` counts them.  Files come from memory when they
are read, since they were just written.  What was learnt stands in docs/lab.md.
"""

import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from avsep.files.ledgers import digest
from avsep.media.frames import count_frames, frame_name, pack, read_frame, read_jpeg

SIZES = ((224, 168), (256, 192), (320, 180), (320, 240))
PICTURES = 48  # different ones
READS = 3000


def draw_pictures() -> list[bytes]:
    """JPEG files of smooth random pictures."""
    draws = np.random.default_rng([0])
    files = []
    for number in range(PICTURES):
        width, height = SIZES[number % len(SIZES)]
        coarse = Image.fromarray(draws.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        grain = draws.integers(-8, 9, fine.shape, dtype=np.int16)
        file = io.BytesIO()
        Image.fromarray(np.clip(fine + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def write_folders(root: Path, videos: int, frames: int) -> None:
    """`root`/<class>/<id>.mp4/000001.jpg, ..., no two alike: a mark stands behind each picture's end."""
    pictures = draw_pictures()
    for video in range(videos):
        folder = root / f"class{video % 10}" / f"{video:06d}.mp4"
        folder.mkdir(parents=True)
        for number in range(1, frames + 1):
            picture = pictures[(video + number) % PICTURES]
            (folder / frame_name(number)).write_bytes(picture + f"{video}/{number}".encode())


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def dvc(repository: Path, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words, "--quiet"]
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(repository.parent / "site")}  # else it stays behind
    subprocess.run(command, cwd=repository, env=environment, check=True, stdin=subprocess.DEVNULL)


def disk(folder: Path) -> tuple[float, int]:
    """MiB that the files below a folder take, and how many files and folders they are."""
    found = [path.lstat() for path in folder.rglob("*")]
    return sum(status.st_blocks for status in found) * 512 / 2**20, len(found)


def read_file(folder: Path, number: int) -> Image.Image:
    """As `avsep.media.frames.read_frame` does from an archive."""
    with Image.open(folder / frame_name(number)) as picture:
        return picture.convert("RGB")


def measure(repository: Path, read: Callable[[Path, int], object], decode: Callable[[Path, int], object]) -> list[str]:
    """The table's column for data/frames in `repository`, which DVC does not know yet."""
    frames = repository / "data/frames"
    videos = sorted(frames.glob("*/*"))
    count = len(list(videos[0].iterdir())) if videos[0].is_dir() else count_frames(videos[0])
    draws = random.Random(0)
    places = [(draws.choice(videos), draws.randrange(1, count + 1)) for _ in range(READS)]
    dvc(repository, "init", "--no-scm")
    values = [seconds(lambda: dvc(repository, "add", "data/frames"))]
    dvc(repository, "status")
    values.append(seconds(lambda: dvc(repository, "status")))
    digests = seconds(lambda: [digest([video]) for video in videos])
    (plain, files), (cached, stored) = disk(frames), disk(repository / ".dvc")
    shutil.rmtree(frames)
    checkout = seconds(lambda: dvc(repository, "checkout"))
    reads = seconds(lambda: [read(*place) for place in places]) / READS * 1e3
    pictures = seconds(lambda: [decode(*place) for place in places]) / READS * 1e3
    first = [f"{value:.1f} s" for value in (*values, checkout, digests)]
    sizes = [f"{files:,}, {stored:,}", f"{plain:.0f} MiB, {cached:.0f} MiB"]
    return [*first, *sizes, f"{reads:.3f} ms", f"{pictures:.3f} ms"]


ROWS = (
    "dvc add",
    "dvc status, nothing changed",
    "dvc checkout",
    "digest of every video",
    "files and folders: data, .dvc",
    "disk: data, .dvc",
    "a frame's bytes, at random",
    "a frame, decoded, at random",
)


def main(videos: int = 1000, frames: int = 24) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folders, archives = Path(temporary) / "folders", Path(temporary) / "archives"
        write_folders(folders / "data/frames", videos, frames)
        made = sorted((folders / "data/frames").glob("*/*"))

        def pack_all() -> None:
            for folder in made:
                pack(folder, archives / folder.relative_to(folders).with_name(f"{folder.name}.zip"))

        print(f"{videos} videos of {frames} frames; packing them takes {seconds(pack_all):.1f} s")
        columns = [
            measure(folders, lambda folder, number: (folder / frame_name(number)).read_bytes(), read_file),
            measure(archives, read_jpeg, read_frame),
        ]
    print(f"{'':32s}{'a file a frame':>22s}{'a file a video':>22s}")
    for name, *values in zip(ROWS, *columns, strict=True):
        print(f"{name:32s}{values[0]:>22s}{values[1]:>22s}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))

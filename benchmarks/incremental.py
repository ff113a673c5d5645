"""What a run costs that finds nothing to do, or one new video, at 10,000 videos: stages extract and detect, and DVC.

    OMP_NUM_THREADS=1 LOKY_MAX_CPU_COUNT=1 python -m benchmarks.incremental [VIDEOS]

In a temporary folder; ffmpeg and the detector are stood in for by what writes a sound and 24 small pictures, and finds
one object in each, so that the times are those of the bookkeeping: reading the manifest, hashing, comparing, pruning,
counting.  After each time stand the processor's seconds in it, which a busy machine does not change.  "Read anew" is a
run without data/.hashes.  One processor, since other processes would have the real detector.
DVC has the three folders and the videos as `dvc add` has them.  What was learnt stands in docs/lab.md.
"""

import contextlib
import csv
import dataclasses
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from avsep.files.hashes import COARSE
from avsep.media.frames import frame_name, pack
from avsep.models.detector import build_detector
from avsep.params.sections import Detect, Detector, Extract, Frames, ResNet, Videos
from avsep.params.stages import DetectParams, ExtractParams
from avsep.weights.detectors import save_detector
from stages import detect, extract

FRAMES = 24
VIDEOS = Videos(
    source="demo", path="avsep/demo", classes=[], per_class=1, seconds=6.0, timbre=1.0, fps=4, width=64, height=64
)  # of which the stages read that the videos lie in data/videos
EXTRACT = ExtractParams(videos=VIDEOS, extract=Extract(rate=11025, fps=4))
DETECT = DetectParams(
    device="cpu",
    threads=os.cpu_count() or 1,  # so that detection stays in this process, where its stand-in is
    videos=VIDEOS,
    resnet=ResNet(width=8),
    extract=EXTRACT.extract,
    frames=Frames(fps=4, count=1, stride=1, resize=16, size=16, square=True, augment="none", cache=True),
    detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
    detect=Detect(threshold=0.3, nms=0.5, batch=FRAMES, phrase="a {}"),
)


def write_videos(count: int) -> None:
    """data/videos with `count` different files of 20 kB; those that are there stay as they are."""
    root, bulk = Path("data/videos"), bytes(20_000)
    rows = []
    for number in range(count):
        file = Path(f"class{number % 10}/video{number:06d}.mp4")
        rows.append([file.parent.name, file.stem, file.as_posix()])
        if not (root / file).exists():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(b"%d" % number + bulk)
    with (root / "manifest.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows([["class", "id", "file"], *rows])


def stand_in_for_ffmpeg() -> None:
    """From now on stage extract packs these pictures for any video, the last of them with the video's own name."""
    draws = np.random.default_rng([0])
    pictures = []
    for _ in range(FRAMES):
        file = io.BytesIO()
        Image.fromarray(draws.integers(0, 256, (18, 24, 3), dtype=np.uint8)).save(file, "JPEG")
        pictures.append(file.getvalue())

    def take_apart(video: extract.Extraction, fps: int, rate: int, version: str) -> extract.Result:
        own = [*pictures[:-1], pictures[-1] + video.item[1].encode()]
        with tempfile.TemporaryDirectory() as folder:
            for number, picture in enumerate(own, start=1):
                (Path(folder) / frame_name(number)).write_bytes(picture)
            pack(Path(folder), video.frames)
        video.wav.parent.mkdir(parents=True, exist_ok=True)
        video.wav.write_bytes(video.file.read_bytes())
        return extract.Result(FRAMES, 6 * rate, "")

    extract.take_apart = take_apart


def stand_in_for_detector() -> None:
    """From now on stage detect finds one object in each frame."""

    def look_through(video: detect.Video, loading: detect.Loading, size: int, step: int) -> np.ndarray:
        return np.array([[number, 1, 0.5, 1, 2, 3, 4] for number in range(1, video.frames + 1)], np.float32)

    detect.look_through = look_through
    detector = build_detector("resnet18", width=8, channels=16, classes=1, min_size=48, max_size=64)
    save_detector(detector, ["object"], dataclasses.asdict(DETECT))


def run_stages(what: str) -> None:
    """Runs both stages, and prints what they made and how long they took."""
    told = []
    for stage, work in (("extract", lambda: extract.main(EXTRACT)), ("detect", lambda: detect.main(DETECT))):
        start = time.process_time()
        work()
        made = json.loads(Path(f"metrics/made/{stage}.json").read_text())
        times = f"{made['seconds']:6.1f} s ({time.process_time() - start:5.1f} s)"
        told.append(f"{stage} {made['made']:6d} made, {made['kept']:6d} kept in {times}")
    print(f"{what:24s} {';  '.join(told)}", flush=True)


def run_dvc(what: str, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words, "--quiet"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(Path("site").absolute())}  # else it stays behind
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:24s} {time.perf_counter() - start:6.1f} s ({busy:5.1f} s)", flush=True)


def main(count: int = 10_000) -> None:
    stand_in_for_ffmpeg()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        stand_in_for_detector()
        write_videos(count)
        run_stages("all new")
        time.sleep(COARSE / 1e9)
        run_stages("first run after")  # it hashes once more what was new
        run_stages("nothing to do")
        Path("data/.hashes").unlink()
        run_stages("nothing, read anew")
        write_videos(count + 1)
        run_stages("one new video")
        outputs = [f"data/{name}" for name in ("videos", "audio", "frames", "detection_results")]
        run_dvc("dvc init", "init", "--no-scm")
        run_dvc("dvc add", "add", *outputs)
        run_dvc("dvc status", "status")
        run_stages("after dvc add")
        write_videos(count + 2)
        run_stages("one more")
        run_dvc("dvc add, one more", "add", *outputs)
        run_dvc("dvc status", "status")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))

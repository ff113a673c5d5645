"""What a video costs that came, went or changed: the counts that stages extract and detect write, of 1, 10 and 1,000
videos.  ffmpeg and the detector are stood in for, since 1,000 videos are many; all that decides what they do is real.
"""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from avsep.media.frames import frame_name
from avsep.models.detector import build_detector
from avsep.params.sections import Detect, Detector, Extract, ResNet
from avsep.params.stages import DetectParams, ExtractParams
from stages import detect, extract
from tests.helpers.factories import write_archive
from tests.helpers.videos import DEMO, FRAMES
from tests.helpers.weights import save_tiny_detector

EXTRACT = ExtractParams(videos=DEMO, extract=Extract(rate=11025, fps=1))
DETECT = DetectParams(
    device="cpu",
    threads=1,
    videos=DEMO,
    resnet=ResNet(width=8),
    extract=EXTRACT.extract,
    frames=FRAMES,
    detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
    detect=Detect(threshold=0.3, nms=0.5, batch=2, phrase="a {}"),
)
Counts = tuple[int, int, int]
"""made, kept, gone"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a detector's weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # with room for one process the detector's stand-in is seen
    torch.manual_seed(0)
    save_tiny_detector(build_detector("resnet18", width=8, channels=16, classes=1, min_size=48, max_size=64), ["cello"])


@pytest.fixture(autouse=True)
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that ffmpeg's and the detector's stand-ins were called for since it was last cleared."""
    names: list[str] = []

    def take_apart(video: extract.Extraction, fps: int, rate: int, version: str) -> extract.Result:
        names.append(f"extract {video.item[1]}")
        content = video.file.read_bytes()
        for file in video.outputs:
            file.parent.mkdir(parents=True, exist_ok=True)
        write_archive(video.frames, {frame_name(number): b"\xff\xd8" + content for number in (1, 2)})
        video.wav.write_bytes(b"%d Hz of " % rate + content)
        return extract.Result(frames=2, samples=2 * rate, reason="")

    def look_through(video: detect.Video, loading: detect.Loading, size: int, step: int) -> np.ndarray:
        names.append(f"detect {video.item[1]}")
        return np.array([[number, 1, 0.5, 1, 2, 3, 4] for number in range(1, video.frames + 1)], np.float32)

    monkeypatch.setattr(extract, "take_apart", take_apart)
    monkeypatch.setattr(detect, "look_through", look_through)
    return names


def write_videos(names: Sequence[str]) -> None:
    """data/videos with just these videos; those that are there stay as they are."""
    folder = Path("data/videos/cello")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (folder / f"{name}.mp4").exists():
            (folder / f"{name}.mp4").write_text(f"video {name}")
    for path in folder.iterdir():
        if path.stem not in names:
            path.unlink()
    with Path("data/videos/manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", "id", "file"])
        rows.writerows(["cello", name, f"cello/{name}.mp4"] for name in names)


def run(fps: int = 1, threshold: float = 0.3) -> tuple[Counts, Counts]:
    """What extract and detect made, kept and removed."""
    extract.main(dataclasses.replace(EXTRACT, extract=Extract(rate=11025, fps=fps)))
    detect.main(dataclasses.replace(DETECT, detect=dataclasses.replace(DETECT.detect, threshold=threshold)))
    told = [json.loads(Path(f"metrics/made/{stage}.json").read_text()) for stage in ("extract", "detect")]
    assert all(one["seconds"] > 0 for one in told)
    first, second = ((one["made"], one["kept"], one["gone"]) for one in told)
    return first, second


def both(made: int, kept: int, gone: int) -> tuple[Counts, Counts]:
    return (made, kept, gone), (made, kept, gone)


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_only_what_changed_is_made(count: int, worked: list[str]) -> None:
    names = [f"v{number:04d}" for number in range(count)]
    write_videos(names)
    assert run() == both(count, 0, 0) and len(worked) == 2 * count
    metrics = [Path(f"metrics/{stage}.json").read_bytes() for stage in ("extract", "detect")]

    worked.clear()
    assert run() == both(0, count, 0) and worked == []
    assert [Path(f"metrics/{stage}.json").read_bytes() for stage in ("extract", "detect")] == metrics

    write_videos([*names, "new"])
    assert run() == both(1, count, 0) and worked == ["extract new", "detect new"]

    worked.clear()
    write_videos([*names[1:], "new"])
    assert run() == both(0, count, 1) and worked == []
    left = {path.name.split(".")[0] for folder in ("frames", "audio", "detection_results") for path in files(folder)}
    assert left == {*names[1:], "new"}

    Path("data/videos/cello/new.mp4").write_text("another video")
    assert run() == both(1, count - 1, 0) and worked == ["extract new", "detect new"]

    worked.clear()
    assert run(threshold=0.4) == ((0, count, 0), (count, 0, 0)), "a param of detect alone"
    assert run(threshold=0.4, fps=2) == ((count, 0, 0), (0, count, 0)), "the stand-in's pictures are the same"
    assert len(worked) == 2 * count


def files(folder: str) -> list[Path]:
    return [path for path in Path("data", folder).rglob("*") if path.is_file()]

"""Tiny real videos, and a project folder around them."""

import csv
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avsep.media.ffmpeg import ffmpeg
from tests.helpers.website import Site, open_site

CLASSES = ("cello", "flute", "trumpet", "tuba")


def _make_video(
    path: Path, *, seconds: float = 7, sound: str | None = "sine=440", pictures: bool = True, size: str = "64x48"
) -> Path:
    """A real video: a test pattern of `size` pixels at 8 fps; `sound` is an ffmpeg source, None for no stream."""
    command = [ffmpeg(), "-y", "-nostdin", "-loglevel", "error"]
    if pictures:
        command += ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=8:duration={seconds}"]
    if sound is not None:
        command += ["-f", "lavfi", "-t", str(seconds), "-i", sound]
    path.parent.mkdir(parents=True, exist_ok=True)
    # the header first, so that a file that is cut off can still be opened
    movflags = ["-movflags", "+faststart"] if path.suffix == ".mp4" else []
    subprocess.run([*command, "-threads", "1", *movflags, f"file:{path}"], check=True)
    return path


def _write_manifest(folder: Path) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", "id", "file", "seconds", "sha256"])
        for path in sorted(folder.glob("*/*.*")):
            rows.writerow([path.parent.name, path.stem, f"{path.parent.name}/{path.name}", "", ""])


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    return _make_video


@pytest.fixture(scope="session")
def write_manifest() -> Callable[[Path], None]:
    """Writes manifest.csv for the <class>/<id>.<container> files of a folder."""
    return _write_manifest


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 videos of 7 s of each of 4 classes, with a manifest; not to be written to."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3 * len(CLASSES)):
        category = CLASSES[number // 3]
        _make_video(folder / category / f"{category}_{number % 3}.mp4", sound=f"sine={200 + 50 * number}")
    _write_manifest(folder)
    return folder


@pytest.fixture
def site() -> Iterator[Site]:
    """A web site of one's own."""
    with open_site() as own:
        yield own


@pytest.fixture
def project(tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the working directory from now on, with a copy of the tiny videos in data/videos."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_videos, tmp_path / "data/videos")
    return tmp_path

"""What DVC watches of a folder is what stage videos reads of it; through `dvc`, of a folder of videos as well:
tests/test_own_folder.py."""

import csv
import os
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from avsep.files.hashes import Hashes
from avsep.media.ffmpeg import ffmpeg, write_video
from avsep.sources.watched import row_of, watched
from tests.helpers.checkout import call, fresh_checkout

CLASSES = ("cello", "flute", "trumpet", "violin")


def make_clip(path: Path, seed: int = 0) -> None:
    frames = (np.full((64, 64, 3), 20 * index, dtype=np.uint8) for index in range(8))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, 8, np.random.default_rng(seed).normal(0, 0.1, (8000, 1)), 8000)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<class>/<n>.mp4: three videos in each of four classes, each with another sound."""
    folder = tmp_path_factory.mktemp("clips")
    for number, category in enumerate(CLASSES):
        for index in range(3):
            make_clip(folder / category / f"{index}.mp4", seed=10 * number + index)
    return folder


@pytest.fixture
def odd(tmp_path: Path, clips: Path) -> Path:
    """The folder with a class on another disk, and all that is no video."""
    folder, disk = tmp_path / "videos", tmp_path / "disk"
    shutil.copytree(clips, folder)
    shutil.move(folder / "cello", disk / "cello")
    (folder / "cello").symlink_to(disk / "cello")
    (folder / "flute/old.mp4").symlink_to("/nowhere")
    os.mkfifo(folder / "flute/pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "flute/s"))
    Path(os.fsdecode(os.fsencode(folder) + b"/flute/notes-\xe9.txt")).write_text("x")
    Path(os.fsdecode(os.fsencode(folder) + b"/flute/take-\xe9.mp4")).write_bytes((clips / "flute/0.mp4").read_bytes())
    for name in ("@eaDir", "lost+found", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", ".Trashes"):
        (folder / name).mkdir()
        shutil.copy(clips / "flute/1.mp4", folder / name / "thumb.mp4")
    for path in (folder / "trumpet").iterdir():
        path.rename(path.with_suffix(".m2ts"))
    return folder


def names(folder: Path) -> list[str]:
    return [thing.name for thing in watched("folder", folder, by_lists=False) if thing.kind == "video"]


def test_what_is_no_video_is_told_by_its_kind_and_links_are_followed(odd: Path) -> None:
    things = watched("folder", odd, by_lists=False)
    found = [thing.name for thing in things if thing.kind == "video"]
    assert len(found) == 13 and "flute/take-%E9.mp4" in found and "trumpet/0.m2ts" in found
    assert [name for name in found if name.startswith("cello/")] == ["cello/0.mp4", "cello/1.mp4", "cello/2.mp4"]
    ignored = {thing.name for thing in things if thing.kind == "ignored"}
    assert ignored == {"6 folder", "1 link that leads nowhere", "1 pipe", "1 socket", "1 .txt"}


@pytest.mark.parametrize("change", ["added", "replaced", "removed", "renamed"])
def test_a_change_behind_a_link_is_in_the_list(odd: Path, change: str, tmp_path: Path) -> None:
    def listed() -> list[list[str]]:
        hashes = Hashes(tmp_path / ".hashes")
        return [row_of(thing, hashes) for thing in watched("folder", odd, by_lists=False)]

    shutil.copy(odd.parent / "disk/cello/0.mp4", odd.parent / "disk/cello/9.mp4")
    before, there = listed(), odd.parent / "disk/cello"
    assert before == listed()
    if change == "added":
        shutil.copy(there / "0.mp4", there / "4.mp4")
    elif change == "replaced":
        shutil.copy(there / "1.mp4", there / "0.mp4")
    elif change == "removed":
        (there / "9.mp4").unlink()
    else:
        (there / "0.mp4").rename(there / "00.mp4")
    assert before != listed()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_checkout(tmp_path_factory.mktemp("survey"))


def manifest(project: Path) -> set[str]:
    with (project / "data/videos/manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"] for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_dvc_reads_imported_folders_behind_links(checkout: Path, clips: Path, tmp_path: Path) -> None:
    disk, given = tmp_path / "disk", tmp_path / "given"
    given.mkdir()
    for video in sorted(clips.glob("*/*.mp4")):
        frames, sound = disk / "frames" / video.parent.name / video.name, disk / "audio" / video.parent.name
        frames.mkdir(parents=True)
        sound.mkdir(parents=True, exist_ok=True)
        take: list[str | Path] = [ffmpeg(), "-v", "error", "-i", video]
        subprocess.run([*take, "-vf", "fps=1", frames / "%06d.jpg", sound / f"{video.stem}.wav"], check=True)
    for name in ("frames", "audio"):
        (given / name).symlink_to(disk / name)
    asked = ["-S", "profile=smoke", "-S", "videos.source=imported", "-S", f"videos.path={given}"]
    call(checkout, "timeout", "400", "dvc", "exp", "run", *asked, "videos")
    assert len(manifest(checkout)) == 12
    shutil.copy(disk / "audio/flute/0.wav", disk / "audio/flute/1.wav")
    assert "Running stage 'videos'" in call(checkout, "dvc", "repro", "videos")
    (disk / "frames/flute/2.mp4/000001.jpg").write_bytes((disk / "frames/cello/2.mp4/000001.jpg").read_bytes() + b"\0")
    assert "Running stage 'videos'" in call(checkout, "dvc", "repro", "videos")
    assert "Stage 'videos' didn't change, skipping" in call(checkout, "dvc", "repro", "videos")

"""A folder as users have them, in a clone as users have it, through `dvc`: what the terminal and the tables say of each
odd thing in it, and what becomes of it when something is wrong with the folder, the machine or the locale.

One run of the pipeline up to stage index serves all; nothing is trained.
"""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.media.ffmpeg import ffmpeg, write_video
from tests.helpers.checkout import fresh_checkout
from tests.helpers.odd import call_ffmpeg

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

RATE = 11025
SECONDS = 7
CLASSES = ("cello", "flute", "trumpet", "violin")
# Little to learn from: the detector is to run, not to find anything.
TINY = ("pretrained.stills=16", "pretrained.detector_stills=4", "pretrained.held_out=4", "detect.threshold=0.9")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}


def make_video(path: Path, seed: int, seconds: int = SECONDS) -> Path:
    """Three notes a second, drawn by the seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 3) / RATE
    notes = [
        sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in (1, 2, 3)) * np.exp(-4 * time)
        for pitch in rng.uniform(200, 1200, 3 * seconds)
    ]
    frames = (np.full((48, 64, 3), 10 + number, np.uint8) for number in range(8 * seconds))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, 8, 0.3 * np.concatenate(notes)[:, None], RATE)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder: four classes of three videos, and all that lies in folders of people who do this work."""
    place = tmp_path_factory.mktemp("own")
    folder, disk, aside = place / "Übung (2)", place / "disk", place / "aside"
    for number, category in enumerate(CLASSES):
        for index in range(3):
            make_video(folder / category / f"{index}.mp4", seed=10 * number + index)
    # a class on another disk, camcorder's files, a system's folder, and what is no video or has no name in UTF-8
    shutil.move(folder / "cello", disk / "cello")
    (folder / "cello").symlink_to(disk / "cello")
    for path in list((folder / "trumpet").iterdir()):
        call_ffmpeg("-i", str(path), "-c", "copy", "-f", "mpegts", str(path.with_suffix(".m2ts")))
        path.unlink()
    (folder / "@eaDir").mkdir()
    shutil.copy(folder / "flute/0.mp4", folder / "@eaDir/thumb.mp4")
    os.mkfifo(folder / "flute/pipe.mp4")
    (folder / "flute/old.mp4").symlink_to("/nowhere")
    make_video(aside / "take.mp4", 50).rename(os.fsdecode(os.fsencode(folder) + b"/flute/take-\xe9.mp4"))
    # a cut by stream copy, pictures that begin late, a hole at the end, two sounds, a recording encoded anew
    violin = folder / "violin"
    keys = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "40", "-bf", "0", "-threads", "1", "-c:a", "copy"]
    call_ffmpeg("-i", str(make_video(aside / "short.mp4", 51, seconds=16)), *keys, str(aside / "long.mp4"))
    call_ffmpeg("-i", str(aside / "long.mp4"), "-ss", "6", "-t", "10", "-c", "copy", str(violin / "cut.mkv"))
    late = ["-itsoffset", "2", "-i", str(make_video(aside / "late.mp4", 52)), "-i", str(aside / "late.mp4")]
    call_ffmpeg(*late, "-map", "0:v", "-map", "1:a", "-c", "copy", str(violin / "late.mkv"))
    hole = ["-i", str(make_video(aside / "hole.mp4", 53)), "-t", "5", "-i", str(aside / "hole.mp4")]
    call_ffmpeg(*hole, "-map", "0:v", "-map", "1:a", "-c", "copy", str(violin / "hole.mp4"))
    two = ["-f", "lavfi", "-t", str(SECONDS), "-i", "sine=f=3000", "-i", str(make_video(aside / "two.mp4", 54))]
    default = ["-disposition:a:0", "0", "-disposition:a:1", "default"]
    call_ffmpeg(*two, "-map", "1:v", "-map", "0:a", "-map", "1:a", "-c:v", "copy", *default, str(violin / "two.mkv"))
    call_ffmpeg(
        "-i", str(violin / "0.mp4"), "-crf", "35", "-c:a", "libmp3lame", "-b:a", "64k", str(violin / "again.mkv")
    )
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone as it comes: dvc.lock tells of data that is not there."""
    return fresh_checkout(tmp_path_factory.mktemp("project"), lock=True)


def dvc(project: Path, *words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """What `dvc` ended with, and said."""
    done = subprocess.run(
        ["timeout", "600", "dvc", *words],
        cwd=project,
        env={**ENVIRONMENT, **(environment or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def asked(videos: Path) -> list[str]:
    """`dvc exp run` as docs/own_videos.md has it: a path of other letters in quotes of its own."""
    settings = ["profile=smoke", "videos.source=folder", f'videos.path="{videos}"', *TINY]
    return ["exp", "run", *(word for one in settings for word in ("-S", one)), "index"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def said(project: Path, videos: Path) -> str:
    """Of one `dvc exp run`."""
    code, said = dvc(project, *asked(videos))
    assert code == 0, said
    return said


def test_a_run_of_a_part_ends_well_in_a_fresh_clone(said: str) -> None:
    assert "Ran experiment(s)" in said


def test_what_is_read_is_what_dvc_watches(project: Path, said: str) -> None:
    assert "videos: ignored, as no videos: 1 folder, 1 link that leads nowhere, 1 pipe" in said
    names = {row["name"] for row in rows(project / "data/survey.csv") if row["kind"] == "video"}
    assert names == {row["file"] for row in rows(project / "data/videos/manifest.csv")} and len(names) == 18
    assert {"cello/0.mp4", "trumpet/0.m2ts", "flute/take-%E9.mp4"} <= names


@pytest.mark.parametrize(
    ("video", "told"),
    [
        ("cut", r"pictures start late: at [34]\.\d s"),
        ("late", r"pictures start late: at 2\.\d s; sound ends early: at [67]\.\d s of [89]\.\d s"),
        ("hole", r"sound ends early: at 5\.\d s of [67]\.\d s"),
    ],
)
def test_what_was_decoded_counts_and_what_is_left_out_is_told(project: Path, said: str, video: str, told: str) -> None:
    line = next((line for line in said.splitlines() if f"trimmed: violin/{video}: " in line), said)
    assert re.search(told, line), line
    (row,) = [row for row in rows(project / "data/extract.csv") if row["id"] == video]
    assert row["status"] == "ok" and row["trimmed"] and row["trimmed"] in line
    assert int(row["samples"]) / RATE == pytest.approx(int(row["frames"]), abs=0.6)


def test_no_video_is_set_aside(project: Path, said: str) -> None:
    assert "set aside" not in said and Counter(row["status"] for row in rows(project / "data/extract.csv")) == {
        "ok": 18
    }


def test_the_default_sound_is_heard(project: Path, said: str) -> None:
    wave, rate = soundfile.read(project / "data/audio/violin/two.wav")
    energy = np.abs(np.fft.rfft(wave)) ** 2
    tone = np.abs(np.fft.rfftfreq(len(wave), 1 / rate) - 3000) < 5
    assert energy[tone].sum() < 0.1 * energy.sum()


def test_a_recording_encoded_anew_is_told_and_stays_in_one_split(project: Path, said: str) -> None:
    assert "the same recording as violin/0: they count once, and stay together" in said
    part = {
        line.partition(",")[0].strip("/").removesuffix(".wav"): name
        for name in ("train", "val", "test")
        for line in (project / f"data/index/{name}.csv").read_text().splitlines()
    }
    assert part["violin/0"] == part["violin/again"] and len(part) == 18


def test_a_detector_that_finds_nothing_is_told(said: str) -> None:
    assert "detect: WARNING: an object was found in 0 of " in said


# --- What goes wrong later, in the same workspace


def error_of(said: str) -> str:
    """The one line of the stage."""
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


def test_all_that_is_wrong_with_a_folder_is_told_at_once_and_before_any_work(
    project: Path, videos: Path, said: str
) -> None:
    (videos / "oboe").mkdir()
    (videos / "tuba").mkdir()
    shutil.copy(videos / "flute/0.mp4", videos / "tuba/0.mp4")
    try:
        code, now = dvc(project, "repro", "index")
    finally:
        shutil.rmtree(videos / "oboe")
        shutil.rmtree(videos / "tuba")
    assert code != 0 and "Running stage 'videos'" not in now
    assert re.search(r"oboe has .*tuba has |tuba has .*oboe has ", error_of(now)), now


def test_a_change_behind_a_link_is_seen_and_a_fault_of_the_machine_sets_no_video_aside(
    project: Path, videos: Path, said: str, tmp_path: Path
) -> None:
    for number, name in enumerate(("1.mp4", "9.mp4")):  # one that was there, and one that was not
        (videos.parent / "disk/cello" / name).write_bytes(make_video(tmp_path / name, 60 + number).read_bytes())
    lacking = tmp_path / "bin/ffmpeg"
    lacking.parent.mkdir()
    words = "Decoder (codec h264) not found for input stream #0:0"
    lacking.write_text(
        f"#!/bin/sh\ncase \"$*\" in *image2*) echo '{words}' >&2; exit 1;; esac\nexec '{ffmpeg()}' \"$@\"\n"
    )
    lacking.chmod(0o755)
    path = f"{ENVIRONMENT['PATH'].split(os.pathsep)[0]}{os.pathsep}{lacking.parent}{os.pathsep}{os.environ['PATH']}"
    code, now = dvc(project, "repro", "index", environment={"PATH": path})
    assert code != 0 and "set aside" not in now and str(lacking) in error_of(now), now
    code, now = dvc(project, "repro", "index")
    assert code == 0 and "set aside" not in now, now
    assert json.loads((project / "metrics/made/extract.json").read_text())["made"] == 2
    assert {"class": "cello", "id": "9"}.items() <= rows(project / "data/extract.csv")[3].items()
    assert {row["status"] for row in rows(project / "data/extract.csv")} == {"ok"}


def test_in_another_locale_and_with_the_memory_of_hashes_locked_nothing_is_anew(project: Path, said: str) -> None:
    """The locale's encoding decides no name; who waits for the memory waits once, and tells of it."""
    before = (project / "data/survey.csv").read_bytes()
    holder = sqlite3.connect(project / "data/.hashes", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")  # against readers too
    holder.execute("BEGIN EXCLUSIVE")
    try:
        locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        code, now = dvc(project, "repro", "index", environment=locale)
    finally:
        holder.close()
    assert code == 0 and "Stage 'videos' didn't change, skipping" in now, now
    assert now.count(".hashes") == 1, now
    assert (project / "data/survey.csv").read_bytes() == before

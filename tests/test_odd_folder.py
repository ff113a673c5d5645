"""A folder of recordings with five odd ones among them: all become clips to train, to validate or to test with."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from avsep.clips.index import read_index
from avsep.files.ledgers import Ledger
from avsep.files.paths import quoted
from avsep.media.detections import write_detections
from avsep.media.frames import read_frame
from avsep.params.sections import Audio, Extract, Index
from avsep.params.stages import ExtractParams, IndexParams, VideosParams
from stages import extract, index, videos
from tests.helpers.odd import ODD, call_ffmpeg, make_folder
from tests.helpers.videos import DEMO, DOWNLOAD

RATE, FPS = 11025, 1
SECONDS = 6
SIDE = 48
INDEX = Index(
    lists="split", allow_leaks=False,
    val=0.3, test=0.3, min_seconds=4.0, max_rejected=0.1, silence_db=-60.0, val_mixtures=2, test_mixtures=2
)  # fmt: skip


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def detect_nothing() -> None:
    """As stage detect leaves it where no object is found."""
    with Ledger(Path("data/detect.csv"), ["frames"]) as ledger:
        for row in rows_of("data/extract.csv"):
            if row["status"] == "ok":
                path = Path(f"data/detection_results/{row['class']}/{row['id']}.mp4.npy")
                write_detections(path, np.zeros((0, 7), np.float32))
                ledger.record((row["class"], row["id"]), "made from", [path], frames=row["frames"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which videos, extract and index have run; beside the odd files a phone whose microphone was off."""
    folder = tmp_path_factory.mktemp("recordings") / "My recordings"
    make_folder(folder, ordinary=2, seconds=SECONDS, fps=8, side=SIDE)
    muted = ["-af", "volume=0", "-c:v", "copy", "-c:a", "aac", str(folder / "tuba/IMG_0815 (no mic).mp4")]
    call_ffmpeg("-i", str(folder / "tuba/tuba_01.mp4"), *muted)
    project = tmp_path_factory.mktemp("project")
    source = dataclasses.replace(DEMO, source="folder", path=str(folder))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(project)
        videos.main(VideosParams(seed=0, videos=source, download=DOWNLOAD, index=INDEX))
        extract.main(ExtractParams(videos=source, extract=Extract(rate=RATE, fps=FPS)))
        detect_nothing()
        audio = Audio(samples=RATE)
        index.main(IndexParams(seed=0, extract=Extract(rate=RATE, fps=FPS), audio=audio, index=INDEX))
    return project


def test_all_but_the_silent_one_are_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert [tuple(row.values())[:3] for row in rows_of("data/index/rejected.csv")] == [
        ("tuba", "IMG_0815_no_mic", "index")
    ]
    used = [
        one for part in ("train", "val", "test") for one in read_index(Path(f"data/index/{part}.csv"), Path("data"))
    ]
    assert len(used) == len(ODD) * 3
    assert all(one.frame_count in (SECONDS, SECONDS - 1) for one in used)


def test_the_manifest_leads_back_to_the_odd_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    originals = {row["file"]: row for row in rows_of("data/videos/manifest.csv")}
    assert {quoted(f"{odd.category}/{odd.name}") for odd in ODD.values()} <= set(originals)
    assert originals["violin/Übung mit Geige \N{EN DASH} Nr. 1 (live).webm"]["id"] == "Ubung_mit_Geige_Nr_1_live"
    assert all(float(row["seconds"]) == pytest.approx(SECONDS, abs=0.6) for row in originals.values())


def test_a_phone_held_upright_gives_upright_frames(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert read_frame(Path("data/frames/acoustic_guitar/IMG_4711.mp4.zip"), 1).size == (SIDE, SIDE * 4 // 3)
    width, height = read_frame(Path("data/frames/tuba/PAL_tape_3_00017.mp4.zip"), 1).size
    assert width / height == pytest.approx(4 / 3, abs=0.01)

"""What is exported: the published layout, which packs to the same bytes again, and what the systems are asked."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.clips.index import OBJECTS, Video, read_index, read_mixtures
from avsep.clips.mixtures import frame_seconds
from avsep.errors import InputError
from avsep.export import export
from avsep.export_mixtures import export_mixtures
from avsep.media.frames import frame_name, pack, read_jpeg
from avsep.media.wav import read_window, write_wav
from tests.helpers.factories import CLASSES, FPS, FRAMES, RATE, SAMPLES, read_archive, write_archive, write_data
from tests.helpers.peers import write_project


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    return tmp_path / "data"


def test_everything_is_written_as_published(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(data, out) == 3 * len(CLASSES)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    names = [f"{category}/{category}_{part}" for category in CLASSES for part in ("train", "val", "test")]
    assert written == {
        *(f"audio/{name}.wav" for name in names),
        *(f"frames/{name}.mp4/{number:06d}.jpg" for name in names for number in range(1, FRAMES + 1)),
        *(f"detection_results/{name}.mp4.npy" for name in names),
        *(f"index/{name}.csv" for name in ("train", "val", "test", "val_sep", "test_sep")),
    }
    for name in names:
        pictures = read_archive(data / f"frames/{name}.mp4.zip")
        assert {path.name: path.read_bytes() for path in (out / f"frames/{name}.mp4").iterdir()} == pictures
        for file in (f"audio/{name}.wav", f"detection_results/{name}.mp4.npy"):
            assert (out / file).read_bytes() == (data / file).read_bytes()
    assert (out / "index/train.csv").read_text().splitlines()[
        0
    ] == f"/cello/cello_train.wav,/cello/cello_train.mp4,{FRAMES}"

    pack(out / "frames/tuba/tuba_val.mp4", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (data / "frames/tuba/tuba_val.mp4.zip").read_bytes()


@pytest.mark.parametrize(
    "lacking", ["audio/tuba/tuba_val.wav", "detection_results/tuba/tuba_val.mp4.npy", "index/val_sep.csv"]
)
def test_what_is_missing_is_named_and_nothing_stays(data: Path, tmp_path: Path, lacking: str) -> None:
    (data / lacking).unlink()
    with pytest.raises(InputError, match=Path(lacking).name.replace(".", r"\.") + " is missing"):
        export(data, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_is_there_is_left_alone(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data is there already"):
        export(data, data)


def test_no_name_in_an_archive_is_a_path(data: Path, tmp_path: Path) -> None:
    archive = data / "frames/tuba/tuba_val.mp4.zip"
    members = read_archive(archive)
    members["../../../../evil.jpg"] = members.pop(frame_name(FRAMES))
    write_archive(archive, members)
    with pytest.raises(InputError, match=r"evil\.jpg' in place of 000001\.jpg"):
        export(data, tmp_path / "out")
    assert not list(tmp_path.rglob("evil.jpg"))


def test_the_command_tells_in_one_line(data: Path) -> None:
    command = [sys.executable, "-m", "avsep.export", "out"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    for code, words in ((0, "out: 15 videos\n"), (1, "error: out is there already: name a new folder\n")):
        done = subprocess.run(command, cwd=data.parent, env=environment, capture_output=True, text=True)
        assert done.returncode == code and done.stderr.splitlines(keepends=True)[-1] == words
    (data.parent / "a_file").touch()
    done = subprocess.run(
        [*command[:-1], "a_file/out"], cwd=data.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


# --- The test mixtures


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


def window(video: Video) -> np.ndarray:
    return read_window(video.audio, frame_seconds(FRAMES // 2 + 1, FPS), SAMPLES, RATE)


def test_the_questions_are_what_evaluation_asks(project: Path) -> None:
    out = project / "out"
    assert export_mixtures(out, project) == 4 + 2 + 2
    asked = json.loads((out / "questions.json").read_text())
    assert (asked["rate"], asked["window"]) == (RATE, SAMPLES) and "answers.json" in asked["how"]
    named = [mixture["name"] for mixture in asked["mixtures"]]
    assert named == [
        *(f"pairs/{number:03d}" for number in range(4)),
        *(f"sources_{count}/{number:03d}" for count in (2, 3) for number in range(2)),
    ]
    data = project / "data"
    test = read_mixtures(data / "index/test_sep.csv", read_index(data / "index/test.csv", data), data)
    for mixture, videos in zip(asked["mixtures"], test, strict=False):
        assert mixture["sound"] == f"{mixture['name']}/mixture.wav" and mixture["samples"] == SAMPLES
        wave, rate = soundfile.read(out / mixture["sound"], dtype="float32")
        assert rate == RATE and soundfile.info(str(out / mixture["sound"])).subtype == "FLOAT"
        np.testing.assert_array_equal(wave, window(videos.a) / 2 + window(videos.c) / 2)
        assert mixture["level"] == pytest.approx(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))
        for one, name, video in zip(mixture["objects"], OBJECTS, videos, strict=True):
            assert one == {
                "name": name,
                "answer": f"{mixture['name']}/{name}.wav",
                "picture": f"{mixture['name']}/{name}.jpg",
                "box": [2, 1, 20, 16],
                "class": video.category,
                "phrase": f"playing the {video.category}",
            }, "and nothing of which objects sound"
            assert (out / one["picture"]).read_bytes() == read_jpeg(video.frames, FRAMES // 2 + 1)
    three = asked["mixtures"][-1]["objects"]
    assert [one["name"] for one in three] == ["1", "2", "3"] and len({one["class"] for one in three}) == 3


def test_the_same_mixtures_are_the_same_bytes(project: Path) -> None:
    written = []
    for name in ("out", "again"):
        export_mixtures(project / name, project)
        files = sorted(path for path in (project / name).rglob("*") if path.is_file())
        written.append({path.relative_to(project / name): path.read_bytes() for path in files})
    assert written[0] == written[1]


def test_mixtures_that_evaluation_does_not_ask_for_are_not_asked(project: Path) -> None:
    """Of N sources those with a silent one; a pair is asked for, and skipped where it cannot be scored."""
    for category in CLASSES:
        write_wav(project / f"data/audio/{category}/{category}_test.wav", np.zeros(RATE * FRAMES // FPS), RATE)
    assert export_mixtures(project / "out", project) == 4
    asked = json.loads((project / "out/questions.json").read_text())
    assert {mixture["level"] for mixture in asked["mixtures"]} == {0}


def test_what_a_mixture_lacks_is_one_line_and_nothing_stays(project: Path) -> None:
    (project / "data/audio/tuba/tuba_test.wav").unlink()
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    command = [sys.executable, "-m", "avsep.export", "mixtures", "out"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and "tuba_test.wav is missing" in done.stderr
    assert not (project / "out").exists() and not list(project.glob(".out*"))
    with pytest.raises(InputError, match="data is there already: name a new folder"):
        export_mixtures(project / "data", project)

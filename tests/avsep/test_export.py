"""What is exported is the published layout, and can be packed again to the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from avsep.errors import InputError
from avsep.export import export
from avsep.media.frames import frame_name, pack
from tests.helpers.factories import CLASSES, FRAMES, read_archive, write_archive, write_data


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

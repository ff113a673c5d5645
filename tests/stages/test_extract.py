import dataclasses
import errno
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avsep.errors import InputError
from avsep.media import ffmpeg
from avsep.media.frames import count_frames
from avsep.params.sections import Extract
from avsep.params.stages import ExtractParams
from stages import extract, index
from tests.helpers.factories import read_archive, write_archive
from tests.helpers.odd import call_ffmpeg
from tests.helpers.videos import DEMO

MakeVideo = Callable[..., Path]
WriteManifest = Callable[[Path], None]
PARAMS = ExtractParams(videos=DEMO, extract=Extract(rate=11025, fps=1))


@pytest.fixture
def taken_apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos that ffmpeg has been called for since it was last cleared."""
    names: list[str] = []
    work = ffmpeg.extract

    def counted(video: Path, *others: Any) -> tuple[int, int]:
        names.append(video.name)
        return work(video, *others)

    monkeypatch.setattr(ffmpeg, "extract", counted)
    return names


def tree(*folders: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for folder in folders for p in Path(folder).rglob("*") if p.is_file()}


def made() -> dict[str, bytes]:
    return tree("data/frames", "data/audio") | {"ledger": Path("data/extract.csv").read_bytes()}


def test_everything_is_written_once_and_the_same(project: Path, taken_apart: list[str]) -> None:
    extract.main(PARAMS)
    assert len(taken_apart) == 12
    lines = Path("data/extract.csv").read_text().splitlines()
    assert lines[0].startswith("class,id,frames,samples,status,reason,")
    assert [line.split(",")[:2] for line in lines[1:]] == sorted(line.split(",")[:2] for line in lines[1:])
    assert lines[1].startswith("cello,cello_0,7,77175,ok,,")
    assert Path("data/audio/tuba/tuba_2.wav").is_file() and count_frames(Path("data/frames/tuba/tuba_2.mp4.zip")) == 7
    metrics = json.loads(Path("metrics/extract.json").read_text())
    assert metrics["videos"] == metrics["usable"] == 12 and metrics["rejected"] == {"total": 0}
    assert metrics["seconds"] == {"frames": 84.0, "sound": 84.0}

    first = made()
    taken_apart.clear()
    extract.main(PARAMS)
    assert taken_apart == [] and made() == first
    for folder in ("data/frames", "data/audio"):
        shutil.rmtree(folder)
    Path("data/extract.csv").unlink()
    extract.main(PARAMS)
    assert made() == first


def test_only_what_changed_is_redone(
    project: Path, make_video: MakeVideo, write_manifest: WriteManifest, taken_apart: list[str]
) -> None:
    videos = Path("data/videos")
    extract.main(PARAMS)
    first = made()

    taken_apart.clear()
    make_video(videos / "flute/flute_1.mp4", sound="sine=999")
    extract.main(PARAMS)
    assert taken_apart == ["flute_1.mp4"]
    changed = {name for name, content in made().items() if first.get(name) != content}
    assert changed == {"data/audio/flute/flute_1.wav", "ledger"}  # the pictures are the same test pattern

    taken_apart.clear()
    (videos / "cello/cello_0.mp4").unlink()
    make_video(videos / "tuba/new.mp4", sound="sine=777")
    write_manifest(videos)
    extract.main(PARAMS)
    assert taken_apart == ["new.mp4"]
    assert not Path("data/frames/cello/cello_0.mp4.zip").exists() and not Path("data/audio/cello/cello_0.wav").exists()

    taken_apart.clear()
    Path("data/audio/cello/cello_1.wav").write_bytes(b"spoilt")
    archive = Path("data/frames/tuba/tuba_0.mp4.zip")
    write_archive(archive, {name: content for name, content in read_archive(archive).items() if "2" not in name})
    extract.main(PARAMS)
    assert sorted(taken_apart) == ["cello_1.mp4", "tuba_0.mp4"]
    assert made()["data/audio/cello/cello_1.wav"] == first["data/audio/cello/cello_1.wav"]


def test_other_params_code_or_ffmpeg_redo_everything(
    project: Path, taken_apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extract.main(PARAMS)
    code = project / "extract.py"
    code.write_text(Path(extract.__file__).read_text() + "# changed\n")
    for change in ("params", "code", "ffmpeg"):
        taken_apart.clear()
        with monkeypatch.context() as patched:
            if change == "code":
                patched.setattr(extract, "__file__", str(code))
            if change == "ffmpeg":
                patched.setattr(ffmpeg, "version", lambda: "ffmpeg version of another kind")
            extract.main(
                dataclasses.replace(PARAMS, extract=Extract(rate=8000, fps=2)) if change == "params" else PARAMS
            )
        assert len(taken_apart) == 12, change


def test_bad_videos_are_set_aside_and_leave_nothing(
    project: Path, make_video: MakeVideo, write_manifest: WriteManifest, taken_apart: list[str]
) -> None:
    extract.main(PARAMS)
    good, tuba = tree("data/frames", "data/audio"), Path("data/videos/tuba")
    content = (tuba / "tuba_0.mp4").read_bytes()
    (tuba / "tuba_0.mp4").write_bytes(content[: content.find(b"mdat") + 10])  # had been good
    (tuba / "empty.mp4").touch()
    (tuba / "text.mp4").write_text("no video")
    make_video(tuba / "silent_film.mp4", sound=None)
    make_video(tuba / "radio.mp4", pictures=False)
    write_manifest(tuba.parent)
    extract.main(PARAMS)
    assert tree("data/frames", "data/audio") == {name: v for name, v in good.items() if "tuba_0" not in name}
    rows = {line.split(",")[1]: line.split(",")[2:6] for line in Path("data/extract.csv").read_text().splitlines()}
    assert rows["empty"] == ["0", "0", "rejected", "empty: 0 bytes"]
    assert rows["silent_film"][3] == "no sound stream" and rows["radio"][3] == "no picture stream"
    assert rows["text"][3].startswith("unreadable") and rows["tuba_0"][2] == "rejected" and rows["tuba_1"][2] == "ok"
    rejected = json.loads(Path("metrics/extract.json").read_text())["rejected"]
    assert rejected["total"] == 5 and rejected["empty"] == rejected["no sound stream"] == 1

    taken_apart.clear()
    extract.main(PARAMS)
    assert taken_apart == []  # the bad ones are known, too


def test_no_usable_video_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/videos/cello").mkdir(parents=True)
    for name in "ab":
        Path(f"data/videos/cello/{name}.mp4").touch()
    Path("data/videos/manifest.csv").write_text("class,id,file\ncello,a,cello/a.mp4\ncello,b,cello/b.mp4\n")
    with pytest.raises(InputError, match=r"none of the 2 videos can be used: data/extract\.csv says why"):
        extract.main(PARAMS)
    assert "empty: 0 bytes" in Path("data/extract.csv").read_text()
    assert tree("data/frames", "data/audio") == {}


def test_what_a_machine_lacks_is_no_fault_of_a_video(
    project: Path, taken_apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cello = Path("data/videos/cello/cello_1.mp4")
    content = cello.read_bytes()
    cello.unlink()
    with pytest.raises(InputError, match=rf"^{socket.gethostname()} does not see \S*/{cello}: mount it there"):
        extract.main(PARAMS)
    cello.write_bytes(content)
    with monkeypatch.context() as patched, pytest.raises(InputError, match=r"\w+_\d\.mp4 could not .*No space left"):

        def full(folder: Path, path: Path) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        patched.setattr(ffmpeg, "pack", full)
        extract.main(PARAMS)
    assert "rejected" not in Path("data/extract.csv").read_text()
    extract.main(PARAMS)
    assert Path("data/extract.csv").read_text().count(",ok,") == 12


def test_what_is_left_out_of_a_video_is_told(
    project: Path, taken_apart: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its sound ends 2 s before its pictures, which stage index would set aside: here it is still a good video."""
    cello = Path("data/videos/cello/cello_1.mp4")
    whole = Path("data/whole.mp4")
    cello.rename(whole)
    call_ffmpeg("-i", str(whole), "-t", "5", "-i", str(whole), "-map", "0:v", "-map", "1:a", "-c", "copy", str(cello))
    extract.main(PARAMS)
    told = "sound ends early: at 5.0 s of 7.0 s"
    row = next(line for line in Path("data/extract.csv").read_text().splitlines() if "cello_1" in line)
    assert row.split(",")[2:7] == ["5", "55125", "ok", "", told]
    assert f"trimmed: cello/cello_1: {told}" in caplog.messages
    metrics = json.loads(Path("metrics/extract.json").read_text())
    assert metrics["trimmed"] == {"total": 1, "sound ends early": 1} and metrics["rejected"] == {"total": 0}
    (found,) = (one for one in index.read_extracted(Path("data/extract.csv"))[0] if one.name == "cello/cello_1")
    assert "detections" in str(index.problem((index.absolute(found), None), 1, 11025, 4.0, -60.0))  # all else is well
    taken_apart.clear()
    extract.main(PARAMS)
    assert taken_apart == []


def test_an_ffmpeg_that_lacks_something_sets_no_video_aside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it is whole again, all is taken apart, though it calls itself the same."""
    Path("bin").mkdir()
    lacking = Path("bin/ffmpeg").absolute()
    words = "Decoder (codec h264) not found for input stream #0:0"
    lacking.write_text(
        f'#!/bin/sh\ncase "$*" in *image2*) echo "{words}" >&2; exit 1;; esac\nexec "{ffmpeg.ffmpeg()}" "$@"\n'
    )
    lacking.chmod(0o755)
    with (
        monkeypatch.context() as patched,
        pytest.raises(InputError, match=rf"{lacking} fails .*: Decoder \(codec h264\)"),
    ):
        patched.setenv("PATH", f"{lacking.parent}:{os.environ['PATH']}")
        extract.main(PARAMS)
    assert "rejected" not in Path("data/extract.csv").read_text()
    extract.main(PARAMS)
    assert Path("data/extract.csv").read_text().count(",ok,") == 12


def test_what_a_killed_run_left_is_cleaned_and_what_it_did_is_kept(
    project: Path, taken_apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = ffmpeg.extract

    def stopped(video: Path, *others: Any) -> tuple[int, int]:
        if video.name == "flute_0.mp4":
            raise KeyboardInterrupt
        return work(video, *others)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setenv("LOKY_MAX_CPU_COUNT", "1")
        patched.setattr(ffmpeg, "extract", stopped)
        extract.main(PARAMS)
    assert not Path("metrics/extract.json").exists()
    half = Path("data/frames/cello/.gone.mp4.zip.tmp")
    half.mkdir(parents=True)
    (half / "000001.jpg").write_bytes(b"half")
    done = len(Path("data/extract.csv").read_text().splitlines()) - 1
    assert done > 0

    taken_apart.clear()
    extract.main(PARAMS)
    assert len(taken_apart) == 12 - done
    assert not half.exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "is missing: run stage videos"),
        ("class,id,file\n", "lists no videos"),
        ("class;id\ncello;a\n", "line 2: no class, id and file"),
        ("class,id,file\ncello,a,cello/a.mp4\ncello,a,cello/b.mp4\n", "line 3: cello/a is listed twice"),
        ("class,id,file\ncello,a,../a.mp4\n", "line 2: '../a.mp4' is no path inside data/videos"),
        ("class,id,file\n..,a,cello/a.mp4\n", "line 2: .* is no path inside"),
        ("class,id,file\ncello,../a,cello/a.mp4\n", "line 2: .* plain name"),
        ("class,id,file\ncello,a,/etc/passwd\n", "line 2: .* is no path inside"),
        ("class,id,file\ncello,a,%2E%2E/a.mp4\n", "line 2: .* is no path inside"),
        ("class,id,file\ncello,a,cello%2F..%2F..%2Fa.mp4\n", "line 2: .* is no path inside"),
        ("class,id,file,seconds,sha256,parts\ncello,a,cello/a.mp4,,,1-2-3\n", "cello/a: '1-2-3' are no parts"),
    ],
)
def test_a_bad_manifest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, match: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/videos").mkdir(parents=True)
    if text is not None:
        Path("data/videos/manifest.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        extract.main(PARAMS)
    assert [p.name for p in Path("data").iterdir()] == ["videos"]

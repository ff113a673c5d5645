"""The word avsep, as its user runs it: in a process of its own, on small videos, with tiny networks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.helpers.trained import CLASSES, write_trained

ROOT = Path(__file__).parents[2]
BOX = "4,4,40,40"


def avsep(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "avsep", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("run") / "trained")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_video: Callable[..., Path]) -> Path:
    """Two videos, one of them deeper, a broken one, and what is none."""
    own = tmp_path_factory.mktemp("own")
    make_video(own / "a b.mp4", seconds=2, sound="anoisesrc=a=0.2:r=44100:seed=1")
    make_video(own / "deep/er/c.mkv", seconds=2, sound="anoisesrc=a=0.2:r=48000:seed=2")
    (own / "broken.mp4").write_text("no video", encoding="utf-8")
    (own / "notes.txt").write_text("none", encoding="utf-8")
    return own


def test_a_folder_is_separated_and_gone_on_with(trained: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked: list[str | Path] = ["separate", folder, "-o", out, "--model", trained, "--box", BOX, "--seen", "1"]
    done = avsep(*asked, "--json", cwd=tmp_path)
    assert done.returncode == 1, "one file was broken: " + done.stderr
    assert "broken.mp4 cannot be used" in done.stderr and "1 of 3 could not be separated" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(line["folder"]).relative_to(out).as_posix() for line in lines if "folder" in line} == {
        "a b",
        "deep/er/c",
    }
    assert [line["file"] for line in lines if "error" in line] == [str(folder / "broken.mp4")]
    check_folder(out / "a b", folder / "a b.mp4")
    assert sorted(path.name for path in out.iterdir()) == ["a b", "deep"], "nothing half done"

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = avsep(*asked, cwd=tmp_path)
    assert again.returncode == 1 and again.stdout.count("(there already)") == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    other = avsep(*asked, "--extend", "zero", cwd=tmp_path)
    assert other.stderr.count("was made with other options: give --overwrite") == 2


def check_folder(folder: Path, video: Path) -> None:
    """What lies in it, and that it fits together."""
    told = json.loads((folder / "objects.json").read_text(encoding="utf-8"))
    box = next(one for one in told["sounds"] if one["found"] == "box")
    names = {path.name for path in folder.iterdir()}
    stem = f"{box['number']}-box"
    assert {f"{stem}.wav", f"{stem}.mp4", "residual.wav", "objects.json", "objects.jpg", "index.html", "page"} <= names
    assert (box["file"], box["video"]) == (f"{stem}.wav", f"{stem}.mp4")
    assert box["boxes"] == [[4, 4, 40, 40]] * 4 and len(box["windows"]) == len(told["windows"])
    assert told["versions"]["avsep"] and told["model"]["system"] == "cyclic" and told["asked"]["extend"] == "average"
    waves = [soundfile.read(folder / one["file"], dtype="float32") for one in (*told["sounds"], told["residual"])]
    assert {rate for _, rate in waves} == {44100}
    import av

    with av.open(str(video)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate(frames, axis=1)[0]
    total = np.sum([wave for wave, _ in waves], axis=0)
    assert abs(len(total) - len(sound)) < 2048, "a codec's padding"
    size = min(len(total), len(sound))
    np.testing.assert_allclose(total[:size], sound[:size], atol=1e-5)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "asks for nothing from a network"
    for link in {f"page/{stem}.m4a", f"page/{stem}.png", "page/residual.m4a", "page/video.mp4"}:
        assert link in page and (folder / link).stat().st_size > 0


def test_words_of_a_sound(trained: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "song.wav", 0.1 * random.standard_normal((22050, 2)), 22050)
    out = tmp_path / "out"
    done = avsep(
        *("separate", tmp_path / "song.wav", "-o", out, "--model", trained, "--text", CLASSES[0]),
        *("--text", "a dog barks"),
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (out / "song").iterdir()} == {
        *("1-cello.wav", "2-a_dog_barks.wav", "residual.wav", "objects.json", "index.html", "page")
    }
    told = json.loads((out / "song/objects.json").read_text(encoding="utf-8"))
    assert [one["phrase"] for one in told["sounds"]] == ["playing the cello", "a dog barks"]
    assert told["channels"] == 2 and told["picture"] is None and told["model"]["system"] == "trimodal_text"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_whole_files_only(stop: signal.Signals, trained: Path, folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "avsep", "separate", str(folder / "a b.mp4"), "-o", str(tmp_path / "out")]
    temporary = tmp_path / "out/.a b.tmp"
    process = subprocess.Popen(
        [*command, "--model", str(trained), "--box", BOX],
        env={**environment, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not temporary.is_dir():
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stopped" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no temporary file"
    assert not list((tmp_path / "out").iterdir())


def test_what_is_asked_wrongly_is_told(trained: Path, folder: Path, tmp_path: Path) -> None:
    cases: dict[tuple[str, ...], tuple[int, str]] = {
        ("--box", "1,2,3"): (2, "'1,2,3' is no box"),
        ("--system", "none"): (1, "error: system 'none' is none of cyclic, trimodal_visual, trimodal_text"),
    }
    for words, (code, said) in cases.items():
        done = avsep("separate", folder / "a b.mp4", "-o", tmp_path / "out", "--model", trained, *words)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
    (tmp_path / "out/a b").mkdir(parents=True)
    (tmp_path / "out/a b/precious.txt").write_text("mine", encoding="utf-8")
    done = avsep("separate", folder / "a b.mp4", "-o", tmp_path / "out", "--model", trained, "--overwrite")
    assert done.returncode == 1 and "was not written by avsep separate" in done.stderr
    assert (tmp_path / "out/a b/precious.txt").is_file()


def test_systems_and_info(trained: Path) -> None:
    done = avsep("systems", "--model", trained, "--json")
    systems = {one["system"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert list(systems) == ["cyclic", "trimodal_visual", "trimodal_text"] and done.returncode == 0
    assert systems["cyclic"]["trained"] and systems["cyclic"]["tells_silence"] and systems["cyclic"]["nsdr"] is None
    told: dict[str, Any] = json.loads(avsep("info", "--json").stdout)
    assert {"avsep", "python", "torch", "ffmpeg", "devices", "memory"} <= set(told)


def test_check_tells_what_is_wrong(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    own = tmp_path / "videos"
    for name in ("cello", "flute", "tuba"):
        for number in range(3):
            make_video(own / name / f"{number}.mp4", seconds=7, sound=f"sine={300 + 50 * number + len(name)}:r=44100")
    make_video(own / "cello/3.mp4", seconds=7, sound="anullsrc=r=44100:cl=mono")
    make_video(own / "cello/4.mp4", seconds=2, size="320x240")
    (own / "flute/3.mp4").write_bytes((own / "tuba/0.mp4").read_bytes())
    (own / "flute/4.mp4").write_bytes(b"")
    make_video(own / "tuba/3.mp4", seconds=7, sound=None)
    done = avsep("check", own, "--json")
    told = {one["file"]: one["wrong"] for one in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert any("silent" in one for one in told["cello/3.mp4"])
    assert told["cello/4.mp4"] == ["short: 2.0 s of 6 s"]
    assert told["flute/4.mp4"] == ["is empty: 0 bytes"]
    assert any("the same file as flute/3.mp4" in one for one in told["tuba/0.mp4"])
    assert told["tuba/3.mp4"] == ["no sound stream"]
    assert "a mixture needs 4 different ones" in told[None][0], "of the folder itself"
    assert told["cello/0.mp4"] == ["small: 64 x 48 pixels"]
    listed = avsep("check", own)
    assert "videos, " in listed.stdout.splitlines()[-1] and listed.stdout.startswith("file ")


def test_help_has_examples() -> None:
    for word in ("separate", "systems", "info", "check"):
        assert f"avsep {word}" in avsep(word, "--help").stdout
    assert "avsep export mixtures" in avsep("export", "mixtures", "--help").stdout
    assert "avsep published fetch" in avsep("published", "fetch", "--help").stdout

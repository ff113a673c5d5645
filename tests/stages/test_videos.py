"""Stage videos: the demo's clips and a user's folder, each in the same manifest; mistakes in one line."""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avsep.errors import InputError
from avsep.media.ffmpeg import write_video
from avsep.params import Videos, VideosParams
from stages import videos

DEMO: dict[str, Any] = {
    "source": "demo", "classes": ["cello", "flute", "trumpet", "tuba"], "per_class": 1,
    "seconds": 1.0, "fps": 8, "width": 64, "height": 64,
}  # fmt: skip
Run = Callable[..., list[dict[str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the stage in an empty folder, with some of the params changed; gives the manifest's rows."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")

    def run_(**changes: Any) -> list[dict[str, str]]:
        videos.main(VideosParams(seed=0, videos=Videos(**{**DEMO, **changes})))
        with Path("data/videos/manifest.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return run_


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = (np.full((64, 64, 3), 20 * index, dtype=np.uint8) for index in range(8))
    write_video(path, frames, 8, np.random.default_rng(0).normal(0, 0.1, (8000, 1)), 8000)
    return path


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Callable[..., Path]:
    """Makes a user's folder: three videos in each of four classes, and more by keyword: class -> names."""

    def make(classes: Iterable[str] = ("cello", "flute", "trumpet", "tuba"), **more: Iterable[str]) -> Path:
        root = tmp_path / "videos of mine"
        for category in classes:
            (root / category).mkdir(parents=True)
            for name in more.get(category, ("a.mp4", "b.mp4", "c.mp4")):
                (root / category / name).write_bytes(clip.read_bytes())
        return root

    return make


def metrics() -> dict[str, Any]:
    return json.loads(Path("metrics/videos.json").read_text(encoding="utf-8"))


def test_the_demo_is_listed_with_its_truth_beside_it(run: Run) -> None:
    rows = run()
    assert [row["file"] for row in rows] == [f"{name}/{name}_00.mp4" for name in sorted(DEMO["classes"])]
    assert all(row["seconds"] == "1.000" and row["original"] == "" for row in rows)
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in rows)
    assert all((Path("data/videos") / row["file"]).with_suffix(".truth.json").is_file() for row in rows)
    assert metrics() == {
        "videos": 4,
        "seconds": 4.0,
        "unreadable": 0,
        "ignored": 0,
        "classes": {"cello": 1, "flute": 1, "trumpet": 1, "tuba": 1},
    }


def test_another_class_or_video_leaves_the_others_bytes(run: Run) -> None:
    before = {row["file"]: row["sha256"] for row in run()}
    after = {row["file"]: row["sha256"] for row in run(classes=["violin", *DEMO["classes"]], per_class=2)}
    assert len(after) == 10 and before.items() <= after.items()


def test_nothing_of_an_earlier_run_stays(run: Run) -> None:
    run()
    run(classes=["violin", "flute", "trumpet", "tuba"])
    assert not Path("data/videos/cello").exists()


def test_a_class_without_a_shape_is_refused_before_anything_goes(run: Run) -> None:
    run()
    with pytest.raises(InputError, match=r"videos\.classes names harp: the demo has accordion"):
        run(classes=["harp", *DEMO["classes"]])
    assert Path("data/videos/cello/cello_00.mp4").is_file()


def test_a_folder_comes_under_safe_names(run: Run, folder: Callable[..., Path]) -> None:
    names = ["-y clip.mp4", "100%s 'x\".MKV", "Für Elise.mov", "二胡.webm", "二胡 2.mp4", "a.mp4", "A.mp4", "a.mkv"]
    source = folder(cello=names)
    rows = [row for row in run(source=str(source)) if row["class"] == "cello"]
    assert len(rows) == len(names)
    assert len({row["id"].lower() for row in rows}) == len(names)
    for row in rows:
        assert re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]*", row["id"])
        assert re.fullmatch(r"cello/[A-Za-z0-9_-]+\.[a-z0-9]+", row["file"])
        original = row["original"] or row["file"]
        assert (source / original).read_bytes() == (Path("data/videos") / row["file"]).read_bytes()
    by_name = {row["original"]: row["id"] for row in rows}
    assert by_name["cello/Für Elise.mov"] == "Fur_Elise"
    assert by_name["cello/-y clip.mp4"] == "y_clip"
    assert run(source=str(source)) == run(source=str(source))


def test_classes_too_get_safe_names(run: Run, folder: Callable[..., Path]) -> None:
    source = folder(["cello", "flute", "tuba", "acoustic guitar"])
    rows = run(source=str(source))
    assert {row["class"] for row in rows} == {"cello", "flute", "tuba", "acoustic_guitar"}
    assert rows[0]["original"] == "acoustic guitar/a.mp4"


def test_two_classes_that_would_be_one_are_refused(run: Run, folder: Callable[..., Path]) -> None:
    source = folder(["cello", "flute", "tuba", "Cello!"])
    with pytest.raises(InputError, match="would both be class"):
        run(source=str(source))


@pytest.mark.parametrize("name", ["二胡", "Гитара 2", "!!!"])
def test_a_class_that_could_not_be_asked_for_is_refused(name: str, run: Run, folder: Callable[..., Path]) -> None:
    """Not taken as `unnamed`, which VAST would then ask for."""
    source = folder(["cello", "flute", "tuba", name])
    with pytest.raises(InputError, match=f"{name} has no Latin letter, and VAST asks for a class by"):
        run(source=str(source))
    assert not Path("data").exists()


def test_a_class_may_be_a_number_or_have_other_letters_beside_latin_ones(run: Run, folder: Callable[..., Path]) -> None:
    rows = run(source=str(folder(["cello", "flute", "02", "二胡 erhu"])))
    assert {row["class"] for row in rows} == {"cello", "flute", "02", "erhu"}


def test_videos_are_hard_links_or_copies_never_symbolic(
    run: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    source = folder()
    (source / "cello/linked.mp4").symlink_to(clip)
    for row in run(source=str(source)):
        path = Path("data/videos") / row["file"]
        assert path.is_file() and not path.is_symlink()
    assert Path("data/videos/tuba/a.mp4").samefile(source / "tuba/a.mp4")
    assert Path("data/videos/cello/linked.mp4").samefile(clip)

    def refuse(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    run(source=str(source))
    copied = Path("data/videos/tuba/a.mp4")
    assert not copied.samefile(source / "tuba/a.mp4")
    assert copied.read_bytes() == (source / "tuba/a.mp4").read_bytes()


def test_other_files_are_counted_and_left(run: Run, folder: Callable[..., Path]) -> None:
    source = folder()
    for name in ("README.txt", ".hidden.mp4", "cello/.a.mp4.swp", "cello/.b.mp4", "cello/notes.json"):
        (source / name).write_text("no video")
    (source / ".git").mkdir()
    (source / "cello/more").mkdir()
    assert len(run(source=str(source))) == 12
    assert metrics()["ignored"] == 7


def test_an_unreadable_video_is_listed_for_extract_to_set_aside(run: Run, folder: Callable[..., Path]) -> None:
    source = folder()
    (source / "cello/a.mp4").write_text("no video")
    rows = run(source=str(source))
    assert [row["file"] for row in rows if not row["seconds"]] == ["cello/a.mp4"]
    assert metrics()["unreadable"] == 1 and metrics()["seconds"] == 11.0


def test_mistakes_in_a_folder_are_told_in_one_line(run: Run, folder: Callable[..., Path], tmp_path: Path) -> None:
    def refusal(source: Path) -> str:
        with pytest.raises(InputError) as refused:
            run(source=str(source))
        assert "\n" not in str(refused.value) and "videos.source" in str(refused.value)
        assert not Path("data").exists()
        return str(refused.value)

    assert "no such folder" in refusal(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "a.mp4").write_text("")
    assert "holds no folders" in refusal(empty)
    source = folder(tuba=["a.mp4", "b.MOV", "c.txt"])
    assert "tuba has 2 videos; a class needs 3" in refusal(source)
    (source / "harp").mkdir()
    assert "harp has no videos, tuba has 2 videos" in refusal(source)
    for name in ("a.mp4", "b.MOV", "c.txt"):
        (source / "tuba" / name).unlink()
    (source / "tuba").rmdir()
    (source / "harp").rmdir()
    assert "it has 3 classes, cello, flute, trumpet; a mixture needs 4" in refusal(source)


def test_data_videos_itself_is_no_source(run: Run) -> None:
    run()
    with pytest.raises(InputError, match="keep your videos elsewhere"):
        run(source="data/videos")
    assert Path("data/videos/cello/cello_00.mp4").is_file()


def test_a_name_in_no_encoding_is_written_readably(run: Run, folder: Callable[..., Path], clip: Path) -> None:
    source = folder()
    (source / "cello" / os.fsdecode(b"caf\xe9\n.mp4")).write_bytes(clip.read_bytes())
    [row] = [row for row in run(source=str(source)) if row["original"]]
    assert row["id"] == "caf" and row["original"] == "cello/caf\\xe9\\n.mp4"


def test_a_video_that_cannot_be_copied_is_named(
    run: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = folder()
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(InputError, match=r"\.mp4 cannot be brought to data/videos/.*: No space left on device"):
        run(source=str(source))
    assert not Path("data/videos/manifest.csv").exists()

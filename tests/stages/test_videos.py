"""Stage videos: the demo's clips, a user's folder, a list's downloads and what others extracted, in one manifest."""

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avsep.errors import InputError
from avsep.files.ledgers import file_hash
from avsep.files.paths import quoted_inside
from avsep.media.detections import read_detections, write_detections
from avsep.media.ffmpeg import write_video
from avsep.media.frames import read_jpeg, unpack
from avsep.media.wav import duration, write_wav
from avsep.params.sections import Download, Extract, Videos
from avsep.params.stages import ExtractParams, VideosParams
from stages import extract, videos
from tests.helpers.videos import DEMO as THREE
from tests.helpers.videos import DOWNLOAD, INDEX
from tests.helpers.website import Site

DEMO = dataclasses.replace(THREE, per_class=1, seconds=1.0)
CLASSES = ("cello", "flute", "trumpet", "tuba")
Run = Callable[..., list[dict[str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the stage in an empty folder, with some of the params changed; gives the manifest's rows."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")

    def run_(
        folder: Path | None = None, download: Download = DOWNLOAD, lists: Any = "split", **changes: Any
    ) -> list[dict[str, str]]:
        if folder is not None:
            changes = {"source": "folder", "path": str(folder), **changes}
        index = dataclasses.replace(INDEX, lists=lists)
        videos.main(VideosParams(seed=0, videos=dataclasses.replace(DEMO, **changes), download=download, index=index))
        return rows()

    return run_


def rows() -> list[dict[str, str]]:
    with Path("data/videos/manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = (np.full((64, 64, 3), 20 * index, dtype=np.uint8) for index in range(8))
    write_video(path, frames, 8, np.random.default_rng(0).normal(0, 0.1, (8000, 1)), 8000)
    return path


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Callable[..., Path]:
    """Makes a user's folder: three videos in each of four classes, and more by keyword: class -> names."""

    def make(classes: Iterable[str] = CLASSES, **more: Iterable[str]) -> Path:
        root = tmp_path / "videos of mine"
        for category in classes:
            (root / category).mkdir(parents=True)
            for name in more.get(category, ("a.mp4", "b.mp4", "c.mp4")):
                (root / category / name).write_bytes(clip.read_bytes())
        return root

    return make


def metrics() -> dict[str, Any]:
    return json.loads(Path("metrics/videos.json").read_text(encoding="utf-8"))


def made() -> tuple[int, int, int]:
    """How many videos the last run made, kept and removed."""
    told = json.loads(Path("metrics/made/videos.json").read_text(encoding="utf-8"))
    return told["made"], told["kept"], told["gone"]


def tree(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


# --- demo


def test_the_demo_is_listed_with_its_truth_beside_it(run: Run) -> None:
    listed = run()
    assert [row["file"] for row in listed] == [f"{name}/{name}_00.mp4" for name in sorted(DEMO.classes)]
    assert all(row["seconds"] == "1.000" and row["parts"] == row["detections"] == "" for row in listed)
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in listed)
    assert all((Path("data/videos") / row["file"]).with_suffix(".truth.json").is_file() for row in listed)
    assert metrics() == {
        "videos": 4,
        "seconds": 4.0,
        "unreadable": 0,
        "ignored": 0,
        "classes": {"cello": 1, "flute": 1, "trumpet": 1, "tuba": 1},
    }
    assert made() == (4, 0, 0)


def test_another_class_or_video_leaves_the_others_bytes(run: Run) -> None:
    before = {row["file"]: row["sha256"] for row in run()}
    after = {row["file"]: row["sha256"] for row in run(classes=["violin", *DEMO.classes], per_class=2)}
    assert len(after) == 10 and before.items() <= after.items()


def test_nothing_of_an_earlier_run_stays(run: Run) -> None:
    run()
    run(classes=["violin", "flute", "trumpet", "tuba"])
    assert not Path("data/videos/cello").exists()
    assert made() == (4, 0, 1)


def test_a_class_without_a_shape_is_refused_before_anything_goes(run: Run) -> None:
    run()
    with pytest.raises(InputError, match=r"videos\.classes names harp: the demo has accordion"):
        run(classes=["harp", *DEMO.classes])
    assert Path("data/videos/cello/cello_00.mp4").is_file()


# --- folder


def test_a_folders_videos_stay_where_they_are_under_safe_names(run: Run, folder: Callable[..., Path]) -> None:
    names = ["-y clip.mp4", "100%s 'x\".MKV", "Für Elise.mov", "二胡.webm", "二胡 2.mp4", "a.mp4", "A.mp4", "a.mkv"]
    source = folder(cello=names)
    before = tree(source)
    listed = [row for row in run(source) if row["class"] == "cello"]
    assert len(listed) == len(names)
    assert len({row["id"].lower() for row in listed}) == len(names)
    assert {quoted_inside(source, row["file"], "").name for row in listed} == set(names)
    assert all(re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]*", row["id"]) for row in listed)
    by_name = {row["file"]: row["id"] for row in listed}
    assert by_name["cello/Für Elise.mov"] == "Fur_Elise"
    assert by_name["cello/-y clip.mp4"] == "y_clip"
    assert "cello/100%25s 'x\".MKV" in by_name
    assert tree(source) == before and tree(Path("data/videos")) == {"manifest.csv"}, "nothing is copied or linked"
    assert run(source) == run(source)


def test_what_changed_in_a_folder_is_counted(run: Run, folder: Callable[..., Path], clip: Path) -> None:
    source = folder()
    run(source)
    assert made() == (12, 0, 0)
    run(source)
    assert made() == (0, 12, 0)
    (source / "cello/d.mp4").write_bytes(clip.read_bytes())
    (source / "flute/a.mp4").write_bytes(clip.read_bytes() + b"more")
    run(source)
    assert made() == (2, 11, 0)
    (source / "cello/a.mp4").unlink()
    run(source)
    assert made() == (0, 12, 1)


def test_the_same_folder_elsewhere_has_the_same_manifest(run: Run, folder: Callable[..., Path], tmp_path: Path) -> None:
    source = folder()
    run(source)
    before = Path("data/videos/manifest.csv").read_bytes()
    source.rename(tmp_path / "mounted elsewhere")
    run(tmp_path / "mounted elsewhere")
    assert Path("data/videos/manifest.csv").read_bytes() == before


def test_extract_takes_the_users_files_apart_and_refuses_one_that_changed(
    run: Run, folder: Callable[..., Path], clip: Path
) -> None:
    source = folder(cello=["a 'b.mp4", os.fsdecode(b"caf\xe9\n%.mp4"), "c.mp4"])
    params = ExtractParams(
        videos=dataclasses.replace(DEMO, source="folder", path=str(source)), extract=Extract(rate=11025, fps=1)
    )
    run(source)
    extract.main(params)
    assert json.loads(Path("metrics/extract.json").read_text())["usable"] == 12
    assert Path("data/audio/cello/a_b.wav").is_file()
    (source / "tuba/a.mp4").write_bytes(clip.read_bytes() + b"more")
    with pytest.raises(InputError, match=r"tuba/a\.mp4 has changed since stage videos listed it: run stage videos"):
        extract.main(params)
    (source / "tuba/a.mp4").unlink()
    with pytest.raises(InputError, match=r"tuba/a\.mp4 is gone since"):
        extract.main(params)


def test_classes_too_get_safe_names(run: Run, folder: Callable[..., Path]) -> None:
    listed = run(folder(["cello", "flute", "tuba", "acoustic guitar"]))
    assert {row["class"] for row in listed} == {"cello", "flute", "tuba", "acoustic_guitar"}
    assert listed[0]["file"] == "acoustic guitar/a.mp4"


def test_two_classes_that_would_be_one_are_refused(run: Run, folder: Callable[..., Path]) -> None:
    source = folder(["cello", "flute", "tuba", "Cello!"])
    with pytest.raises(InputError, match="would both be class"):
        run(source)


@pytest.mark.parametrize("name", ["二胡", "Гитара 2", "!!!"])
def test_a_class_that_could_not_be_asked_for_is_refused(name: str, run: Run, folder: Callable[..., Path]) -> None:
    """Not taken as `unnamed`, which VAST would then ask for."""
    source = folder(["cello", "flute", "tuba", name])
    with pytest.raises(InputError, match=f"{name} has no Latin letter, and VAST asks for a class by"):
        run(source)
    assert not Path("data").exists()


def test_a_class_may_be_a_number_or_have_other_letters_beside_latin_ones(run: Run, folder: Callable[..., Path]) -> None:
    listed = run(folder(["cello", "flute", "02", "二胡 erhu"]))
    assert {row["class"] for row in listed} == {"cello", "flute", "02", "erhu"}


def test_a_link_to_a_file_is_a_video(run: Run, folder: Callable[..., Path], clip: Path) -> None:
    source = folder()
    (source / "cello/linked.mp4").symlink_to(clip)
    (source / "cello/broken.mp4").symlink_to("nowhere.mp4")
    assert [row["id"] for row in run(source) if row["class"] == "cello"] == ["a", "b", "c", "linked"]


def test_other_files_are_counted_and_left(run: Run, folder: Callable[..., Path]) -> None:
    source = folder()
    for name in ("README.txt", ".hidden.mp4", "cello/.a.mp4.swp", "cello/.b.mp4", "cello/notes.json"):
        (source / name).write_text("no video")
    (source / ".git").mkdir()
    (source / "cello/more").mkdir()
    assert len(run(source)) == 12
    assert metrics()["ignored"] == 7


def test_an_unreadable_video_is_listed_for_extract_to_set_aside(run: Run, folder: Callable[..., Path]) -> None:
    source = folder(cello=("a.mp4", "b.mp4", "c.mp4", "d.mp4"))
    (source / "cello/a.mp4").write_text("no video")
    assert [row["file"] for row in run(source) if not row["seconds"]] == ["cello/a.mp4"]
    assert metrics()["unreadable"] == 1 and metrics()["seconds"] == 12.0


def test_all_classes_of_which_too_few_can_be_opened_are_told_before_anything_is_extracted(
    run: Run, folder: Callable[..., Path]
) -> None:
    source = folder()
    for category in ("cello", "tuba"):
        (source / category / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"of what can be opened: cello has 2 videos, tuba has 2 videos; .* needs 3"):
        run(source)


def test_all_that_is_wrong_with_a_folder_is_told_at_once(run: Run, folder: Callable[..., Path]) -> None:
    source = folder(("cello", "flute", "tuba"), flute=("a.mp4",))
    for name in ("二胡", "Tuba"):
        (source / name).mkdir()
    with pytest.raises(
        InputError, match=r"Tuba, tuba would both .*二胡 has no Latin letter.*flute has 1 video, .*needs 3"
    ):
        run(source)


def test_mistakes_in_a_folder_are_told_in_one_line(run: Run, folder: Callable[..., Path], tmp_path: Path) -> None:
    def refusal(source: Path) -> str:
        with pytest.raises(InputError) as refused:
            run(source)
        assert "\n" not in str(refused.value) and "videos.path" in str(refused.value)
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


@pytest.mark.parametrize("source", ["folder", "imported", "ids"])
@pytest.mark.parametrize("path", ["data/videos", "data/videos/cello", "data", ".", "data/audio"])
def test_the_pipelines_own_folders_are_no_source(run: Run, source: str, path: str) -> None:
    run()
    Path("data/audio").mkdir()
    with pytest.raises(InputError, match="is the pipeline's own; keep yours elsewhere"):
        run(source=source, path=path)
    assert Path("data/videos/cello/cello_00.mp4").is_file()


def test_a_name_in_no_encoding_is_found_again(run: Run, folder: Callable[..., Path], clip: Path) -> None:
    source = folder()
    name = os.fsdecode(b"caf\xe9\n.mp4")
    (source / "cello" / name).write_bytes(clip.read_bytes())
    [row] = [row for row in run(source) if row["id"] == "caf"]
    assert row["file"] == "cello/caf%E9%0A.mp4" and row["seconds"] == "1.000"
    assert quoted_inside(source, row["file"], "") == source / "cello" / name


def test_a_video_that_may_not_be_read_is_named(
    run: Run, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    source = folder()
    monkeypatch.setattr(videos.Hashes, "sha256", refuse)
    with pytest.raises(InputError, match=r"\.mp4 cannot be read: Permission denied"):
        run(source)


# --- ids


def test_a_list_is_downloaded_once_and_what_is_not_there_is_told(run: Run, site: Site, clip: Path) -> None:
    listed = {name: [f"{name[:4]:0<10}{number}" for number in range(4)] for name in CLASSES}
    Path("list.json").write_text(json.dumps({"version": 1.0, "videos": {**listed, "cello flute": ["AAAAAAAAAAA"]}}))
    site.files = {name: clip for ids in listed.values() for name in ids}
    gone = listed["flute"][2]
    del site.files[gone]
    ask = dataclasses.replace(DOWNLOAD, url=site.url)

    found = run(source="ids", path="list.json", download=ask)
    assert len(found) == 15 and made() == (15, 0, 0)
    assert all((Path("data/videos") / row["file"]).read_bytes() == clip.read_bytes() for row in found)
    told = Path("data/downloads/unavailable.csv").read_text()
    assert told == f"class,id,status,reason\nflute,{gone},unavailable,Unable to download webpage: {NOT_FOUND}\n"
    assert metrics()["ids"] == {
        "listed": 16, "available": 15, "share": 0.9375, "unavailable": 1, "failed": 0, "duets": 1
    }  # fmt: skip

    site.asked.clear()
    assert run(source="ids", path="list.json", download=ask) == found
    assert site.asked == [] and made() == (0, 15, 0)

    spoilt = Path("data/videos") / found[0]["file"]
    spoilt.write_bytes(b"spoilt")
    (Path("data/videos") / found[1]["file"]).unlink()
    site.files[gone] = clip
    assert run(source="ids", path="list.json", download=ask) == found
    assert set(site.gets) == {found[0]["id"], found[1]["id"]} and made() == (2, 13, 0)

    listed["tuba"].pop()
    Path("list.json").write_text(json.dumps(listed))
    again = run(source="ids", path="list.json", download=dataclasses.replace(ask, retry_unavailable=True))
    assert gone in {row["id"] for row in again} and made() == (1, 14, 1)
    assert Path("data/.hashes").is_file()
    assert tree(Path("data/videos")) == {row["file"] for row in again} | {"manifest.csv"}
    assert tree(Path("data/downloads")) == {"answers.csv", "unavailable.csv"}


def test_what_dvc_has_brought_is_not_asked_for(run: Run, site: Site, clip: Path) -> None:
    """A colleague has data/videos of `dvc pull`, and adds an id, while one of the others is gone from the site."""
    listed = {name: [f"{name[:4]:0<10}{number}" for number in range(3)] for name in CLASSES}
    Path("list.json").write_text(json.dumps(listed))
    site.files = {name: clip for ids in listed.values() for name in ids}
    ask = dataclasses.replace(DOWNLOAD, url=site.url)
    found = run(source="ids", path="list.json", download=ask)
    shutil.rmtree("data/downloads")
    added = "AAAAAAAAAAA"
    listed["tuba"].append(added)
    Path("list.json").write_text(json.dumps(listed))
    site.files = {added: clip}
    spoilt = Path("data/videos") / found[0]["file"]
    spoilt.write_bytes(b"spoilt")
    site.files[found[0]["id"]] = clip
    site.asked.clear()
    again = run(source="ids", path="list.json", download=ask)
    assert set(site.gets) == {added, found[0]["id"]}
    assert [row for row in again if row["id"] != added] == found and made() == (2, 11, 0)


NOT_FOUND = "HTTP Error 404: Not Found"


def test_a_class_of_which_too_little_can_be_had_is_told_and_the_rest_stays(run: Run, site: Site, clip: Path) -> None:
    listed = {name: [f"{name[:4]:0<10}{number}" for number in range(3)] for name in CLASSES}
    Path("list.json").write_text(json.dumps(listed))
    site.files = {name: clip for ids in listed.values() for name in ids}
    del site.files[listed["tuba"][0]]
    ask = dataclasses.replace(DOWNLOAD, url=site.url)
    with pytest.raises(InputError, match=r"tuba has 2 videos; a class needs 3.*unavailable\.csv says which"):
        run(source="ids", path="list.json", download=ask)
    arrived = tree(Path("data/downloads/arrived"))
    assert len(arrived) == 11

    run()  # of the demo, in between
    assert tree(Path("data/downloads/arrived")) == arrived
    site.files[listed["tuba"][0]] = clip
    site.asked.clear()
    assert len(run(source="ids", path="list.json", download=dataclasses.replace(ask, retry_unavailable=True))) == 12
    assert set(site.gets) == {listed["tuba"][0]}


def test_half_a_file_of_an_id_without_an_answer_stays(
    run: Run, site: Site, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = {name: [f"{name[:4]:0<10}{number}" for number in range(4)] for name in CLASSES}
    Path("list.json").write_text(json.dumps(listed))
    site.files = {name: clip for ids in listed.values() for name in ids}
    failing = listed["flute"][1]
    site.answers[failing] = [503] * 9
    halves = [Path("data/downloads/arriving", category, listed[category][1]) for category in ("flute", "tuba")]
    unlisted = Path("data/downloads/arriving/harp/AAAAAAAAAAA")
    for half in (*halves, unlisted):
        half.mkdir(parents=True)
        (half / "video.0.mp4.part").write_bytes(b"half")
    run(source="ids", path="list.json", download=dataclasses.replace(DOWNLOAD, url=site.url))
    assert [half.exists() for half in (*halves, unlisted)] == [True, False, False]
    assert "1 ids got no answer: `dvc repro --force videos` asks for them again" in caplog.text


def test_a_run_that_is_killed_goes_on_where_it_was(run: Run, site: Site, clip: Path, tmp_path: Path) -> None:
    listed = {name: [f"{name[:4]:0<10}{number}" for number in range(3)] for name in CLASSES}
    Path("list.json").write_text(json.dumps(listed))
    long = tmp_path / "long.mp4"  # so long that it is killed in the middle of one
    long.write_bytes(clip.read_bytes() + bytes(200_000))
    site.files = {name: long for ids in listed.values() for name in ids}
    site.pace = 0.02
    ask = dataclasses.replace(DOWNLOAD, url=site.url)
    code = (
        "from avsep.params.sections import *; from avsep.params.stages import *; from stages import videos;"
        f"from {Videos.__module__} import Videos;"
        f"videos.main(VideosParams(seed=0, videos={dataclasses.replace(DEMO, source='ids', path='list.json')!r},"
        f" download={ask!r}, index={INDEX!r}))"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(videos.__file__).parents[1])},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while (
        not (list(Path("data/downloads/arrived").glob("*/*.mp4")) and _halves(40_000)) and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    there = {path.stem for path in Path("data/downloads/arrived").glob("*/*.mp4")}
    assert 0 < len(there) < 12 and not Path("data/videos/manifest.csv").exists()

    site.pace = 0.0
    site.asked.clear()
    found = run(source="ids", path="list.json", download=ask)
    assert len(found) == 12 and not there & set(site.gets), "what was there is not asked for again"
    assert [asked for _, asked in site.asked if asked.startswith("bytes=") and asked != "bytes=0-"], (
        "half a file goes on"
    )
    assert {row["sha256"] for row in found} == {file_hash(long)}


def _halves(size: int) -> list[Path]:
    return [path for path in Path("data/downloads/arriving").rglob("*.part") if path.stat().st_size > size]


def test_only_the_solo_parts_of_a_video_are_taken(run: Run, site: Site, make_video: Callable[..., Path]) -> None:
    video = make_video(Path("v.mp4").absolute(), seconds=7)
    listed = {name.title(): {f"{name[:4]:0<10}{n}": [[25, 75], [100, 150]] for n in range(3)} for name in CLASSES}
    Path("list.json").write_text(json.dumps(listed))  # 1 to 3 and 4 to 6 s
    site.files = {name: video for ids in listed.values() for name in ids}
    found = run(source="ids", path="list.json", download=dataclasses.replace(DOWNLOAD, url=site.url))
    assert {row["parts"] for row in found} == {"1.000-3.000;4.000-6.000"} and found[0]["class"] == "cello"
    extract.main(
        ExtractParams(
            videos=dataclasses.replace(DEMO, source="ids", path="list.json"), extract=Extract(rate=11025, fps=1)
        )
    )
    ledger = Path("data/extract.csv").read_text().splitlines()
    assert ledger[1].startswith(f"cello,cell0000000,4,{4 * 11025},ok,,")


# --- imported


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """What others have extracted, in the published layout: three videos of each of four classes."""
    root = tmp_path / "published"
    rng = np.random.default_rng(0)
    for category in CLASSES:
        for name in ("a", "b", "c"):
            write_wav(root / f"audio/{category}/{name}.wav", rng.normal(0, 0.1, 7 * 11000), 11000)
            pictures = root / f"frames/{category}/{name}.mp4"
            pictures.mkdir(parents=True)
            for number in range(1, 8):
                picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(picture).save(pictures / f"{number:06d}.jpg")
    row = np.array([[1, 2, 0.9, 4, 4, 20, 20]], np.float32)
    write_detections(root / "detection_results/cello/a.mp4.npy", row)
    return root


def imported(root: Path) -> ExtractParams:
    return ExtractParams(
        videos=dataclasses.replace(DEMO, source="imported", path=str(root)), extract=Extract(rate=11025, fps=1)
    )


def test_what_others_extracted_is_taken_over(run: Run, layout: Path) -> None:
    found = run(source="imported", path=str(layout))
    assert len(found) == 12 and found[0]["file"] == "audio/cello/a.wav" and found[0]["seconds"] == "7.000"
    assert [row["id"] for row in found if row["detections"]] == ["a"]
    assert metrics()["imported"] == {"missing": 0, "unlisted": 0, "with_detections": 1} and made() == (12, 0, 0)
    extract.main(imported(layout))
    assert json.loads(Path("metrics/extract.json").read_text())["usable"] == 12
    assert duration(Path("data/audio/cello/a.wav"), 11025) == pytest.approx(7, abs=0.01)
    first = (layout / "frames/cello/a.mp4/000003.jpg").read_bytes()
    assert read_jpeg(Path("data/frames/cello/a.mp4.zip"), 3) == first


def test_what_the_pipeline_extracted_itself_comes_back_as_it_was(run: Run, folder: Callable[..., Path]) -> None:
    source = folder()
    run(source)
    own = dataclasses.replace(DEMO, source="folder", path=str(source))
    extract.main(ExtractParams(videos=own, extract=Extract(rate=11025, fps=1)))
    before = {name: (Path("data") / name).read_bytes() for name in tree(Path("data")) if name[:5] in ("audio", "frame")}
    published = Path("published")
    shutil.copytree("data/audio", published / "audio")
    for archive in Path("data/frames").glob("*/*.zip"):
        unpack(archive, published / "frames" / archive.parent.name / archive.stem)
    run(source="imported", path="published")
    extract.main(imported(published))
    assert len(before) == 24 and all((Path("data") / name).read_bytes() == held for name, held in before.items())


def test_an_imported_sound_may_have_a_name_in_no_encoding(run: Run, layout: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (layout / "audio/cello/b.wav").rename(layout / f"audio/cello/{name}.wav")
    (layout / "frames/cello/b.mp4").rename(layout / f"frames/cello/{name}.mp4")
    found = run(source="imported", path=str(layout))
    assert [row["seconds"] for row in found] == ["7.000"] * 12
    extract.main(imported(layout))
    assert json.loads(Path("metrics/extract.json").read_text())["usable"] == 12


def test_a_changed_frame_is_noticed(run: Run, layout: Path) -> None:
    run(source="imported", path=str(layout))
    shutil.copy(layout / "frames/tuba/b.mp4/000001.jpg", layout / "frames/tuba/b.mp4/000002.jpg")
    with pytest.raises(InputError, match=r"tuba/b\.wav has changed since stage videos listed it"):
        extract.main(imported(layout))
    run(source="imported", path=str(layout))
    assert made() == (1, 11, 0)
    extract.main(imported(layout))


def test_imported_videos_that_cannot_be_used_are_set_aside(run: Run, layout: Path) -> None:
    (layout / "frames/cello/a.mp4/000003.jpg").unlink()
    (layout / "audio/cello/b.wav").write_text("no sound")
    half = layout / "frames/flute/a.mp4/000007.jpg"
    half.write_bytes(half.read_bytes()[:400])
    shutil.copytree(layout / "frames/cello/c.mp4", layout / "more")
    for number in range(8, 30):
        shutil.copy(layout / "more/000001.jpg", layout / f"frames/cello/c.mp4/{number:06d}.jpg")
    run(source="imported", path=str(layout))
    extract.main(imported(layout))
    lines = [line.split(",", 6)[4:6] for line in Path("data/extract.csv").read_text().splitlines()[1:4]]
    assert lines[0] == [
        "rejected",
        "frames: a.mp4 holds '000004.jpg' in place of 000003.jpg: frames are numbered from 1 on",
    ] and lines[1][1].startswith("unreadable")
    assert "frames and sound apart: 29.0 s of frames at 1 a second" in Path("data/extract.csv").read_text()
    assert "frames: a.mp4/000007.jpg is no picture that can be read" in Path("data/extract.csv").read_text()
    assert json.loads(Path("metrics/extract.json").read_text())["usable"] == 8


def test_lists_of_both_published_forms_say_which_videos_count(run: Run, layout: Path) -> None:
    for category in CLASSES:
        shutil.copytree(layout / f"frames/{category}/c.mp4", layout / f"frames/{category}/d.mp4")
        shutil.copy(layout / f"audio/{category}/c.wav", layout / f"audio/{category}/d.wav")
    (layout / "index").mkdir()  # as `python -m avsep.export` has it
    (layout / "index/train.csv").write_text("".join(f"/{c}/{n}.wav,/{c}/{n}.mp4,7\n" for c in CLASSES for n in "ab"))
    (layout / "index/rejected.csv").write_text("class,id,stage,reason\n")
    second = "".join(f"./data/audio/{c}/c.mp3, ./data/frames/{c}/c.mp4, 7\n" for c in CLASSES)
    (layout / "val.csv").write_text(second + "/tuba/gone.wav,/tuba/gone.mp4,7\n")
    (layout / "val_sep.csv").write_text("/tuba/a.wav,/cello/a.wav,/flute/a.wav,/trumpet/a.wav\n")
    found = run(source="imported", path=str(layout))
    assert {row["id"] for row in found} == {"a", "b", "c"}
    assert (metrics()["imported"]["missing"], metrics()["imported"]["unlisted"]) == (1, 4)
    (layout / "val.csv").write_text("/tuba/a.wav,/tuba/b.mp4,7\n")
    with pytest.raises(
        InputError, match=r"val\.csv line 1: the sound /tuba/a\.wav and the frames /tuba/b\.mp4 are not"
    ):
        run(source="imported", path=str(layout))


def test_a_layout_that_is_none_is_told(run: Run, layout: Path) -> None:
    shutil.copy(layout / "audio/tuba/a.wav", layout / "audio/tuba/a.mp3")
    with pytest.raises(InputError, match="audio/tuba holds two sounds of a: keep one of them"):
        run(source="imported", path=str(layout))
    shutil.rmtree(layout / "audio")
    with pytest.raises(InputError, match="it holds no audio/ of"):
        run(source="imported", path=str(layout))


def test_detections_that_were_imported_are_read_back(layout: Path) -> None:
    assert read_detections(layout / "detection_results/cello/a.mp4.npy", 7).shape == (1, 7)

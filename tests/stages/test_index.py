import dataclasses
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsep.clips.index import read_index, read_mixtures
from avsep.errors import InputError
from avsep.files.ledgers import Ledger
from avsep.media.detections import write_detections
from avsep.media.wav import write_wav
from avsep.params.sections import Audio, Extract
from avsep.params.stages import ExtractParams, IndexParams
from stages import extract, index
from tests.helpers.factories import read_archive, write_archive
from tests.helpers.videos import DEMO, INDEX

RATE = 11025
PARAMS = IndexParams(
    seed=0,
    extract=Extract(rate=RATE, fps=1),
    audio=Audio(samples=RATE),
    index=INDEX,
)
PARTS = ("train", "val", "test")


def changed(**values: float) -> IndexParams:
    return dataclasses.replace(PARAMS, index=dataclasses.replace(PARAMS.index, **values))  # type: ignore[arg-type]


def detect(name: str, frames: int = 7) -> None:
    """Writes and records a detection in each frame of <class>/<id>, at its own place."""
    left = zlib.crc32(name.encode()) % 20
    rows = np.array([[number + 1, 1, 0.9, left, 8, 40, 40] for number in range(frames)], np.float32)
    path = Path(f"data/detection_results/{name}.mp4.npy")
    write_detections(path, rows)
    category, video = name.split("/")
    with Ledger(Path("data/detect.csv"), ["frames"]) as ledger:
        ledger.record((category, video), "made from", [path], frames=str(frames))


@pytest.fixture(scope="session")
def extracted(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the tiny videos, extracted and detected; not to be written to."""
    folder = tmp_path_factory.mktemp("extracted")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        shutil.copytree(tiny_videos, "data/videos")
        extract.main(ExtractParams(videos=DEMO, extract=PARAMS.extract))
        for frames in Path("data/frames").glob("*/*"):
            detect(f"{frames.parent.name}/{frames.name.removesuffix('.mp4.zip')}")
    return folder


@pytest.fixture
def data(extracted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its data in the working directory, with a fourth video for each class, which may be spoilt."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(extracted / "data", "data", ignore=shutil.ignore_patterns("videos"))
    for number, category in enumerate(("cello", "flute", "trumpet", "tuba")):
        add(category, "spare", np.random.default_rng([number]).uniform(-0.5, 0.5, 7 * RATE))
    return tmp_path / "data"


def add(category: str, name: str, wave: np.ndarray, frames: int = 7) -> None:
    """Adds a video as if extracted and detected."""
    write_wav(Path(f"data/audio/{category}/{name}.wav"), wave, RATE)
    picture = read_archive(Path(f"data/frames/{category}/{category}_0.mp4.zip"))["000001.jpg"]
    pictures = {f"{number:06d}.jpg": picture for number in range(1, frames + 1)}
    write_archive(Path(f"data/frames/{category}/{name}.mp4.zip"), pictures)
    detect(f"{category}/{name}", frames)
    with Path("data/extract.csv").open("a") as file:
        file.write(f"{category},{name},{frames},{len(wave)},ok,,x,x\n")


def rejected() -> list[str]:
    return Path("data/index/rejected.csv").read_text().splitlines()[1:]


def files() -> list[str]:
    return sorted(path.name for path in Path("data/index").iterdir())


def test_lists_are_disjoint_complete_and_the_same_twice(data: Path) -> None:
    index.main(PARAMS)
    lists = ["test.csv", "test_sep.csv", "train.csv", "val.csv", "val_sep.csv"]
    assert files() == ["contents.csv", "leaks.csv", "rejected.csv", *lists]
    assert Path("data/index/leaks.csv").read_text() == "list,video,other_list,other_video\n"
    parts = {part: read_index(Path(f"data/index/{part}.csv")) for part in PARTS}
    names = [video.name for part in parts.values() for video in part]
    assert len(names) == len(set(names)) == 16 and rejected() == []
    assert len(read_mixtures(Path("data/index/test_sep.csv"), parts["test"])) == 8
    assert len(read_mixtures(Path("data/index/val_sep.csv"), parts["val"])) == 4
    metrics = json.loads(Path("metrics/index.json").read_text())
    assert metrics["videos"] == {"train": 8, "val": 4, "test": 4}
    assert metrics["classes"]["cello"] == {"train": 2, "val": 1, "test": 1}
    assert metrics["mixtures"] == {"val": 4, "test": 8}

    first = {path.name: path.read_bytes() for path in Path("data/index").iterdir()}
    lines = Path("data/extract.csv").read_text().splitlines()
    Path("data/extract.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    index.main(PARAMS)
    assert {path.name: path.read_bytes() for path in Path("data/index").iterdir()} == first


def test_the_index_changes_with_what_it_points_to(data: Path) -> None:
    """Later stages depend on data/index alone: other sound under the same name must change it."""
    index.main(PARAMS)
    first = Path("data/index/contents.csv").read_text()
    table = Path("data/extract.csv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ",otherwise", *lines[2:]]) + "\n")
    index.main(PARAMS)
    changed = set(Path("data/index/contents.csv").read_text().splitlines()) ^ set(first.splitlines())
    assert len(changed) == 2 and any(",otherwise," in line for line in changed)


def spoil(kind: str) -> None:
    """Spoils cello/spare, one way or another."""
    wav, frames = Path("data/audio/cello/spare.wav"), Path("data/frames/cello/spare.mp4.zip")
    npy = Path("data/detection_results/cello/spare.mp4.npy")
    table = Path("data/extract.csv")
    row = "cello,spare,7,77175,ok,,x,x"
    noise = np.random.default_rng([0]).uniform(-0.5, 0.5, 9 * RATE)
    match kind:
        case "rejected":
            table.write_text(table.read_text().replace(row, "cello,spare,0,0,rejected,no sound stream,x,x"))
        case "few frames":
            table.write_text(table.read_text().replace(row, row.replace(",7,", ",6,")))
        case "little sound":
            write_wav(wav, noise[: 6 * RATE], RATE)
        case "silent":
            write_wav(wav, noise[: 7 * RATE] * 1e-4, RATE)
        case "sound ends":
            table.write_text(table.read_text().replace(row + "\n", ""))
            add("cello", "spare", noise[: 7 * RATE], frames=9)
        case "no wav":
            wav.unlink()
        case "other rate":
            write_wav(wav, noise, 11000)
        case "frame missing":
            write_archive(frames, {name: b"" for name in list(read_archive(frames))[:-1]})
        case "no frames":
            frames.unlink()
        case "frames cut off":
            frames.write_bytes(frames.read_bytes()[:1000])
        case "no detections":
            npy.unlink()
        case "another's detections":
            detect("cello/spare", frames=8)
        case "another's detections, as long":
            shutil.copy(npy.with_name("cello_0.mp4.npy"), npy)
        case "foreign detections":
            npy.write_bytes(b"no array")


@pytest.mark.parametrize(
    ("kind", "stage", "reason"),
    [
        ("rejected", "extract", "no sound stream"),
        ("few frames", "index", "too short"),
        ("little sound", "index", "too short"),
        ("silent", "index", "silent"),
        ("sound ends", "index", "sound ends early"),
        ("no wav", "index", "sound"),
        ("other rate", "index", "sound"),
        ("frame missing", "index", "frames"),
        ("no frames", "index", "frames"),
        ("frames cut off", "index", "frames"),
        ("no detections", "index", "detections"),
        ("another's detections", "index", "detections"),
        ("another's detections, as long", "index", "detections"),
        ("foreign detections", "index", "detections"),
    ],
)
def test_a_bad_video_is_set_aside_with_its_reason(data: Path, kind: str, stage: str, reason: str) -> None:
    spoil(kind)
    index.main(PARAMS)
    [row] = rejected()
    assert row.replace('"', "").startswith(f"cello,spare,{stage},{reason}")
    assert json.loads(Path("metrics/index.json").read_text())["rejected"] == {"total": 1, reason: 1}
    listed = [video.name for part in PARTS for video in read_index(Path(f"data/index/{part}.csv"))]
    assert "cello/spare" not in listed and len(listed) == 15


def test_too_many_bad_videos_stop_the_run_and_say_why(data: Path) -> None:
    index.main(PARAMS)
    spoil("silent")
    Path("data/audio/tuba/spare.wav").unlink()
    Path("data/audio/flute/spare.wav").unlink()
    with pytest.raises(InputError, match=r"3 of 16 videos .* often \(2\): sound; data/index/rejected.csv lists"):
        index.main(changed(max_rejected=0.18))
    assert files() == ["rejected.csv"] and len(rejected()) == 3  # no list of an earlier run, none half-written
    assert not Path("data/.index.tmp").exists()
    index.main(changed(max_rejected=0.1875))


def test_a_window_longer_than_every_clip_is_refused(data: Path) -> None:
    write_wav(Path("data/audio/cello/spare.wav"), np.full(8 * RATE, 0.1), RATE)
    index.main(dataclasses.replace(PARAMS, audio=Audio(samples=8 * RATE)))  # as long as the longest
    with pytest.raises(InputError, match=r"audio\.samples is 88201, 8\.00 s: longer than every clip .* 8\.00 s"):
        index.main(dataclasses.replace(PARAMS, audio=Audio(samples=8 * RATE + 1)))


def test_a_class_with_few_usable_videos_stops_the_run(data: Path) -> None:
    for name in ("spare", "cello_0", "cello_1"):
        Path(f"data/audio/cello/{name}.wav").unlink()
    with pytest.raises(InputError, match="cello has 1 usable video; a class needs 3, to train, validate and test"):
        index.main(PARAMS)
    assert files() == ["rejected.csv"]


@pytest.mark.parametrize("change", ["copied", "encoded anew"])
def test_one_recording_under_two_names_stays_in_one_split_and_is_told(
    data: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    index.main(PARAMS)
    assert "alike.csv" not in files()
    train, test = (read_index(Path(f"data/index/{part}.csv"))[0] for part in ("train", "test"))
    if change == "copied":
        shutil.copy(train.audio, test.audio)
    else:
        wave, _ = soundfile.read(train.audio, dtype="float32")
        soundfile.write("low.mp3", 0.3 * np.append(np.zeros(1000, np.float32), wave), RATE)
        write_wav(test.audio, soundfile.read("low.mp3", dtype="float32")[0][: len(wave)], RATE)
    index.main(PARAMS)
    held = {one.name: part for part in PARTS for one in read_index(Path(f"data/index/{part}.csv"))}
    assert held[train.name] == held[test.name]
    first, second = sorted([train.name, test.name])
    assert f"index: {second}: the same recording as {first}: they count once" in caplog.text
    assert Path("data/index/alike.csv").read_text() == f"class,id,recording\n{second.replace('/', ',')},{first}\n"
    assert json.loads(Path("metrics/index.json").read_text())["alike"] == 1


def test_classes_of_which_copies_leave_too_few_are_told_together(data: Path) -> None:
    for category in ("cello", "tuba"):
        for name in (f"{category}_1", f"{category}_2"):
            shutil.copy(f"data/audio/{category}/{category}_0.wav", f"data/audio/{category}/{name}.wav")
    with pytest.raises(
        InputError, match=r"cello has 2 usable videos, tuba has 2 usable videos; .*one recording one video counts"
    ):
        index.main(PARAMS)


@pytest.mark.parametrize("text", [None, "class,id\ncello,spare\n"])
def test_a_bad_ledger_of_detections_is_refused(data: Path, text: str | None) -> None:
    Path("data/detect.csv").unlink()
    if text is not None:
        Path("data/detect.csv").write_text(text)
    with pytest.raises(InputError, match=r"data/detect\.csv is (missing|no ledger).*: run stage detect again"):
        index.main(PARAMS)
    assert not Path("data/index").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, r"data/extract\.csv is missing: run stage extract"),
        ("class,id,frames,samples,status,reason\n", "lists no videos"),
        ("class,id\ncello,a\n", "line 2: no row of stage extract's"),
        ("class,id,frames,samples,status,reason\ncello,a,many,1,ok,\n", "line 2: no row of stage extract's"),
        ("class,id,frames,samples,status,reason,trimmed\n../..,a,7,1,ok,,\n", "line 2: no row of stage extract's"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, match: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    if text is not None:
        Path("data/extract.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        index.main(PARAMS)
    assert not Path("data/index").exists()

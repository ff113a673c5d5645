"""The published lists from an imported folder to data/index: stages videos, extract, detect, index on tiny videos."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avsep.clips.index import read_index, read_mixtures
from avsep.clips.leaks import Leak, read_leaks
from avsep.errors import InputError
from avsep.export import export
from avsep.media.wav import write_wav
from avsep.params.sections import Audio, Detect, Detector, Extract, ResNet
from avsep.params.stages import DetectParams, ExtractParams, IndexParams, VideosParams
from avsep.weights.detectors import save_no_detector
from stages import detect, extract, index, videos
from tests.helpers.published_layout import write_layout, write_lists
from tests.helpers.videos import DEMO, DOWNLOAD, FRAMES, INDEX

CLASSES = ("cello", "flute", "trumpet", "tuba")
RATE = 11025
SPLITS = {  # an id may begin with -, and has another name in data/
    "train": [f"{c}/{n}" for c in CLASSES for n in ("x1", "x2")],
    "val": [f"{c}/{n}" for c in CLASSES[::-1] for n in ("y1", "y2")],
    "test": [f"{c}/-t" for c in CLASSES],
}
MIXTURES = [
    [f"{c}/-t" for c in CLASSES],
    [f"{c}/-t" for c in CLASSES[::-1]],
    [f"{c}/-t" for c in (*CLASSES[1:], CLASSES[0])],
]
UNLISTED = "tuba/other"


class Project:
    """A working directory, and beside it the folder of what others have extracted."""

    def __init__(self, folder: Path) -> None:
        self.layout = folder / "published"

    def run(self, *stages: str, extract_fps: int = 1, **changes: Any) -> dict[str, Any]:
        """Runs some stages, all by default, with params of section index changed; gives metrics/index.json."""
        source = dataclasses.replace(DEMO, source="imported", path=str(self.layout))
        section = dataclasses.replace(INDEX, **{"lists": "published", "max_rejected": 0.0, **changes})
        kept = Extract(rate=RATE, fps=extract_fps)
        for stage in stages or ("videos", "extract", "detect", "index"):
            if stage == "videos":
                videos.main(VideosParams(seed=0, videos=source, download=DOWNLOAD, index=section))
            elif stage == "extract":
                extract.main(ExtractParams(videos=source, extract=kept))
            elif stage == "detect":
                save_no_detector()
                detect.main(
                    DetectParams(
                        device="cpu",
                        threads=1,
                        videos=source,
                        resnet=ResNet(width=8),
                        extract=kept,
                        frames=FRAMES,
                        detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
                        detect=Detect(threshold=0.3, nms=0.5, batch=2, phrase="a {}"),
                    )
                )
            else:
                index.main(IndexParams(seed=0, extract=kept, audio=Audio(samples=RATE), index=section))
        return json.loads(Path("metrics/index.json").read_text()) if Path("metrics/index.json").is_file() else {}

    def leave_out(self, name: str) -> None:
        """A video that could not be had any more."""
        (self.layout / f"audio/{name}.wav").unlink()
        shutil.rmtree(self.layout / f"frames/{name}.mp4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which all four stages have run."""
    folder = tmp_path_factory.mktemp("lists")
    write_layout(folder / "published", [*(name for names in SPLITS.values() for name in names), UNLISTED])
    write_lists(folder / "published", SPLITS, MIXTURES)
    (folder / "published/train_sep.csv").write_text("/tuba/x1.wav, /tuba/x2.wav, /cello/x1.wav\n")
    (folder / "run").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder / "run")
        patched.setenv("LOKY_MAX_CPU_COUNT", "1")
        Project(folder).run()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it; the working directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    return Project(tmp_path)


def names(part: str) -> list[str]:
    return [video.name for video in read_index(Path(f"data/index/{part}.csv"))]


def safe(listed: list[str]) -> list[str]:
    return sorted(name.replace("-", "") for name in listed)


def missing() -> list[str]:
    return Path("data/index/missing.csv").read_text().splitlines()[1:]


def test_the_lists_are_the_splits_and_the_test_mixtures(project: Project) -> None:
    for part, listed in SPLITS.items():
        assert names(part) == safe(listed)
    test = read_index(Path("data/index/test.csv"))
    mixtures = read_mixtures(Path("data/index/test_sep.csv"), test)
    assert [[one.name for one in mixture] for mixture in mixtures] == [
        [name.replace("-", "") for name in row] for row in MIXTURES
    ]
    assert len(read_mixtures(Path("data/index/val_sep.csv"), read_index(Path("data/index/val.csv")))) == 4
    told = json.loads(Path("metrics/index.json").read_text())
    assert told["mixtures"] == {"val": 4, "test": 3} and told["leaks"] == dict.fromkeys(told["leaks"], 0)
    assert told["lists"] == {
        "train": {"rows": 8, "used": 8, "missing": 0, "other_frames": 0},
        "val": {"rows": 8, "used": 8, "missing": 0, "other_frames": 0},
        "test": {"rows": 4, "used": 4, "missing": 0, "other_frames": 0},
        "test_sep": {"rows": 3, "used": 3, "missing": 0},
    }
    assert missing() == [] and "other" not in Path("data/index/contents.csv").read_text()
    imported = json.loads(Path("metrics/videos.json").read_text())["imported"]
    assert imported == {"missing": 0, "unlisted": 1, "with_detections": 20}


def test_what_is_missing_is_counted_listed_and_left_out(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project.leave_out("cello/x1")
    write_wav(project.layout / "audio/flute/x2.wav", np.zeros(7 * RATE), RATE)
    write_lists(project.layout, {**SPLITS, "test": [*SPLITS["test"], "tuba/gone"]}, [
        *MIXTURES, ["tuba/gone", *MIXTURES[0][:3]]
    ])  # fmt: skip
    told = project.run(max_rejected=0.06)  # one of 19 is silent: what is not in the folder does not count
    assert told["rejected"] == {"total": 1, "silent": 1}
    assert told["lists"]["train"] == {"rows": 8, "used": 6, "missing": 2, "other_frames": 0}
    assert told["lists"]["test_sep"] == {"rows": 4, "used": 3, "missing": 1}
    assert told["mixtures"]["test"] == 3 and len(names("test")) == 4
    assert "cello/x1" not in names("train") and "cello/x2" in names("train")
    assert missing() == [
        "train,1,cello/x1,not in the folder",
        "train,4,flute/x2,set aside by stage index: silent: the loudest second has -inf dB",
        "test,5,tuba/gone,not in the folder",
        "test_sep,4,tuba/gone,not in the folder",
    ]
    warned = [record.message for record in caplog.records if record.message.startswith("index: ")]
    assert warned == [
        "index: 2 of 8 rows of train.csv have no video, and are left out: data/index/missing.csv",
        "index: 1 of 5 rows of test.csv have no video, and are left out: data/index/missing.csv",
        "index: 1 of 4 rows of test_sep.csv name a video that is not there, and are left out: data/index/missing.csv",
    ]
    assert "videos: 1 video in no list, and so not used" in caplog.messages
    assert "videos: 2 videos of 21 that the lists name not there" in caplog.messages


def test_too_many_set_aside_stop_the_run_and_what_is_missing_is_told(project: Project) -> None:
    project.leave_out("cello/x1")
    write_wav(project.layout / "audio/flute/x2.wav", np.zeros(7 * RATE), RATE)
    with pytest.raises(InputError, match="1 of 19 videos are set aside"):
        project.run(max_rejected=0.05)
    assert sorted(path.name for path in Path("data/index").iterdir()) == ["missing.csv", "rejected.csv"]
    assert len(missing()) == 2


def test_other_numbers_of_frames_count_as_they_are(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    path = project.layout / "val.csv"
    path.write_text(path.read_text().replace(",7", ",24", 1))
    told = project.run("videos", "index")
    assert told["lists"]["val"] == {"rows": 8, "used": 8, "missing": 0, "other_frames": 1}
    assert {video.frame_count for video in read_index(Path("data/index/val.csv"))} == {7}
    assert "1 of 8 videos of val.csv have not the number of frames that it says: what is there counts" in caplog.text


def leaking(project: Project) -> None:
    """Two of val's videos and one of train's among test's."""
    shared = ["cello/y1", "tuba/y1", "flute/x1"]
    mixture = ["cello/y1", "flute/x1", "trumpet/-t", "tuba/y1"]
    write_lists(project.layout, {**SPLITS, "test": [*SPLITS["test"], *shared]}, [*MIXTURES, mixture])


def test_lists_that_leak_are_refused_by_name(project: Project) -> None:
    leaking(project)
    match = (
        r"^1 video is in both train and test: flute/x1; 2 videos are in both val and test: cello/y1, tuba/y1: .*"
        r"set index\.allow_leaks to true"
    )
    with pytest.raises(InputError, match=match) as caught:
        project.run("videos", "index")
    assert "\n" not in str(caught.value)
    assert not Path("data/index/test.csv").exists()


def test_leaks_that_are_allowed_are_told(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    leaking(project)
    told = project.run("videos", "index", allow_leaks=True)
    assert told["leaks"] == {"train_val": 0, "train_test": 1, "val_test": 2}
    assert told["videos"] == {"train": 8, "val": 8, "test": 7}
    assert read_leaks() == [
        Leak("test", "flute/x1", "train", "flute/x1"),
        Leak("test", "cello/y1", "val", "cello/y1"),
        Leak("test", "tuba/y1", "val", "tuba/y1"),
    ]
    leaks = [message for message in caplog.messages if message.startswith("LEAK")]
    assert leaks == [
        "LEAK: 1 video is in both train and test: flute/x1 (data/index/leaks.csv)",
        "LEAK: 2 videos are in both val and test: cello/y1, tuba/y1 (data/index/leaks.csv)",
    ]
    assert (
        read_mixtures(Path("data/index/test_sep.csv"), read_index(Path("data/index/test.csv")))[3].b.name == "flute/x1"
    )


def test_a_video_in_two_lists_is_exported_once(project: Project, tmp_path: Path) -> None:
    leaking(project)
    project.run("videos", "index", allow_leaks=True)
    assert export(Path("data"), tmp_path / "exported") == 20
    assert (tmp_path / "exported/index/test.csv").read_bytes() == Path("data/index/test.csv").read_bytes()


def test_one_sound_under_two_names_leaks_too(project: Project) -> None:
    shutil.copy(project.layout / "audio/cello/y1.wav", project.layout / "audio/cello/-t.wav")
    with pytest.raises(InputError, match="1 video of test is the same recording as one of val: cello/t as cello"):
        project.run()
    assert project.run("index", allow_leaks=True)["leaks"]["val_test"] == 1


def test_lists_that_are_missing_or_bad_stop_the_run_before_any_work(project: Project) -> None:
    shutil.rmtree("data")
    path = project.layout / "test_sep.csv"
    path.write_text(path.read_text() + "/cello/-t.wav, /flute/-t.wav, /tuba/-t.wav\n")
    with pytest.raises(InputError, match=r"published/test_sep\.csv line 4: 3 fields"):
        project.run("videos")
    path.unlink()
    with pytest.raises(InputError, match=r"published: it has no test_sep\.csv: index\.lists published needs"):
        project.run("videos")
    write_lists(project.layout, {split: [f"{c}/none" for c in CLASSES] for split in SPLITS}, [
        [f"{c}/none" for c in CLASSES]
    ])  # fmt: skip
    with pytest.raises(InputError, match="of the 4 videos that its lists name, none is there"):
        project.run("videos")
    assert not Path("data/videos").exists()


def test_what_is_left_must_train_validate_and_test(project: Project) -> None:
    few = {**SPLITS, "val": [name for name in SPLITS["val"] if not name.startswith("tuba")]}
    write_lists(project.layout, few, MIXTURES)
    with pytest.raises(InputError, match=r"3 classes of usable videos in val\.csv"):
        project.run("videos", "index")
    write_lists(project.layout, {**SPLITS, "train": ["tuba/gone"]}, MIXTURES)
    with pytest.raises(InputError, match=r"no video of train\.csv can be used: data/index/missing\.csv says why"):
        project.run("videos", "index")
    write_lists(project.layout, {**SPLITS, "test": [*SPLITS["test"], "tuba/gone"]}, [["tuba/gone", *MIXTURES[0][:3]]])
    with pytest.raises(InputError, match=r"no mixture of test_sep\.csv is left"):
        project.run("videos", "index")


def test_a_split_that_is_drawn_here_leaves_no_trace_of_the_lists(project: Project) -> None:
    told = project.run(lists="split")
    assert "lists" not in told and "leaks" not in told and told["videos"]["test"] == 4
    assert not Path("data/videos/lists").exists() and not Path("data/index/missing.csv").exists()
    with pytest.raises(InputError, match=r"data/videos/lists is missing: run stage videos with index\.lists published"):
        project.run("index")


def test_what_was_exported_comes_back_as_it_was(project: Project, tmp_path: Path) -> None:
    """The lists in index/, as `python -m avsep.export` writes them."""
    before = {path.name: path.read_bytes() for path in Path("data/index").glob("*.csv")}
    export(Path("data"), tmp_path / "exported")
    shutil.rmtree("data")
    project.layout = tmp_path / "exported"
    project.run()
    assert {path.name: path.read_bytes() for path in Path("data/index").glob("*.csv")} == before

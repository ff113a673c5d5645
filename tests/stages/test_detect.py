"""Stage detect with a tiny random detector: what is written, what is done again, what is refused."""

import dataclasses
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dvc.utils.hydra import compose_and_dump
from PIL import Image

from avsep.errors import InputError
from avsep.files.ledgers import file_hash
from avsep.media.detections import read_detections, write_detections
from avsep.models.detector import build_detector
from avsep.params.loading import load
from avsep.params.sections import Detect, Detector, Extract, ResNet
from avsep.params.stages import DetectParams
from avsep.report import seen as shown
from avsep.sources.manifest import MANIFEST, Row, write_manifest
from avsep.weights.detectors import save_detector, save_no_detector, save_zero_shot
from stages import detect
from tests.helpers.clusters import local_cluster
from tests.helpers.factories import read_archive, write_archive, write_frames
from tests.helpers.videos import DEMO, FRAMES
from tests.helpers.weights import save_tiny_detector
from tests.helpers.zero_shot import write_zero_shot

ROOT = Path(__file__).parents[2]
CLASSES = ["cello", "flute", "tuba"]
VIDEOS = {"cello/a": 3, "cello/b": 5, "tuba/c": 1}  # their frames


def params(threshold: float = 0.3, width: int = 8) -> DetectParams:
    return DetectParams(
        device="cpu",
        threads=1,
        videos=DEMO,
        resnet=ResNet(width=width),
        extract=Extract(rate=11025, fps=1),
        frames=FRAMES,
        detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
        detect=Detect(threshold=threshold, nms=0.5, batch=2, phrase="a {}"),
    )


def write_weights(seed: int) -> None:
    torch.manual_seed(seed)
    detector = build_detector("resnet18", width=8, channels=16, classes=3, min_size=48, max_size=64)
    save_tiny_detector(detector, CLASSES)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # with room for one process the work is done in this one
    write_weights(seed=0)
    rng = np.random.default_rng(0)
    for name, frames in VIDEOS.items():
        pictures = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(frames)]
        write_frames(Path(f"data/frames/{name}.mp4.zip"), pictures)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The frames that the detector has seen."""
    seen: list[tuple[str, int]] = []
    work = detect.read_frame

    def counted(archive: Path, number: int) -> Image.Image:
        seen.append((archive.name.removesuffix(".mp4.zip"), number))
        return work(archive, number)

    monkeypatch.setattr(detect, "read_frame", counted)
    return seen


def copy_video(name: str, other: str) -> None:
    Path(f"data/frames/{other}.mp4.zip").parent.mkdir(exist_ok=True)
    shutil.copyfile(f"data/frames/{name}.mp4.zip", f"data/frames/{other}.mp4.zip")


def results() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data/detection_results").rglob("*") if path.is_file()}


def test_each_video_gets_its_rows_and_the_metrics_their_sum() -> None:
    detect.main(params())
    assert set(results()) == {f"data/detection_results/{name}.mp4.npy" for name in VIDEOS}
    rows = {
        name: read_detections(Path(f"data/detection_results/{name}.mp4.npy"), frames) for name, frames in VIDEOS.items()
    }
    for own in rows.values():
        assert (own[:, 2] >= 0.3).all() and set(own[:, 1]) <= {1, 2, 3}
        order = np.lexsort((-own[:, 2], own[:, 0]))
        assert (order == np.arange(len(own))).all()
    metrics = json.loads(Path("metrics/detect.json").read_text())
    seen = {(name, frame) for name, own in rows.items() for frame in own[:, 0]}
    assert metrics["videos"] == 3
    assert metrics["frames"] == {"total": 9, "with_object": len(seen), "without": 9 - len(seen)}
    assert {folder: one["total"] for folder, one in metrics["folders"].items()} == {"cello": 8, "tuba": 1}
    assert metrics["folders"]["tuba"]["without"] == int(("tuba/c", 1) not in seen)
    assert sum(one["without"] for one in metrics["folders"].values()) == 9 - len(seen)
    assert metrics["detections"]["total"] == sum(len(own) for own in rows.values()) > 0
    assert sum(metrics["first"].values()) == len(seen)


def test_a_miss_is_counted_and_written_as_no_rows() -> None:
    detect.main(params(threshold=1.0))
    assert read_detections(Path("data/detection_results/tuba/c.mp4.npy"), 1).shape == (0, 7)
    metrics = json.loads(Path("metrics/detect.json").read_text())
    assert metrics["frames"] == {"total": 9, "with_object": 0, "without": 9}


def test_only_frames_that_ccol_sees_are_looked_at(looked_at: list[tuple[str, int]]) -> None:
    """Of two frames a second one: it stands in the rows under its number among those that were kept."""
    every = dataclasses.replace(params(threshold=0.05), extract=Extract(rate=11025, fps=2))
    detect.main(every)
    assert sorted(looked_at) == [("a", 1), ("b", 1), ("b", 3), ("c", 1)]
    numbers = {int(row[0]) for row in read_detections(Path("data/detection_results/cello/b.mp4.npy"), 5)}
    assert numbers <= {1, 3}
    assert json.loads(Path("metrics/detect.json").read_text())["frames"]["total"] == 4
    detect.main(dataclasses.replace(every, frames=dataclasses.replace(FRAMES, fps=2)))
    assert len(looked_at) == 4 + 9, "another rate is another result"


def test_only_what_changed_is_detected_again(looked_at: list[tuple[str, int]]) -> None:
    detect.main(params())
    assert len(looked_at) == 9
    first = results()
    ledger = detect.LEDGER.read_bytes()

    looked_at.clear()
    detect.main(params())
    assert looked_at == [] and results() == first and detect.LEDGER.read_bytes() == ledger

    # a frame of one video; results of another that are no longer what was written
    archive = Path("data/frames/cello/b.mp4.zip")
    pictures = read_archive(archive)
    write_archive(archive, {**pictures, "000002.jpg": pictures["000001.jpg"]})
    Path("data/detection_results/tuba/c.mp4.npy").write_bytes(b"cut off")
    detect.main(params())
    assert looked_at == [("b", number) for number in range(1, 6)] + [("c", 1)]
    tuba = "data/detection_results/tuba/c.mp4.npy"
    assert results()[tuba] == first[tuba]

    looked_at.clear()
    detect.main(params(threshold=0.4))
    assert len(looked_at) == 9

    looked_at.clear()
    write_weights(seed=1)
    detect.main(params(threshold=0.4))
    assert len(looked_at) == 9


def test_results_do_not_depend_on_what_else_is_detected(looked_at: list[tuple[str, int]]) -> None:
    detect.main(params())
    first = results()
    Path("data/detection_results/cello/b.mp4.npy").unlink()
    shutil.rmtree("data/unfinished")  # what a run that was stopped could go on with
    looked_at.clear()
    detect.main(params())
    assert {name for name, _ in looked_at} == {"b"} and results() == first


def test_results_of_videos_that_are_gone_go_too() -> None:
    detect.main(params())
    shutil.rmtree("data/frames/tuba")
    Path("data/detection_results/cello/left_over.tmp").touch()
    detect.main(params())
    assert set(results()) == {"data/detection_results/cello/a.mp4.npy", "data/detection_results/cello/b.mp4.npy"}
    assert not Path("data/detection_results/tuba").exists()
    assert "tuba" not in detect.LEDGER.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_results_are_the_same_in_one_process_in_several_and_on_a_cluster(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DVC runs it, by its name. Each video's file is that of one process with so many threads."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    compose_and_dump("params.yaml", str(ROOT / "conf"), None, "config", "", ["profile=smoke", f"threads={threads}"])
    values = load(DetectParams)
    detector = build_detector(
        values.detector.backbone,
        width=values.resnet.width,
        channels=values.detector.channels,
        classes=3,
        min_size=values.detector.min_size,
        max_size=values.detector.max_size,
    )
    save_detector(detector, CLASSES, dataclasses.asdict(values))

    def run() -> dict[str, bytes]:
        shutil.rmtree("data/detection_results", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "stages.detect"], check=True)
        return results() | {"ledger": detect.LEDGER.read_bytes()}

    alone = run()
    assert len(alone) == 4 and max(len(rows) for rows in results().values()) > 200
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT")
    assert run() == alone
    with local_cluster(2) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        assert run() == alone


def test_classes_that_the_detector_has_not_learned_are_told_first(caplog: pytest.LogCaptureFixture) -> None:
    detect.main(params())
    assert json.loads(Path("metrics/detect.json").read_text())["unknown_classes"] == []
    assert "has not learned" not in caplog.text
    copy_video("cello/a", "erhu/a")
    copy_video("cello/a", "banjo/a")
    with caplog.at_level("INFO"):
        detect.main(params())
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("detect: the detector has not learned banjo, erhu: boxes of other classes")
    assert any(line.startswith("detect: 2 of 5 videos") for line in lines[1:]), "told before the work"
    assert json.loads(Path("metrics/detect.json").read_text())["unknown_classes"] == ["banjo", "erhu"]


@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_a_zero_shot_detector_is_asked_for_the_classes_of_the_data(
    kind: str, looked_at: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_zero_shot(kind, write_zero_shot(kind, Path("source")))
    detect.main(params(threshold=0.0))
    rows = read_detections(Path("data/detection_results/cello/b.mp4.npy"), 5)
    assert set(rows[:, 0]) == {1, 2, 3, 4, 5} and set(rows[:, 1]) <= {1, 2}
    metrics = json.loads(Path("metrics/detect.json").read_text())
    assert list(metrics["first"]) == ["cello", "tuba"] and metrics["unknown_classes"] == []
    assert metrics["detections"]["total"] > 0

    def redone(**changed: object) -> int:
        looked_at.clear()
        detect.main(dataclasses.replace(params(threshold=0.0), **changed))  # type: ignore[arg-type]
        return len(looked_at)

    assert redone() == 0
    assert redone(resnet=ResNet(width=16)) == 0, "of the other kind of detector"
    assert redone(detect=Detect(threshold=0.0, nms=0.5, batch=2, phrase="the {}")) == 9
    assert redone() == 9
    with monkeypatch.context() as patch:
        patch.setattr(detect, "version", lambda package: "another")
        assert redone() == 9
    assert redone() == 9
    copy_video("cello/a", "flute/a")
    assert redone() == 12, "another class is another question"
    save_zero_shot(kind, write_zero_shot(kind, Path("source"), seed=1))
    assert redone() == 12


def test_what_decides_the_results_holds_the_phrases_as_asked_and_what_decodes_the_frames() -> None:
    code, settings = detect.made_with(params(), ["acoustic_guitar", "cello"])
    assert settings["asked"] == ["a acoustic guitar", "a cello"] and settings["pillow"] == version("pillow")
    assert "frames.py" in {path.name for path in code}


def test_missing_frames_and_foreign_weights_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"was trained with resnet\.width 8, params\.yaml says 16: run stage pretrained"
    ):
        detect.main(params(width=16))
    archive = Path("data/frames/cello/a.mp4.zip")
    write_archive(archive, {name: content for name, content in read_archive(archive).items() if "2" not in name})
    with pytest.raises(InputError, match=r"a\.mp4\.zip holds '000003\.jpg' in place of 000002\.jpg"):
        detect.main(params())
    shutil.rmtree("data/frames")
    with pytest.raises(InputError, match="run stage extract"):
        detect.main(params())


def imported(tmp_path: Path, labels: dict[str, int]) -> DetectParams:
    """Params of imported videos, of which `labels` names those that came with detections, and the class in them."""
    rows = []
    for name, frames in VIDEOS.items():
        category, video = name.split("/")
        given = tmp_path / f"published/detection_results/{name}.mp4.npy"
        if name in labels:
            write_detections(given, np.array([[frames, labels[name], 0.5, 1, 2, 9, 9]], np.float32))
        found = (file_hash(given) or "") if given.is_file() else ""
        rows.append(Row(category, video, f"audio/{name}.wav", "", "", detections=found))
    write_manifest(MANIFEST, rows)
    videos = dataclasses.replace(DEMO, source="imported", path=str(tmp_path / "published"))
    return dataclasses.replace(params(), videos=videos)


def test_imported_detections_are_taken_over_and_the_others_made(tmp_path: Path, looked_at: list[Any]) -> None:
    given = imported(tmp_path, {"cello/a": 3, "tuba/c": 1})
    detect.main(given)
    assert {name for name, _ in looked_at} == {"b"}
    assert read_detections(Path("data/detection_results/cello/a.mp4.npy"), 3).tolist() == [[3, 3, 0.5, 1, 2, 9, 9]]
    first = results()

    looked_at.clear()
    detect.main(given)
    assert looked_at == [] and results() == first

    detect.main(imported(tmp_path, {"cello/a": 3, "tuba/c": 2}))
    assert looked_at == [] and read_detections(Path("data/detection_results/tuba/c.mp4.npy"), 1)[0, 1] == 2

    write_detections(tmp_path / "published/detection_results/tuba/c.mp4.npy", np.zeros((0, 7), np.float32))
    with pytest.raises(InputError, match=r"tuba/c\.mp4\.npy has changed since stage videos listed it"):
        detect.main(dataclasses.replace(given))


def test_imported_detections_count_classes_of_their_own(tmp_path: Path) -> None:
    detect.main(imported(tmp_path, {"cello/a": 1}))
    told = json.loads(Path("metrics/detect.json").read_text())
    detect.main(imported(tmp_path, {"cello/a": 15}))
    metrics = json.loads(Path("metrics/detect.json").read_text())
    assert metrics == told and metrics["taken_over"] == 1 and metrics["videos"] == 3
    seen = [read_detections(Path(f"data/detection_results/{name}.mp4.npy"), 9) for name in ("cello/b", "tuba/c")]
    assert metrics["detections"]["total"] == sum(map(len, seen))


def test_imported_detections_need_no_detector(tmp_path: Path) -> None:
    save_no_detector()
    with pytest.raises(InputError, match=r"2 of 3 videos came without .* first is cello/b, .* choose a detector"):
        detect.main(imported(tmp_path, {"cello/a": 1}))
    detect.main(imported(tmp_path, dict.fromkeys(VIDEOS, 1)))
    metrics = json.loads(Path("metrics/detect.json").read_text())
    assert metrics["taken_over"] == 3 and metrics["unknown_classes"] == []
    assert metrics["detections"] == {"total": 0} and metrics["frames"]["with_object"] == 3


def test_imported_detections_of_other_frames_are_refused(tmp_path: Path) -> None:
    given = imported(tmp_path, {"cello/a": 1})
    shutil.copy("data/frames/tuba/c.mp4.zip", "data/frames/cello/a.mp4.zip")
    with pytest.raises(InputError, match="tells of frame 3, the video has 1 to 1"):
        detect.main(given)


def test_an_imported_pickle_is_not_opened(tmp_path: Path) -> None:
    given = tmp_path / "published/detection_results/cello/a.mp4.npy"
    given.parent.mkdir(parents=True)
    np.save(given, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"is no array of detections .*; mend or remove it: without one"):
        detect.main(imported(tmp_path, {}))


@pytest.mark.parametrize(("without", "level"), [(104, "WARNING"), (53, "WARNING"), (52, "INFO"), (0, "INFO")])
def test_the_last_line_tells_how_many_frames_have_an_object(
    without: int, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        detect.tell_found({"frames": {"total": 104, "with_object": 104 - without, "without": without}, "folders": {}})
    assert caplog.records[-1].levelname == level
    assert f"{104 - without} of 104 frames" in caplog.text


def test_the_page_warns_at_the_same_share() -> None:
    assert detect.SEEN_AT_LEAST == shown.SEEN_AT_LEAST


def test_a_folder_of_which_nothing_is_found_is_told(caplog: pytest.LogCaptureFixture) -> None:
    folders = {"cello": {"total": 90, "without": 0}, "tuba": {"total": 14, "without": 14}}
    with caplog.at_level("INFO"):
        detect.tell_found({"frames": {"total": 104, "with_object": 90, "without": 14}, "folders": folders})
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "0 of 14 frames of tuba" in caplog.messages[0]

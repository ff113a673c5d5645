"""Stage detect with a tiny random detector: what is written, what is done again, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from avsep.errors import InputError
from avsep.media.detections import read_detections
from avsep.params import Detect, Detector, DetectParams, ResNet
from avsep.training.checkpoints import save_weights
from models.detector import build_detector
from stages import detect
from tests.factories import read_archive, write_archive, write_frames

CLASSES = ["cello", "flute", "tuba"]
VIDEOS = {"cello/a": 3, "cello/b": 5, "tuba/c": 1}  # their frames


def params(threshold: float = 0.3, width: int = 8) -> DetectParams:
    return DetectParams(
        device="cpu",
        threads=1,
        resnet=ResNet(width=width),
        detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
        detect=Detect(threshold=threshold, nms=0.5, batch=2),
    )


def write_weights(seed: int) -> None:
    torch.manual_seed(seed)
    detector = build_detector("resnet18", width=8, channels=16, classes=3, min_size=48, max_size=64)
    save_weights(detect.WEIGHTS, detector.state_dict(), metadata=("classes", json.dumps(CLASSES)))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_weights(seed=0)
    rng = np.random.default_rng(0)
    for name, frames in VIDEOS.items():
        pictures = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(frames)]
        write_frames(Path(f"data/frames/{name}.mp4.zip"), pictures)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The frames that the detector has seen."""
    seen: list[tuple[str, int]] = []
    work = detect.detect

    def counted(detector: torch.nn.Module, batch: detect.Batch) -> np.ndarray:
        seen.extend((batch.video.item[1], number) for number in batch.numbers)
        return work(detector, batch)

    monkeypatch.setattr(detect, "detect", counted)
    return seen


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
    assert metrics["detections"]["total"] == sum(len(own) for own in rows.values()) > 0
    assert sum(metrics["first"].values()) == len(seen)


def test_a_miss_is_counted_and_written_as_no_rows() -> None:
    detect.main(params(threshold=1.0))
    assert read_detections(Path("data/detection_results/tuba/c.mp4.npy"), 1).shape == (0, 7)
    metrics = json.loads(Path("metrics/detect.json").read_text())
    assert metrics["frames"] == {"total": 9, "with_object": 0, "without": 9}


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


def test_missing_frames_and_foreign_weights_are_refused() -> None:
    with pytest.raises(InputError, match="weights of other params"):
        detect.main(params(width=16))
    archive = Path("data/frames/cello/a.mp4.zip")
    write_archive(archive, {name: content for name, content in read_archive(archive).items() if "2" not in name})
    with pytest.raises(InputError, match=r"a\.mp4\.zip holds '000003\.jpg' in place of 000002\.jpg"):
        detect.main(params())
    shutil.rmtree("data/frames")
    with pytest.raises(InputError, match="run stage extract"):
        detect.main(params())

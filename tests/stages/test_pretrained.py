"""Stage pretrained: small trainings that repeat themselves, and published weights that are checked."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from avsep.errors import InputError
from avsep.params import Detector, Pretrained, PretrainedParams, ResNet, Videos
from avsep.training.checkpoints import load_weights, read_metadata, save_weights
from models.detector import build_detector
from models.resnet import ResNet18
from stages import pretrained

CLASSES = ["cello", "flute", "trumpet", "tuba"]
DEMO = PretrainedParams(
    seed=0,
    device="cpu",
    threads=1,
    videos=Videos(source="demo", classes=CLASSES, per_class=3, seconds=6.0, fps=8, width=96, height=72),
    # Not 4: of channels-last maps of 4 channels, oneDNN's gradient of a 1x1 convolution of stride 2 writes past its
    # memory where there is no AVX512 (seen on Zen 1).
    resnet=ResNet(width=8),
    detector=Detector(backbone="resnet18", channels=8, min_size=72, max_size=96),
    pretrained=Pretrained(
        source="demo",
        detector_path=None,
        detector_sha256=None,
        detector_classes=[],
        stills=8,
        still_size=32,
        epochs=2,
        batch=8,
        lr=2e-3,
        detector_stills=4,
        detector_epochs=2,
        detector_batch=2,
        detector_lr=2e-3,
        held_out=4,
    ),
)
SMALL = build_detector("resnet18", width=64, channels=8, classes=2, min_size=72, max_size=96)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def published(path: Path | str, sha256: str | None = None, **detector: Any) -> PretrainedParams:
    sha256 = sha256 or hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return dataclasses.replace(
        DEMO,
        resnet=ResNet(width=64),
        detector=dataclasses.replace(DEMO.detector, **detector),
        pretrained=dataclasses.replace(
            DEMO.pretrained,
            source="published",
            detector_path=str(path),
            detector_sha256=sha256,
            detector_classes=["harp", "oboe"],
        ),
    )


@pytest.fixture
def imagenet(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Random weights in place of the downloaded ones."""
    weights = ResNet18(64, classes=1000).state_dict()
    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "get_state_dict", lambda *_, **__: weights)
    return weights


def made() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in ("checkpoints", "metrics")
        for path in Path(folder).rglob("*.*")
        if path.is_file()
    }


def test_the_demos_training_repeats_itself_and_learns_from_its_seed() -> None:
    pretrained.main(DEMO)
    first = made()
    assert str(pretrained.RESNET) in first and "metrics/pretrained.json" in first
    pretrained.main(DEMO)
    assert made() == first
    pretrained.main(dataclasses.replace(DEMO, seed=1))
    assert made()[str(pretrained.RESNET)] != first[str(pretrained.RESNET)]


def test_the_demos_files_load_where_they_are_read() -> None:
    pretrained.main(DEMO)
    ResNet18(8, len(CLASSES)).load_state_dict(load_weights(pretrained.RESNET))
    assert json.loads(read_metadata(pretrained.DETECTOR, "classes")) == CLASSES
    detector = build_detector("resnet18", width=8, channels=8, classes=4, min_size=72, max_size=96)
    detector.load_state_dict(load_weights(pretrained.DETECTOR))
    metrics = json.loads(Path("metrics/pretrained.json").read_text())
    assert set(metrics["resnet18"]) == {"accuracy_whole", "accuracy_near"}
    assert all(0 <= value <= 1 for part in ("resnet18", "detector") for value in metrics[part].values())
    curve = Path("metrics/pretrained/plots/metrics/resnet18/cross_entropy.tsv").read_text().splitlines()
    assert curve[0].split("\t") == ["step", "cross_entropy"] and len(curve) > 1


def test_published_weights_are_taken_over(imagenet: dict[str, torch.Tensor]) -> None:
    torch.save(SMALL.state_dict(), "detector.pth")
    save_weights(Path("detector.safetensors"), SMALL.state_dict())
    for file in ("detector.pth", "detector.safetensors"):
        pretrained.main(published(file))
        resnet, detector = load_weights(pretrained.RESNET), load_weights(pretrained.DETECTOR)
        assert all(torch.equal(resnet[name], value) for name, value in imagenet.items())
        assert all(torch.equal(detector[name], value) for name, value in SMALL.state_dict().items())
        assert json.loads(read_metadata(pretrained.DETECTOR, "classes")) == ["harp", "oboe"]


@pytest.mark.usefixtures("imagenet")
def test_torchvisions_detector_is_taken_over() -> None:
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    torch.save(theirs.state_dict(), "detector.pth")
    pretrained.main(published("detector.pth", backbone="resnet50", channels=256))
    assert torch.equal(load_weights(pretrained.DETECTOR)["rpn.head.cls_logits.bias"], theirs.rpn.head.cls_logits.bias)


@pytest.mark.usefixtures("imagenet")
def test_a_detector_that_is_not_what_params_say_is_refused() -> None:
    path = Path("detector.pth")
    torch.save(SMALL.state_dict(), path)
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}, pretrained\.detector_sha256 is 00"):
        pretrained.main(published(path, sha256="0" * 64))
    with pytest.raises(InputError, match=r"backbone\.fpn.* has shape"):
        pretrained.main(published(path, channels=16))
    with pytest.raises(InputError, match=r"nothing\.pth cannot be read"):
        pretrained.main(published("nothing.pth", sha256="0" * 64))
    torch.save({"epoch": 3, "model": SMALL.state_dict()}, path)
    with pytest.raises(InputError, match="is no state dict"):
        pretrained.main(published(path))
    torch.save(SMALL, path)  # a pickle that would run code
    with pytest.raises(InputError, match="is no state dict"):
        pretrained.main(published(path))
    path.write_text("no weights at all")
    with pytest.raises(InputError, match="is no state dict"):
        pretrained.main(published(path))
    assert not Path("checkpoints").exists()


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "get_state_dict", fail)
    torch.save(SMALL.state_dict(), "detector.pth")
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth could not be downloaded \(no network\)"):
        pretrained.main(published("detector.pth"))
    assert not Path("checkpoints").exists()

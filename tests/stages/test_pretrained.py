"""Stage pretrained: small trainings that repeat themselves, and published weights that are checked."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from avsep.errors import InputError
from avsep.models.clip import build_clip
from avsep.models.detector import build_detector
from avsep.models.resnet import ResNet18
from avsep.params.sections import Clip, Detector, Pretrained, ResNet, Videos
from avsep.params.stages import PretrainedParams
from avsep.pretraining import fitting, given
from avsep.training.seeds import seed_step
from avsep.weights.checkpoints import load_weights, save_weights
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, learned_classes, load_detector
from stages import _pretrained, pretrained
from tests.helpers.open_images import write_open_images
from tests.helpers.zero_shot import write_zero_shot

CLASSES = ["cello", "flute", "trumpet", "tuba"]
DEMO = PretrainedParams(
    seed=0,
    device="cpu",
    threads=1,
    videos=Videos(
        source="demo",
        path="avsep/demo",
        classes=CLASSES,
        per_class=3,
        seconds=6.0,
        timbre=1.0,
        fps=8,
        width=96,
        height=72,
    ),
    # Not 4: of channels-last maps of 4 channels, oneDNN's gradient of a 1x1 convolution of stride 2 writes past its
    # memory where there is no AVX512 (seen on Zen 1).
    resnet=ResNet(width=8),
    detector=Detector(backbone="resnet18", channels=8, min_size=72, max_size=96),
    clip=Clip(
        image_size=64,
        width=8,
        layers=(1, 1, 1, 1),
        embedding=8,
        context=20,
        text_width=8,
        text_heads=2,
        text_layers=1,
    ),
    pretrained=Pretrained(
        source="demo",
        resnet_path=None,
        resnet_sha256=None,
        detector="demo",
        detector_path=None,
        detector_sha256=None,
        detector_classes=[],
        open_images_path=None,
        open_images_classes=["cello", "acoustic_guitar", "erhu"],
        open_images_names={"acoustic_guitar": "Guitar"},
        open_images_max_missing=0.1,
        open_images_start=None,
        zero_shot_path=None,
        zero_shot_revision=None,
        zero_shot_sha256=None,
        clip_path=None,
        clip_sha256=None,
        stills=8,
        still_size=32,
        epochs=2,
        batch=8,
        lr=2e-3,
        detector_stills=4,
        detector_epochs=2,
        detector_batch=2,
        detector_lr=2e-3,
        clip_text_steps=3,
        clip_text_lr=2e-3,
        clip_epochs=2,
        clip_batch=8,
        clip_lr=2e-3,
        clip_max_scale=10.0,
        clip_tokens_weight=1.0,
        held_out=4,
    ),
)
SMALL = build_detector("resnet18", width=64, channels=8, classes=2, min_size=72, max_size=96)
SMALL_CLIP = build_clip(**dataclasses.asdict(DEMO.clip))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sha256_of(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def published(path: Path | str, sha256: str | None = None, **detector: Any) -> PretrainedParams:
    """A detector by path, and SMALL_CLIP."""
    save_weights("clip.safetensors", SMALL_CLIP.state_dict())
    return dataclasses.replace(
        DEMO,
        resnet=ResNet(width=64),
        detector=dataclasses.replace(DEMO.detector, **detector),
        pretrained=dataclasses.replace(
            DEMO.pretrained,
            source="published",
            detector="file",
            detector_path=str(path),
            detector_sha256=sha256 or sha256_of(path),
            detector_classes=["harp", "oboe"],
            clip_path="clip.safetensors",
            clip_sha256=sha256_of("clip.safetensors"),
        ),
    )


def with_values(params: PretrainedParams, **values: Any) -> PretrainedParams:
    return dataclasses.replace(params, pretrained=dataclasses.replace(params.pretrained, **values))


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


def test_the_demos_training_repeats_itself_though_it_is_stopped_and_learns_from_its_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretrained.main(DEMO)
    first = made()
    assert str(pretrained.RESNET) in first and "metrics/pretrained.json" in first
    steps: list[int] = []

    def stopped(seed: int, step: int) -> None:
        steps.append(step)
        if steps == [*range(6), 0, 1, 2]:  # six of the ResNet's, four of the detector's, two an epoch
            raise KeyboardInterrupt
        seed_step(seed, step)

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "seed_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            pretrained.main(DEMO)
        steps.clear()
        pretrained.main(DEMO)
    assert steps[:3] == [2, 3, 0], "the detector goes on, and CLIP begins"
    assert made() == first and not Path("checkpoints/resume/pretrained").exists()
    pretrained.main(dataclasses.replace(DEMO, seed=1))
    for file in (pretrained.RESNET, DETECTOR, pretrained.CLIP_WEIGHTS):
        assert made()[str(file)] != first[str(file)]


def test_processes_beside_each_other_learn_what_one_learns() -> None:
    pretrained.main(DEMO)
    alone = made()
    pretrained.main(dataclasses.replace(DEMO, threads=2))  # a process with one thread for either
    files = (str(pretrained.RESNET), str(DETECTOR), str(pretrained.CLIP_WEIGHTS))
    for file in files:
        assert all(torch.equal(value, load(alone[file])[name]) for name, value in load(made()[file]).items()), file
    curves = [name for name in alone if name.endswith(".tsv")]
    assert curves and all(made()[name] == alone[name] for name in curves)


def test_the_demos_files_load_where_they_are_read() -> None:
    pretrained.main(DEMO)
    ResNet18(8, len(CLASSES)).load_state_dict(load_weights(pretrained.RESNET))
    assert learned_classes() == CLASSES
    detector = build_detector("resnet18", width=8, channels=8, classes=4, min_size=72, max_size=96)
    detector.load_state_dict(load_weights(DETECTOR))
    build_clip(**dataclasses.asdict(DEMO.clip)).load_state_dict(load_weights(pretrained.CLIP_WEIGHTS))
    metrics = json.loads(Path("metrics/pretrained.json").read_text())
    assert set(metrics["resnet18"]) == {"accuracy_whole", "accuracy_near"}
    assert all(0 <= value <= 1 for part in ("resnet18", "detector") for value in metrics[part].values())
    shares = {name for name in metrics["clip"] if "accuracy" in name}
    assert shares == {f"{tokens}accuracy_{view}" for tokens in ("", "tokens_") for view in ("whole", "near")}
    assert all(0 <= metrics["clip"][name] <= 1 for name in shares)
    assert all(-1 <= metrics["clip"][name] <= 1 for name in ("cosine_same", "cosine_other"))
    for curve in ("resnet18/cross_entropy", "clip_text/contrastive", "clip/cross_entropy", "clip/tokens"):
        lines = Path(f"metrics/pretrained/plots/metrics/{curve}.tsv").read_text().splitlines()
        assert lines[0].split("\t") == ["step", curve.split("/")[1]] and len(lines) > 1


def test_published_weights_are_taken_over(imagenet: dict[str, torch.Tensor]) -> None:
    torch.save(SMALL.state_dict(), "detector.pth")
    save_weights(Path("detector.safetensors"), SMALL.state_dict())
    for file in ("detector.pth", "detector.safetensors"):
        pretrained.main(published(file))
        resnet, detector = load_weights(pretrained.RESNET), load_weights(DETECTOR)
        assert all(torch.equal(resnet[name], value) for name, value in imagenet.items())
        assert all(torch.equal(detector[name], value) for name, value in SMALL.state_dict().items())
        clip = load_weights(pretrained.CLIP_WEIGHTS)
        assert all(torch.equal(clip[name], value) for name, value in SMALL_CLIP.state_dict().items())
        assert learned_classes() == ["harp", "oboe"]


@pytest.mark.usefixtures("imagenet")
def test_torchvisions_detector_is_taken_over() -> None:
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    torch.save(theirs.state_dict(), "detector.pth")
    pretrained.main(published("detector.pth", backbone="resnet50", channels=256))
    assert torch.equal(load_weights(DETECTOR)["rpn.head.cls_logits.bias"], theirs.rpn.head.cls_logits.bias)


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
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("imagenet")
def test_imported_detections_need_no_detector() -> None:
    torch.save(SMALL.state_dict(), "detector.pth")
    pretrained.main(published("detector.pth"))
    without: dict[str, Any] = {
        "detector": "none",
        "detector_path": None,
        "detector_sha256": None,
        "detector_classes": [],
    }
    pretrained.main(with_values(published("detector.pth"), **without))
    assert load_weights(DETECTOR) == {} and learned_classes() == []
    assert json.loads(Path("metrics/pretrained.json").read_text())["detector"] == {"kind": "none", "classes": 0}


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "get_state_dict", fail)
    torch.save(SMALL.state_dict(), "detector.pth")
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth could not be downloaded \(no network\)"):
        pretrained.main(published("detector.pth"))
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("imagenet")
def test_published_weights_leave_every_output_that_dvc_waits_for() -> None:
    torch.save(SMALL.state_dict(), "detector.pth")
    pretrained.main(published("detector.pth"))
    entry = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["pretrained"]
    made = [path for one in entry["outs"] for path in ([one] if isinstance(one, str) else one)]
    missing = [path for path in made if not Path(path).exists()]
    assert not missing


def test_a_resnet_by_path_is_checked_and_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's own file has no counts of training steps."""
    monkeypatch.delattr(given, "download_resnet")  # nothing is
    torch.save(SMALL.state_dict(), "detector.pth")
    weights = {name: v for name, v in ResNet18(64, 1000).state_dict().items() if "num_batches" not in name}
    torch.save(weights, "resnet18.pth")
    own = {"resnet_path": "resnet18.pth", "resnet_sha256": sha256_of("resnet18.pth")}
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}, pretrained\.resnet_sha256 is 00"):
        pretrained.main(with_values(published("detector.pth"), **{**own, "resnet_sha256": "0" * 64}))
    assert not Path("checkpoints").exists()
    pretrained.main(with_values(published("detector.pth"), **own))
    found = load_weights(pretrained.RESNET)
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert found.keys() == ResNet18(64, 1000).state_dict().keys()


@pytest.mark.usefixtures("imagenet")
def test_a_clip_that_is_not_what_params_say_is_refused() -> None:
    torch.save(SMALL.state_dict(), "detector.pth")
    params = published("detector.pth")
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}, pretrained\.clip_sha256 is 00"):
        pretrained.main(with_values(params, clip_sha256="0" * 64))
    with pytest.raises(InputError, match=r"pretrained\.clip_path nothing\.pth cannot be read"):
        pretrained.main(with_values(params, clip_path="nothing.pth"))
    with pytest.raises(InputError, match=r"clip\.safetensors: \S+ has shape"):
        pretrained.main(dataclasses.replace(params, clip=dataclasses.replace(params.clip, width=4)))
    assert not Path("checkpoints").exists()


@pytest.mark.usefixtures("imagenet")
def test_openais_clip_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {name: value for name, value in SMALL_CLIP.state_dict().items() if "num_batches" not in name}
    monkeypatch.setattr(given, "download_clip", lambda: state)
    torch.save(SMALL.state_dict(), "detector.pth")
    pretrained.main(with_values(published("detector.pth"), clip_path=None, clip_sha256=None))
    clip = load_weights(pretrained.CLIP_WEIGHTS)
    assert clip.keys() == SMALL_CLIP.state_dict().keys()
    assert all(torch.equal(clip[name], value) for name, value in state.items())


# -- Open Images


def from_open_images(folder: Path, source: str = "demo", **values: Any) -> PretrainedParams:
    chosen = {"detector": "open_images", "open_images_path": str(folder), "detector_epochs": 1, **values}
    return with_values(DEMO, source=source, **chosen)


def test_a_detector_learns_from_open_images_boxes(caplog: pytest.LogCaptureFixture) -> None:
    pretrained.main(from_open_images(write_open_images(Path("oi"))))
    assert learned_classes() == ["cello", "acoustic_guitar"]
    assert "Open Images has no boxes of erhu" in caplog.text
    detector = load_detector(
        classes=["cello", "acoustic_guitar"],
        **{"phrase": "{}", "threshold": 0.0, "nms": 0.5, "device": "cpu", "width": 8, **vars(DEMO.detector)},
    )
    assert not detector.training
    told = json.loads(Path("metrics/pretrained.json").read_text())["detector"]
    assert told["pictures"] == {"train": 6, "validation": 2, "missing": 0}
    assert told["boxes"] == {"cello": 6, "acoustic_guitar": 3} and told["unknown_classes"] == ["erhu"]
    assert all(0 <= told[name] <= 1 for name in ("recall", "first_is_right", "average_precision"))
    curve = Path("metrics/pretrained/plots/metrics/detector/loss_classifier.tsv").read_text().splitlines()
    assert len(curve) > 1
    first = DETECTOR.read_bytes()
    pretrained.main(from_open_images(Path("oi")))
    assert DETECTOR.read_bytes() == first


def test_missing_pictures_are_listed_for_the_downloader_and_refused_before_any_work() -> None:
    folder = write_open_images(Path("oi"))
    gone = sorted((folder / "images").iterdir())[-4:]  # of training
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=r"lacks 4 pictures \(50%, and pretrained\.open_images_max_missing is 0\.1\)"):
        pretrained.main(from_open_images(folder))
    assert not Path("checkpoints").exists()
    listed = Path("metrics/pretrained/missing_pictures.txt").read_text().splitlines()
    assert sorted(line.split("/")[1] for line in listed) == [path.stem for path in gone]
    assert {line.split("/")[0] for line in listed} <= {"train", "validation"}
    pretrained.main(from_open_images(folder, open_images_max_missing=0.6))
    told = json.loads(Path("metrics/pretrained.json").read_text())["detector"]
    assert told["pictures"]["missing"] == 4
    assert len(Path("metrics/pretrained/missing_pictures.txt").read_text().splitlines()) == 4, "still there to be read"


def test_a_resnet50_starts_from_torchvisions_detector_of_coco(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    theirs = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    monkeypatch.setattr(pretrained, "read_coco_detector", lambda path: theirs if path == "coco.pth" else None)
    monkeypatch.setattr(_pretrained, "train_detector", lambda *_, **__: None)
    large = dataclasses.replace(DEMO, detector=dataclasses.replace(DEMO.detector, backbone="resnet50"))
    chosen = from_open_images(
        write_open_images(Path("oi")), open_images_classes=["cello"], open_images_start="coco.pth"
    )
    params = dataclasses.replace(large, pretrained=chosen.pretrained)
    found = pretrained.read_given(params)
    detector, classes = _pretrained.make_detector(params, found, ResNet18(8), [], None, None)  # type: ignore[arg-type]
    assert detector is not None and classes == ["cello"]
    own = detector.state_dict()
    assert torch.equal(own["rpn.head.conv.0.0.weight"], theirs["rpn.head.conv.0.0.weight"])
    assert torch.equal(own["roi_heads.box_head.fc6.weight"], theirs["roi_heads.box_head.fc6.weight"])
    assert own["roi_heads.box_predictor.cls_score.weight"].shape[0] == 2


# -- zero-shot


def zero_shot(kind: str, folder: Path, source: str = "demo", **values: Any) -> PretrainedParams:
    chosen = {"zero_shot_path": str(folder), "zero_shot_sha256": sha256_of(folder / "model.safetensors")}
    return with_values(DEMO, source=source, detector=kind, **{**chosen, **values})


@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_a_zero_shot_detectors_files_are_taken_over(kind: str, imagenet: dict[str, torch.Tensor]) -> None:
    folder = write_zero_shot(kind, Path("theirs"))
    save_weights("clip.safetensors", SMALL_CLIP.state_dict())
    params = zero_shot(
        kind, folder, "published", clip_path="clip.safetensors", clip_sha256=sha256_of("clip.safetensors")
    )
    pretrained.main(dataclasses.replace(params, resnet=ResNet(width=64)))
    assert learned_classes() is None
    assert sha256_of(ZERO_SHOT / "model.safetensors") == sha256_of(folder / "model.safetensors")
    assert json.loads(Path("metrics/pretrained.json").read_text())["detector"] == {"kind": kind, "classes": 0}
    assert Path("metrics/pretrained/plots").is_dir(), "an output that DVC looks for, though nothing was trained"


def test_a_zero_shot_detector_that_is_not_what_params_say_is_refused_before_any_work() -> None:
    folder = write_zero_shot("owlv2", Path("theirs"))
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}, pretrained\.zero_shot_sha256 is 00"):
        pretrained.main(zero_shot("owlv2", folder, zero_shot_sha256="0" * 64))
    with pytest.raises(InputError, match=r"theirs cannot be used as a detector grounding_dino .* is not of gro"):
        pretrained.main(zero_shot("grounding_dino", folder))
    with pytest.raises(InputError, match=r"nowhere/model\.safetensors cannot be read"):
        pretrained.main(zero_shot("owlv2", folder, zero_shot_path="nowhere"))
    assert not Path("checkpoints").exists()

"""Stage pretrained: small trainings that repeat themselves, and published weights that are checked."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from dvclive import Live
from PIL import Image
from torch import nn
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from avsep.errors import InputError
from avsep.media import annotations
from avsep.params.sections import Clip, Detector, Pretrained, ResNet, Videos
from avsep.params.stages import PretrainedParams
from avsep.weights.checkpoints import load_weights, read_metadata, save_weights
from avsep.weights.detectors import DETECTOR, ZERO_SHOT, learned_classes, load_detector
from avsep.weights.phrases import tokenise
from models.clip import FrozenCLIP, build_clip
from models.detector import build_detector
from models.resnet import ResNet18
from models.vast import visual_query
from stages import pretrained
from tests.helpers.zero_shot import write_zero_shot

CLASSES = ["cello", "flute", "trumpet", "tuba"]
DEMO = PretrainedParams(
    seed=0,
    device="cpu",
    threads=1,
    videos=Videos(
        source="demo", path="avsep/demo", classes=CLASSES, per_class=3, seconds=6.0, fps=8, width=96, height=72
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


def test_the_demos_training_repeats_itself_and_learns_from_its_seed() -> None:
    pretrained.main(DEMO)
    first = made()
    assert str(pretrained.RESNET) in first and "metrics/pretrained.json" in first
    pretrained.main(DEMO)
    assert made() == first
    pretrained.main(dataclasses.replace(DEMO, seed=1))
    for file in (pretrained.RESNET, DETECTOR, pretrained.CLIP_WEIGHTS):
        assert made()[str(file)] != first[str(file)]


def test_the_demos_files_load_where_they_are_read() -> None:
    pretrained.main(DEMO)
    ResNet18(8, len(CLASSES)).load_state_dict(load_weights(pretrained.RESNET))
    assert json.loads(read_metadata(DETECTOR, "classes")) == CLASSES
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
    for curve in ("resnet18/cross_entropy", "clip_text/contrastive", "clip/contrastive"):
        lines = Path(f"metrics/pretrained/plots/metrics/{curve}.tsv").read_text().splitlines()
        assert lines[0].split("\t") == ["step", curve.split("/")[1]] and len(lines) > 1


def test_queries_by_picture_and_by_caption_vary_alike_and_no_cosine_changes() -> None:
    torch.manual_seed(0)
    clip = build_clip(**dataclasses.asdict(DEMO.clip)).eval()
    frozen = FrozenCLIP(clip)
    size = DEMO.clip.image_size
    pictures, captions = torch.randn(6, 3, size, size), tokenise(["a flute", "the tuba", "a cello"], frozen.context)

    def cosines() -> torch.Tensor:
        seen = torch.cat([frozen.picture(pictures), visual_query(frozen.tokens(pictures)[:, None])])
        return torch.nn.functional.cosine_similarity(seen[:, None], frozen.text(captions)[None], dim=-1)

    before = cosines()
    pretrained.level(clip, pictures, captions)
    torch.testing.assert_close(cosines(), before)
    for query in (visual_query(frozen.tokens(pictures)[:, None]), frozen.text(captions)):
        assert float(query.std(0).square().mean()) == pytest.approx(1.0, rel=1e-4)


def test_captions_of_one_class_are_no_negatives_of_each_other() -> None:
    labels = torch.tensor([0, 1, 0, 2])
    right = 20.0 * (labels[:, None] == labels[None])
    wrong = 20.0 * torch.eye(4)
    lowest = torch.log(torch.tensor([2.0, 1.0, 2.0, 1.0])).mean()  # nats that two right ones share
    assert pretrained.contrastive(right, labels) == pytest.approx(lowest.item(), abs=1e-6)
    assert pretrained.contrastive(wrong, labels) > lowest + 1
    skewed = right + torch.arange(4.0)[:, None]  # each picture scores its own way: the captions' choice suffers
    assert pretrained.contrastive(skewed, labels) > lowest
    torch.testing.assert_close(pretrained.contrastive(skewed, labels), pretrained.contrastive(skewed.T, labels))


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
        assert json.loads(read_metadata(DETECTOR, "classes")) == ["harp", "oboe"]


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
    torch.save({"epoch": 3, "model": SMALL.state_dict()}, path)
    with pytest.raises(InputError, match="is no state dict"):
        pretrained.main(published(path))
    torch.save(SMALL, path)  # a pickle that would run code
    with pytest.raises(InputError, match="is no file of torch's"):
        pretrained.main(published(path))
    torch.save(SMALL.state_dict(), path)
    whole = path.read_bytes()
    torch.save(SMALL.state_dict(), path, _use_new_zipfile_serialization=False)
    older = path.read_bytes()
    for damaged in (b"", b"no weights at all", whole[:-30], whole[:1000], older[:-30], older[:1000]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"detector\.pth is no (state dict|file of torch's)"):
            pretrained.main(published(path))
    other = Path("detector.safetensors")
    other.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"detector\.safetensors is no safetensors file, or damaged"):
        pretrained.main(published(other))
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
    missing = [path for path in [*entry["outs"], *entry["metrics"][0]] if not Path(path).exists()]
    assert not missing


def test_a_resnet_by_path_is_checked_and_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's own file has no counts of training steps."""
    monkeypatch.delattr(pretrained, "download_resnet")  # nothing is
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
    given = published("detector.pth")
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{64}, pretrained\.clip_sha256 is 00"):
        pretrained.main(with_values(given, clip_sha256="0" * 64))
    with pytest.raises(InputError, match=r"pretrained\.clip_path nothing\.pth cannot be read"):
        pretrained.main(with_values(given, clip_path="nothing.pth"))
    with pytest.raises(InputError, match=r"clip\.safetensors: \S+ has shape"):
        pretrained.main(dataclasses.replace(given, clip=dataclasses.replace(given.clip, width=4)))
    assert not Path("checkpoints").exists()


def archive(state: dict[str, torch.Tensor], path: str) -> None:
    """A TorchScript archive as OpenAI's: half precision, and three sizes beside the weights."""
    root = nn.Module()
    for name, value in {**state, "input_resolution": torch.tensor(64), "vocab_size": torch.tensor(49408)}.items():
        *folders, leaf = name.split(".")
        part = root
        for folder in folders:
            if not hasattr(part, folder):
                part.add_module(folder, nn.Module())
            part = part.get_submodule(folder)
        part.register_buffer(leaf, value.half() if value.is_floating_point() else value)
    root.register_buffer("context_length", torch.tensor(20))
    torch.jit.script(root).save(path)


@pytest.mark.usefixtures("imagenet")
def test_openais_clip_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {name: value for name, value in SMALL_CLIP.state_dict().items() if "num_batches" not in name}
    archive(state, "RN50.pt")
    asked: list[str] = []

    def download(url: str) -> str:
        asked.append(url)
        return "RN50.pt"

    monkeypatch.setattr(pretrained, "download_pretrained_from_url", download)
    torch.save(SMALL.state_dict(), "detector.pth")
    pretrained.main(with_values(published("detector.pth"), clip_path=None, clip_sha256=None))
    clip = load_weights(pretrained.CLIP_WEIGHTS)
    assert clip.keys() == SMALL_CLIP.state_dict().keys()
    assert all(torch.equal(clip[name], value.half().float()) for name, value in state.items())
    assert len(asked) == 1 and asked[0].endswith("/RN50.pt")
    assert any(len(part) == 64 for part in asked[0].split("/")), "the hash that open_clip checks"


@pytest.mark.usefixtures("imagenet")
def test_a_failed_download_of_clip_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str) -> str:
        raise RuntimeError("the SHA256 checksum does not match")

    monkeypatch.setattr(pretrained, "download_pretrained_from_url", fail)
    torch.save(SMALL.state_dict(), "detector.pth")
    with pytest.raises(InputError, match=r"CLIP RN50\.pt could not be downloaded \(the SHA256"):
        pretrained.main(with_values(published("detector.pth"), clip_path=None, clip_sha256=None))
    assert not Path("checkpoints").exists()


# -- Open Images

LABELS = {"cello": "/m/01xqw", "acoustic_guitar": "/m/0342h"}


def write_open_images(folder: Path, train: int = 6, validation: int = 2) -> Path:
    """Pictures with a bright box on dark ground, of one class or both, and the CSVs that tell of them."""
    (folder / "images").mkdir(parents=True)
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
    rng = np.random.default_rng(0)
    for name, count in ((annotations.TRAIN, train), (annotations.VALIDATION, validation)):
        lines = [header]
        for number in range(count):
            image = f"{len(name):02x}{number:04x}"
            width, height = int(rng.integers(80, 110)), int(rng.integers(60, 90))
            pixels = np.zeros((height, width, 3), np.uint8)
            for place in range(1 + number % 2):
                left, right = (0.1, 0.4) if place == 0 else (0.5, 0.9)
                pixels[int(0.2 * height) : int(0.8 * height), int(left * width) : int(right * width)] = 200
                label = list(LABELS.values())[place]
                lines.append(f"{image},xclick,{label},1,{left},{right},0.2,0.8,0,0,0")
            Image.fromarray(pixels).save(folder / f"images/{image}.jpg")
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / annotations.DESCRIPTIONS).write_text(
        f"LabelName,DisplayName\n{LABELS['cello']},Cello\n{LABELS['acoustic_guitar']},Guitar\n/m/0bt9lr,Dog\n"
    )
    return folder


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


def test_a_boxs_target_is_in_pixels_of_its_picture() -> None:
    found = annotations.read_open_images(write_open_images(Path("oi")), list(LABELS), {"acoustic_guitar": "Guitar"})
    for one in found.train.pictures:
        picture, target = pretrained.annotated_item(one)
        assert picture.shape[0] == 3 and picture.min() >= 0 and picture.max() <= 1
        assert target["labels"].tolist() == one.labels.tolist() and target["boxes"].dtype == torch.float32
        for x1, y1, x2, y2 in target["boxes"].round().int().tolist():
            assert picture[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].mean() > 0.7
        assert picture.mean() < 0.7


@pytest.mark.slow
def test_what_the_boxes_are_around_is_found() -> None:
    found = annotations.read_open_images(write_open_images(Path("oi"), 24, 6), ["cello"], {})
    torch.manual_seed(0)
    detector = build_detector("resnet18", width=8, channels=8, classes=1, min_size=72, max_size=96)
    with Live(dir="live", dvcyaml=None, save_dvc_exp=False, report=None) as live:
        pretrained.train_detector(
            detector,
            found.train.pictures,
            pretrained.annotated_item,
            **{"epochs": 20, "batch": 4, "lr": 1e-2, "seed": 0, "live": live},
        )
    measured = pretrained.measure_detector(detector, found.validation.pictures, pretrained.annotated_item, batch=4)
    assert measured["recall"] > 0.8 and measured["average_precision"] > 0.7


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


def coco(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91).state_dict()


def test_a_resnet50_starts_from_torchvisions_detector_of_coco(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    theirs = coco()
    torch.save(theirs, "coco.pth")
    with pytest.raises(InputError, match=r"open_images_start coco\.pth is not torchvision's fasterrcnn_resnet50_fpn"):
        pretrained.read_start("coco.pth")
    monkeypatch.setattr(pretrained, "sha256_of", lambda path, param: weights.url.rpartition("-")[2][:8] + 56 * "0")
    start = pretrained.read_start("coco.pth")
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: theirs)
    assert {name: value.sum() for name, value in pretrained.read_start(None).items()} == {
        name: value.sum() for name, value in start.items()
    }
    large = dataclasses.replace(DEMO, detector=dataclasses.replace(DEMO.detector, backbone="resnet50"))
    params = dataclasses.replace(large, pretrained=from_open_images(Path("oi")).pretrained)
    monkeypatch.setattr(pretrained, "train_detector", lambda *_, **__: None)
    found = annotations.read_open_images(write_open_images(Path("oi")), ["cello"], {})
    given = pretrained.Given(weights=start, annotations=found)
    detector, classes = pretrained.make_detector(params, given, ResNet18(8), None)  # type: ignore[arg-type]
    assert detector is not None and classes == ["cello"]
    own = detector.state_dict()
    assert torch.equal(own["rpn.head.conv.0.0.weight"], theirs["rpn.head.conv.0.0.weight"])
    assert torch.equal(own["roi_heads.box_head.fc6.weight"], theirs["roi_heads.box_head.fc6.weight"])
    assert own["roi_heads.box_predictor.cls_score.weight"].shape[0] == 2

    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(type(weights), "get_state_dict", fail)
    with pytest.raises(InputError, match=r"could not be downloaded \(no network\): give the file as pretrained\.open"):
        pretrained.read_start(None)


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
    with pytest.raises(InputError, match=r"theirs cannot be used as a detector grounding_dino: .* is not of gro"):
        pretrained.main(zero_shot("grounding_dino", folder))
    with pytest.raises(InputError, match=r"nowhere/model\.safetensors cannot be read"):
        pretrained.main(zero_shot("owlv2", folder, zero_shot_path="nowhere"))
    assert not Path("checkpoints").exists()

"""Params are refused before any work starts, in one line that names the param."""

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from avsep import params
from avsep.errors import InputError

ROOT = Path(__file__).parents[2]
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(**values: Any) -> dict[str, Any]:
    """The demo's params with some changed: `changed(train__batch=0)`; REMOVED takes one away."""
    result = copy.deepcopy(DEMO)
    for name, value in values.items():
        *sections, leaf = name.split("__")
        there = result
        for section in sections:
            there = there[section]
        if value is REMOVED:
            del there[leaf]
        else:
            there[leaf] = value
    return result


REMOVED = object()

REFUSED = {
    # wrong types
    "train.lr": changed(train__lr="1e-05"),  # what `-S train.lr=1e-5` writes without Hydra
    "train.batch": changed(train__batch=8.5),
    "objective.as_published": changed(objective__as_published="no"),
    "videos.classes.0": changed(videos__classes=[1, 2, 3, 4]),
    "train": changed(train=None),
    "seed": changed(seed=True),
    # out of range
    "train.workers": changed(train__workers=-1),
    "index.max_rejected": changed(index__max_rejected=1.0),
    "detect.nms": changed(detect__nms=1.5),
    "evaluate.gate": changed(evaluate__gate=float("nan")),
    "train.precision": changed(train__precision="8-bit"),
    "train.precision is 16-mixed": changed(train__precision="16-mixed"),
    "device": changed(device="tpu"),
    # unknown and missing
    "train.learning_rate": changed(train__learning_rate=1e-3),
    "tarin": changed(tarin={}),
    "extract.rate": changed(extract__rate=REMOVED),
    "videos.source is 'dmeo'": changed(videos__source="dmeo"),
    "download.rate": changed(download__rate=0.0),
    # each in range, not together
    "videos.path is avsep/demo: videos.source folder needs the path": changed(videos__source="folder"),
    "videos.path is /videos: videos.source demo is made from avsep/demo": changed(videos__path="/videos"),
    "download.url is https://example.org/: {id} must stand": changed(download__url="https://example.org/"),
    "audio.samples": changed(audio__samples=11025 * 60),
    "videos.per_class": changed(videos__per_class=2),
    "index.min_seconds": changed(index__min_seconds=3600.0),
    "index.min_seconds is 6: a centre frame needs 5 frames": changed(frames__count=11),
    "extract.fps": changed(extract__fps=60),
    "detector.backbone": changed(detector__backbone="resnet50"),
    "pretrained.detector": changed(pretrained__detector="yolo"),
    "pretrained.detector is none: videos.source imported alone": changed(pretrained__detector="none"),
    "pretrained.open_images_path is needed": changed(pretrained__detector="open_images"),
    "pretrained.open_images_classes is needed": changed(
        pretrained__detector="open_images", pretrained__open_images_path="/oi", pretrained__open_images_classes=[]
    ),
    "pretrained.open_images_classes names a class twice": changed(
        pretrained__open_images_classes=["acoustic_guitar", "guitar"]
    ),
    "pretrained.open_images_start is of a resnet50": changed(
        pretrained__detector="open_images", pretrained__open_images_path="/oi", pretrained__open_images_start="a.pth"
    ),
    "pretrained.zero_shot_sha256 is needed for pretrained.detector owlv2": changed(pretrained__detector="owlv2"),
    "pretrained.zero_shot_revision is 'main': it must be a commit": changed(
        pretrained__detector="grounding_dino", pretrained__zero_shot_revision="main"
    ),
    "pretrained.zero_shot_path is given: pretrained.detector demo has no use": changed(pretrained__zero_shot_path="x"),
    "pretrained.detector_path is given: pretrained.detector owlv2 has no use": changed(
        pretrained__detector="owlv2", pretrained__detector_path="x"
    ),
    "detect.phrase is 'a violin'": changed(detect__phrase="a violin"),
    "detect.phrase is 'a {}.': to Grounding DINO": changed(
        pretrained__detector="grounding_dino", detect__phrase="a {}."
    ),
    "detector.min_size": changed(detector__min_size=10_000),
    "pretrained.detector_path is needed for pretrained.detector file": changed(pretrained__detector="file"),
    "clip.image_size is 128: OpenAI's RN50 has 224; clip.width is": changed(pretrained__source="published"),
    "pretrained.resnet_sha256": changed(pretrained__source="published", pretrained__resnet_path="resnet18.pth"),
    "pretrained.clip_sha256": changed(pretrained__source="published", pretrained__clip_path="clip.pth"),
    "clip.image_size": changed(clip__image_size=112),
    "clip.width": changed(clip__width=7),
    "clip.layers.3": changed(clip__layers=[1, 1, 1]),
    "clip.context": changed(clip__context=3),
    "clip.text_width is 64: no multiple of clip.text_heads, 3": changed(clip__text_heads=3),
    "index.val + index.test": changed(index__val=0.5, index__test=0.5),
    "spectrogram.hop": changed(spectrogram__hop=512),
    "model.unet_levels": changed(model__unet_levels=9),
    "frames.resize": changed(frames__resize=64),
    "frames.cache": changed(frames__augment=True),
    "objective.symmetric": changed(frames__cache=False, objective__symmetric=True, objective__as_published=True),
    "model.query_std": changed(frames__cache=False, objective__symmetric=False, objective__as_published=True),
    "train.gain": changed(train__gain=[1.5, 0.5]),
    "scenes.players is (4, 3)": changed(scenes__players=[4, 3]),
    "scenes.players.0": changed(scenes__players=[1, 3]),
    "scenes.players is (2, 11): videos.classes has 11": changed(scenes__players=[2, 11]),
    "evaluate_scenes.link": changed(evaluate_scenes__link=0.0),
    "report.mixtures": changed(report__mixtures=9),
    "evaluate.sources.1": changed(evaluate__sources=[2, 1]),
    "evaluate.sources is [2, 2]: names a number twice": changed(evaluate__sources=[2, 2]),
    "evaluate.sources is [2, 12]: videos.classes has 11": changed(evaluate__sources=[2, 12]),
    "cyclic.milestones": changed(cyclic__milestones=[14, 10]),
    "vast.unet_levels is 9": changed(vast__unet_levels=9),
    "vast.unet_channels is 8: with 5 levels it grows to 128, and must reach clip.embedding": changed(
        vast__unet_channels=8
    ),
    "index.min_seconds is 6: a centre frame needs 4 frames": changed(vast__stride=4),
    "vast.phrase": changed(vast__phrase="a person"),
    "vast.phrase: the phrase 'a person playing the &amp; accordion' is": changed(
        vast__phrase="a person playing the &amp; {}"
    ),
    "vast.phrase: the phrase 'играть на": changed(vast__phrase="играть на {}"),
    "evaluate.synonyms.cello: the phrase ' ' is blank": changed(evaluate__synonyms={"cello": " "}),
    "evaluate.synonyms.erhu: the phrase '二胡' holds": changed(evaluate__synonyms={"cello": "a cello", "erhu": "二胡"}),
    "evaluate.unmatched.1: the phrase 'a dog \N{DOG}' holds": changed(
        evaluate__unmatched=["an empty beach", "a dog \N{DOG}"]
    ),
    "resnet.width": changed(resnet__width=4),
    "vast.batch": changed(device="cuda", train__devices=3),
    "train.batch is 16: no multiple of train.devices x train.nodes, 6": changed(train__devices=2, train__nodes=3),
    "train.nodes": changed(train__nodes=0),
    "trimodal.milestones": changed(trimodal__milestones=[24]),
    "trimodal.schedule cosine has none": changed(trimodal__milestones=[4]),
    "pretrained.clip_max_scale": changed(pretrained__clip_max_scale=1.0),
    "finetune.milestones": changed(finetune__milestones=[2, 1]),
    "finetune.consistency_weight is no param": changed(finetune__consistency_weight=1.0),
    "baseline.milestones": changed(baseline__milestones=[10_000]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(name)) as caught:
        params.check(REFUSED[name])
    assert "\n" not in str(caught.value)


def test_fewer_than_four_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"videos\.classes has 3 classes"):
        params.check(changed(videos__classes=["cello", "flute", "tuba"]))


def test_a_class_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"videos\.classes names a class twice"):
        params.check(changed(videos__classes=["cello", "cello", "flute", "tuba", "violin"]))


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError, match=r"train\.batch.*train\.workers"):
        params.check(changed(train__batch=0, train__workers=-1))


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="device is cuda: this machine has none"):
        params.check(changed(device="cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"train\.devices is 4: this machine has 1"):
        params.check(changed(device="cuda", train__devices=4))
    params.check(changed(device="cuda"))


@pytest.mark.parametrize("text", ["", "- 1\n", "seed: [\n"])
def test_a_file_that_holds_no_params_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml") as caught:
        params.read(path)
    assert "\n" not in str(caught.value)


def test_how_many_tokens_a_phrase_has_is_told_by_the_first_stage_that_imports_clip(tmp_path: Path) -> None:
    values = changed(evaluate__unmatched=["a very " * 10 + "long phrase"])
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    params.load(params.VideosParams, path)
    with pytest.raises(InputError, match=r"evaluate\.unmatched\.0: .* has 22 tokens: 18 fit") as caught:
        params.load(params.PretrainedParams, path)
    assert "\n" not in str(caught.value)


def test_a_phrase_that_suits_no_class_is_told_once() -> None:
    with pytest.raises(InputError) as caught:
        params.check(changed(vast__phrase="二胡 {}"))
    assert str(caught.value).count("vast.phrase") == 1
    params.check(changed(vast__phrase="{}"))


def test_the_file_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        params.read(tmp_path / "params.yaml")


def test_a_stage_is_given_the_sections_that_it_reads() -> None:
    given = params.load(params.ExtractParams, ROOT / "params.yaml")
    sections = params.Videos(**DEMO["videos"]), params.Extract(**DEMO["extract"])
    assert given == params.ExtractParams(videos=sections[0], extract=sections[1])


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "train.batch": changed(train__batch=0),
        "train.lr": changed(train__lr="1e-05"),
        "cyclic.epoch": changed(cyclic__epoch=3),
        "audio.samples": changed(audio__samples=11025 * 60),
    }.items(),
)
def test_a_stage_ends_with_one_line_before_it_writes(name: str, values: dict[str, Any], tmp_path: Path) -> None:
    """`python -m stages.videos` as DVC runs it; the mistake need not be in the stage's own section."""
    for package in ("avsep", "stages"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))

    ended = subprocess.run(
        [sys.executable, "-B", "-m", "stages.videos"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("error: ") and name in ended.stderr
    assert sorted(tmp_path.rglob("*")) == before

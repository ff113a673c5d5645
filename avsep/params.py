"""params.yaml -> frozen dataclasses: types, ranges and contradictions, checked before any work starts.

A *section* (`Audio`, `Train`, ...) mirrors one key of params.yaml; what each param means stands in
conf/config.yaml.  A *stage's params* (`VideosParams`, ...) are the sections that the stage reads, and so
exactly the `params` that it declares in dvc.yaml.  Any stage refuses a file of which any part is wrong:
a mistake in `evaluate` is told before the first video is rendered.  Only how many tokens a phrase has is told by the
stages that import CLIP, from pretrained on: its tokeniser takes ten times as long to import as all else here.

This file checks, and derives no value: DVC watches the values themselves, so an edit of it re-runs no stage
(tests/test_pipeline.py).
"""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from avsep.errors import InputError
from avsep.weights.phrases import phrase_of, refuse_unreadable, tokenise

DEMO_PATH = "avsep/demo"  # what DVC watches for the demo's videos: the code that renders them

_strict = ConfigDict(extra="forbid", strict=True)

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Device = Literal["cpu", "cuda", "mps"]
System = Literal["baseline", "colearning", "cyclic", "trimodal", "finetune"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Videos:
    source: Literal["demo", "ids", "folder", "imported"]
    path: Annotated[str, Field(min_length=1)]
    classes: list[str]
    per_class: Count
    seconds: Positive
    fps: Count
    width: Annotated[int, Field(ge=64, multiple_of=2)]
    height: Annotated[int, Field(ge=64, multiple_of=2)]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Download:
    url: str
    height: Count
    rate: Positive | None
    sleep: NotNegative
    retries: Whole
    pause: NotNegative
    retry_unavailable: bool


@dataclass(frozen=True, kw_only=True, config=_strict)
class ResNet:
    width: Annotated[int, Field(ge=8, multiple_of=8)]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Detector:
    backbone: Literal["resnet18", "resnet50"]
    channels: Count
    min_size: Count
    max_size: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Clip:
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    width: Annotated[int, Field(ge=2, multiple_of=2)]
    layers: tuple[Count, Count, Count, Count]
    embedding: Count
    context: Annotated[int, Field(ge=4)]
    text_width: Count
    text_heads: Count
    text_layers: Count


# OpenAI's RN50, which stage pretrained takes over where no other is given.
RN50 = Clip(
    image_size=224,
    width=64,
    layers=(3, 4, 6, 3),
    embedding=1024,
    context=77,
    text_width=512,
    text_heads=8,
    text_layers=12,
)


@dataclass(frozen=True, kw_only=True, config=_strict)
class Pretrained:
    source: Literal["published", "demo"]
    resnet_path: str | None
    resnet_sha256: str | None
    detector: Literal["demo", "file", "open_images", "owlv2", "grounding_dino", "none"]
    detector_path: str | None
    detector_sha256: str | None
    detector_classes: list[str]
    open_images_path: str | None
    open_images_classes: list[str]
    open_images_names: dict[str, str]
    open_images_max_missing: Share
    open_images_start: str | None
    zero_shot_path: str | None
    zero_shot_revision: str | None
    zero_shot_sha256: str | None
    clip_path: str | None
    clip_sha256: str | None
    stills: Count
    still_size: Count
    epochs: Count
    batch: Count
    lr: Positive
    detector_stills: Count
    detector_epochs: Count
    detector_batch: Count
    detector_lr: Positive
    clip_text_steps: Count
    clip_text_lr: Positive
    clip_epochs: Count
    clip_batch: Annotated[int, Field(ge=2)]
    clip_lr: Positive
    clip_max_scale: Annotated[float, Field(gt=1)]
    held_out: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Extract:
    rate: Count
    fps: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Audio:
    samples: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Spectrogram:
    n_fft: Annotated[int, Field(ge=2, multiple_of=2)]
    hop: Count
    log_bins: Count
    align_corners: bool


@dataclass(frozen=True, kw_only=True, config=_strict)
class Frames:
    count: Count
    stride: Count
    resize: Count
    size: Count
    square: bool
    augment: bool
    cache: bool


@dataclass(frozen=True, kw_only=True, config=_strict)
class Detect:
    threshold: Probability
    nms: Probability
    batch: Count
    phrase: str


@dataclass(frozen=True, kw_only=True, config=_strict)
class Index:
    val: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    min_seconds: Positive
    max_rejected: Share
    silence_db: Annotated[float, Field(lt=0)]
    val_mixtures: Count
    test_mixtures: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Model:
    unet_levels: Annotated[int, Field(ge=3)]
    unet_channels: Count
    unet_max_channels: Count
    embedding: Count
    sound_channels: Count
    head_std: Positive | None
    query_std: Positive | None


@dataclass(frozen=True, kw_only=True, config=_strict)
class Objective:
    as_published: bool
    symmetric: bool
    max_target: Positive


@dataclass(frozen=True, kw_only=True, config=_strict)
class Train:
    lr: Positive
    batch: Count
    repeats: Count
    decay: Positive
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    workers: Whole
    devices: Count
    nodes: Count
    gain: tuple[NotNegative, NotNegative]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Grounding:
    epochs: Count
    milestones: list[Count]
    lr_grounding: NotNegative
    monitor: Literal["val/solo_balanced_accuracy", "val/balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Colearning:
    epochs: Count
    milestones: list[Count]
    lr_grounding: NotNegative
    lr_separation: NotNegative
    lr_frames: NotNegative
    grounding_weight: NotNegative
    monitor: Literal["val/snri", "val/si_sdri", "val/balanced_accuracy", "val/solo_balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Cyclic:
    epochs: Count
    milestones: list[Count]
    lr_grounding: NotNegative
    lr_separation: NotNegative
    lr_frames: NotNegative
    mixture_weight: NotNegative
    solo_weight: NotNegative
    distance_threshold: NotNegative
    monitor: Literal["val/snri", "val/si_sdri", "val/balanced_accuracy", "val/solo_balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Baseline:
    frames: Literal["whole", "objects"]
    epochs: Count
    milestones: list[Count]
    lr_separation: NotNegative
    lr_frames: NotNegative
    monitor: Literal["val/snri", "val/si_sdri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Vast:
    unet_levels: Annotated[int, Field(ge=2)]
    unet_channels: Count
    frames: Count
    stride: Count
    cache: bool
    masked: Literal["log", "linear"]
    phrase: str
    batch: Count
    optimizer: Literal["sgd", "adam"]
    momentum: Share
    weight_decay: NotNegative


@dataclass(frozen=True, kw_only=True, config=_strict)
class Captions:
    lr: Positive
    steps: Count
    patience: Count
    min_gain: NotNegative
    batch: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Trimodal:
    epochs: Count
    schedule: Literal["milestones", "cosine"]
    milestones: list[Count]
    lr_separation: NotNegative
    visual_weight: NotNegative
    text_weight: NotNegative
    consistency_weight: NotNegative
    classification_weight: NotNegative
    monitor: Literal["val/snri", "val/visual_snri", "val/text_snri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Finetune:
    epochs: Count
    milestones: list[Count]
    lr_separation: NotNegative
    visual_weight: NotNegative
    text_weight: NotNegative
    monitor: Literal["val/snri", "val/visual_snri", "val/text_snri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Evaluate:
    systems: Annotated[list[System], Field(min_length=1)]
    gate: Probability | None
    max_false_mutes: Share
    synonyms: dict[str, str]
    unmatched: list[str]
    batch: Count
    examples: Whole
    sources: list[Annotated[int, Field(ge=2)]]
    source_mixtures: Count
    resamples: Count
    bins: Annotated[int, Field(ge=2)]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Scenes:
    per_kind: Count
    players: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=3)]]
    seconds: Positive
    width: Annotated[int, Field(ge=64, multiple_of=2)]
    height: Annotated[int, Field(ge=64, multiple_of=2)]
    apart_db: NotNegative
    noise_db: float


@dataclass(frozen=True, kw_only=True, config=_strict)
class EvaluateScenes:
    enlarge: Positive
    nms: Probability
    link: Annotated[float, Field(gt=0, le=1)]
    seen: Probability
    overlap: Annotated[float, Field(gt=0, le=1)]
    resamples: Count
    examples: Whole


@dataclass(frozen=True, kw_only=True, config=_strict)
class Report:
    mixtures: Whole


@dataclass(frozen=True, kw_only=True, config=_strict)
class Params:
    """The whole of params.yaml."""

    seed: Whole
    device: Device
    threads: Count
    videos: Videos
    download: Download
    resnet: ResNet
    detector: Detector
    clip: Clip
    pretrained: Pretrained
    extract: Extract
    audio: Audio
    spectrogram: Spectrogram
    frames: Frames
    detect: Detect
    index: Index
    model: Model
    objective: Objective
    train: Train
    grounding: Grounding
    colearning: Colearning
    cyclic: Cyclic
    baseline: Baseline
    vast: Vast
    captions: Captions
    trimodal: Trimodal
    finetune: Finetune
    evaluate: Evaluate
    scenes: Scenes
    evaluate_scenes: EvaluateScenes
    report: Report


# What each stage reads, and so what it declares in dvc.yaml.


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideosParams:
    seed: int
    videos: Videos
    download: Download


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedParams:
    seed: int
    device: Device
    threads: int
    videos: Videos
    resnet: ResNet
    detector: Detector
    clip: Clip
    pretrained: Pretrained


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractParams:
    videos: Videos
    extract: Extract


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectParams:
    device: Device
    threads: int
    videos: Videos
    resnet: ResNet
    detector: Detector
    detect: Detect


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexParams:
    seed: int
    extract: Extract
    audio: Audio
    index: Index


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingParams:
    """What every training stage reads."""

    seed: int
    device: Device
    threads: int
    extract: Extract
    audio: Audio
    spectrogram: Spectrogram
    objective: Objective
    train: Train


@dataclasses.dataclass(frozen=True, kw_only=True)
class CcolParams(TrainingParams):
    """What CCoL's training stages and the baseline read."""

    resnet: ResNet
    frames: Frames
    model: Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroundingParams(CcolParams):
    grounding: Grounding


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColearningParams(CcolParams):
    colearning: Colearning


@dataclasses.dataclass(frozen=True, kw_only=True)
class CyclicParams(CcolParams):
    cyclic: Cyclic


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineParams(CcolParams):
    baseline: Baseline


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionsParams:
    seed: int
    device: Device
    threads: int
    extract: Extract
    clip: Clip
    vast: Vast
    captions: Captions


@dataclasses.dataclass(frozen=True, kw_only=True)
class VastParams(TrainingParams):
    """What VAST's training stages read."""

    clip: Clip
    vast: Vast


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrimodalParams(VastParams):
    trimodal: Trimodal


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneParams(VastParams):
    finetune: Finetune


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemsParams:
    """What the stages read that ask the trained systems."""

    seed: int
    device: Device
    threads: int
    resnet: ResNet
    clip: Clip
    extract: Extract
    audio: Audio
    spectrogram: Spectrogram
    frames: Frames
    model: Model
    objective: Objective
    baseline: Baseline
    vast: Vast


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateParams(SystemsParams):
    evaluate: Evaluate


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScenesParams:
    seed: int
    videos: Videos
    scenes: Scenes


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateScenesParams(SystemsParams):
    detector: Detector
    detect: Detect
    evaluate: Evaluate
    evaluate_scenes: EvaluateScenes


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportParams:
    extract: Extract
    spectrogram: Spectrogram
    report: Report


StageParams = TypeVar("StageParams")


def load(stage_params: type[StageParams], path: Path | str = "params.yaml") -> StageParams:
    """Reads and checks the whole of `path`, and gives the part that a stage reads.

    Raises InputError, naming the param, if anything in the file is wrong.
    """
    params = read(path)
    names = [f.name for f in dataclasses.fields(stage_params)]  # type: ignore[arg-type]
    if "clip" in names:  # of the stages that import CLIP anyway, the first is pretrained
        _refuse(_unreadable_phrases(params, lambda phrase: tokenise([phrase], params.clip.context)))
    return stage_params(**{name: getattr(params, name) for name in names})


def read(path: Path | str = "params.yaml") -> Params:
    """Reads and checks the whole of `path`. Raises InputError."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run from the repository's root") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is empty: compose it with `dvc exp run`, or check it out again")
    return check(values)


def check(values: dict[str, Any]) -> Params:
    """Checks plain values, as read from params.yaml. Raises InputError, naming the param."""
    try:
        # by way of JSON: strict about types, yet a mapping may become a section
        params = pydantic.TypeAdapter(Params).validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        raise InputError("params: " + "; ".join(_sentence(e) for e in error.errors())) from None
    _refuse_contradictions(params)
    return params


def _sentence(error: Any) -> str:
    """One error of pydantic's in a user's words: `train.lr: '1e-5' ..., write 1.0e-5`."""
    name = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name} is no param: see conf/config.yaml"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{name} is missing: see conf/config.yaml"
    hint = ""
    if kind == "float_type" and isinstance(error["input"], str):
        hint = " (YAML takes 1e-5 for text: write 1.0e-5)"
    return f"{name} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"


def _refuse_contradictions(p: Params) -> None:
    """Raises InputError for values that are each in range and do not go together."""
    problems = []
    if (p.videos.source == "demo") != (p.videos.path == DEMO_PATH):
        problems.append(
            f"videos.path is {p.videos.path}: videos.source {p.videos.source} "
            + (f"is made from {DEMO_PATH}" if p.videos.source == "demo" else "needs the path of what you bring")
        )
    if "{id}" not in p.download.url:
        problems.append(f"download.url is {p.download.url}: {{id}} must stand where a video's id goes")
    if p.videos.source == "demo":
        if len(p.videos.classes) < 4:
            problems.append(f"videos.classes has {len(p.videos.classes)} classes: a mixture needs 4 different ones")
        if len(set(p.videos.classes)) < len(p.videos.classes):
            problems.append("videos.classes names a class twice")
        if p.videos.per_class < 3:
            problems.append(f"videos.per_class is {p.videos.per_class}: train, val and test need a video each, so 3")
        if p.audio.samples > p.videos.seconds * p.extract.rate:
            problems.append(
                f"audio.samples is {p.audio.samples}, {p.audio.samples / p.extract.rate:.2f} s:"
                f" longer than every clip (videos.seconds is {p.videos.seconds:g})"
            )
        if p.index.min_seconds >= p.videos.seconds:
            problems.append(
                f"index.min_seconds is {p.index.min_seconds:g}: sets every clip aside"
                f" (videos.seconds is {p.videos.seconds:g})"
            )
        if p.scenes.players[1] >= len(p.videos.classes):
            problems.append(
                f"scenes.players is {p.scenes.players}: videos.classes has {len(p.videos.classes)}, and an instrument"
                " off the screen needs a class that is not on it"
            )
        if p.extract.fps > p.videos.fps:
            problems.append(f"extract.fps is {p.extract.fps}: more than videos.fps, {p.videos.fps}")
    margins = {  # docs/ccol.md: centre frame
        "frames.count, frames.stride": p.frames.count // 2 * p.frames.stride,
        "vast.frames, vast.stride": p.vast.frames // 2 * p.vast.stride,
    }
    for names, margin in margins.items():
        margin = max(p.extract.fps, margin)
        if p.index.min_seconds * p.extract.fps < 2 * margin:
            problems.append(
                f"index.min_seconds is {p.index.min_seconds:g}: a centre frame needs {margin} frames at both sides"
                f" (extract.fps, {names}), so {2 * margin / p.extract.fps:g} s"
            )
    problems += _detector_contradictions(p)
    if p.detector.min_size > p.detector.max_size:
        problems.append(f"detector.min_size is {p.detector.min_size}: above detector.max_size, {p.detector.max_size}")
    if p.pretrained.source == "published":
        if p.resnet.width != 64:
            problems.append(f"resnet.width is {p.resnet.width}: the published ResNet-18 has 64")
        if p.pretrained.resnet_path is not None and p.pretrained.resnet_sha256 is None:
            problems.append("pretrained.resnet_sha256 is needed for pretrained.resnet_path")
        if p.pretrained.clip_path is None:
            for field in dataclasses.fields(RN50):
                ours, theirs = getattr(p.clip, field.name), getattr(RN50, field.name)
                if ours != theirs:
                    problems.append(f"clip.{field.name} is {ours}: OpenAI's RN50 has {theirs}")
        elif p.pretrained.clip_sha256 is None:
            problems.append("pretrained.clip_sha256 is needed for pretrained.clip_path")
    if p.clip.text_width % p.clip.text_heads:
        problems.append(f"clip.text_width is {p.clip.text_width}: no multiple of clip.text_heads, {p.clip.text_heads}")
    if p.index.val + p.index.test >= 1:
        problems.append(f"index.val + index.test is {p.index.val + p.index.test:g}: nothing is left to train on")
    if p.audio.samples < p.spectrogram.n_fft:
        problems.append(f"audio.samples is {p.audio.samples}: shorter than spectrogram.n_fft, {p.spectrogram.n_fft}")
    if p.spectrogram.hop > p.spectrogram.n_fft // 2:
        problems.append(f"spectrogram.hop is {p.spectrogram.hop}: more than half of n_fft cannot be inverted")
    columns = p.audio.samples // p.spectrogram.hop + 1
    for name, levels in (("model", p.model.unet_levels), ("vast", p.vast.unet_levels)):
        steps = 2**levels
        if p.spectrogram.log_bins % steps or columns % steps:
            problems.append(
                f"{name}.unet_levels is {levels}: it needs spectrogram.log_bins ({p.spectrogram.log_bins})"
                f" and frames (audio.samples // spectrogram.hop + 1 = {columns}) that are multiples of {steps}"
            )
    innermost = p.vast.unet_channels * 2 ** (p.vast.unet_levels - 1)
    if innermost < p.clip.embedding:
        problems.append(
            f"vast.unet_channels is {p.vast.unet_channels}: with {p.vast.unet_levels} levels it grows to {innermost},"
            f" and must reach clip.embedding, {p.clip.embedding}"
        )
    if "{}" not in p.vast.phrase:
        problems.append(f"vast.phrase is {p.vast.phrase!r}: {{}} must stand where the class's name goes")
    problems += _unreadable_phrases(p, refuse_unreadable)
    if p.frames.resize < p.frames.size:
        problems.append(f"frames.resize is {p.frames.resize}: smaller than the crop, frames.size {p.frames.size}")
    if p.frames.cache and p.frames.augment:
        problems.append("frames.cache is true: a cache holds no random crops, so frames.augment must be false")
    if p.objective.symmetric and p.objective.as_published:
        problems.append("objective.symmetric is true: objective.as_published takes the terms as they are written")
    if p.model.query_std is not None and p.objective.as_published:
        problems.append("model.query_std is set: objective.as_published moves the batch norm that it relies on")
    if p.frames.cache and p.objective.as_published:
        problems.append("frames.cache is true: objective.as_published moves the frozen networks' batch norm")
    processes = p.train.devices * p.train.nodes
    for name, batch in (("train.batch", p.train.batch), ("vast.batch", p.vast.batch)):
        if batch % processes:
            problems.append(f"{name} is {batch}: no multiple of train.devices x train.nodes, {processes}")
    if p.train.gain[0] > p.train.gain[1]:
        problems.append(f"train.gain is {p.train.gain}: the lower end comes first")
    if p.scenes.players[0] > p.scenes.players[1]:
        problems.append(f"scenes.players is {p.scenes.players}: the lower end comes first")
    for name in ("grounding", "colearning", "cyclic", "baseline", "trimodal", "finetune"):
        phase = getattr(p, name)
        if phase.milestones != sorted(set(phase.milestones)):
            problems.append(f"{name}.milestones is {phase.milestones}: not rising")
        if phase.milestones and phase.milestones[-1] >= phase.epochs:
            problems.append(f"{name}.milestones is {phase.milestones}: {name}.epochs ends at {phase.epochs}")
    if p.trimodal.schedule == "cosine" and p.trimodal.milestones:
        problems.append(f"trimodal.milestones is {p.trimodal.milestones}: trimodal.schedule cosine has none, give []")
    if len(set(p.evaluate.systems)) < len(p.evaluate.systems):
        problems.append(f"evaluate.systems is {p.evaluate.systems}: names a system twice")
    if len(set(p.evaluate.sources)) < len(p.evaluate.sources):
        problems.append(f"evaluate.sources is {p.evaluate.sources}: names a number twice")
    if p.videos.source == "demo" and max(p.evaluate.sources, default=0) > len(p.videos.classes):
        problems.append(f"evaluate.sources is {p.evaluate.sources}: videos.classes has {len(p.videos.classes)}")
    if p.report.mixtures > p.evaluate.examples:
        problems.append(f"report.mixtures is {p.report.mixtures}: evaluate.examples keeps {p.evaluate.examples}")
    if p.train.precision == "16-mixed" and p.device == "cpu":
        problems.append("train.precision is 16-mixed: a cpu has bf16-mixed")
    if problem := _missing_device(p.device, p.train.devices):
        problems.append(problem)
    _refuse(problems)


# Which params of pretrained give each detector, and which of them it cannot do without.
DETECTORS = {
    "demo": ((), ()),
    "none": ((), ()),
    "file": (("detector_path", "detector_sha256", "detector_classes"),) * 2,
    "open_images": (("open_images_path", "open_images_start"), ("open_images_path", "open_images_classes")),
    "owlv2": (("zero_shot_path", "zero_shot_revision", "zero_shot_sha256"), ("zero_shot_path", "zero_shot_sha256")),
}
DETECTORS["grounding_dino"] = DETECTORS["owlv2"]


def _detector_contradictions(p: Params) -> list[str]:
    """What does not go together in the params of the detector."""
    kind, problems = p.pretrained.detector, []
    given, needed = DETECTORS[kind]
    for name in needed:
        if not getattr(p.pretrained, name):
            problems.append(f"pretrained.{name} is needed for pretrained.detector {kind}")
    for name in sorted({name for own, _ in DETECTORS.values() for name in own} - set(given)):
        if getattr(p.pretrained, name):
            problems.append(f"pretrained.{name} is given: pretrained.detector {kind} has no use for it")
    if kind == "none" and p.videos.source != "imported":
        problems.append("pretrained.detector is none: videos.source imported alone comes with detections")
    if kind == "demo" and p.detector.backbone != "resnet18":
        problems.append("detector.backbone is resnet50: pretrained.detector demo trains one over resnet18 only")
    if p.pretrained.open_images_start is not None and p.detector.backbone != "resnet50":
        problems.append("pretrained.open_images_start is of a resnet50: detector.backbone is resnet18")
    revision = p.pretrained.zero_shot_revision
    if revision is not None and not re.fullmatch("[0-9a-f]{40}", revision):
        problems.append(
            f"pretrained.zero_shot_revision is {revision!r}: it must be a commit of 40 hexadecimal digits, which stays"
            " what it is"
        )
    names = [p.pretrained.open_images_names.get(name, name) for name in p.pretrained.open_images_classes]
    if len({name.replace("_", " ").casefold() for name in names}) < len(names):
        problems.append("pretrained.open_images_classes names a class twice")
    if "{}" not in p.detect.phrase:
        problems.append(f"detect.phrase is {p.detect.phrase!r}: {{}} must stand where the class's name goes")
    elif kind == "grounding_dino" and set(p.detect.phrase) & set(".?"):
        problems.append(f"detect.phrase is {p.detect.phrase!r}: to Grounding DINO a . or ? ends a phrase, leave it out")
    return problems


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise InputError("params: " + "; ".join(problems))


def _unreadable_phrases(p: Params, check: Callable[[str], object]) -> list[str]:
    """What `check` refuses of the phrases that VAST is asked by, one problem a param."""
    # a folder's classes are known when it is read: any letter stands for their names
    classes = p.videos.classes if p.videos.source == "demo" else ["x"]
    phrases = [("vast.phrase", phrase_of(name, p.vast.phrase)) for name in classes]
    phrases += [(f"evaluate.synonyms.{name}", phrase) for name, phrase in p.evaluate.synonyms.items()]
    phrases += [(f"evaluate.unmatched.{number}", phrase) for number, phrase in enumerate(p.evaluate.unmatched)]
    problems: dict[str, str] = {}
    for name, phrase in phrases:
        try:
            check(phrase)
        except InputError as error:
            problems.setdefault(name, f"{name}: {error}")
    return list(problems.values())


def _missing_device(device: str, count: int) -> str | None:
    if device == "cpu":
        return None
    import torch  # here, since it takes seconds and most runs are on the CPU

    have = torch.cuda.device_count() if device == "cuda" else int(torch.backends.mps.is_available())
    if have == 0:
        return f"device is {device}: this machine has none (torch {torch.__version__})"
    if count > have:
        return f"train.devices is {count}: this machine has {have} of device {device}"
    return None

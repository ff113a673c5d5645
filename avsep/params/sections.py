"""The sections of params.yaml as frozen dataclasses: the type and the range of each param.

Each mirrors one key of the file, and has no default; what a param means stands in conf/config.yaml.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Device = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Videos:
    source: Literal["demo", "ids", "folder", "imported"]
    path: Annotated[str, Field(min_length=1)]
    classes: list[str]
    per_class: Count
    seconds: Positive
    timbre: Probability
    fps: Count
    width: Annotated[int, Field(ge=64, multiple_of=2)]
    height: Annotated[int, Field(ge=64, multiple_of=2)]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Watching:
    watched: str
    lists: dict[str, str]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Survey:
    demo: Watching
    brought: Watching
    watched: str
    lists: dict[str, str]


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
    clip_tokens_weight: NotNegative
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
    fps: Count
    count: Count
    stride: Count
    resize: Count
    size: Count
    square: bool
    augment: Literal["video", "sample", "none"]
    cache: bool


@dataclass(frozen=True, kw_only=True, config=_strict)
class Detect:
    threshold: Probability
    nms: Probability
    batch: Count
    phrase: str


@dataclass(frozen=True, kw_only=True, config=_strict)
class Index:
    lists: Literal["split", "published"]
    allow_leaks: bool
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
    gates: Literal["each", "likelier", "solo"]
    told: Literal["published", "solo"]
    max_target: Positive


@dataclass(frozen=True, kw_only=True, config=_strict)
class Train:
    lr: Positive
    batch: Count
    repeats: Count
    optimizer: Literal["adam", "muon"]
    decay: Positive
    warm_up: Share
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    workers: Whole
    devices: Count
    nodes: Count
    gain: tuple[NotNegative, NotNegative]
    partners: Literal["videos", "classes"]
    margin: NotNegative
    jitter: bool
    on_nan: Literal["stop", "skip", "lower"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Visualize:
    mixtures: Whole
    every: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Grounding:
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_grounding: NotNegative
    monitor: Literal["val/solo_balanced_accuracy", "val/balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Colearning:
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_grounding: NotNegative
    lr_separation: NotNegative
    lr_frames: NotNegative
    grounding_weight: NotNegative
    monitor: Literal["val/snri", "val/si_sdri", "val/balanced_accuracy", "val/solo_balanced_accuracy"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Cyclic:
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
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
    fps: Count
    frames: Count
    stride: Count
    cache: bool
    partners: Literal["any", "videos", "classes"]
    margin: NotNegative
    masks: Literal["binary", "ratio"]
    init_std: Positive | None
    batch: Count
    repeats: Count
    optimizer: Literal["sgd", "adam", "muon"]
    momentum: Share
    weight_decay: NotNegative
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_separation: NotNegative
    lr_frames: NotNegative
    lr_resnet: NotNegative
    monitor: Literal["val/snri", "val/si_sdri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Ungated:
    sees: Literal["objects", "whole"]
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_separation: NotNegative
    lr_frames: NotNegative
    monitor: Literal["val/snri", "val/si_sdri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Vast:
    unet_levels: Annotated[int, Field(ge=2)]
    unet_channels: Count
    init_std: Positive | None
    fps: Count
    frames: Count
    stride: Count
    margin: NotNegative
    cache: bool
    masked: Literal["log", "linear"]
    phrase: str
    batch: Count
    optimizer: Literal["sgd", "adam", "muon"]
    momentum: Share
    weight_decay: NotNegative


@dataclass(frozen=True, kw_only=True, config=_strict)
class Captions:
    lr: Positive
    loss: Literal["mean", "sum"]
    start: Literal["normal", "tokens"]
    steps: Count
    keep: Literal["last", "best"]
    patience: Count | None
    min_gain: NotNegative
    batch: Count


@dataclass(frozen=True, kw_only=True, config=_strict)
class Trimodal:
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_separation: NotNegative
    asks: Literal["both", "one"]
    visual_weight: NotNegative
    text_weight: NotNegative
    consistency_weight: NotNegative
    classification_weight: NotNegative
    monitor: Literal["val/snri", "val/visual_snri", "val/text_snri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Finetune:
    epochs: Count
    schedule: Literal["milestones", "cosine", "one_cycle"]
    milestones: list[Count]
    lr_separation: NotNegative
    lr_captions: NotNegative
    visual_weight: NotNegative
    text_weight: NotNegative
    caption_weight: NotNegative
    monitor: Literal["val/snri", "val/visual_snri", "val/text_snri"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Evaluate:
    systems: Annotated[list[str], Field(min_length=1)]
    external: dict[str, str]
    gate: Probability | None
    max_false_mutes: Share
    mutes_level: Share | None
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
class Package:
    systems: Annotated[list[str], Field(min_length=1)]
    dtype: Literal["float32", "float16"]


@dataclass(frozen=True, kw_only=True, config=_strict)
class Report:
    profile: Annotated[str, Field(min_length=1)]
    trial: bool
    mixtures: Whole


@dataclass(frozen=True, kw_only=True, config=_strict)
class Params:
    """The whole of params.yaml."""

    seed: Whole
    device: Device
    threads: Count
    videos: Videos
    survey: Survey
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
    visualize: Visualize
    grounding: Grounding
    colearning: Colearning
    cyclic: Cyclic
    baseline: Baseline
    ungated: Ungated
    vast: Vast
    captions: Captions
    trimodal: Trimodal
    finetune: Finetune
    evaluate: Evaluate
    scenes: Scenes
    evaluate_scenes: EvaluateScenes
    package: Package
    report: Report

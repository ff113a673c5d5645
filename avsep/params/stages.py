"""What each stage reads of params.yaml, and so exactly the `params` that it declares in dvc.yaml."""

from dataclasses import dataclass

from avsep.params.sections import (
    Audio,
    Baseline,
    Captions,
    Clip,
    Colearning,
    Cyclic,
    Detect,
    Detector,
    Device,
    Download,
    Evaluate,
    EvaluateScenes,
    Extract,
    Finetune,
    Frames,
    Grounding,
    Index,
    Model,
    Objective,
    Package,
    Pretrained,
    Report,
    ResNet,
    Scenes,
    Spectrogram,
    Survey,
    Train,
    Trimodal,
    Ungated,
    Vast,
    Videos,
    Visualize,
)


@dataclass(frozen=True, kw_only=True)
class SurveyParams:
    videos: Videos
    survey: Survey
    index: Index


@dataclass(frozen=True, kw_only=True)
class VideosParams:
    seed: int
    videos: Videos
    download: Download
    index: Index


@dataclass(frozen=True, kw_only=True)
class PretrainedParams:
    seed: int
    device: Device
    threads: int
    videos: Videos
    resnet: ResNet
    detector: Detector
    clip: Clip
    pretrained: Pretrained


@dataclass(frozen=True, kw_only=True)
class ExtractParams:
    videos: Videos
    extract: Extract


@dataclass(frozen=True, kw_only=True)
class DetectParams:
    device: Device
    threads: int
    videos: Videos
    resnet: ResNet
    extract: Extract
    frames: Frames
    detector: Detector
    detect: Detect


@dataclass(frozen=True, kw_only=True)
class IndexParams:
    seed: int
    extract: Extract
    audio: Audio
    index: Index


@dataclass(frozen=True, kw_only=True)
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
    visualize: Visualize


@dataclass(frozen=True, kw_only=True)
class CcolParams(TrainingParams):
    """What CCoL's training stages, and its separation alone, read."""

    resnet: ResNet
    frames: Frames
    model: Model


@dataclass(frozen=True, kw_only=True)
class GroundingParams(CcolParams):
    grounding: Grounding


@dataclass(frozen=True, kw_only=True)
class ColearningParams(CcolParams):
    colearning: Colearning


@dataclass(frozen=True, kw_only=True)
class CyclicParams(CcolParams):
    cyclic: Cyclic


@dataclass(frozen=True, kw_only=True)
class UngatedParams(CcolParams):
    ungated: Ungated


@dataclass(frozen=True, kw_only=True)
class BaselineParams(CcolParams):
    """Sound of Pixels sees pictures of CCoL's size, by a ResNet like CCoL's."""

    baseline: Baseline


@dataclass(frozen=True, kw_only=True)
class CaptionsParams:
    seed: int
    device: Device
    threads: int
    extract: Extract
    clip: Clip
    vast: Vast
    captions: Captions


@dataclass(frozen=True, kw_only=True)
class VastParams(TrainingParams):
    """What VAST's training stages read."""

    clip: Clip
    vast: Vast


@dataclass(frozen=True, kw_only=True)
class TrimodalParams(VastParams):
    trimodal: Trimodal


@dataclass(frozen=True, kw_only=True)
class FinetuneParams(VastParams):
    finetune: Finetune


@dataclass(frozen=True, kw_only=True)
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
    ungated: Ungated
    vast: Vast


@dataclass(frozen=True, kw_only=True)
class EvaluateParams(SystemsParams):
    evaluate: Evaluate


@dataclass(frozen=True, kw_only=True)
class ScenesParams:
    seed: int
    videos: Videos
    scenes: Scenes


@dataclass(frozen=True, kw_only=True)
class EvaluateScenesParams(SystemsParams):
    detector: Detector
    detect: Detect
    evaluate: Evaluate
    evaluate_scenes: EvaluateScenes


@dataclass(frozen=True, kw_only=True)
class PackageParams:
    """What is packed of the params, and what the card tells."""

    videos: Videos
    pretrained: Pretrained
    resnet: ResNet
    clip: Clip
    extract: Extract
    audio: Audio
    spectrogram: Spectrogram
    frames: Frames
    model: Model
    objective: Objective
    baseline: Baseline
    ungated: Ungated
    vast: Vast
    detector: Detector
    detect: Detect
    evaluate: Evaluate
    evaluate_scenes: EvaluateScenes
    package: Package


@dataclass(frozen=True, kw_only=True)
class ReportParams:
    seed: int
    device: Device
    videos: Videos
    extract: Extract
    spectrogram: Spectrogram
    report: Report

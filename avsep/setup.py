"""What systems are made with, from params: the door between params.yaml and avsep/systems."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from avsep.media.spectrogram import Spectrogram
from avsep.params.stages import SystemsParams
from avsep.systems.system import Setup


def setup_of(params: SystemsParams, external: Mapping[str, str], root: Path = Path()) -> Setup:
    """`external`: others' waves, name -> folder.  `root`: the folder in which checkpoints/ lies."""
    return Setup(
        root=root,
        device=params.device,
        params={
            "resnet": asdict(params.resnet),
            "clip": asdict(params.clip),
            "extract": asdict(params.extract),
            "audio": asdict(params.audio),
            "spectrogram": asdict(params.spectrogram),
            "frames": asdict(params.frames),
            "model": asdict(params.model),
            "ungated": {"sees": params.ungated.sees},
            "baseline": {
                "fps": params.baseline.fps,
                "frames": params.baseline.frames,
                "stride": params.baseline.stride,
                "masks": params.baseline.masks,
            },
            "vast": asdict(params.vast),
        },
        spectrogram=Spectrogram(**asdict(params.spectrogram)),
        max_target=params.objective.max_target,
        rate=params.extract.rate,
        samples=params.audio.samples,
        kept_fps=params.extract.fps,
        fps=params.frames.fps,
        frames=params.frames.count,
        stride=params.frames.stride,
        size=params.frames.size,
        square=params.frames.square,
        ungated_whole=params.ungated.sees == "whole",
        baseline_fps=params.baseline.fps,
        baseline_frames=params.baseline.frames,
        baseline_stride=params.baseline.stride,
        clip=asdict(params.clip),
        vast_fps=params.vast.fps,
        vast_frames=params.vast.frames,
        vast_stride=params.vast.stride,
        masked=params.vast.masked,
        phrase=params.vast.phrase,
        external={name: Path(folder) for name, folder in external.items()},
    )

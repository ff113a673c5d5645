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
        spectrogram=Spectrogram(**asdict(params.spectrogram)),
        max_target=params.objective.max_target,
        rate=params.extract.rate,
        samples=params.audio.samples,
        kept_fps=params.extract.fps,
        resnet_width=params.resnet.width,
        unet_levels=params.model.unet_levels,
        unet_channels=params.model.unet_channels,
        unet_max_channels=params.model.unet_max_channels,
        embedding=params.model.embedding,
        query_std=params.model.query_std,
        sound_channels=params.model.sound_channels,
        head_std=params.model.head_std,
        fps=params.frames.fps,
        frames=params.frames.count,
        stride=params.frames.stride,
        size=params.frames.size,
        square=params.frames.square,
        ungated_whole=params.ungated.sees == "whole",
        baseline_fps=params.baseline.fps,
        baseline_frames=params.baseline.frames,
        baseline_stride=params.baseline.stride,
        baseline_binary=params.baseline.masks == "binary",
        clip=asdict(params.clip),
        vast_levels=params.vast.unet_levels,
        vast_channels=params.vast.unet_channels,
        vast_fps=params.vast.fps,
        vast_frames=params.vast.frames,
        vast_stride=params.vast.stride,
        masked=params.vast.masked,
        phrase=params.vast.phrase,
        external={name: Path(folder) for name, folder in external.items()},
    )

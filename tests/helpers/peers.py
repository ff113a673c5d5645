"""A tiny project whose test mixtures other models answer."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.params.loading import check
from avsep.params.sections import Params
from benchmarks.peers.answers import Mixture, Object, Wave, write_answers
from tests.helpers import factories
from tests.helpers.evaluation import tiny_values
from tests.helpers.weights import save_trained

SECTIONS: dict[str, dict[str, Any]] = {
    "detector": {"backbone": "resnet18", "channels": 16, "min_size": 48, "max_size": 64},
    "vast": {"phrase": "playing the {}"},
    "evaluate_scenes": {"resamples": 20},
}


def tiny_params(stage_params: Any, **external: str) -> Any:
    """A stage's part of them, checked."""
    checked: Params = check(tiny_values("baseline", **SECTIONS, evaluate={"external": external}))
    return stage_params(**{field.name: getattr(checked, field.name) for field in dataclasses.fields(stage_params)})


def write_project(root: Path, mixtures: int = 4) -> None:
    """Data without scenes, the baseline's random weights, and params.yaml."""
    factories.write_data(root / "data", mixtures)
    (root / "data/scenes").mkdir()
    torch.manual_seed(0)
    network = SoundOfPixels(factories.WIDTH, **factories.UNET)
    save_trained(root / "checkpoints/baseline/best.safetensors", network, tiny_values("baseline", **SECTIONS))
    (root / "params.yaml").write_text(
        yaml.safe_dump(tiny_values("baseline", **SECTIONS), sort_keys=False), encoding="utf-8"
    )


def answer(questions: Path, folder: Path, given: Callable[[Mixture, Object], Wave | None]) -> Path:
    """What a model of one line answers."""
    write_answers(questions, folder, lambda mixture: {one.name: given(mixture, one) for one in mixture.objects})
    return folder

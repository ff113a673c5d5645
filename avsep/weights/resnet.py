"""The ResNet of stage pretrained, with which CCoL and Sound of Pixels see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from avsep.weights.about import Kind, refuse_other
from avsep.weights.checkpoints import load_weights

KIND = Kind(system="resnet18", sizes={"width": "resnet.width"}, own={"classes": 1000})


def resnet_weights(path: Path, params: Mapping[str, Any]) -> dict[str, Tensor]:
    """`params`: sections of params.yaml as plain values. Raises InputError for weights of others."""
    refuse_other(path, KIND, params)
    return load_weights(path)

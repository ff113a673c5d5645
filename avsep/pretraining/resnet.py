"""The demo's ResNet-18 learns to tell the instruments, from rendered stills, in the place of ImageNet's weights.

It sees whole pictures and crops around the instrument, since the baseline sees the ones and CCoL the others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avsep.demo.stills import Views
from avsep.models.resnet import ResNet18
from avsep.pretraining.fitting import Log, fit
from avsep.pretraining.pictures import Squares, batched, network_input, varied


def train_resnet(
    resnet: ResNet18,
    squares: Squares,
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    log: Log,
    kept: Path | None = None,
) -> None:
    """Learns by cross entropy the labels of squares; an epoch shows each once. `kept`: as of `fit`."""
    device = next(resnet.parameters()).device

    def losses(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        logits = resnet(varied(squares.pictures[chosen], rng).to(device))
        target = torch.as_tensor(squares.labels[chosen], device=device)
        return {"cross_entropy": F.cross_entropy(logits, target, label_smoothing=0.1)}

    optimiser = torch.optim.AdamW(resnet.parameters(), betas=(0.9, 0.99), weight_decay=0.05)
    resnet.train()
    own: Any = {"epochs": epochs, "batch": batch, "seed": seed, "log": log, "kept": kept}
    fit("resnet18", resnet, losses, optimiser, [lr], len(squares.labels), **own)
    resnet.eval()


@torch.no_grad()
def measure_resnet(resnet: ResNet18, views: Sequence[Views], *, batch: int) -> dict[str, float]:
    """Accuracy on whole pictures and on crops to the instrument."""
    device = next(resnet.parameters()).device
    right = {"accuracy_whole": 0, "accuracy_near": 0}
    for some in batched(views, batch):
        labels = torch.tensor([view.label for view in some], device=device)
        for name, pictures in (("accuracy_whole", [v.whole for v in some]), ("accuracy_near", [v.near for v in some])):
            logits = resnet(network_input(np.stack(pictures)).to(device))
            right[name] += int((logits.argmax(dim=1) == labels).sum())
    return {name: count / len(views) for name, count in right.items()}

"""A Faster R-CNN learns where the objects are and of which class, from pictures with boxes.

The pictures are rendered stills (`still_item`), or any others whose boxes are known: avsep/pretraining/open_images.py.
It starts from the pipeline's ResNet, or from torchvision's detector of COCO (Lin et al., ECCV 2014).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from avsep.demo.stills import Still
from avsep.models.resnet import ResNet18
from avsep.pretraining.fitting import Log, fit
from avsep.pretraining.pictures import batched
from avsep.progress import progress
from avsep.scoring.detection import average_precision, first_is_right, recall
from avsep.weights.checkpoints import load_into

PREDICTOR = "roi_heads.box_predictor."  # of a Faster R-CNN, whose rows are its classes

Target = dict[str, Tensor]  # of a picture: boxes (N, 4), x1, y1, x2, y2 in pixels, and labels (N,), from 1
Item = TypeVar("Item")


def still_item(still: Still) -> tuple[Tensor, Target]:
    """A rendered picture (3, H, W) in [0, 1] and its target."""
    picture = torch.from_numpy(still.picture).permute(2, 0, 1).float() / 255
    return picture, {"boxes": torch.tensor([still.box], dtype=torch.float32), "labels": torch.tensor([still.label + 1])}


def start_from_resnet(detector: FasterRCNN, resnet: ResNet18) -> None:
    """Its body becomes the ResNet, all but the layer that tells the ResNet's classes."""
    body = {name: value for name, value in resnet.state_dict().items() if not name.startswith("fc.")}
    detector.backbone.body.load_state_dict(body)


def start_from_coco(detector: FasterRCNN, weights: Mapping[str, Tensor]) -> None:
    """It becomes torchvision's detector of COCO, all but the layer whose rows are the classes.

    Raises InputError if the weights do not fit.
    """
    own = {name: value for name, value in detector.state_dict().items() if name.startswith(PREDICTOR)}
    load_into(detector, {**weights, **own}, "torchvision's detector of COCO")


def train_detector(
    detector: FasterRCNN,
    items: Sequence[Item],
    read: Callable[[Item], tuple[Tensor, Target]],
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    log: Log,
    kept: Path | None = None,
) -> None:
    """Learns the boxes and classes of `items`; what its body knows already moves ten times slower.

    `read` gives an item's picture (3, H, W) in [0, 1] and its target when a step needs them.  `kept`: as of `fit`.
    """
    device = next(detector.parameters()).device

    def losses(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        pictures, targets = [], []
        for index in chosen:
            picture, target = read(items[index])
            if rng.random() < 0.5:  # mirror
                picture = picture.flip(2)
                x1, y1, x2, y2 = target["boxes"].unbind(1)
                target["boxes"] = torch.stack([picture.shape[2] - x2, y1, picture.shape[2] - x1, y2], dim=1)
            pictures.append(picture.to(device))
            targets.append({name: value.to(device) for name, value in target.items()})
        return detector(pictures, targets)

    body = detector.backbone.body
    for name in ("conv1", "layer1"):
        body[name].requires_grad_(False)
    known = [p for p in body.parameters() if p.requires_grad]
    new = [p for name, p in detector.named_parameters() if not name.startswith("backbone.body.")]
    optimiser = torch.optim.AdamW([{"params": new}, {"params": known}], weight_decay=0.01)
    detector.train()
    own: Any = {"epochs": epochs, "batch": batch, "seed": seed, "log": log, "kept": kept}
    fit("detector", detector, losses, optimiser, [lr, lr / 10], len(items), **own)
    detector.eval()


@torch.no_grad()
def measure_detector(
    detector: FasterRCNN, items: Sequence[Item], read: Callable[[Item], tuple[Tensor, Target]], *, batch: int
) -> dict[str, float]:
    """Recall, and precision in two forms, at an IoU of 0.5."""
    device = next(detector.parameters()).device
    found: list[dict[str, Tensor]] = []
    truth: list[Target] = []
    batches = math.ceil(len(items) / batch)
    for some in progress(batched(items, batch), "measure detector", batches, "batch"):
        pictures, targets = zip(*(read(item) for item in some), strict=True)
        found += [
            {k: v.cpu() for k, v in one.items()} for one in detector([picture.to(device) for picture in pictures])
        ]
        truth += targets
    return {
        "recall": recall(found, truth),
        "first_is_right": first_is_right(found, truth),
        "average_precision": average_precision(found, truth),
    }

"""How good a detector is: recall and average precision at one overlap (PASCAL VOC: Everingham et al., IJCV 2010)."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torchvision.ops import box_iou

Found = dict[str, Tensor]  # of one picture: boxes (N, 4), labels (N,), scores (N,)
Truth = dict[str, Tensor]  # of the same picture: boxes (M, 4), labels (M,)


def recall(found: Sequence[Found], truth: Sequence[Truth], overlap: float = 0.5) -> float:
    """The share of true boxes that some detection, of any class, meets with an IoU of at least `overlap`."""
    met = [(box_iou(t["boxes"], f["boxes"]) >= overlap).any(dim=1) for f, t in zip(found, truth, strict=True)]
    return float(np.mean([hit for picture in met for hit in picture.tolist()]))


def first_is_right(found: Sequence[Found], truth: Sequence[Truth], overlap: float = 0.5) -> float:
    """The share of pictures whose most confident detection, of any class, meets a true box."""
    hits = []
    for f, t in zip(found, truth, strict=True):
        best = f["scores"].argsort(descending=True, stable=True)[:1]
        hits.append(bool((box_iou(f["boxes"][best], t["boxes"]) >= overlap).any()))
    return float(np.mean(hits))


def average_precision(found: Sequence[Found], truth: Sequence[Truth], overlap: float = 0.5) -> float:
    """The mean over the true classes of the area under precision over recall, precision made falling.

    A detection is right if it meets a true box of its class that no more confident one has met.
    """
    classes = sorted({label for t in truth for label in t["labels"].tolist()})
    return float(np.mean([_average_precision(found, truth, label, overlap) for label in classes]))


def _average_precision(found: Sequence[Found], truth: Sequence[Truth], label: int, overlap: float) -> float:
    scores: list[float] = []
    right: list[bool] = []
    objects = 0
    for f, t in zip(found, truth, strict=True):
        boxes, own = f["boxes"][f["labels"] == label], f["scores"][f["labels"] == label]
        true_boxes = t["boxes"][t["labels"] == label]
        objects += len(true_boxes)
        iou = box_iou(boxes, true_boxes).numpy()
        free = np.ones(len(true_boxes), dtype=bool)
        for index in own.argsort(descending=True, stable=True).tolist():
            best = int(np.argmax(iou[index])) if len(true_boxes) else -1
            hit = best >= 0 and bool(free[best]) and iou[index, best] >= overlap
            if hit:
                free[best] = False
            scores.append(float(own[index]))
            right.append(hit)
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.asarray(right, dtype=bool)[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[hits].sum() / objects)

"""A Faster R-CNN: what it starts from, and that it finds what it has learned boxes of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avsep.demo.stills import Still
from avsep.errors import InputError
from avsep.media.annotations import read_open_images
from avsep.models.detector import build_detector
from avsep.models.resnet import ResNet18
from avsep.pretraining.detector import (
    measure_detector,
    start_from_coco,
    start_from_resnet,
    still_item,
    train_detector,
)
from avsep.pretraining.open_images import annotated_item
from tests.helpers.open_images import write_open_images


def test_a_stills_target_is_its_box_and_its_label_from_1() -> None:
    picture, target = still_item(Still(np.full((6, 8, 3), 255, np.uint8), 2, (1.0, 2.5, 4.0, 5.0)))
    assert picture.shape == (3, 6, 8) and bool((picture == 1).all())
    assert target["boxes"].tolist() == [[1.0, 2.5, 4.0, 5.0]] and target["labels"].tolist() == [3]


def test_it_starts_from_all_of_the_resnet_but_its_classes() -> None:
    resnet = ResNet18(8, 4)
    detector = build_detector("resnet18", width=8, channels=8, classes=2, min_size=72, max_size=96)
    start_from_resnet(detector, resnet)
    own, theirs = detector.backbone.body.state_dict(), resnet.state_dict()
    assert {name for name in theirs if name not in own and "num_batches" not in name} == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, theirs[name]) for name, value in own.items())


def test_it_starts_from_another_detector_less_its_classes() -> None:
    theirs = build_detector("resnet18", width=8, channels=8, classes=90, min_size=72, max_size=96).state_dict()
    detector = build_detector("resnet18", width=8, channels=8, classes=2, min_size=72, max_size=96)
    rows = detector.state_dict()["roi_heads.box_predictor.cls_score.weight"].clone()
    start_from_coco(detector, theirs)
    own = detector.state_dict()
    assert torch.equal(own["roi_heads.box_predictor.cls_score.weight"], rows) and len(rows) == 3
    rest = [name for name in own if "box_predictor" not in name]
    assert len(rest) == len(own) - 4 and all(torch.equal(own[name], theirs[name]) for name in rest)
    with pytest.raises(InputError, match=r"torchvision's detector of COCO lacks rpn\.head"):
        start_from_coco(detector, {name: value for name, value in theirs.items() if not name.startswith("rpn.head")})


@pytest.mark.slow
def test_what_the_boxes_are_around_is_found(tmp_path: Path) -> None:
    found = read_open_images(write_open_images(tmp_path / "oi", 24, 6), ["cello"], {})
    torch.manual_seed(0)
    detector = build_detector("resnet18", width=8, channels=8, classes=1, min_size=72, max_size=96)
    settings: dict[str, Any] = {"epochs": 20, "batch": 4, "lr": 1e-2, "seed": 0, "log": lambda name, losses: None}
    train_detector(detector, found.train.pictures, annotated_item, **settings)
    measured = measure_detector(detector, found.validation.pictures, annotated_item, batch=4)
    assert measured["recall"] > 0.8 and measured["average_precision"] > 0.7

"""Recall and average precision on cases counted by hand."""

import pytest
import torch

from avsep.scoring.detection import average_precision, first_is_right, recall

BOX = [0.0, 0.0, 10.0, 10.0]
NEAR = [0.0, 0.0, 10.0, 8.0]  # IoU 0.8 with BOX
FAR = [20.0, 20.0, 30.0, 30.0]


def found(*rows: tuple[list[float], int, float]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor([box for box, _, _ in rows]).reshape(-1, 4),
        "labels": torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
        "scores": torch.tensor([score for _, _, score in rows]),
    }


def truth(*rows: tuple[list[float], int]) -> dict[str, torch.Tensor]:
    return {"boxes": torch.tensor([box for box, _ in rows]), "labels": torch.tensor([label for _, label in rows])}


def test_all_found_is_one() -> None:
    detections, objects = [found((NEAR, 1, 0.9)), found((FAR, 2, 0.4))], [truth((BOX, 1)), truth((FAR, 2))]
    assert recall(detections, objects) == first_is_right(detections, objects) == 1
    assert average_precision(detections, objects) == 1


def test_nothing_found_is_zero() -> None:
    detections, objects = [found()], [truth((BOX, 1))]
    assert recall(detections, objects) == first_is_right(detections, objects) == 0
    assert average_precision(detections, objects) == 0


def test_a_wrong_class_counts_for_the_place_alone() -> None:
    detections, objects = [found((BOX, 2, 0.9))], [truth((BOX, 1))]
    assert recall(detections, objects) == first_is_right(detections, objects) == 1
    assert average_precision(detections, objects) == 0


def test_the_overlap_decides() -> None:
    detections, objects = [found((NEAR, 1, 0.9))], [truth((BOX, 1))]
    assert recall(detections, objects, overlap=0.79) == 1
    assert recall(detections, objects, overlap=0.81) == 0


def test_a_more_confident_mistake_costs_precision() -> None:
    # ranked: miss, hit, hit: precision 1/2 and 2/3, so 2/3 at both once it is made falling
    detections = [found((FAR, 1, 0.9), (BOX, 1, 0.8)), found((BOX, 1, 0.7))]
    objects = [truth((BOX, 1)), truth((BOX, 1))]
    assert average_precision(detections, objects) == pytest.approx(2 / 3)
    assert recall(detections, objects) == 1
    assert first_is_right(detections, objects) == 0.5


def test_a_second_box_of_one_object_is_a_mistake() -> None:
    # ranked: hit, double, hit of the second of two objects: 1 and 2/3
    detections = [found((BOX, 1, 0.9), (NEAR, 1, 0.8)), found((BOX, 1, 0.7))]
    objects = [truth((BOX, 1)), truth((BOX, 1))]
    assert average_precision(detections, objects) == pytest.approx((1 + 2 / 3) / 2)


def test_classes_count_the_same() -> None:
    # class 1: three objects found; class 2: one, missed
    detections = [found((BOX, 1, 0.9))] * 3 + [found()]
    objects = [truth((BOX, 1))] * 3 + [truth((FAR, 2))]
    assert average_precision(detections, objects) == pytest.approx(0.5)
    assert recall(detections, objects) == pytest.approx(0.75)

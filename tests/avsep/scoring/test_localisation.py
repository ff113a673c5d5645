"""Regions and boxes with known answers, and methods on tiny videos."""

import json
from pathlib import Path

import numpy as np
import pytest

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.errors import InputError
from avsep.scoring.localisation import COLUMNS, attended, auc, iou, locate, region_of, silent_share, true_box
from tests.helpers.factories import FPS, FRAMES, write_data
from tests.helpers.outcomes import separate


def test_known_overlaps() -> None:
    box = region_of((0, 0, 4, 2), 8, 4)
    assert box.sum() == 8
    assert iou(box, box) == 1
    assert iou(region_of((2, 0, 6, 2), 8, 4), box) == pytest.approx(4 / 12)
    assert iou(region_of((4, 0, 8, 2), 8, 4), box) == 0
    assert iou(region_of(None, 8, 4), box) == 0
    assert iou(region_of((0, 0, 8, 4), 8, 4), box) == 8 / 32, "the whole picture"


def test_known_areas_on_the_silent_object() -> None:
    nothing, box = region_of(None, 8, 4), region_of((0, 0, 4, 2), 8, 4)
    whole = ~nothing
    assert silent_share([box, nothing], box) == 0
    assert silent_share([nothing, box], box) == 1
    assert silent_share([box, whole], box) == 8 / 40
    assert silent_share([nothing, nothing], box) is None


def test_the_area_under_the_success_curve() -> None:
    assert auc([1.0, 1.0]) == 1
    assert auc([0.0]) == pytest.approx(0.025)  # at the threshold 0 all succeed
    assert auc([0.5, 1.0]) == pytest.approx((1 + 0.525) / 2)


def test_attention_from_half_of_its_highest() -> None:
    shares = np.array([[1.0, 0.0], [0.0, 0.0]])
    found = attended(shares, 1.0, (2, 0, 6, 4), 8, 4)
    assert found[0, 2] and not found[:, :2].any() and not found[:, 6:].any() and not found[3, 5]
    assert not attended(shares, 4.0, (2, 0, 6, 4), 8, 4).any(), "the highest lies in another picture"
    assert attended(np.full((2, 2), 0.25), 0.25, (0, 0, 8, 4), 8, 4).all(), "it looks everywhere alike"


def test_the_true_box_of_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.truth.json"
    assert true_box(path, 1.0, 2.0) is None, "videos of a user have none"
    path.write_text(json.dumps({"instrument": [[0, 0, 1.2, 1.6], [2, 2, 4, 4]]}))
    assert true_box(path, 0.5, 2.0) == (0, 0, 1, 2)
    assert true_box(path, 1.5, 2.0) == true_box(path, 2.0, 2.0) == (2, 2, 4, 4)
    path.write_text("{}")
    with pytest.raises(InputError, match=r"x.truth.json holds no boxes"):
        true_box(path, 0.5, 2.0)


def test_every_method_is_placed_where_truth_is_known(tmp_path: Path) -> None:
    videos = write_data(tmp_path / "data")["test"]
    made = separate(videos, batch=3)[0]
    assert locate(made, FPS, tmp_path / "videos", 0.5, 0) == []
    for video in videos:
        path = tmp_path / "videos" / video.category / f"{video.id}.truth.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        boxes = [[2, 1, 20, 16]] * (8 * FRAMES // FPS)  # where write_video puts the detections
        path.write_text(json.dumps({"instrument": boxes}))
    rows = locate(made, FPS, tmp_path / "videos", 0.5, 0)
    assert all(list(row) == COLUMNS for row in rows)
    by_method = {(row["method"], row["object"]): row for row in rows}
    methods = {"colearning", "cyclic", "detected_box", "trimodal_visual", "trimodal_text"}
    methods |= {"whole_image", "centre_box", "random_box"}
    assert set(by_method) == {(method, name) for method in methods for name in SOUNDING}
    for name, silent in zip(SOUNDING, ("B", "D"), strict=True):
        assert by_method["detected_box", name]["iou"] == 1
        assert by_method["detected_box", name]["silent_share"] == 0.5
        assert by_method["whole_image", name]["iou"] == pytest.approx(18 * 15 / (24 * 18))
        for system in ("colearning", "cyclic"):
            heard = {x: made.probabilities[system][x] >= 0.5 for x in OBJECTS}
            row = by_method[system, name]
            assert row["iou"] == heard[name]
            assert row["silent_share"] == (heard[silent] / (heard[name] + heard[silent]) if heard[name] or heard[silent]
                                           else None)  # fmt: skip
    assert rows == locate(made, FPS, tmp_path / "videos", 0.5, 0)

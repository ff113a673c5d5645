"""Detections become objects: linked over frames, weaker doubles gone, matched with the players they stand for."""

import numpy as np
import pytest

from avsep.scenes.matching import match, true_objects
from avsep.separating.tracks import Object, find_objects, link_rows, strongest

HERE, THERE = (10.0, 10.0, 30.0, 30.0), (60.0, 10.0, 80.0, 30.0)
OPTIONS = {"nms": 0.3, "link": 0.3, "seen": 0.5}


def rows(*values: tuple[int, int, float, tuple[float, float, float, float]]) -> np.ndarray:
    """Of (frame, label, confidence, box)."""
    return np.array([(frame, label, score, *box) for frame, label, score, box in values], np.float32).reshape(-1, 7)


def moved(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return box[0] + by, box[1], box[2] + by, box[3]


def test_what_moves_a_little_is_one_object_and_what_is_elsewhere_another() -> None:
    seen = rows(*[(f, 1, 0.8, moved(HERE, 3 * f)) for f in (1, 2, 3)], *[(f, 2, 0.9, THERE) for f in (1, 2, 3)])
    first, second = find_objects(seen, 3, 100, 50, **OPTIONS)
    assert (first.label, second.label) == (2, 1)
    assert first.confidence == pytest.approx(0.9) and first.seen == (1, 2, 3)
    assert second.boxes == tuple((10 + 3 * f, 10, 30 + 3 * f, 30) for f in (1, 2, 3))


def test_where_it_was_not_seen_an_object_is_at_the_nearest_place_and_less_sure() -> None:
    seen = rows((2, 1, 0.8, HERE), (4, 1, 0.6, moved(HERE, 5)))
    [one] = find_objects(seen, 4, 100, 50, **OPTIONS)
    assert one.seen == (2, 4) and one.confidence == pytest.approx(1.4 / 4)
    assert [box[0] for box in one.boxes] == [10, 10, 10, 15]


def test_what_is_hardly_ever_seen_is_no_object() -> None:
    seen = rows((1, 1, 0.9, HERE), (1, 2, 0.9, THERE), (2, 2, 0.9, THERE))
    assert [one.label for one in find_objects(seen, 4, 100, 50, **OPTIONS)] == [2]
    assert find_objects(rows(), 4, 100, 50, **OPTIONS) == []


def test_the_weaker_of_two_boxes_goes_whatever_its_class_and_in_its_frame_only() -> None:
    seen = rows((1, 1, 0.5, HERE), (1, 2, 0.9, moved(HERE, 2)), (2, 1, 0.5, HERE), (1, 3, 0.9, (5.0, 5.0, 5.5, 30.0)))
    assert strongest(seen, 0.3)[:, :2].tolist() == [[1, 2], [2, 1]], "and a box that is too narrow goes"


def test_links_are_the_best_together_and_keep_a_class() -> None:
    """Two things that pass each other: alone, the first would take the nearer box, which is the other's."""
    before = rows((1, 1, 0.9, HERE), (1, 2, 0.9, moved(HERE, 10)))
    after = rows((2, 1, 0.9, moved(HERE, 6)), (2, 2, 0.9, moved(HERE, 4)))
    tracks = link_rows(np.concatenate([before, after]), 0.3)
    assert [[row[1] for row in track] for track in tracks] == [[1, 1], [2, 2]]


def test_the_class_is_the_one_that_was_surest_over_all_frames() -> None:
    seen = rows((1, 1, 0.9, HERE), (2, 2, 0.5, HERE), (3, 2, 0.5, HERE))
    [one] = find_objects(seen, 3, 100, 50, **OPTIONS)
    assert one.label == 2


def test_players_and_objects_are_matched_one_to_one_at_an_overlap() -> None:
    players = np.array([[HERE, HERE], [THERE, THERE]])

    def thing(*boxes: tuple[float, float, float, float]) -> Object:
        return true_objects(np.array([boxes]), 100, 50)[0]

    near, twice, far = thing(HERE, moved(HERE, 4)), thing(moved(HERE, 8), moved(HERE, 8)), thing(THERE, THERE)
    assert match([far, near, twice], players, 0.5) == {0: 1, 1: 0}
    assert match([twice], players, 0.5) == {}, "an IoU of 12 / 28"
    assert match([twice], players, 0.4) == {0: 0}
    assert match([], players, 0.5) == {}

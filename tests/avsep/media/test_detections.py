"""Detection files: what comes back, and what is refused."""

import numpy as np
import pytest

from avsep.errors import InputError
from avsep.media.detections import most_confident, read_detections, squared, write_detections

ROWS = np.array(
    [
        [2, 3, 0.5, 10, 20, 60, 70],
        [1, 1, 0.4, 0, 0, 30, 30],
        [2, 1, 0.9, 5.5, 6.5, 40.2, 50.1],
    ],
    dtype=np.float32,
)


def test_rows_come_back_sorted_by_frame_and_confidence(tmp_path):
    path = tmp_path / "cello" / "a.mp4.npy"
    write_detections(path, ROWS)
    rows = read_detections(path, frames=2)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS[[1, 2, 0]])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_video_without_detections_has_no_rows(tmp_path):
    path = tmp_path / "a.mp4.npy"
    write_detections(path, np.empty((0, 7), dtype=np.float32))
    assert read_detections(path, frames=9).shape == (0, 7)


def changed(column, value):
    rows = ROWS.copy()
    rows[1, column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.astype(np.float64), "float64"),
        (ROWS[:, :6], "float32 rows of frame"),
        (ROWS[0], "float32 rows of frame"),
        (changed(0, 7), "frame 7, the video has 1 to 6: is it another video's"),
        (changed(0, 0), "frame 0"),
        (changed(0, 1.5), "frame 1.5"),
        (changed(1, 0), "label"),
        (changed(2, 1.2), "confidence"),
        (changed(3, np.nan), "finite"),
        (changed(5, 0), "box without an area"),
        (changed(6, -1), "box without an area"),
    ],
)
def test_foreign_rows_are_refused(tmp_path, rows, message):
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path / "a.npy", frames=6)


def test_pickles_other_formats_and_missing_files_are_refused(tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"frame": 1}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1,1,0.5,0,0,9,9", encoding="utf-8")
    (tmp_path / "empty.npy").touch()
    np.savez(tmp_path / "archive.npz", ROWS)
    for name in ("pickle.npy", "text.npy", "empty.npy", "archive.npz"):
        with pytest.raises(InputError, match=name):
            read_detections(tmp_path / name, frames=6)
    with pytest.raises(InputError, match="is missing: run stage detect"):
        read_detections(tmp_path / "nothing.npy", frames=6)


def test_the_most_confident_box_of_a_frame_in_whole_pixels():
    found = most_confident(ROWS, frame=2, width=100, height=100)
    assert found is not None
    assert found.label == 1
    assert found.confidence == pytest.approx(0.9)
    assert found.box == (5, 6, 41, 51)
    assert most_confident(ROWS, frame=3, width=100, height=100) is None


def test_boxes_are_clipped_and_slivers_do_not_count():
    for (width, height), box in {(30, 40): (5, 6, 30, 40), (100, 8): (5, 6, 41, 8)}.items():
        found = most_confident(ROWS, frame=2, width=width, height=height)
        assert found is not None and found.box == box
    # the first box keeps one row of pixels and the second none
    assert most_confident(ROWS, frame=2, width=100, height=7) is None
    # the first keeps one column, the second is wide enough
    sliver = np.array([[1, 1, 0.9, 98.5, 0, 130, 30], [1, 2, 0.3, 10, 10, 20, 20]], dtype=np.float32)
    found = most_confident(sliver, frame=1, width=99, height=99)
    assert found is not None and found.label == 2


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((10, 20, 50, 30), (10, 5, 50, 45)),  # widened around its middle
        ((10, 0, 50, 10), (10, 0, 50, 40)),  # moved into the picture
        ((70, 10, 100, 70), (40, 10, 100, 70)),
        ((5, 30, 95, 40), (10, 0, 90, 80)),  # no higher than the picture
        ((20, 20, 40, 40), (20, 20, 40, 40)),
    ],
)
def test_boxes_become_squares_within_the_picture(box, square):
    assert squared(box, width=100, height=80) == square

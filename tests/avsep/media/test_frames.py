from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avsep.errors import InputError
from avsep.media.frames import MEAN, STD, crop_and_resize, frame_path, normalise, read_frame


def gradient(width: int, height: int) -> Image.Image:
    """Red tells the column, green the row, blue is full: a bar would be black."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[..., 0] = np.linspace(0, 255, width)[None, :]
    picture[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(picture)


@pytest.mark.parametrize("box", [None, (0, 0, 10, 200), (300, 5, 320, 15), (100, 100, 102, 102), (0, 0, 1, 240)])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 1.0), (0.3, 0.9)])
def test_any_box_gives_a_full_square(box: tuple[int, int, int, int] | None, corner: tuple[float, float]) -> None:
    square = crop_and_resize(gradient(320, 240), box, 40, 32, *corner)
    assert square.shape == (32, 32, 3) and square.dtype == np.uint8
    assert (square[..., 2] == 255).all()


def test_evaluation_is_short_side_then_centre_crop() -> None:
    picture = gradient(320, 240)
    square = crop_and_resize(picture, (10, 20, 210, 120), 50, 50)
    plain = picture.crop((10, 20, 210, 120)).resize((100, 50), Image.Resampling.BICUBIC).crop((25, 0, 75, 50))
    np.testing.assert_allclose(square, np.asarray(plain), atol=1)


def test_training_is_short_side_then_a_crop_at_the_offsets() -> None:
    picture = gradient(320, 160)
    plain = picture.resize((160, 80), Image.Resampling.BICUBIC)
    for across, down in ((0.0, 0.0), (1.0, 0.5), (0.25, 1.0)):
        left, top = round(across * (160 - 64)), round(down * (80 - 64))
        square = crop_and_resize(picture, None, 80, 64, across, down)
        np.testing.assert_allclose(square, np.asarray(plain.crop((left, top, left + 64, top + 64))), atol=1)


def test_flip_mirrors() -> None:
    picture = gradient(320, 240)
    for offsets in ((0.5, 0.5), (0.2, 0.7)):
        straight = crop_and_resize(picture, None, 40, 32, *offsets)
        np.testing.assert_array_equal(crop_and_resize(picture, None, 40, 32, *offsets, flip=True), straight[:, ::-1])
    assert not np.array_equal(straight, straight[:, ::-1])


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (-1, 0, 5, 5), (0, 0, 321, 9), (0, 0, 9, 241)])
def test_a_box_that_is_none_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no area within"):
        crop_and_resize(gradient(320, 240), box, 40, 32)


def test_normalised_pictures() -> None:
    pictures = np.random.default_rng([0]).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    normal = normalise(pictures)
    assert normal.shape == (2, 3, 3, 4, 5) and normal.dtype == np.float32
    expected = (pictures[1, 2, 3, 4, 1] / 255 - MEAN[1]) / STD[1]
    assert normal[1, 2, 1, 3, 4] == pytest.approx(expected, abs=1e-6)


def test_frames_are_read_by_number_as_rgb(tmp_path: Path) -> None:
    Image.new("L", (8, 6), 100).save(frame_path(tmp_path, 7))
    picture = read_frame(tmp_path, 7)
    assert picture.mode == "RGB" and picture.size == (8, 6)
    with pytest.raises(InputError, match=r"000008\.jpg is missing"):
        read_frame(tmp_path, 8)
    frame_path(tmp_path, 8).write_bytes(frame_path(tmp_path, 7).read_bytes()[:100])
    with pytest.raises(InputError, match=r"000008\.jpg is no picture"):
        read_frame(tmp_path, 8)

"""Squares of stills, as networks are shown them."""

import numpy as np
import torch
from numpy.typing import NDArray

from avsep.demo.stills import Views
from avsep.pretraining.pictures import batched, network_input, squares, varied


def test_a_stills_three_squares_follow_each_other() -> None:
    def square(value: int) -> NDArray[np.uint8]:
        return np.full((2, 2, 3), value, np.uint8)

    views = [Views(square(40), square(41), square(42), 4), Views(square(10), square(11), square(12), 1)]
    pictures, labels = squares(views)
    assert pictures[:, 0, 0, 0].tolist() == [40, 41, 42, 10, 11, 12] and labels.tolist() == [4, 4, 4, 1, 1, 1]


def test_half_of_the_pictures_are_mirrored_and_all_are_varied_by_their_generator() -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 32, dtype=np.uint8)[None, None, :, None], (64, 8, 8, 3))
    pictures = network_input(np.ascontiguousarray(ramp))
    found = varied(pictures, np.random.default_rng(0))
    mirrored = (found[..., 0] > found[..., -1]).all(dim=(1, 2))
    assert 16 < int(mirrored.sum()) < 48
    assert len(torch.unique(found[:, 0, 0, 4])) == 64, "each its own way"
    assert torch.equal(found, varied(pictures, np.random.default_rng(0)))


def test_the_last_batch_holds_what_is_left() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]

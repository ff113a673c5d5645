"""Squares of stills, as networks are shown them."""

import numpy as np
import torch

from avsep.demo.stills import Views
from avsep.media.frames import normalise
from avsep.pretraining.pictures import batched, network_input, squares, varied


def test_a_stills_squares_follow_each_other() -> None:
    def views(value: int, label: int, side: int) -> Views:
        whole, around, near = (np.full((side, side, 3), value + more, np.uint8) for more in range(3))
        return Views(whole, around, near, label)

    stills = [(views(40, 4, 2), views(40, 4, 3)), (views(10, 1, 2), views(10, 1, 3))]
    all_three, two = squares(iter(stills), 2, [["whole", "around", "near"], ["whole", "near"]])
    assert all_three.pictures.shape == (6, 2, 2, 3) and two.pictures.shape == (4, 3, 3, 3)
    assert all_three.pictures[:, 0, 0, 0].tolist() == [40, 41, 42, 10, 11, 12]
    assert all_three.labels.tolist() == [4, 4, 4, 1, 1, 1]
    assert two.pictures[:, 0, 0, 0].tolist() == [40, 42, 10, 12] and two.labels.tolist() == [4, 4, 1, 1]


def test_networks_are_shown_what_the_pipeline_shows_them() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    found = network_input(pictures)
    np.testing.assert_allclose(found.numpy(), normalise(pictures), atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_half_of_the_pictures_are_mirrored_and_all_are_varied_by_their_generator() -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 32, dtype=np.uint8)[None, None, :, None], (64, 8, 8, 3))
    pictures = np.ascontiguousarray(ramp)
    found = varied(pictures, np.random.default_rng(0))
    mirrored = (found[..., 0] > found[..., -1]).all(dim=(1, 2))
    assert 16 < int(mirrored.sum()) < 48
    assert len(torch.unique(found[:, 0, 0, 4])) == 64, "each its own way"
    assert torch.equal(found, varied(pictures, np.random.default_rng(0)))
    assert np.array_equal(pictures, ramp), "what is given stays"


def test_varied_pictures_keep_the_mean_and_the_deviation_of_their_norm() -> None:
    mean, std = np.array([0.2, 0.5, 0.8]), np.array([0.1, 0.2, 0.15])
    pictures = np.round(255 * (mean + std * np.random.default_rng(1).uniform(-1, 1, (64, 16, 16, 3)))).astype(np.uint8)
    found = varied(pictures, np.random.default_rng(2), mean, std)
    np.testing.assert_allclose(found.mean((0, 2, 3)).numpy(), 0, atol=0.1)
    np.testing.assert_allclose(found.std((0, 2, 3)).numpy(), np.hypot(3**-0.5, 0.2), atol=0.1)


def test_the_last_batch_holds_what_is_left() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]

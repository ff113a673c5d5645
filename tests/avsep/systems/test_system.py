"""What all systems are asked with: what is seen, what is heard, what was prepared, and what an answer sounds like."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from avsep.media.frames import crop_and_resize, normalise
from avsep.models.resnet import FrameFeatures
from avsep.systems.system import Answer, Sight, at_frames, hear_mixtures, hear_sources, together
from tests.helpers.factories import FPS, RATE, SAMPLES, SIZE, SPECTROGRAM, hear_tiny, noise, tiny_waves
from tests.helpers.outcomes import tiny_setup


class Pair(NamedTuple):
    one: Tensor
    other: Tensor


# --- What was prepared


def test_tensors_stand_together() -> None:
    parts = [noise(2, 3, seed=n) for n in range(4)]
    assert torch.equal(together(parts), torch.stack(parts))


def test_named_tuples_stay_what_they_are() -> None:
    found = together([Pair(noise(2, seed=n), noise(3, 4, seed=n + 10)) for n in range(5)])
    assert isinstance(found, Pair) and found.one.shape == (5, 2) and found.other.shape == (5, 3, 4)
    assert torch.equal(found.other[3], noise(3, 4, seed=13))
    features = together([FrameFeatures(noise(2, 8, seed=n), noise(2, 8, 1, 1, seed=n)) for n in range(3)])
    assert isinstance(features, FrameFeatures) and features.map.shape == (3, 2, 8, 1, 1)
    plain = together([(noise(2, seed=0), Pair(noise(1, seed=1), noise(1, seed=2)))] * 2)
    assert type(plain) is tuple and plain[0].shape == (2, 2) and isinstance(plain[1], Pair)
    assert together([(), ()]) == ()


def test_other_things_are_listed() -> None:
    assert together(["a", "b"]) == ["a", "b"] and together([None]) == [None]


def test_frames_are_taken_of_each_window() -> None:
    prepared, numbers = noise(6, 2, 3, seed=0), torch.tensor([[0, 0, 1], [3, 4, 5]])
    found = at_frames(prepared, numbers)
    assert (
        found.shape == (2, 3, 2, 3) and torch.equal(found[1, 2], prepared[5]) and torch.equal(found[0, 1], prepared[0])
    )
    pair = at_frames(Pair(prepared, noise(6, seed=1)), numbers)
    assert isinstance(pair, Pair) and torch.equal(pair.one, found) and pair.other.shape == (2, 3)
    plain = at_frames((prepared, (prepared,)), numbers)
    assert type(plain) is tuple and torch.equal(plain[1][0], found)
    assert at_frames("whole", numbers) == ["whole", "whole"]


# --- What is seen


@pytest.mark.parametrize("square", [False, True])
def test_a_sight_crops_to_the_box_or_to_the_square_around_it(square: bool) -> None:
    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(2)]
    found = Sight("x", FPS, 1, 1, 8, square, whole=False).crops(frames, [(4, 10, 24, 18), (0, 0, 40, 30)])
    assert found.shape == (2, 3, 8, 8) and found.dtype == torch.float32
    around = (4, 4, 24, 24) if square else (4, 10, 24, 18)
    np.testing.assert_array_equal(found[0], normalise(crop_and_resize(frames[0], around, 8, 8)))


def test_a_sight_reads_what_it_sees() -> None:
    reader = Sight("x", FPS, 3, 2, 8, square=True, whole=True).reader(RATE, SAMPLES, FPS)
    assert (reader.rate, reader.samples, reader.fps) == (RATE, SAMPLES, FPS)
    assert (reader.count, reader.stride, reader.size, reader.resize) == (3, 2, 8, 8)
    assert reader.square and not reader.objects
    assert Sight("x", FPS, 3, 2, 8, square=True, whole=False).reader(RATE, SAMPLES, FPS).objects
    same, other = Sight("x", FPS, 1, 1, 8, False, whole=True), Sight("y", FPS, 1, 1, 8, False, whole=True)
    assert same == Sight("x", FPS, 1, 1, 8, False, whole=True) != other, "what another network sees is another sight"
    assert tiny_setup().reader == Sight("", FPS, 1, 1, SIZE, False, whole=False).reader(RATE, SAMPLES, FPS)


# --- What is heard


def test_known_sources_are_heard_as_in_training() -> None:
    waves = tiny_waves(3)
    heard, known = hear_sources(waves, SPECTROGRAM, ["a", "b", "c"]), hear_tiny(waves)
    assert torch.equal(heard.mixture, known.mixture) and list(heard.solo) == list(waves)
    assert torch.equal(heard.solo["C"], known.solo["C"])
    assert torch.equal(heard.wave, waves["A"] + waves["C"])
    assert (heard.names, heard.starts) == (["a", "b", "c"], [0, 0, 0])


def test_of_a_mixture_alone_nothing_else_is_known() -> None:
    waves = tiny_waves(3)
    mixture = waves["A"] + waves["C"]
    heard = hear_mixtures(mixture, SPECTROGRAM, ["x"] * 3, [0, 100, 200])
    assert heard.solo == {} and list(heard.log_sounds) == ["mixture"]
    torch.testing.assert_close(heard.mixture, hear_sources(waves, SPECTROGRAM).mixture, atol=1e-4, rtol=1e-4)
    assert heard.starts == [0, 100, 200] and hear_mixtures(mixture, SPECTROGRAM).starts == [0, 0, 0]


def test_an_answer_sounds_like_its_masks_or_its_waves() -> None:
    wave = tiny_waves(2)["A"]
    heard = hear_mixtures(wave, SPECTROGRAM)
    masks = {"open": torch.ones_like(heard.mixture), "shut": torch.zeros_like(heard.mixture)}
    found = Answer(masks=masks).sounds(SPECTROGRAM, wave)
    assert list(found) == ["open", "shut"] and not found["shut"].any()
    torch.testing.assert_close(found["open"], wave, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        Answer(masks={"half": 0.5 * masks["open"]}).sounds(SPECTROGRAM, wave)["half"], 0.5 * wave, atol=1e-5, rtol=1e-4
    )
    assert torch.equal(Answer(waves={"own": 2 * wave}).sounds(SPECTROGRAM, wave)["own"], 2 * wave)
    assert Answer().sounds(SPECTROGRAM, wave) == {}

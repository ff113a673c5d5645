"""The stills that the demo's ResNet and detector learn from."""

from typing import Any

import numpy as np
import pytest

from avsep.demo.stills import render_stills, render_views

SCENE: dict[str, Any] = {"seed": 3, "width": 96, "height": 72, "classes": ("cello", "flute", "tuba")}


def test_stills_are_a_function_of_seed_purpose_and_index() -> None:
    first = list(render_stills("a", 4, **SCENE))
    longer = list(render_stills("a", 6, **SCENE))
    for one, other in zip(first, longer[:4], strict=True):
        assert np.array_equal(one.picture, other.picture) and one.label == other.label and one.box == other.box
    other_purpose = list(render_stills("b", 4, **SCENE))
    other_seed = list(render_stills("a", 4, **(SCENE | {"seed": 4})))
    for others in (other_purpose, other_seed):
        assert not any(np.array_equal(a.picture, b.picture) for a in first for b in others)


def test_a_still_holds_its_box() -> None:
    for still in render_stills("a", 12, **SCENE):
        assert still.picture.shape == (72, 96, 3) and still.picture.dtype == np.uint8
        x1, y1, x2, y2 = still.box
        assert 0 <= x1 < x2 <= 96 and 0 <= y1 < y2 <= 72
        assert still.label in (0, 1, 2)


@pytest.mark.parametrize("jitter", [False, True])
def test_views_are_squares_that_come_nearer(jitter: bool) -> None:
    views = [view for (view,) in render_views("a", 12, sizes=[32], jitter=jitter, **SCENE)]
    stills = list(render_stills("a", 12, **SCENE))
    assert [view.label for view in views] == [still.label for still in stills]
    for view in views:
        for square in (view.whole, view.around, view.near):
            assert square.shape == (32, 32, 3) and square.dtype == np.uint8
    assert not all(np.array_equal(view.whole, view.near) for view in views)
    assert not all(np.array_equal(view.around, view.near) for view in views)


def test_views_without_jitter_are_the_middle_of_the_picture() -> None:
    (still,), ((view,),) = render_stills("a", 1, **SCENE), render_views("a", 1, sizes=[72], jitter=False, **SCENE)
    np.testing.assert_array_equal(view.whole, still.picture[:, 12:84])


def test_views_of_all_sizes_show_the_same() -> None:
    for small, large in render_views("a", 4, sizes=[24, 48], jitter=True, **SCENE):
        assert small.label == large.label
        for one, other in ((small.whole, large.whole), (small.around, large.around), (small.near, large.near)):
            assert one.shape == (24, 24, 3) and other.shape == (48, 48, 3)
            halved = other.reshape(24, 2, 24, 2, 3).mean((1, 3))
            assert np.abs(halved - one).mean() < 6

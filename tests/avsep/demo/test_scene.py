"""The demo's pictures: instruments in their boxes, told by shape, in the same worlds for stills and clips."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from avsep.demo.instruments import INSTRUMENTS, Hands, Look, Motion
from avsep.demo.pen import Pen
from avsep.demo.scene import Scene, random_motion, render_still

CLASSES = list(INSTRUMENTS)
LOOK = Look((200, 90, 40), (40, 90, 200), (20, 20, 20), (240, 240, 240), (0.5, 0.5, 0.5, 0.5))
MOTION = Motion(bow=0.5, pitch=0.5, strike=0.5, bellows=0.5, hand=0, sway=0.0)


def test_a_still_is_a_function_of_its_generator() -> None:
    one, *labels = render_still(np.random.default_rng(3), 64, 48, CLASSES)
    again, *labels_again = render_still(np.random.default_rng(3), 64, 48, CLASSES)
    other, _, _ = render_still(np.random.default_rng(4), 64, 48, CLASSES)
    assert one.dtype == np.uint8 and one.shape == (48, 64, 3)
    assert (one == again).all() and labels == labels_again
    assert (one != other).any()


def test_stills_hold_an_instrument_of_any_class() -> None:
    found = set()
    for seed in range(60):
        _, name, (x1, y1, x2, y2) = render_still(np.random.default_rng(seed), 112, 84, CLASSES[:3])
        found.add(name)
        assert 0 <= x1 < x2 <= 112 and 0 <= y1 < y2 <= 84
        assert max(x2 - x1, y2 - y1) >= 20
    assert found == set(CLASSES[:3])


def test_several_instruments_are_in_the_picture_each_of_some_size() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = rng.choice(CLASSES, size=3, replace=False).tolist()
        _, boxes, _ = Scene(rng, 112, 84, chosen, played=0.65).draw([random_motion(rng) for _ in chosen])
        for x1, y1, x2, y2 in boxes:
            assert 0 <= x1 < x2 <= 112 and 0 <= y1 < y2 <= 84
            assert max(x2 - x1, y2 - y1) >= 20


@pytest.mark.parametrize("name", CLASSES)
def test_the_box_is_where_the_instrument_is(name: str) -> None:
    """Against the empty room, pixels differ within the box alone, and up to each of its sides."""
    for seed in range(4):
        scene = Scene(np.random.default_rng(seed), 160, 120, [name], played=0.0)
        motion = Motion(0.3, 0.6, 0.2, 0.7, 0, 0.4, played=False)
        picture, [box], _ = scene.draw([motion])
        empty, _, _ = _without_actors(scene).draw([])
        ys, xs = np.nonzero((picture != empty).any(axis=2))
        seen = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert np.abs(np.array(seen) - box).max() <= 2.0, (seen, box)


def _without_actors(scene: Scene) -> Scene:
    scene.actors = []
    return scene


def test_bows_and_mallets_are_no_part_of_the_box() -> None:
    for name in ("violin", "cello", "erhu", "xylophone"):
        extents = []
        for played in (True, False):
            pen = Pen(None)
            INSTRUMENTS[name].draw(pen, LOOK, Motion(0.1, 0.9, 0.5, 0.5, 1, 0.0, played=played))
            extents.append(pen.extent)
        assert extents[0] == extents[1]


@pytest.mark.parametrize("name", CLASSES)
def test_hands_are_at_the_instrument(name: str) -> None:
    pen = Pen(None)
    hands = INSTRUMENTS[name].draw(pen, LOOK, MOTION)
    assert isinstance(hands, Hands)
    x1, y1, x2, y2 = pen.extent
    for x, y in (hands.right, hands.left):
        # a bow's frog and a mallet's handle may lie outside by an arm's length
        assert x1 - 1.2 <= x <= x2 + 1.2 and y1 - 1.2 <= y <= y2 + 1.2


def test_colours_do_not_tell_the_class() -> None:
    """Mean colours within the boxes scatter widely in each class, and the classes' means no more than by chance."""
    count = 40
    colours = np.empty((len(CLASSES), count, 3))
    for row, name in enumerate(CLASSES):
        for seed in range(count):
            rng = np.random.default_rng([7, row, seed])
            picture, _, box = render_still(rng, 96, 72, [name])
            x1, y1, x2, y2 = (round(value) for value in box)
            colours[row, seed] = picture[y1:y2, x1:x2].mean(axis=(0, 1))
    within = colours.std(axis=1).mean(axis=0)  # (3,)
    means = colours.mean(axis=1)  # (classes, 3)
    assert (within > 20).all()
    assert (np.abs(means - means.mean(axis=0)) < 4 * within / np.sqrt(count)).all()


def test_shapes_tell_the_class() -> None:
    """The eleven silhouettes, of one look and held alike, at 60 pixels, differ in a quarter of what either covers."""
    white = replace(LOOK, body=255, trim=255, dark=255, light=255)  # type: ignore[arg-type]
    silhouettes = {}
    for name, held in INSTRUMENTS.items():
        measured = Pen(None)
        held.draw(measured, LOOK, MOTION)
        x1, y1, x2, y2 = measured.extent
        scale = 60 / max(x2 - x1, y2 - y1)
        image = Image.new("L", (64, 64))
        pen = Pen(ImageDraw.Draw(image)).at(32 - scale * (x1 + x2) / 2, 32 - scale * (y1 + y2) / 2, 0, scale)
        held.draw(pen, white, replace(MOTION, played=False))
        silhouettes[name] = np.asarray(image) > 0
    for one, other in itertools.combinations(CLASSES, 2):
        common, either = silhouettes[one] & silhouettes[other], silhouettes[one] | silhouettes[other]
        assert common.sum() < 0.75 * either.sum(), (one, other)


def test_size_and_place_vary_alike_in_all_classes() -> None:
    for name in CLASSES:
        boxes = []
        for seed in range(30):
            rng = np.random.default_rng([1, seed])
            scene = Scene(rng, 160, 120, [name])
            boxes.append(scene.draw([random_motion(rng)])[1][0])
        x1, y1, x2, y2 = np.array(boxes).T
        longest = np.maximum(x2 - x1, y2 - y1)
        assert longest.max() > 1.4 * longest.min() and 50 < np.median(longest) < 110, name
        assert np.ptp((x1 + x2) / 2) > 40 and np.ptp((y1 + y2) / 2) > 10, name


def test_a_pen_measures_through_nested_mirrored_coordinates() -> None:
    pen = Pen(None).at(10, 20, 0, 2.0, mirror=True)
    pen.at(1, 1, 90).rectangle(0, 0, 3, 1, (0, 0, 0))  # own x runs down, own y to the left
    assert np.allclose(pen.extent, [8, 22, 10, 28])

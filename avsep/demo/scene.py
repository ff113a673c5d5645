"""Pictures of the demo's world: rooms with things in them, and players with their instruments.

Nothing but an instrument's shape (instruments.py) and the way it is held tells its class: colours, sizes,
places, rooms, light and other things are drawn alike for all classes.  A `Scene` is one room with its players;
`Scene.draw` gives it at one moment.  Boxes are (x1, y1, x2, y2) in pixels of the picture, cut at its edges.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from avsep.demo.instruments import INSTRUMENTS, Hands, Held, Look, Motion
from avsep.demo.pen import Colour, Pen

Corners = tuple[float, float, float, float]  # of a box: x1, y1, x2, y2 in pixels

OVERSAMPLING = 2  # pictures are drawn larger by this, then averaged: smooth edges
WIDEST = Motion(bow=0.5, pitch=0.5, strike=0.5, bellows=1.0, hand=0, sway=0.0)  # what a place must have room for
MARGIN = 0.03  # share of the picture that an instrument keeps off its edges


def render_still(
    rng: np.random.Generator, width: int, height: int, classes: Sequence[str]
) -> tuple[np.ndarray, str, Corners]:
    """A labelled picture that is no clip's frame: an instrument of one of `classes`, now and then without a player.

    Returns the picture, uint8 (height, width, 3), and the instrument's class and box.
    """
    name = str(rng.choice(list(classes), size=1, replace=False)[0])
    scene = Scene(rng, width, height, [name], played=0.65)
    picture, [box], _ = scene.draw([random_motion(rng)])
    return picture, name, box


def random_motion(rng: np.random.Generator) -> Motion:
    """A moment out of nowhere, for stills."""
    bow, pitch, strike, bellows = rng.random(4)
    return Motion(bow, pitch, strike, bellows, int(rng.integers(2)), rng.uniform(-1, 1), rng.random() < 0.85)


def random_colour(rng: np.random.Generator) -> Colour:
    """Any hue, from pale to full, from dark to bright."""
    hue, saturation, value = rng.random() * 6, rng.uniform(0.1, 0.95), rng.uniform(0.3, 1.0)
    channels = [value * (1 - saturation * max(0.0, min((n + hue) % 6, 4 - (n + hue) % 6, 1))) for n in (5, 3, 1)]
    return int(255 * channels[0]), int(255 * channels[1]), int(255 * channels[2])


def _other_colour(rng: np.random.Generator, than: Sequence[Colour], distance: float = 110) -> Colour:
    """A colour that stands out from others: the farthest of a few, or the first that is far enough."""
    best, farthest = random_colour(rng), -1.0
    for _ in range(8):
        colour = random_colour(rng)
        apart = min(math.dist(colour, other) for other in than)
        if apart > farthest:
            best, farthest = colour, apart
        if farthest > distance:
            break
    return best


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(factor * c)) for c in colour)
    return red, green, blue


@dataclass(frozen=True)
class Player:
    """Clothes, limbs and pose; the torso's length is the unit, the hips' middle the origin."""

    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    seat: Colour
    long_hair: bool
    build: float  # half the shoulders' width
    seated: bool


@dataclass(frozen=True)
class Actor:
    """An instrument and, mostly, its player, at one place of the picture."""

    held: Held
    look: Look
    player: Player | None  # none: the instrument stands or lies alone
    angle: float  # degrees from the way it is held
    mirror: bool
    x: float = 0.0  # of the origin (the hips), in pixels
    y: float = 0.0
    scale: float = 1.0  # pixels of the torso's length

    def draw(self, pen: Pen, motion: Motion) -> tuple[list[float], list[float]]:
        """Draws all; gives the extents of the instrument, and of the player with it, in the pen's pixels."""
        pen = pen.unmeasured().at(self.x, self.y, 0, self.scale, self.mirror)
        upper = pen.at(0, 0, 3.5 * motion.sway)
        body = upper.unmeasured()
        instrument = body.at(self.held.x, self.held.y, self.held.angle + self.angle)
        if self.player is None:
            self.held.draw(instrument, self.look, motion)
        else:
            _draw_body(pen, upper, self.player, motion)
            # arms behind the instrument and hands before it: where they are is asked without drawing
            hands = self.held.draw(Pen(None), self.look, motion)
            _draw_arms(upper, instrument, self.player, hands)
            self.held.draw(instrument, self.look, motion)
            for hand in (hands.right, hands.left):
                instrument.unmeasured().ellipse(*hand, 0.09, 0.09, self.player.skin, _shaded(self.player.skin, 0.6))
        inner, outer = body.extent, pen.extent
        whole = [min(inner[0], outer[0]), min(inner[1], outer[1]), max(inner[2], outer[2]), max(inner[3], outer[3])]
        return inner, whole


def _draw_body(pen: Pen, upper: Pen, player: Player, motion: Motion) -> None:
    """Legs, seat, torso and head; `upper` is the leaning part."""
    shoe, edge = _shaded(player.legs, 0.4), _shaded(player.top, 0.55)
    if player.seated:
        pen.rectangle(-0.42, 0.02, 0.42, 0.16, player.seat, _shaded(player.seat, 0.5))
        for x in (-0.36, 0.36):
            pen.line(((x, 0.16), (x, 1.15)), 0.07, _shaded(player.seat, 0.7))
        for side in (-1, 1):
            leg = ((side * 0.2, -0.02), (side * 0.52, 0.28), (side * 0.5, 1.1))
            pen.line(leg, 0.27, player.legs)
            pen.ellipse(side * 0.54, 1.14, 0.17, 0.09, shoe)
    else:
        for side in (-1, 1):
            pen.line(((side * 0.17, -0.02), (side * 0.2, 0.85), (side * 0.2, 1.68)), 0.27, player.legs)
            pen.ellipse(side * 0.25, 1.73, 0.18, 0.09, shoe)
    b = player.build
    if player.long_hair:
        upper.polygon(((-0.27, -1.6), (0.27, -1.6), (0.31, -1.0), (-0.31, -1.0)), player.hair)
    upper.rectangle(-0.09, -1.2, 0.09, -0.95, _shaded(player.skin, 0.85))
    upper.polygon(
        _both([(0.12, -1.05), (b, -0.95), (b + 0.03, -0.8), (0.3, -0.3), (0.32, 0.1)]),
        player.top,
        edge,
    )
    head = upper.at(0.01 * motion.sway, -1.38 + 0.03 * motion.strike, 4 * motion.sway)
    head.ellipse(0, 0, 0.23, 0.29, player.skin, _shaded(player.skin, 0.6))
    head.polygon(
        _both([(0.12, -0.33), (0.24, -0.2), (0.25, 0.0), (0.18, -0.13)]),
        player.hair,
    )
    for side in (-1, 1):
        head.ellipse(side * 0.09, -0.02, 0.025, 0.03, (30, 25, 25))
    head.line(((-0.05, 0.15), (0.05, 0.15)), 0.025, _shaded(player.skin, 0.5))


def _both(right: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """An outline that is its own mirror image, from the half on the right."""
    return right + [(-x, y) for x, y in reversed(right)]


def _draw_arms(upper: Pen, instrument: Pen, player: Player, hands: Hands) -> None:
    """From the shoulders to where the instrument is held."""
    inverse = np.linalg.inv(upper.linear)
    for side, hand in ((-1, hands.right), (1, hands.left)):
        x, y = (np.array(instrument.place(*hand)) - upper.shift) @ inverse
        shoulder = np.array([side * player.build, -0.88])
        reach = np.array([x, y]) - shoulder
        distance = float(np.hypot(*reach)) + 1e-6
        limb = max(0.5, 0.51 * distance)  # upper arm and forearm: as long as it takes
        bend = math.sqrt(limb**2 - distance**2 / 4)
        across = np.array([-reach[1], reach[0]]) / distance * bend
        elbow = shoulder + reach / 2 + max(across, -across, key=lambda way: way[1] + 0.4 * side * way[0])  # hanging
        sleeve = _shaded(player.top, 0.85)
        arm = (tuple(shoulder), tuple(elbow), (x, y))
        upper.line(arm, 0.19, _shaded(player.top, 0.5))
        upper.line(arm, 0.155, sleeve)


class Scene:
    """A room, its things, its light and the actors in it; drawn once, so that a frame costs only its actors.

    classes: one instrument each, the later ones in front. played: share of instruments that have a player.
    """

    def __init__(
        self, rng: np.random.Generator, width: int, height: int, classes: Sequence[str], played: float = 1.0
    ) -> None:
        self.width, self.height = width, height
        self.actors: list[Actor] = []
        for name in classes:
            self.actors.append(_placed(rng, width, height, INSTRUMENTS[name], played, self.actors, len(classes)))
        floor = max((actor.y + 1.2 * actor.scale for actor in self.actors), default=height)
        floor = min(floor - rng.uniform(0, 0.5) * height, rng.uniform(0.65, 1.0) * height)
        self._room = _room(rng, width, height, max(floor, 0.4 * height))
        self._light = _light(rng, width, height)

    def draw(self, motions: Sequence[Motion]) -> tuple[np.ndarray, list[Corners], list[Corners]]:
        """The picture, uint8 (height, width, 3), and each actor's boxes: the instrument's, and that with its player."""
        image = self._room.copy()
        pen = Pen(ImageDraw.Draw(image)).at(0, 0, 0, OVERSAMPLING)
        inner, outer = [], []
        for actor, motion in zip(self.actors, motions, strict=True):
            instrument, whole = actor.draw(pen, motion)
            inner.append(self._box(instrument))
            outer.append(self._box(whole))
        image = ImageChops.multiply(image.reduce(OVERSAMPLING), self._light)
        return np.asarray(image), inner, outer

    def _box(self, extent: Sequence[float]) -> Corners:
        x1, y1, x2, y2 = (value / OVERSAMPLING for value in extent)
        return max(x1, 0.0), max(y1, 0.0), min(x2, float(self.width)), min(y2, float(self.height))


def _placed(
    rng: np.random.Generator, width: int, height: int, held: Held, played: float, others: Sequence[Actor], crowd: int
) -> Actor:
    """An actor of drawn colours and size, at a place where its instrument is in the picture and hides no other's."""
    body = random_colour(rng)
    trim = _other_colour(rng, [body], 70)
    light = _shaded((255, 255, 255), rng.uniform(0.75, 1.0))
    proportions = tuple(float(value) for value in rng.random(4))
    look = Look(body, trim, _shaded(body, rng.uniform(0.1, 0.4)), light, proportions)  # type: ignore[arg-type]
    player = None
    if rng.random() < played:
        top = _other_colour(rng, [body])
        skin = _shaded((255, 214, 180), rng.uniform(0.35, 1.0))
        hair = _shaded(random_colour(rng), 0.6)
        seated = rng.random() < held.seated
        player = Player(
            skin, hair, top, _other_colour(rng, [body]), random_colour(rng), rng.random() < 0.4,
            rng.uniform(0.36, 0.46), seated,
        )  # fmt: skip
    angle = rng.uniform(-held.spread, held.spread) if player is not None else rng.normal(0, 25)
    actor = Actor(held, look, player, float(angle), bool(rng.random() < 0.5))
    extent, _ = actor.draw(Pen(None), WIDEST)  # in torsos about the hips
    longest = max(extent[2] - extent[0], extent[3] - extent[1])
    low, high = (0.5, 0.92) if crowd == 1 else (0.35, 0.65)
    best, least = actor, math.inf
    for _ in range(1 if not others else 10):
        scale = rng.uniform(low, high) * min(width, height) / longest
        x = rng.uniform(MARGIN * width - extent[0] * scale, (1 - MARGIN) * width - extent[2] * scale)
        lowest = (1 - MARGIN) * height - extent[3] * scale
        highest = MARGIN * height - extent[1] * scale
        if player is not None and rng.random() < 0.85:  # with the head in the picture, where that can be
            highest = max(highest, min(lowest, 1.75 * scale))
        y = rng.uniform(highest, lowest)
        candidate = Actor(held, look, player, actor.angle, actor.mirror, float(x), float(y), float(scale))
        hidden = max((_hidden(other, candidate) for other in others), default=0.0)
        if hidden < least:
            best, least = candidate, hidden
        if least < 0.1:
            break
    return best


def _hidden(behind: Actor, front: Actor) -> float:
    """The share of the instrument behind that lies within what is in front of it, by their boxes."""
    (ax1, ay1, ax2, ay2), _ = behind.draw(Pen(None), WIDEST)
    _, (bx1, by1, bx2, by2) = front.draw(Pen(None), WIDEST)
    common = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    return common / ((ax2 - ax1) * (ay2 - ay1))


# Rooms, light and things: never instruments.


def _light(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """What the picture is multiplied by: a tint, brighter towards one side."""
    tint = rng.uniform(0.75, 1.15) * rng.uniform(0.85, 1.0, size=3)  # (3,)
    across, down = rng.uniform(-1, 1, size=2)
    slope = across * np.linspace(-0.5, 0.5, width)[None, :] + down * np.linspace(-0.5, 0.5, height)[:, None]
    light = 1 - rng.uniform(0.1, 0.45) * (0.5 + slope)  # (height, width)
    # channel by channel: three values at once take three times as long
    return Image.merge("RGB", [Image.fromarray((255 * np.clip(light * one, 0, 1)).astype(np.uint8)) for one in tint])


def _room(rng: np.random.Generator, width: int, height: int, floor: float) -> Image.Image:
    """Wall, floor, and the things by them, at the size that is drawn on; `floor` is where the wall ends, in pixels."""
    wide, tall = width * OVERSAMPLING, height * OVERSAMPLING
    wall, ground = _shaded(random_colour(rng), 1.15), random_colour(rng)
    image = Image.new("RGB", (wide, tall), wall)
    draw = ImageDraw.Draw(image)
    pen = Pen(draw).at(0, 0, 0, OVERSAMPLING)
    _pattern(rng, pen, width, floor, _shaded(wall, rng.uniform(0.75, 1.25)))
    pen.rectangle(0, floor, width, height, ground)
    for line in range(int(rng.integers(0, 6))):
        x = width * (line + 0.5) / 5
        pen.line(((x, floor), (x + 1.5 * (x - width / 2), height)), 1, _shaded(ground, 0.85))
    pen.line(((0, floor), (width, floor)), rng.uniform(0.5, 3), _shaded(wall, 0.6))
    for _ in range(int(rng.integers(2, 7))):
        thing = _THINGS[int(rng.integers(len(_THINGS)))]
        hung = thing in _HUNG
        size = height * rng.uniform(0.18, 0.6) * (0.7 if hung else 1.0)
        x = rng.uniform(0.0, 1.0) * width
        y = rng.uniform(0.1, 0.6) * floor if hung else floor + rng.uniform(0.0, 0.6) * (height - floor)
        main = random_colour(rng)
        thing(pen.at(x, y, 0, size, bool(rng.random() < 0.5)), main, random_colour(rng), rng)
    coarse = rng.normal(0, rng.uniform(1, 7), size=(height // 4, width // 4)).clip(-40, 40)
    grain = Image.fromarray((128 + coarse).astype(np.uint8)).resize((wide, tall), Image.Resampling.BILINEAR)
    return ImageChops.add(image, Image.merge("RGB", [grain] * 3), offset=-128)


def _pattern(rng: np.random.Generator, pen: Pen, width: int, floor: float, colour: Colour) -> None:
    """A wall may be plain, striped along or across, or tiled."""
    kind = int(rng.integers(4))
    step = rng.uniform(0.06, 0.25) * width
    if kind in (1, 3):
        for x in np.arange(step / 2, width, step):
            pen.rectangle(x, 0, x + step * (0.5 if kind == 1 else 0.06), floor, colour)
    if kind in (2, 3):
        for y in np.arange(step / 2, floor, step):
            pen.rectangle(0, y, width, min(y + step * (0.4 if kind == 2 else 0.06), floor), colour)


Thing = Callable[[Pen, Colour, Colour, np.random.Generator], None]  # base at the origin, about 1 high


def _chair(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    for x in (-0.22, 0.22):
        pen.line(((x, -0.45), (x, 0)), 0.05, main)
    pen.line(((-0.24, -1), (-0.24, -0.45)), 0.06, main)
    pen.rectangle(-0.28, -0.5, 0.28, -0.42, other)
    pen.polygon(((-0.28, -1), (-0.16, -0.98), (-0.16, -0.65), (-0.28, -0.65)), other)


def _lamp(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    pen.line(((0, -0.9), (0, 0)), 0.03, main)
    pen.ellipse(0, 0, 0.16, 0.03, main)
    pen.polygon(((-0.1, -1.1), (0.1, -1.1), (0.2, -0.8), (-0.2, -0.8)), other)


def _plant(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    for angle in rng.uniform(-65, 65, size=7):
        leaf = pen.at(0, -0.3, angle)
        leaf.ellipse(0, -0.35, 0.05, 0.33, _shaded(other, rng.uniform(0.7, 1.0)))
    pen.polygon(((-0.18, -0.35), (0.18, -0.35), (0.13, 0), (-0.13, 0)), main)


def _boxes(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    width = rng.uniform(0.3, 0.6)
    pen.rectangle(-width / 2, -0.4, width / 2, 0, main, _shaded(main, 0.6))
    pen.rectangle(-0.05, -0.4, 0.05, 0, _shaded(main, 0.8))
    if rng.random() < 0.5:
        pen.rectangle(-width / 3, -0.7, width / 4, -0.4, other, _shaded(other, 0.6))


def _table(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    half = rng.uniform(0.3, 0.8)
    pen.rectangle(-half, -0.6, half, -0.52, main)
    for x in (-half + 0.06, half - 0.06):
        pen.line(((x, -0.52), (x, 0)), 0.06, _shaded(main, 0.8))
    pen.polygon(((-0.06, -0.6), (0.06, -0.6), (0.1, -0.72), (0.03, -0.85), (-0.03, -0.85), (-0.1, -0.72)), other)


def _shelf(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    pen.rectangle(-0.35, -1.1, 0.35, 0, main, _shaded(main, 0.5))
    for row in range(3):
        y = -0.06 - 0.35 * row
        x = -0.3
        while x < 0.22:
            book = rng.uniform(0.04, 0.1)
            pen.rectangle(x, y - rng.uniform(0.18, 0.27), x + book, y, _shaded(other, rng.uniform(0.5, 1.2)))
            x += book


def _broom(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    lean = pen.at(0, 0, rng.uniform(-20, 20))
    lean.line(((0, -1.1), (0, -0.2)), 0.035, main)
    lean.polygon(((-0.05, -0.25), (0.05, -0.25), (0.14, 0), (-0.14, 0)), other)


def _ball(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    radius = rng.uniform(0.12, 0.25)
    pen.ellipse(0, -radius, radius, radius, main, _shaded(main, 0.5))
    pen.ellipse(0, -radius, 0.4 * radius, radius, other)


def _picture(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    wide, high = rng.uniform(0.25, 0.6, size=2)
    pen.rectangle(-wide, -high, wide, high, main)
    pen.rectangle(-0.85 * wide, -0.8 * high, 0.85 * wide, 0.8 * high, other)
    pen.polygon(((-0.8 * wide, 0.8 * high), (0, -0.3 * high), (0.8 * wide, 0.8 * high)), _shaded(other, 0.7))


def _window(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    pen.rectangle(-0.45, -0.55, 0.45, 0.55, main)
    for x in (-0.4, 0.03):
        for y in (-0.5, 0.03):
            pen.rectangle(x, y, x + 0.37, y + 0.47, _shaded(other, 1.4))


def _clock(pen: Pen, main: Colour, other: Colour, rng: np.random.Generator) -> None:
    pen.ellipse(0, 0, 0.3, 0.3, main, _shaded(main, 0.4))
    pen.ellipse(0, 0, 0.24, 0.24, _shaded(other, 1.4))
    for hand in rng.uniform(0, 360, size=2):
        pen.at(0, 0, hand).line(((0, 0), (0, -0.18)), 0.03, (30, 30, 30))


_HUNG: tuple[Thing, ...] = (_picture, _window, _clock)
_THINGS: tuple[Thing, ...] = (_chair, _lamp, _plant, _boxes, _table, _shelf, _broom, _ball, *_HUNG)

"""The shapes of MUSIC's eleven instruments, which alone tell the classes apart.

Coordinates: the player's (scene.py), with the torso's length as unit, y downwards and the origin where the
player's anchor for the instrument is. Every function draws one instrument and says where the hands hold it.
Colours come from outside and are drawn alike for all classes; bows and mallets do not belong to the box.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avsep.demo.pen import Colour, Pen, smooth

Point = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """What varies between two instruments of a class: colours, and proportions in [0, 1]."""

    body: Colour
    trim: Colour  # fingerboards, keys, bells' insides
    dark: Colour  # outlines
    light: Colour  # strings, white keys
    proportions: tuple[float, float, float, float]


@dataclass(frozen=True)
class Motion:
    """Where a player's movement stands, from the notes (video.py) or drawn (stills). All but sway in [0, 1]."""

    bow: float  # along the bow, from frog to tip
    pitch: float  # the last note's, within the instrument's range
    strike: float  # 1 at a note's onset, then falling
    bellows: float  # how far open
    hand: int  # 0 or 1: which hand strikes
    sway: float  # -1 to 1: the body's lean
    played: bool = True  # whether bow and mallets are there


@dataclass(frozen=True)
class Hands:
    """Where the hands are, in the instrument's coordinates; `right` is the player's own, left in the picture."""

    right: Point
    left: Point


Draw = Callable[[Pen, Look, Motion], Hands]

_violin_half = [(0, 0.02), (0.03, 0.3), (0.14, 0.42), (0.28, 0.43), (0.4, 0.34), (0.46, 0.25), (0.56, 0.22)]
_violin_half += [(0.66, 0.25), (0.74, 0.33), (0.86, 0.34), (0.96, 0.26), (1, 0.05)]
_guitar_half = [(0, 0.02), (0.02, 0.28), (0.14, 0.42), (0.3, 0.44), (0.45, 0.36), (0.56, 0.28), (0.68, 0.29)]
_guitar_half += [(0.8, 0.32), (0.92, 0.28), (1, 0.05)]


def _both_sides(half: list[Point]) -> np.ndarray:
    """A closed outline from its half above the x axis: length 1, along x."""
    return smooth(half + [(x, -y) for x, y in reversed(half)], pieces=3, closed=True)


_violin_outline = _both_sides(_violin_half)
_guitar_outline = _both_sides(_guitar_half)


def _bow(pen: Pen, look: Look, motion: Motion, x: float, y: float, angle: float, length: float) -> Point:
    """A bow whose hair crosses (x, y), towards `angle`; gives the hand's place at the frog."""
    start = -length * (0.15 + 0.7 * motion.bow)
    end = start + length
    turn = math.radians(angle)
    hand = x + start * math.cos(turn), y + start * math.sin(turn)
    if not motion.played:
        return hand
    bow = pen.unmeasured().at(x, y, angle)
    bow.line(((start, 0), (end, 0)), 0.022, look.light)
    bow.line(((start - 0.04, -0.06), (start + 0.4 * length, -0.05), (end, -0.01)), 0.03, look.dark)
    bow.rectangle(start - 0.02, -0.07, start + 0.08, 0.02, look.dark)
    return hand


def _fiddle_body(pen: Pen, look: Look, length: float, width: float) -> None:
    """Violin family: the waisted body from 0 to `length` along x, with its holes, tailpiece and bridge."""
    pen.polygon(_violin_outline * (length, width / 0.86), look.body, look.dark)
    for side in (-1, 1):
        hole = ((0.36, 0.2), (0.42, 0.13), (0.52, 0.15), (0.58, 0.09))
        pen.line([(x * length, side * y * width / 0.86) for x, y in hole], 0.035 * width, look.dark)
    pen.polygon(((0.02 * length, -0.03), (0.02 * length, 0.03), (0.3 * length, 0.06), (0.3 * length, -0.06)), look.dark)
    pen.line(((0.46 * length, -0.12 * width), (0.46 * length, 0.12 * width)), 0.05 * width, look.light)


def violin(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Body under the chin, neck outwards along x."""
    body, width, neck = 0.74, 0.44 + 0.06 * look.proportions[0], 0.5 + 0.08 * look.proportions[1]
    end = body + neck
    _fiddle_body(pen, look, body, width)
    pen.ellipse(0.07, 0.13, 0.1, 0.07, look.dark)  # the chin rest
    pen.polygon(((0.56 * body, -0.05), (0.56 * body, 0.05), (end, 0.03), (end, -0.03)), look.trim, look.dark)
    pen.line(((0.3 * body, 0), (end, 0)), 0.014, look.light)
    pen.polygon(((end, -0.04), (end, 0.04), (end + 0.14, 0.03), (end + 0.14, -0.03)), look.body, look.dark)
    pen.ring(end + 0.17, 0, 0.035, 0.035, 0.03, look.body)
    for x, side in ((0.04, 1), (0.07, -1), (0.1, 1), (0.12, -1)):
        pen.line(((end + x, 0), (end + x, side * 0.09)), 0.025, look.dark)
    hand = _bow(pen, look, motion, 0.58 * body, 0, -68 + 16 * look.proportions[2], 1.25)
    return Hands(right=hand, left=(end - 0.06 - 0.3 * motion.pitch, 0.05))


def cello(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Upright between the knees: the body's top at the origin, the neck above, the endpin below."""
    up = pen.at(0, 1.5, -90)  # x upwards from the body's lower end
    body, width, neck = 1.5, 0.86 + 0.1 * look.proportions[0], 0.86 + 0.12 * look.proportions[1]
    end = body + neck
    up.line(((-0.42, 0), (0, 0)), 0.035, look.light)
    _fiddle_body(up, look, body, width)
    up.polygon(((0.56 * body, -0.07), (0.56 * body, 0.07), (end, 0.045), (end, -0.045)), look.trim, look.dark)
    up.line(((0.3 * body, 0), (end, 0)), 0.02, look.light)
    up.polygon(((end, -0.055), (end, 0.055), (end + 0.2, 0.04), (end + 0.2, -0.04)), look.body, look.dark)
    up.ring(end + 0.24, 0, 0.05, 0.05, 0.04, look.body)
    for x, side in ((0.05, 1), (0.09, -1), (0.13, 1), (0.17, -1)):
        up.line(((end + x, 0), (end + x, side * 0.14)), 0.035, look.dark)
    hand = _bow(pen, look, motion, 0, 0.56, -8 + 16 * look.proportions[2], 1.5)
    return Hands(right=hand, left=(0.05, -0.72 + 0.5 * motion.pitch))


def erhu(pen: Pen, look: Look, motion: Motion) -> Hands:
    """A long thin neck on a small drum that stands on the thigh; two pegs; the bow between the strings."""
    top = -1.55 - 0.2 * look.proportions[0]
    box = 0.15 + 0.03 * look.proportions[1]
    pen.line(((0, 0), (0, top), (-0.05, top - 0.08), (-0.15, top - 0.08)), 0.055, look.body)
    for y in (0.14, 0.32):
        pen.line(((-0.04, top + y), (0.24, top + y)), 0.045, look.trim)
        pen.ellipse(0.25, top + y, 0.03, 0.045, look.trim, look.dark)
    pen.line(((0.06, top + 0.34), (0.045, 0)), 0.014, look.light)
    pen.line(((0, 0.5 * top), (0.06, 0.5 * top)), 0.03, look.light)
    corner = 0.6 * box if look.proportions[2] < 0.5 else 0.3 * box
    edge = [(-box, -corner), (-corner, -box), (corner, -box), (box, -corner)]
    pen.polygon(edge + [(-x, -y) for x, y in edge], look.body, look.dark)
    pen.ellipse(0, 0, 0.6 * box, 0.6 * box, look.trim, look.dark)
    pen.rectangle(-0.8 * box, box, 0.8 * box, box + 0.06, look.body, look.dark)
    hand = _bow(pen, look, motion, 0.03, -box - 0.1, -6 + 14 * look.proportions[3], 1.3)
    return Hands(right=hand, left=(0.02, 0.72 * top + 0.5 * motion.pitch))


def acoustic_guitar(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Across the lap: the body about the origin, the long fretted neck along x."""
    body, width, neck = 1.05, 0.8 + 0.1 * look.proportions[0], 0.78 + 0.1 * look.proportions[1]
    pen = pen.at(-0.5 * body, 0)
    end = body + neck
    pen.polygon(_guitar_outline * (body, width / 0.88), look.body, look.dark)
    pen.ellipse(0.66 * body, 0, 0.15, 0.15, look.trim)
    pen.ellipse(0.66 * body, 0, 0.12, 0.12, look.dark)
    pen.rectangle(0.2 * body, -0.16, 0.26 * body, 0.16, look.dark)
    pen.rectangle(0.8 * body, -0.05, end, 0.05, look.trim, look.dark)
    for fret in range(7):
        x = body + neck * (0.05 + 0.14 * fret)
        pen.line(((x, -0.05), (x, 0.05)), 0.015, look.light)
    pen.line(((0.23 * body, -0.015), (end, -0.015)), 0.012, look.light)
    pen.line(((0.23 * body, 0.02), (end, 0.02)), 0.012, look.light)
    pen.polygon(((end, -0.05), (end, 0.05), (end + 0.3, 0.09), (end + 0.3, -0.09)), look.body, look.dark)
    for x in (0.07, 0.15, 0.23):
        for side in (-1, 1):
            pen.line(((end + x, side * 0.06), (end + x, side * 0.14)), 0.035, look.dark)
    strum = -0.14 + 0.3 * motion.strike
    return Hands(right=(0.1 * body, strum), left=(end - 0.5 * body - 0.1 - 0.5 * motion.pitch, 0.08))


def accordion(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Two blocks with pleated bellows between them: piano keys on one, buttons on the other."""
    height = 0.42 + 0.06 * look.proportions[0]  # half of it
    block = 0.24 + 0.05 * look.proportions[1]
    open_ = 0.36 + 0.6 * motion.bellows  # the bellows' width
    folds = 6 + round(4 * look.proportions[2])
    left, right = -open_ / 2, open_ / 2
    xs = np.linspace(left, right, 2 * folds + 1)
    wave = np.where(np.arange(2 * folds + 1) % 2, 0.86, 1.0) * height * 0.97
    pen.polygon(np.concatenate([np.stack([xs, -wave], 1), np.stack([xs, wave], 1)[::-1]]), look.trim, look.dark)
    for x, y in zip(xs[1::2], wave[1::2], strict=True):
        pen.line(((x, -y), (x, y)), 0.02, look.dark)
    pen.rectangle(left - block, -height, left, height, look.body, look.dark)
    pen.rectangle(right, -height, right + block, height, look.body, look.dark)
    edge = left - block
    pen.rectangle(edge - 0.16, -0.9 * height, edge + 0.02, 0.9 * height, look.light, look.dark)
    for key in range(1, 8):
        y = height * (-0.9 + 1.8 * key / 8)
        pen.line(((edge - 0.16, y), (edge + 0.02, y)), 0.012, look.dark)
        if key % 4:
            pen.line(((edge - 0.08, y), (edge + 0.02, y)), 0.045, look.dark)
    for row in range(5):
        for column in range(2):
            pen.ellipse(right + block * (0.35 + 0.3 * column), height * (-0.64 + 0.32 * row), 0.03, 0.03, look.light)
    press = 0.05 * motion.strike
    return Hands(right=(edge - 0.12 + press, height * (0.5 - motion.pitch)), left=(right + block, 0.1))


def clarinet(pen: Pen, look: Look, motion: Motion) -> Hands:
    """A straight pipe down from the mouth, with a small bell at the end."""
    length, width = 1.3 + 0.12 * look.proportions[0], 0.085 + 0.02 * look.proportions[1]
    half = width / 2
    outline = [(0.25 * half, 0), (half, 0.16), (half, length - 0.22), (1.5 * half, length - 0.1), (2.9 * half, length)]
    pen.polygon(outline + [(-x, y) for x, y in reversed(outline)], look.body, look.dark)
    pen.polygon(((-0.25 * half, 0), (0.25 * half, 0), (half, 0.16), (-half, 0.16)), look.dark)
    for y in (0.18, 0.3, 0.52 * length, length - 0.24):
        pen.line(((-1.15 * half, y), (1.15 * half, y)), 0.04, look.light)
    for key in range(7):
        y = 0.4 + key * (length - 0.75) / 6
        pen.ellipse((0.4 if key % 2 else -0.2) * width, y, 0.03, 0.03, look.light, look.dark)
    pen.line(((1.3 * half, 0.4 * length), (1.3 * half, 0.8 * length)), 0.018, look.light)
    wiggle = 0.04 * motion.strike
    return Hands(right=(-0.03, 0.68 * length + wiggle), left=(0.03, 0.4 * length - wiggle))


def flute(pen: Pen, look: Look, motion: Motion) -> Hands:
    """A thin pipe held sideways along x: the lip plate at the mouth, a short closed end behind it."""
    length, half = 1.3 + 0.14 * look.proportions[0], 0.034 + 0.008 * look.proportions[1]
    pen.rectangle(-0.22, -half, length, half, look.body, look.dark)
    pen.rectangle(-0.25, -1.2 * half, -0.2, 1.2 * half, look.dark)
    pen.ellipse(0, 0.3 * half, 0.09, 1.6 * half, look.trim, look.dark)
    for x in (0.34, 0.98 * length - 0.26, 0.98 * length):
        pen.line(((x, -1.3 * half), (x, 1.3 * half)), 0.035, look.light)
    for key in range(8):
        x = 0.46 + key * (length - 0.72) / 7 + (0.02 if key > 3 else 0)
        pen.ellipse(x, -0.6 * half, 0.042, 0.042, look.trim, look.dark)
    pen.line(((0.46, -2 * half), (length - 0.3, -2 * half)), 0.014, look.light)
    wiggle = 0.03 * motion.strike
    return Hands(right=(0.5 * length - 0.08, 0.05 - wiggle), left=(0.76 * length, 0.05 + wiggle))


_saxophone_points = [(0, 0), (0.16, -0.09), (0.26, 0.02), (0.27, 0.3), (0.29, 0.9), (0.33, 1.12), (0.48, 1.2)]
_saxophone_points += [(0.62, 1.1), (0.66, 0.88), (0.68, 0.66), (0.76, 0.48)]
_saxophone_line = smooth(_saxophone_points, pieces=4)
_saxophone_widths = np.interp(
    np.linspace(0, 1, len(_saxophone_line)),
    [0, 0.25, 0.5, 0.72, 0.86, 0.95, 1],
    [0.04, 0.07, 0.13, 0.2, 0.25, 0.36, 0.52],
)


def saxophone(pen: Pen, look: Look, motion: Motion) -> Hands:
    """A widening S: the neck bent back to the mouth, down, round the bow, and up into a wide bell."""
    stretch = (0.95 + 0.2 * look.proportions[0], 1.0 + 0.12 * look.proportions[1])
    line = _saxophone_line * stretch
    pen.tube(line, _saxophone_widths, look.body, look.dark)
    pen.line(line[:3], 0.075, look.dark)  # the mouthpiece
    bell = line[-1]
    step = math.degrees(math.atan2(*(line[-1] - line[-2])[::-1]))
    pen.at(bell[0], bell[1], step).ellipse(0, 0, 0.07, 0.26, look.trim, look.dark)
    for key in range(5):
        x, y = line[14 + key * 2] if key < 2 else (0.28 * stretch[0], (0.25 + 0.16 * key) * stretch[1])
        pen.ellipse(x + 0.01, y, 0.05, 0.05, look.trim, look.dark)
    pen.line(np.array([(0.4, 0.25), (0.42, 0.95)]) * stretch, 0.022, look.light)
    wiggle = 0.04 * motion.strike
    return Hands(right=(0.24, 0.84 + wiggle), left=(0.24, 0.4 - wiggle))


_trumpet_bell = np.array([(0.3, 0.0), (0.7, 0.0), (0.95, 0.0), (1.1, 0.0), (1.2, 0.0), (1.26, 0.0)])
_trumpet_widths = np.array([0.055, 0.06, 0.1, 0.18, 0.3, 0.46])


def trumpet(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Along x from the mouth: pipe, one long loop with three valves through it, and the bell."""
    drop = 0.2 + 0.05 * look.proportions[0]
    pen.line(((0.06, 0), (0.98, 0)), 0.05, look.body)
    loop = [(0.98, 0), (1.06, 0.04), (1.08, drop / 2), (1.06, drop - 0.04), (0.98, drop), (0.3, drop)]
    loop += [(0.22, drop - 0.04), (0.2, drop / 2), (0.22, 0.04), (0.3, 0)]
    pen.line(loop, 0.05, look.body)
    pen.tube(_trumpet_bell * (1 + 0.12 * look.proportions[1], 1), _trumpet_widths, look.body, look.dark)
    bell = 1.26 * (1 + 0.12 * look.proportions[1])
    pen.ellipse(bell, 0, 0.045, 0.23, look.trim, look.dark)
    pen.polygon(((-0.02, -0.05), (-0.02, 0.05), (0.1, 0.025), (0.1, -0.025)), look.dark)
    for valve in range(3):
        x = 0.5 + 0.11 * valve
        down = 0.05 * motion.strike if valve == int(2.99 * motion.pitch) else 0.0
        pen.line(((x, -0.2 + down), (x, -0.08)), 0.03, look.dark)
        pen.rectangle(x - 0.05, -0.23 + down, x + 0.05, -0.2 + down, look.light)
        pen.rectangle(x - 0.045, -0.12, x + 0.045, drop + 0.1, look.trim, look.dark)
    return Hands(right=(0.52, -0.16), left=(0.56, drop))


_tuba_bell = smooth([(0.42, 0.5), (0.44, 0.1), (0.42, -0.4), (0.4, -0.8), (0.4, -1.05)], pieces=4)
_tuba_bell_widths = np.interp(
    np.linspace(0, 1, len(_tuba_bell)), [0, 0.4, 0.7, 0.85, 0.94, 1], [0.22, 0.27, 0.36, 0.5, 0.72, 0.95]
)


def tuba(pen: Pen, look: Look, motion: Motion) -> Hands:
    """A large coil on the lap with its wide bell upwards, valves in the middle, a pipe to the mouth."""
    wide = 0.46 + 0.06 * look.proportions[0]
    tall = 0.74 + 0.08 * look.proportions[1]
    shadow = look.dark
    pen.ring(0, 0.1, wide, tall, 0.24, shadow)
    pen.ring(0, 0.1, wide, tall, 0.2, look.body)
    pen.ring(-0.02, 0.14, 0.58 * wide, 0.6 * tall, 0.15, shadow)
    pen.ring(-0.02, 0.14, 0.58 * wide, 0.6 * tall, 0.11, look.body)
    pen.tube(_tuba_bell * (1, 0.92 + 0.16 * look.proportions[2]), _tuba_bell_widths, look.body, shadow)
    mouth = -1.05 * (0.92 + 0.16 * look.proportions[2])
    pen.ellipse(0.4, mouth, 0.475, 0.1, look.trim, shadow)
    for valve in range(3):
        x = -0.16 + 0.11 * valve
        down = 0.06 * motion.strike if valve == int(2.99 * motion.pitch) else 0.0
        pen.line(((x, -0.2 + down), (x, 0)), 0.03, shadow)
        pen.rectangle(x - 0.045, -0.08, x + 0.045, 0.36, look.trim, shadow)
    pen.line(((-0.1, 0.4), (-0.3, 0.1), (-0.32, -0.45), (-0.14, -0.62)), 0.055, look.light)
    return Hands(right=(-0.1, -0.16), left=(0.45, 0.15))


def xylophone(pen: Pen, look: Look, motion: Motion) -> Hands:
    """Graded bars on a stand, long ones on the left; two mallets."""
    bars = 9 + round(5 * look.proportions[0])
    width = 2.3 + 0.5 * look.proportions[1]
    left = -width / 2
    high, low = 0.5 + 0.08 * look.proportions[2], 0.26  # lengths of the outer bars
    floor = 1.15
    for side in (-1, 1):
        pen.line(((side * 0.42 * width, 0.1), (side * 0.36 * width, floor)), 0.07, look.dark)
        pen.line(((side * 0.42 * width, floor), (side * 0.28 * width, floor)), 0.06, look.dark)
    pen.line(((-0.38 * width, 0.72), (0.38 * width, 0.72)), 0.05, look.dark)
    step = width / bars
    for bar in range(bars):  # resonators hang behind the bars
        x = left + step * (bar + 0.5)
        size = high + (low - high) * bar / (bars - 1)
        pen.rectangle(x - 0.3 * step, 0, x + 0.3 * step, 0.14 + 1.0 * size, look.trim, look.dark)
    for share in (-0.28, 0.28):
        pen.line(((left - 0.06, share * high), (-left + 0.06, share * low)), 0.05, look.dark)
    for bar in range(bars):
        x = left + step * (bar + 0.5)
        size = (high + (low - high) * bar / (bars - 1)) / 2
        pen.rectangle(x - 0.42 * step, -size, x + 0.42 * step, size, look.body, look.dark)
    mallets = pen.unmeasured()
    hands = []
    for hand, rest in enumerate((0.3, 0.6)):
        place = motion.pitch if hand == motion.hand else rest
        x = left + width * (0.06 + 0.88 * place)
        lift = 0.04 + 0.3 * (1 - motion.strike) if hand == motion.hand else 0.3
        start = (0.55 * x + (-0.3 if hand == 0 else 0.3), -0.42 - 0.6 * lift)
        if motion.played:
            mallets.line((start, (x, -lift)), 0.035, look.light)
            mallets.ellipse(x, -lift, 0.07, 0.07, look.trim, look.dark)
        hands.append(start)
    return Hands(right=hands[0], left=hands[1])


@dataclass(frozen=True)
class Held:
    """How a player holds an instrument: its origin and angle in the player's coordinates, and the pose."""

    draw: Draw
    x: float
    y: float
    angle: float  # degrees, clockwise
    spread: float  # degrees to either side
    seated: float  # share of players who sit


INSTRUMENTS: dict[str, Held] = {
    "accordion": Held(accordion, 0.0, -0.5, 0, 8, 0.5),
    "acoustic_guitar": Held(acoustic_guitar, -0.1, -0.22, -14, 14, 0.6),
    "cello": Held(cello, 0.1, -0.72, 8, 6, 1.0),
    "clarinet": Held(clarinet, 0.02, -1.24, -14, 16, 0.4),
    "erhu": Held(erhu, 0.25, 0.02, 4, 8, 1.0),
    "flute": Held(flute, 0.0, -1.22, 6, 10, 0.3),
    "saxophone": Held(saxophone, 0.0, -1.24, 8, 12, 0.3),
    "trumpet": Held(trumpet, 0.06, -1.22, 6, 12, 0.3),
    "tuba": Held(tuba, 0.14, -0.55, 0, 8, 0.9),
    "violin": Held(violin, 0.12, -1.06, 4, 16, 0.3),
    "xylophone": Held(xylophone, 0.0, -0.05, 0, 4, 0.0),
}

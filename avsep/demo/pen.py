"""Vector drawing in nested coordinates, over PIL: what the demo's pictures are drawn with.

Points are (x, y) with y downwards. A pen maps its own coordinates to the picture by an affine map; `at` gives
a pen whose origin, angle and scale are set within it. A pen remembers the extent of what it and its
children drew, in pixels: that is an object's true box.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

Points = Sequence[tuple[float, float]] | np.ndarray
Colour = tuple[int, int, int]

_angles = np.linspace(0, 2 * math.pi, 21)[:-1]
_circle = np.stack([np.cos(_angles), np.sin(_angles)], axis=1)  # (20, 2)


class Pen:
    """Draws on `canvas`, or only measures extents where that is None."""

    def __init__(
        self,
        canvas: ImageDraw.ImageDraw | None,
        linear: np.ndarray | None = None,
        shift: np.ndarray | None = None,
        extent: list[float] | None = None,
    ) -> None:
        self.canvas = canvas
        self.linear = np.eye(2) if linear is None else linear  # row vectors: picture = own @ linear + shift
        self.shift = np.zeros(2) if shift is None else shift
        self.scale = math.sqrt(abs(self.linear[0, 0] * self.linear[1, 1] - self.linear[0, 1] * self.linear[1, 0]))
        self.extent = [math.inf, math.inf, -math.inf, -math.inf] if extent is None else extent  # x1, y1, x2, y2

    def at(self, x: float, y: float, angle: float = 0.0, scale: float = 1.0, mirror: bool = False) -> "Pen":
        """A pen with its origin at (x, y), turned clockwise by `angle` degrees; mirrored: its x points left."""
        cos, sin = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
        turn = np.array([[-cos, -sin] if mirror else [cos, sin], [-sin, cos]])
        return Pen(self.canvas, turn @ self.linear, np.array([x, y]) @ self.linear + self.shift, self.extent)

    def unmeasured(self) -> "Pen":
        """The same pen with an extent of its own: what it draws is no part of this one's object."""
        return Pen(self.canvas, self.linear, self.shift)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of this pen lies in the picture."""
        px, py = np.array([x, y]) @ self.linear + self.shift
        return float(px), float(py)

    def polygon(self, points: Points, fill: Colour, outline: Colour | None = None) -> None:
        flat = self._placed(points, 0.0)
        if self.canvas is not None:
            self.canvas.polygon(flat, fill=fill, outline=outline)

    def line(self, points: Points, width: float, fill: Colour) -> None:
        """A polyline; `width` in the pen's coordinates, at least one pixel."""
        pixels = max(1, round(width * self.scale))
        flat = self._placed(points, pixels / 2)
        if self.canvas is not None:
            self.canvas.line(flat, fill=fill, width=pixels, joint="curve" if len(points) > 2 and pixels > 3 else None)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour, outline: Colour | None = None) -> None:
        self.polygon(_circle * (rx, ry) + (x, y), fill, outline)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, fill: Colour) -> None:
        """An ellipse's outline, `width` thick about it."""
        closed = np.concatenate([_circle, _circle[:2]]) * (rx, ry) + (x, y)
        self.line(closed, width, fill)

    def rectangle(
        self, x1: float, y1: float, x2: float, y2: float, fill: Colour, outline: Colour | None = None
    ) -> None:
        self.polygon(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), fill, outline)

    def tube(self, points: np.ndarray, widths: np.ndarray, fill: Colour, outline: Colour | None = None) -> None:
        """A bent pipe about the centre line `points` (N, 2), `widths` (N,) wide there."""
        step = np.gradient(points, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(step[:, 0], step[:, 1])[:, None]
        side = normal * widths[:, None] / 2
        self.polygon(np.concatenate([points + side, (points - side)[::-1]]), fill, outline)

    def _placed(self, points: Points, margin: float) -> list[float]:
        """The points in the picture, x and y by turns; the extent grows by them and a margin."""
        placed = np.asarray(points, dtype=float) @ self.linear + self.shift
        extent = self.extent
        flat: list[float] = placed.ravel().tolist()
        xs, ys = flat[::2], flat[1::2]
        extent[0] = min(extent[0], min(xs) - margin)
        extent[1] = min(extent[1], min(ys) - margin)
        extent[2] = max(extent[2], max(xs) + margin)
        extent[3] = max(extent[3], max(ys) + margin)
        return flat


def smooth(points: Points, pieces: int = 6, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through the points, `pieces` points for each stretch: (N, 2)."""
    p = np.asarray(points, dtype=float)
    before, after = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([before, p, after])
    t = np.linspace(0, 1, pieces, endpoint=False)[:, None, None]  # (pieces, 1, 1)
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-2:-1]])

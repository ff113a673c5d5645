"""The page's pictures: spectrograms, masks, heat maps as PNG, curves as SVG; the same numbers give the same bytes."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from avsep.systems.catalogue import Drawn

# matplotlib draws these, and the page puts its own colours, which follow light and dark, in their place.
INK = "#010203"
PLACEHOLDERS = tuple(f"#0102{number:02x}" for number in range(4, 256))  # a colour of lines each
Line = TypeVar("Line", bound=Drawn)
LEVELS = 64  # colours of a heat map: a page holds hundreds of them, and fewer colours make smaller files
OPACITY = 0.8  # of a heat map where it is highest


def heatmap(values: NDArray[np.floating], highest: float, colours: str) -> bytes:
    """PNG of (F, T) values from 0 to `highest`, low frequencies at the bottom. `colours` names a colour map."""
    levels = np.round(np.clip(values / highest, 0, 1) * (LEVELS - 1)).astype(np.uint8)[::-1]
    palette = np.round(matplotlib.colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3] * 255).astype(np.uint8)
    image = Image.fromarray(levels, mode="P")
    image.putpalette(palette.tobytes())
    return _png(image)


def overlay(values: NDArray[np.floating], colours: str) -> bytes:
    """PNG of (rows, columns) values >= 0 to lie over a picture, the first row at the top: from transparent where they
    are 0 to nearly opaque where they are highest. `colours` names a colour map."""
    levels = values / (float(values.max()) or 1.0)
    pixels = matplotlib.colormaps[colours](levels)
    pixels[..., 3] = OPACITY * levels
    return _png(Image.fromarray(np.round(pixels * 255).astype(np.uint8)))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


@dataclass(frozen=True)
class Tick:
    """A mark beside a picture: `place` is its share of the picture's height from the bottom, or width from the left."""

    label: str
    place: float


def variable(drawn: Drawn) -> str:
    """The page's CSS variable that holds the colour of a line, by day or by night."""
    return "--line-" + "-".join(colour.removeprefix("#") for colour in drawn.colours)


def palette(drawn: Iterable[Drawn]) -> dict[str, tuple[str, str]]:
    """The variables of all lines of a page: name -> the colour by day, and by night."""
    return {variable(one): one.colours for one in drawn}


def curve_chart(
    lines: Mapping[Line, tuple[Sequence[float], Sequence[float]]],
    x: str,
    y: str,
    span: Sequence[float] = (),
    marks: Mapping[Line, float] | None = None,
    diagonal: bool = False,
    points: Mapping[Line, Sequence[float]] | None = None,
    rings: Mapping[Line, tuple[float, float]] | None = None,
) -> str:
    """Inline SVG with a line for each key, in its colour and dashes: (x values, y values). The x axis holds `span` too.

    `marks`: where on the x axis a thin upright line stands; `diagonal`: from 0 to 1, a thin line; `points`: the area of
    a dot at each value of a line, as its share of all of them; `rings`: a point of a line with a ring around it.
    """
    variables = dict.fromkeys(variable(drawn) for drawn in (*(marks or {}), *lines))
    colours = dict(zip(variables, PLACEHOLDERS, strict=False))
    figure = Figure(figsize=(3.7, 2.3), layout="constrained")
    axes = figure.subplots()
    if diagonal:
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=0.8)
    for drawn, at in (marks or {}).items():
        axes.axvline(at, color=colours[variable(drawn)], linestyle=_dashes(drawn), linewidth=0.8)
    for drawn, (horizontal, vertical) in lines.items():
        colour = colours[variable(drawn)]
        axes.plot(horizontal, vertical, color=colour, linestyle=_dashes(drawn), linewidth=1.6)
        if points:
            areas = [4 + 160 * share for share in points[drawn]]
            axes.scatter(horizontal, vertical, s=areas, color=colour, linewidth=0)
    for drawn, (across, upwards) in (rings or {}).items():
        colour = colours[variable(drawn)]
        axes.plot(
            across, upwards, "o", markersize=7, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.8
        )
    axes.update_datalim([(value, 0) for value in span], updatey=False)
    axes.autoscale_view()
    _frame(axes, x, y)
    buffer = io.StringIO()
    # the salt makes the names of clip paths and markers, which all charts of a page share, a function of what is drawn;
    # text stays text
    salt = repr((x, y, list(lines.items()), marks, points, rings))
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = _inline(buffer.getvalue())
    for name, colour in colours.items():
        svg = svg.replace(colour, f"var({name})")
    return svg


def _dashes(drawn: Drawn) -> tuple[float, tuple[float, ...]] | str:
    return (0, drawn.dashes) if drawn.dashes else "-"


def _frame(axes: Axes, x: str, y: str) -> None:
    """Ticks, spines, grid and titles."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, size=9)


def _inline(svg: str) -> str:
    """An SVG document as an element of the page: no prologue, no names that recur, the page's ink."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[a-z0-9.]+_\d+"', "", svg)  # figure_1, axes_1, ...: each chart has them
    svg = re.sub(r'^<svg [^>]*viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg)
    return svg.replace("xlink:href", "href").replace(INK, "currentColor")

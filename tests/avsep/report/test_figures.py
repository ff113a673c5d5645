import io
import re
import xml.etree.ElementTree

import numpy as np
from PIL import Image

from avsep.report import charts, figures
from avsep.systems import catalogue
from avsep.systems.catalogue import Drawn

SOLID = Drawn("solid", "A solid line", ("#0b7a70", "#4fcdbf"))
DOTTED = Drawn("dotted", "A dotted line", ("#b4570b", "#f0a35a"), catalogue.DOTTED)


def test_heatmap_has_low_frequencies_at_the_bottom() -> None:
    values = np.zeros((8, 4), dtype=np.float32)
    values[0] = 2.0
    with Image.open(io.BytesIO(figures.heatmap(values, 2.0, "magma"))) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    assert pixels.shape == (8, 4, 3)
    assert pixels[-1].sum() > pixels[:-1].sum(axis=(1, 2)).max()


def test_heatmap_clips_beyond_its_scale() -> None:
    assert figures.heatmap(np.array([[5.0, -1.0]]), 1.0, "viridis") == figures.heatmap(
        np.array([[1.0, 0.0]]), 1.0, "viridis"
    )


def test_overlay_has_its_first_row_at_the_top_and_is_clear_where_nothing_is() -> None:
    values = np.array([[0.0, 0.2], [0.0, 0.4], [0.1, 0.3]])
    with Image.open(io.BytesIO(figures.overlay(values, "inferno"))) as image:
        opacity = np.asarray(image.convert("RGBA"), dtype=float)[..., 3] / 255
    np.testing.assert_allclose(opacity, figures.OPACITY * values / 0.4, atol=1 / 255)


def test_overlay_of_nothing_is_clear() -> None:
    with Image.open(io.BytesIO(figures.overlay(np.zeros((7, 7)), "inferno"))) as image:
        assert not np.asarray(image.convert("RGBA"))[..., 3].any()


def test_charts_of_one_page_share_no_name_of_what_is_drawn_differently() -> None:
    """Else the first chart's markers would be those of all."""
    charts = [
        figures.curve_chart({line: ([0, 1], [0, 1])}, "epoch", "dB", rings={line: (1, 1)}) for line in (SOLID, DOTTED)
    ]
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in charts]
    assert all(ids) and not ids[0] & ids[1]


def test_chart_is_well_formed_and_in_the_pages_colours() -> None:
    lines = {SOLID: ([1, 2, 3], [0.1, 0.5, 0.2]), DOTTED: ([1, 2], [0.3, 0.4])}
    svg = figures.curve_chart(lines, "step", "val/<loss>")
    xml.etree.ElementTree.fromstring(svg)
    assert "var(--line-0b7a70-4fcdbf)" in svg and "var(--line-b4570b-f0a35a)" in svg and "currentColor" in svg
    assert "#0102" not in svg and "#0b7a70" not in svg
    assert svg == figures.curve_chart(lines, "step", "val/<loss>")


def test_charts_of_one_span_share_their_x_axis() -> None:
    def ticks(svg: str) -> list[str]:
        return re.findall(r"<text [^>]*>([^<]+)</text>", svg)

    short, long = {SOLID: ([1, 2], [0.0, 1.0])}, {DOTTED: ([0, 50], [0.0, 1.0])}
    assert ticks(figures.curve_chart(short, "x", "y", span=[0, 50])) == ticks(figures.curve_chart(long, "x", "y"))
    assert ticks(figures.curve_chart(short, "x", "y")) != ticks(figures.curve_chart(long, "x", "y"))


LINES = (
    *(*catalogue.SYSTEMS, *catalogue.CONTROLS, *catalogue.GATE_CONTROLS, *catalogue.SCENE_CONTROLS),
    *(*catalogue.TRAINING, catalogue.external("theirs"), *charts.KINDS, charts.THRESHOLD),
)


def test_every_line_is_drawn_in_its_colour_and_its_dashes() -> None:
    for line in LINES:
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in line.colours)
        svg = figures.curve_chart({line: ([1, 2], [0.1, 0.5])}, "step", "value")
        (name,) = set(re.findall(r"var\((--[\w-]+)\)", svg))
        assert figures.palette([line]) == {name: line.colours}
        dashes = re.findall(r"stroke-dasharray: ([\d.,]+)", svg)
        assert len(dashes) == bool(line.dashes)
        for drawn in dashes:
            widths = [float(length) / 1.6 for length in drawn.split(",")]
            np.testing.assert_allclose(widths, line.dashes, rtol=1e-3)


def test_as_many_lines_as_there_may_be_keep_their_colours_apart() -> None:
    lines = {Drawn(f"{n}", f"{n}", (f"#0102{n:02x}", f"#ff{n:02x}00")): ([0, 1], [0, n]) for n in range(40)}
    svg = figures.curve_chart(lines, "x", "y")
    assert set(re.findall(r"stroke: var\((--[\w-]+)\)", svg)) == set(figures.palette(lines))


def test_marks_points_and_the_diagonal_are_drawn_in_their_colours() -> None:
    line = {SOLID: ([0.1, 0.9], [0.2, 0.8])}
    plain = figures.curve_chart(line, "x", "y")
    marked = figures.curve_chart(line, "x", "y", marks={DOTTED: 0.5})
    diagonal = figures.curve_chart(line, "x", "y", diagonal=True)
    dotted = figures.curve_chart(line, "x", "y", points={SOLID: [0.3, 0.7]})
    ringed = figures.curve_chart(line, "x", "y", rings={SOLID: (0.9, 0.8)})
    assert figures.variable(DOTTED) in marked and figures.variable(DOTTED) not in plain
    assert diagonal.count("opacity: 0.4") == 1 and "opacity: 0.4" not in plain
    assert dotted.count(figures.variable(SOLID)) > plain.count(figures.variable(SOLID))
    assert ringed.count(figures.variable(SOLID)) > plain.count(figures.variable(SOLID))
